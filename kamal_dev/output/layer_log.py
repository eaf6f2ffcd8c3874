"""Parse the output of `docker push`: the state of each layer, with its bytes if Docker writes to a terminal."""

from __future__ import annotations

from kamal_dev.output.units import in_bytes
from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

_LAYER = pattern(r"^([0-9a-f]{12}): (.+)$")
_SIZES = pattern(r"^Pushing\s+([\d.]+ ?[kMGT]?B)(?:/([\d.]+ ?[kMGT]?B))?")
_STORED = ("Layer already exists", "Mounted from")


@dataclass(frozen=True)
class Layer:
    """Hold the state of one layer: its bytes so far and in total, None if that is unknown."""

    is_done: bool = False
    sent: int = 0
    total: int | None = None


class LayerLog:
    """Keep the layers named so far."""

    def __init__(self) -> None:
        self._layers: dict[str, Layer] = {}

    def take(self, line: str) -> Layer | None:
        """Process a line; return the layer that it is about."""
        if (match := _LAYER.match(line.strip())) is None:
            return None
        layer = self._layers[match[1]] = _next(self._layers.get(match[1], Layer()), match[2])
        return layer

    @property
    def layers(self) -> tuple[int, int]:
        """The number of finished layers, and of all."""
        return sum(layer.is_done for layer in self._layers.values()), len(self._layers)

    @property
    def sent(self) -> tuple[int, int | None]:
        """The number of bytes sent, and of all; None while the size of a layer is unknown."""
        totals = [layer.total for layer in self._layers.values()]
        known = [total for total in totals if total is not None]
        return sum(layer.sent for layer in self._layers.values()), sum(known) if len(known) == len(totals) else None


def _next(layer: Layer, text: str) -> Layer:
    """Return a layer after its next line. A layer that the registry has sends nothing."""
    if text.startswith(_STORED):
        return Layer(is_done=True, total=0)
    if text.startswith("Pushed"):
        return Layer(is_done=True, sent=layer.total or layer.sent, total=layer.total or layer.sent)
    if sizes := _SIZES.match(text):
        # A layer that grows by being packed is reported without its total in the end.
        total = in_bytes(sizes[2]) if sizes[2] else layer.total
        return Layer(sent=min(in_bytes(sizes[1]), total or in_bytes(sizes[1])), total=total)
    return layer
