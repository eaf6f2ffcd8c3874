"""Validate the words of commands for a host. Invalid ones are refused before any command is built."""

from __future__ import annotations

from collections.abc import Iterable

from kamal_dev.errors import UsageError
from kamal_dev.pattern import pattern

_STACK = pattern(r"[a-z0-9][a-z0-9_-]*")
_WORD = pattern(r"[A-Za-z0-9_][A-Za-z0-9._/:@+-]*")


_HASH = pattern(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def is_hash(word: object) -> bool:
    """Return whether this is the full hash of a git object."""
    return isinstance(word, str) and _HASH.fullmatch(word) is not None


def is_stack_word(name: object) -> bool:
    """Return whether this is a valid name of a stack."""
    return isinstance(name, str) and _STACK.fullmatch(name) is not None


def stack_word(name: str) -> str:
    """Return a stack's name. Raises UsageError for an invalid name."""
    if not is_stack_word(name):
        raise UsageError(
            f"`{name}` is not a valid stack name",
            hint="use lower-case letters, digits, `-` and `_`; see `service` and `naming.pattern` in config/dev.yml",
        )
    return name


def checked(kind: str, words: Iterable[str]) -> tuple[str, ...]:
    """Return `words`. Raises UsageError for words that a shell or Docker could take for something else."""
    words = tuple(words)
    for word in words:
        if not _WORD.fullmatch(word) or ".." in word.split("/"):
            raise UsageError(f"`{word}` cannot name {'an' if kind == 'image' else 'a'} {kind}")
    return words


def checked_folders(folders: Iterable[str]) -> tuple[str, ...]:
    """Refuse anything but folders inside a workspace."""
    folders = tuple(folders)
    for folder in folders:
        if not folder or folder.startswith("/") or "\n" in folder or ".." in folder.split("/"):
            raise UsageError(f"`{folder}` is not a valid workspace folder")
    return folders


def folder_word(folder: str) -> str:
    """Refuse anything but a single folder of a workspace."""
    if folder in ("", ".", "..") or "/" in folder:
        raise UsageError(f"`{folder}` is not a valid workspace folder")
    return folder
