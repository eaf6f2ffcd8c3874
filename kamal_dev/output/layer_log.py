"""Parse the output of `docker push` and `docker pull` without a terminal: one line per change of a layer."""

from __future__ import annotations

import re

_LAYER = re.compile(r"^([0-9a-f]{12}): (.+)$")
_DONE = ("Pushed", "Layer already exists", "Mounted from", "Already exists", "Pull complete")


class LayerLog:
    """Count the finished layers among those named so far."""

    def __init__(self) -> None:
        self._layers: dict[str, bool] = {}

    def take(self, line: str) -> tuple[int, int] | None:
        """Process a line; return the finished and total number of layers if they changed."""
        if (match := _LAYER.match(line)) is None:
            return None
        before = self._layers.get(match[1])
        is_done = match[2].startswith(_DONE)
        self._layers[match[1]] = is_done or bool(before)
        return (sum(self._layers.values()), len(self._layers)) if is_done and not before else None
