"""The three standard streams, even if the caller has closed them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

NAMES = ("stdin", "stdout", "stderr")


def complete() -> None:
    """Open standard streams that the caller has closed (`2>&-`) as /dev/null.

    Otherwise the next opened file would get the stream's number, and every child process would write to it.
    """
    for number, name in enumerate(NAMES):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number, which is this one.
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            stream = open(number, "w" if number else "r", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


class Unwritable(OSError):
    """Report that stdout cannot be written."""


class Unread(OSError):
    """Report that stdout has no reader. Not a BrokenPipeError, which click turns into the exit code 1."""


@contextmanager
def writing() -> Iterator[None]:
    """Write to stdout in the `with` block. Raises Unwritable, or Unread if the reader is gone."""
    try:
        yield
    except BrokenPipeError as error:
        raise Unread from error
    except OSError as error:
        raise Unwritable(error.errno, error.strerror) from error


def flush() -> None:
    """Flush stdout. Raises like `writing` if that fails."""
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    with writing():
        sys.stdout.flush()


def takes(stream: TextIO) -> bool:
    """Return whether a stream can be flushed."""
    try:
        stream.flush()
    except (OSError, ValueError):
        return False
    return True


def silence(streams: Iterable[TextIO]) -> None:
    """Replace streams that cannot be written: Python would print an error at exit."""
    for stream in streams:
        with suppress(OSError, ValueError, AttributeError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
