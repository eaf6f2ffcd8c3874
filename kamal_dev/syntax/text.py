"""Bytes of a file as text. Opens no file."""

from __future__ import annotations

from collections.abc import Callable

from kamal_dev.errors import ConfigError, Problem

# What is raised for a file of one kind: ComposeError, DevcontainerError …
Failure = Callable[..., ConfigError]


def decode(data: bytes, display: str, failure: Failure) -> str:
    """Return the text of a file with every character kept, the byte order mark too.

    `display` names the file in messages. Raises `failure` with the place of the first byte that is not UTF-8.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        problem = Problem(display, line, f"byte 0x{data[error.start]:02x} is not UTF-8", column=column)
        raise failure(problem, hint="save the file as UTF-8") from error
