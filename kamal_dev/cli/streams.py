"""The three standard streams, even if the caller has closed them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

NAMES = ("stdin", "stdout", "stderr")


def complete() -> None:
    """Open what the caller has closed (`2>&-`), as /dev/null.

    The next file that is opened would otherwise get its number, and be taken for it by every program that is started.
    """
    for number, name in enumerate(NAMES):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free, which is this one.
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            stream = open(number, "w" if number else "r", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


class Unwritable(OSError):
    """Report that stdout cannot be written."""


@contextmanager
def writing() -> Iterator[None]:
    """Write to stdout within this. Raises Unwritable, or BrokenPipeError if the reader is gone."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Unwritable(error.errno, error.strerror) from error


def flush() -> None:
    """Write what is still to be written. Raises as `writing` does where stdout could not take it."""
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    with writing():
        sys.stdout.flush()


def takes(stream: TextIO) -> bool:
    """Whether a stream takes what is still in its buffer."""
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
