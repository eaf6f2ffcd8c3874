"""The text of config/dev.yml as values that know their line. Judges no key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from kamal_dev.config.yaml_events import events
from kamal_dev.errors import ConfigError, Problem

MAX_CHARACTERS = 128 * 1024
MAX_EVENTS = 5_000
MAX_DEPTH = 100

# The core schema of YAML 1.2, section 10.3.2: `yes`, `off` and `22:22` are text.
_SCALARS = (
    ("empty", re.compile(r"(~|null|Null|NULL|)")),
    ("boolean", re.compile(r"(true|True|TRUE|false|False|FALSE)")),
    ("integer", re.compile(r"([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)")),
    ("number", re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")),
)
_TAGS = {"str": "text", "int": "integer", "float": "number", "bool": "boolean", "null": "empty", "map": "", "seq": ""}
_ERB = re.compile(r"[^#\n]*<%")


@dataclass(eq=False)
class Value:
    """Hold one YAML value, as written, with its place.

    `kind` is text, integer, number, boolean, empty, mapping, list or tagged;
    `path` is the file as shown; `text` the scalar's own characters; `start` and `end` index the source text.
    """

    kind: str
    text: str = ""
    line: int = 0
    column: int = 0
    start: int = 0
    end: int = 0
    is_plain: bool = False
    path: str = ""
    items: list[Value] = field(default_factory=list)

    @property
    def pairs(self) -> Iterator[tuple[Value, Value]]:
        """The keys and values of a mapping, in order, merge keys as written."""
        return zip(self.items[::2], self.items[1::2], strict=False)

    @property
    def is_merge(self) -> bool:
        """Whether this key is `<<`."""
        return self.is_plain and self.text == "<<"


def over(base: Value | None, upper: Value | None) -> Value | None:
    """Return one document laid over another: mappings are merged, everything else is replaced."""
    if base is None or upper is None or base.kind != "mapping" or upper.kind != "mapping":
        return base if upper is None or upper.kind == "empty" else upper
    known = {key.text: (key, value) for key, value in upper.pairs if not key.is_merge}
    items: list[Value] = []
    for key, value in base.pairs:
        own = None if key.is_merge else known.pop(key.text, None)
        items += (own[0], over(value, own[1]) or own[1]) if own else (key, value)
    rest = [item for key, value in upper.pairs if key.is_merge or key.text in known for item in (key, value)]
    return replace(base, items=[*items, *rest])


def decode(data: bytes, path: str) -> str:
    """Turn a file's bytes into text, without a byte order mark; raises ConfigError with the line."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"is not UTF-8: byte 0x{data[error.start]:02x}; save the file as UTF-8"
        raise ConfigError(Problem(path, line, message)) from None


def parse(text: str, path: str) -> Value | None:
    """Read one YAML 1.2 document; None where it is empty. Raises ConfigError."""
    text = text.removeprefix("\ufeff")
    if len(text) > MAX_CHARACTERS:
        raise ConfigError(
            Problem(path, 0, f"is longer than {MAX_CHARACTERS // 1024} KiB, the limit for a configuration file")
        )
    refuse_erb(text, path)
    return _Composer(path).compose(events(text, path, ConfigError))


def refuse_erb(text: str, path: str) -> None:
    """Raise ConfigError for each line on which Kamal would run Ruby."""
    message = "has ERB (`<% … %>`), which is not supported; write the value itself or a variable name"
    lines = (number for number, line in enumerate(text.split("\n"), 1) if _ERB.match(line))
    problems = [Problem(path, number, message) for number in lines]
    if problems:
        raise ConfigError(problems)


class _Composer:
    """Build values from events without recursion, so that no input can exhaust the stack."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.root: Value | None = None
        self.open: list[Value] = []
        self.anchors: dict[str, Value] = {}
        self.documents = 0

    def compose(self, events: Iterable[Any]) -> Value | None:
        for count, event in enumerate(events):
            if count > MAX_EVENTS:
                self.refuse(event, f"has more than {MAX_EVENTS} values, the limit for a configuration file")
            self.take(event, type(event).__name__)
        return self.root

    def take(self, event: Any, name: str) -> None:
        if name == "DocumentStartEvent":
            self.begin_document(event)
        elif name == "AliasEvent":
            self.place(self.target(event))
        elif name == "ScalarEvent":
            self.add(event, _scalar(event))
        elif name in ("MappingStartEvent", "SequenceStartEvent"):
            self.begin_collection(event, "mapping" if name[0] == "M" else "list")
        elif name in ("MappingEndEvent", "SequenceEndEvent"):
            self.open.pop().end = event.end_mark.index

    def begin_document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            self.refuse(event, "has a second document (`---`); only one is allowed")

    def begin_collection(self, event: Any, kind: str) -> None:
        value = self.add(event, kind if _tag(event) in (None, "") else "tagged")
        self.open.append(value)
        if len(self.open) > MAX_DEPTH:
            self.refuse(event, f"is nested more than {MAX_DEPTH} levels deep")

    def add(self, event: Any, kind: str) -> Value:
        mark, text = event.start_mark, getattr(event, "value", "")
        is_plain = bool(text) and bool(event.implicit[0])
        value = Value(kind, text, mark.line + 1, mark.column + 1, mark.index, event.end_mark.index, is_plain, self.path)
        if event.anchor:
            self.anchors[event.anchor] = value
        self.place(value)
        return value

    def target(self, event: Any) -> Value:
        value = self.anchors.get(event.anchor)
        if value is None:
            self.refuse(event, f"names the anchor `{event.anchor}`, which is not defined above")
        if any(value is parent for parent in self.open):
            self.refuse(event, f"names the anchor `{event.anchor}` inside of itself")
        return value

    def place(self, value: Value) -> None:
        if self.open:
            self.open[-1].items.append(value)
        else:
            self.root = value

    def refuse(self, event: Any, message: str) -> NoReturn:
        mark = event.start_mark
        raise ConfigError(Problem(self.path, mark.line + 1, message, column=mark.column + 1))


def _tag(event: Any) -> str | None:
    """Return the kind that an explicit tag asks for, None without one, `tagged` for a foreign one."""
    if event.tag is None or event.tag == "!":
        return None
    prefix, _, name = str(event.tag).rpartition(":")
    return _TAGS.get(name, "tagged") if prefix == "tag:yaml.org,2002" else "tagged"


def _scalar(event: Any) -> str:
    tag = _tag(event)
    if tag is not None:
        return tag or "tagged"
    if not event.implicit[0]:
        return "text"
    return next((kind for kind, pattern in _SCALARS if pattern.fullmatch(event.value)), "text")
