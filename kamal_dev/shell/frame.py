"""Tell a command's output from the output of start-up files on the host. Opens nothing.

Start-up files of a login shell may print, before and after the command, with or without a newline, on both streams.
Therefore the output of a command is between two marks that nobody can guess. They do not occur in the command line
either, because a ForceCommand or `set -x` may repeat it.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
from collections.abc import Iterable
from typing import IO, Protocol

from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

KEPT = 4096
OTHERS_ANSWER = (
    "the user needs a login shell that runs commands: look for `ForceCommand` in its sshd_config, `command=` in "
    "authorized_keys, a login shell such as nologin, or `exit` in a start-up file such as ~/.bashrc"
)
# The csh of BSD rejects words of more than 1024 bytes; an escape is never split.
_WORDS = pattern(r"(?:\\0[0-7]{3}|[^\\]){1,180}")


def line(text: str) -> str:
    """Return a command line that makes every login shell, even csh or fish, run this text with `sh`.

    Shells differ in what is special between single quotes (`!`, backslash, newline), so none of it is used there.
    """
    escaped = "".join(_escaped(byte) for byte in text.encode(errors="surrogateescape"))
    words = " ".join(f"'{word}'" for word in _WORDS.findall(escaped))
    return f"""sh -c 'eval "$(printf %b "$@")"' kamal-dev {words}"""


def _escaped(byte: int) -> str:
    is_plain = 32 <= byte < 127 and byte not in b"'\\!"
    return chr(byte) if is_plain else f"\\0{byte:03o}"


@dataclass(frozen=True)
class Frame:
    """Hold the mark of one stream of a command, in two halves that are only joined in its output."""

    first: str
    second: str

    @classmethod
    def new(cls) -> Frame:
        """Return a frame with a new mark."""
        return cls(f"kamal-dev.{secrets.token_hex(8)}", secrets.token_hex(8))

    @property
    def errors(self) -> Frame:
        """The frame of stderr. It has another mark, because a start-up file may send both streams to one place."""
        return Frame(self.first, f"{self.second}.errors")

    @property
    def begin(self) -> bytes:
        """The text before the output."""
        return f"{self.first}{self.second}(".encode()

    @property
    def end(self) -> bytes:
        """The text after the output; the exit code and a semicolon follow."""
        return f"{self.first}{self.second})".encode()

    @property
    def opening(self) -> str:
        """Shell text that prints `begin` on stdout."""
        return f"printf '%s%s(' {self.first} {self.second}"

    @property
    def closing(self) -> str:
        """Shell text that prints `end` and the exit code in `c` on stdout."""
        return f"printf '%s%s)%s;' {self.first} {self.second} $c"

    def around(self, argv: Iterable[str]) -> str:
        """Return shell text that runs `argv` with each stream in its frame, and ends with its exit code."""
        # If a start-up file sends both streams to one place, only the output is between the marks of stdout.
        opened = f"{self.errors.opening} >&2; {self.opening}"
        closed = f"{self.closing}; {self.errors.closing} >&2"
        return f"{opened}; {shlex.join(argv)}; c=$?; {closed}; exit $c"

    def without(self, line: str) -> str:
        """Return a line of a stream that others write to as well, without the marks of `around`."""
        return re.sub(rf"{re.escape(self.first + self.second)}(\(|\)\d*;?)", "", line)


class Sink(Protocol):
    """A receiver of a stream: `Lines` or `Bytes`."""

    def feed(self, data: bytes) -> None:
        """Process the next bytes."""

    def end(self) -> str:
        """Process the end, and return what was kept."""


class Framed:
    """Pass the contents of the frame to `sink`; `noise` is the last output before the frame."""

    def __init__(self, frame: Frame, sink: Sink) -> None:
        self._frame = frame
        self._sink = sink
        self._held = b""
        self.noise = b""
        self.has_begun = False
        self.code: int | None = None

    def feed(self, data: bytes) -> None:
        """Process the next bytes of the stream."""
        if self.code is not None:
            return
        self._held += data
        if not self.has_begun and not self._begin():
            return
        output, mark, code = self._held.partition(self._frame.end)
        if mark:
            self._finish(output, code)
            return
        kept = _started(output, self._frame.end)
        self._held = output[len(output) - kept :]
        self._sink.feed(output[: len(output) - kept])

    def begins(self, stream: IO[bytes]) -> bool:
        """Read from `stream` until the frame begins; return False if the stream ends first."""
        while not self.has_begun and (data := os.read(stream.fileno(), 1 << 16)):
            self.feed(data)
        return self.has_begun

    def reads(self, stream: IO[bytes]) -> None:
        """Read from `stream` until the frame or the stream ends."""
        while self.code is None and (data := os.read(stream.fileno(), 1 << 16)):
            self.feed(data)

    def end(self) -> str:
        """Process the end of the stream, and return what the sink kept."""
        if not self.has_begun:
            self.noise = (self.noise + self._held)[-KEPT:]
        elif not self._held.startswith(self._frame.end):
            self._sink.feed(self._held)
        self._held = b""
        return self._sink.end()

    def _begin(self) -> bool:
        noise, mark, rest = self._held.partition(self._frame.begin)
        kept = 0 if mark else _started(noise, self._frame.begin)
        self.noise = (self.noise + noise[: len(noise) - kept])[-KEPT:]
        self._held = rest if mark else noise[len(noise) - kept :]
        self.has_begun = bool(mark)
        return self.has_begun

    def _finish(self, output: bytes, code: bytes) -> None:
        """Read the exit code once it is complete."""
        self._sink.feed(output)
        digits, semicolon, _ = code.partition(b";")
        self._held = b"" if semicolon else self._frame.end + code
        if semicolon:
            self.code = int(digits)


def _started(data: bytes, mark: bytes) -> int:
    """Return how many of the last bytes of `data` may be the beginning of `mark`."""
    sizes = range(min(len(data), len(mark) - 1), 0, -1)
    return next((size for size in sizes if data.endswith(mark[:size])), 0)


def unanswered(code: int, *noises: bytes) -> str:
    """Return a message for a command that did not run, with the output of what answered instead."""
    return f"the host did not run the command; the login printed {quoted(*noises)} and exited {code}"


def quoted(*noises: bytes) -> str:
    """Return the last output in one of these streams, in backticks, for a message."""
    for noise in noises:
        text = "".join(char if char.isprintable() else " " for char in noise.decode(errors="replace"))
        if line := " ".join(text.split()):
            return f"`…{line[-200:]}`" if len(line) > 200 else f"`{line}`"
    return "nothing"
