"""Show events as JSON, one object a line, for programs."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from typing import TextIO

from kamal_dev.output import Event


class Ndjson:
    """Write `{"kind": …, "text": …}` per event; absent fields are left out."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        """Write the event and flush."""
        fields = {name: value for name, value in asdict(event).items() if value not in ("", None)}
        # A reader that has gone, or a disk that is full, ends no deploy.
        with suppress(OSError):
            print(json.dumps(fields), file=self._stream, flush=True)
