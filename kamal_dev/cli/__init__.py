"""Flags in, one pipeline call, exit code out; the only place that prints errors and exits."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress


def main() -> None:
    """Run `dev`: the entry point of both commands."""
    from kamal_dev.cli.app import app
    from kamal_dev.cli.exit import guarded

    code = guarded(app, sys.argv[1:])
    if any(thread.daemon for thread in threading.enumerate()):
        # Python aborts where it ends under a thread that is inside a library; all that must be closed is closed.
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, OSError, ValueError):
                stream.flush()
        os._exit(code)
    sys.exit(code)
