"""Show events as JSON, one object a line, for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TextIO

from kamal_dev.output.event import Event, now
from kamal_dev.output.redaction import Redaction
from kamal_dev.output.summary import RunSummary


class Ndjson:
    """Write one line per event, and the result as the last line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._has_ended = False

    def __call__(self, event: Event) -> None:
        """Write the event and flush."""
        if self._has_ended:
            return
        # A deploy does not stop because the reader is gone or the disk is full.
        with suppress(OSError):
            self._write(event.as_json())

    def result(self, result: RunSummary, redaction: Redaction) -> None:
        """Write the last line. Raises OSError if it cannot be written."""
        self._has_ended = True
        self._write({**redaction.within(result.as_json()), "time": now()})

    def _write(self, line: Mapping[str, Any]) -> None:
        print(json.dumps(line), file=self._stream, flush=True)
