"""Ask a host for the logs of containers, and parse the output of `logs.sh`. Runs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import NamedTuple

from kamal_dev.commands.payload import Scripts, about, step
from kamal_dev.commands.words import checked, stack_word
from kamal_dev.errors import UsageError
from kamal_dev.model import Step
from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

HOST = b"0" * 12  # marks messages of the script itself, instead of a container id
ID = 12
STAMP = 30  # length of a timestamp of the engine
CHUNK = 16 * 1024  # the engine splits longer lines, each part with a timestamp
LONGEST = 64 * (STAMP + 1 + CHUNK)  # a line that is longer, or never ends, is returned in several lines
_DURATION = pattern(r"(?:\d+(?:\.\d+)?(?:h|m|s|ms))+")
_TIME = pattern(r"\d{4}-\d\d-\d\d(?:T\d\d(?::\d\d(?::\d\d(?:\.\d{1,9})?)?)?(?:Z|[+-]\d\d:\d\d)?)?|\d{9,}(?:\.\d+)?")
_PIECE = pattern(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z ")
# The engine's message for a container that is removed while its log is read.
_GONE = (b"No such container", b"marked for removal")


@dataclass(frozen=True)
class LogQuery:
    """Hold which lines are wanted: the flags of `dev logs`. `tail` applies per container; None means all."""

    services: tuple[str, ...] = ()
    follow: bool = False
    since: str = ""
    until: str = ""
    tail: int | None = None

    def __post_init__(self) -> None:
        for flag, value in (("--since", self.since), ("--until", self.until)):
            if value and not (_DURATION.fullmatch(value) or _TIME.fullmatch(value)):
                raise UsageError(
                    f"`{flag} {value}` is not a time", hint="use `10m`, `1h30m`, `2026-01-31` or `2026-01-31T12:00:00Z`"
                )


@dataclass(eq=False)
class LogSource:
    """Name a container whose log is read; `last` is its latest time, and `count` lines have that time.

    `is_complete`: everything written before the start has arrived.
    """

    stack: str
    service: str
    number: str
    name: str
    last: bytes = b""
    count: int = 0
    is_complete: bool = False

    @property
    def label(self) -> str:
        """The service, with the number of the container unless it is the first."""
        return self.service if self.number in ("", "1") else f"{self.service}-{self.number}"


@dataclass(eq=False)
class LongLine:
    """Count the parts in which a line that is too long is returned: `read` in this run, `returned` in all runs."""

    time: bytes
    read: int = 0
    returned: int = 0


class LogLine(NamedTuple):
    """Hold one line of a log, as bytes in any encoding; `time` is in UTC and sorts as text."""

    time: bytes
    source: LogSource
    text: bytes


def logs(scripts: Scripts, stacks: Iterable[str], query: LogQuery, resume: Iterable[str] = ()) -> Step:
    """Return the step that prints the logs of these stacks, to be parsed by `LogReader`.

    With `resume` (see `LogReader.resume`), lines that were read before are skipped.
    """
    names = tuple(map(stack_word, stacks))
    mode = "follow" if query.follow else "once"
    meta = {
        "services": "\n".join(checked("service", query.services)),
        "since": query.since,
        "until": query.until,
        "tail": "" if query.tail is None else str(query.tail),
        "resume": "\n".join(resume),
    }
    return step(scripts, "logs.sh", mode, *names, files=about(meta), label=" ".join(("logs", mode, *names)))


@dataclass
class LogReader:
    """Parse the output of the script, across several runs; a further run resumes from this state.

    `began` is the start of the first run, by the host's clock, and `is_begun` is set once the current run reads;
    `is_listed` is set once all existing containers are known. `ended` are the final lines, for `answers`.
    """

    sources: dict[bytes, LogSource] = field(default_factory=dict)
    began: bytes = b""
    is_begun: bool = False
    is_listed: bool = False
    ended: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _rest: bytes = b""
    _pieces: dict[bytes, bytes] = field(default_factory=dict)
    _long: dict[bytes, LongLine] = field(default_factory=dict)

    def restart(self) -> None:
        """Drop an incomplete line; it is read again, but its parts are not returned again."""
        self._rest = b""
        for line in self._long.values():
            line.read = 0
        self.is_begun = False
        self._pieces.clear()
        self.ended.clear()

    def resume(self) -> Iterator[str]:
        """Yield for each container where to resume: `id time count`."""
        for identity, source in self.sources.items():
            last, count = (source.last, source.count) if source.last else (self.began, 0)
            yield f"{identity.decode()} {last.decode()} {count}"

    def read(self, data: bytes) -> list[LogLine]:
        """Process the next bytes, and return the complete lines."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        complete: list[LogLine] = []
        for line in lines:
            if line[ID : ID + 1] == b" " and not self._pieces and (source := self.sources.get(line[:ID])):
                complete.append(_line(source, line[ID + 1 :]))
            else:
                complete += self._other(line)
        return complete

    def _other(self, line: bytes) -> Iterator[LogLine]:
        identity, sign, rest = line[:ID], line[ID : ID + 1], line[ID + 1 :]
        source = self.sources.get(identity)
        if line.startswith(b"{"):
            self.ended.append(line.decode(errors="replace"))
        elif identity == HOST:
            self.is_listed = self.is_listed or sign == b"."
            self.is_begun = self.is_begun or sign == b"="
            self.began = self.began or rest
        elif sign == b"=":
            self._begin(identity, rest)
        elif source and sign == b">":
            self._pieces[identity] = self._pieces.get(identity, b"") + rest
            yield from self._full(identity, source)
        elif source and sign == b" ":
            if (long := self._long.get(identity)) and long.read:
                del self._long[identity]
            yield _line(source, self._pieces.pop(identity, b"") + rest)
        elif source and sign == b".":
            source.is_complete = True
        elif source and sign == b"!" and not any(words in rest for words in _GONE):
            self.complaints.append(f"{source.stack}: {source.label}: {rest.decode(errors='replace')}")

    def _full(self, identity: bytes, source: LogSource) -> Iterator[LogLine]:
        """Yield the begin of a line that is too long; it does not count as a line for the next run."""
        piece = self._pieces[identity]
        if len(piece) > LONGEST + STAMP:
            text, rest = piece[:LONGEST], piece[LONGEST:]
            self._pieces[identity] = rest if _PIECE.match(rest) else piece[: STAMP + 1] + rest
            line = self._long.get(identity)
            if line is None or (line.read == 0 and line.time != text[:STAMP]):
                line = self._long[identity] = LongLine(text[:STAMP])
            line.read += 1
            if line.read > line.returned:
                line.returned = line.read
                yield LogLine(text[:STAMP], source, _joined(text[STAMP + 1 :]))

    def _begin(self, identity: bytes, rest: bytes) -> None:
        words = rest.decode(errors="replace").split(" ")
        if len(words) == 4 and identity not in self.sources:
            self.sources[identity] = LogSource(words[0], words[1], words[2], words[3])


def _line(source: LogSource, rest: bytes) -> LogLine:
    time, text = rest[:STAMP], rest[STAMP + 1 :]
    if time > source.last:
        source.last, source.count = time, 1
    elif time == source.last:
        source.count += 1
    # The lines of a container keep their order if a clock is set back, or two streams are a little out of order.
    return LogLine(source.last, source, _joined(text) if len(text) > CHUNK else text)


def _joined(text: bytes) -> bytes:
    """Return a long line without the timestamps inside it."""
    parts, at = [], 0
    while _PIECE.match(text, at + CHUNK):
        parts.append(text[at : at + CHUNK])
        at += CHUNK + STAMP + 1
    return b"".join((*parts, text[at:]))
