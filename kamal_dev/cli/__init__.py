"""Parse flags, call the pipeline, return an exit code; only this layer prints errors and exits."""

from __future__ import annotations

import gc
import os
import sys
import threading


def main() -> None:
    """Run `dev`: the entry point of both commands."""
    from kamal_dev.cli import streams

    streams.complete()
    # A run is short and keeps most objects: the garbage collector would take a twentieth of a deploy.
    gc.set_threshold(100_000)
    from kamal_dev.cli.app import app
    from kamal_dev.cli.exit import INTERRUPTED, guarded

    code = guarded(app, sys.argv[1:])
    streams.silence(stream for stream in (sys.stderr,) if not streams.takes(stream))
    if code == INTERRUPTED or any(thread.daemon for thread in threading.enumerate()):
        from kamal_dev.project import temporary

        temporary.delete_all()
        # Everything that must be closed is closed. Python aborts if it exits while a daemon is inside a library, and
        # waits for other threads, which may never end if the interrupt came while a lock was handed over.
        os._exit(code)
    sys.exit(code)
