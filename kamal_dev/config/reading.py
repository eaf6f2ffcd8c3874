"""Read the mappings of a YAML document, and collect every problem. Knows no option."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Final

from kamal_dev.config.document import Value
from kamal_dev.errors import ConfigError, Problem
from kamal_dev.model import Location, Notice

MAX_PROBLEMS = 50
MAX_PLACES = 10_000


Entries = dict[str, tuple[Value, Value]]


class _Missing:
    """Stand for a value that could not be read."""

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()


def show(text: str) -> str:
    """Quote what the user wrote: one line, no terminal control, not endless."""
    return f"`{clean(text)}`"


def clean(text: str, length: int = 60) -> str:
    """Shorten and escape text for a terminal."""
    short = text[:length]
    safe = short if short.isascii() and short.isprintable() else short.encode("unicode_escape").decode()
    return safe if len(text) <= length else f"{safe}…"


def suggest(name: str, names: Iterable[str]) -> str:
    """Return `; did you mean …?`, or nothing where no name is near."""
    near = difflib.get_close_matches(name, list(names), 1) if len(name) <= 60 else []
    return f"; did you mean `{near[0]}`?" if near else ""


def join(*parts: str) -> str:
    """Join the parts of a dotted path, leaving out empty ones."""
    return ".".join(part for part in parts if part)


class Reading:
    """Collect values, problems, notices and places while one file is read."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.values: dict[str, Any] = {}
        self.where: dict[str, Location] = {}
        self.notices: list[Notice] = []
        self.problems: dict[Problem, None] = {}
        self.places = 0
        self.known: dict[int, Entries] = {}

    def refuse(self, where: Value | Location | None, key: str, message: str) -> Any:
        """Note a problem; returns MISSING, so that a reader can end with it."""
        path = (where.path if where else "") or self.path
        self.problems[Problem(path, where.line if where else 0, message, clean(key, 120))] = None
        return MISSING

    def place(self, key: str, value: Value) -> None:
        """Remember where a key stands; the first mention counts.

        Raises ConfigError where anchors blow up a small file into a large one.
        """
        self.places += 1
        if self.places > MAX_PLACES:
            message = f"stands for more than {MAX_PLACES} values, through its anchors"
            raise ConfigError(Problem(self.path, value.line, message, key))
        self.where.setdefault(key, Location(value.path or self.path, value.line, value.column))

    def finish(self) -> None:
        """Raise ConfigError where anything was refused, in the order of the file."""
        problems = sorted(self.problems, key=lambda problem: (problem.path != self.path, problem.line))
        if len(problems) > MAX_PROBLEMS:
            more = Problem(self.path, 0, f"has {len(problems) - MAX_PROBLEMS} more problems")
            problems = [*problems[:MAX_PROBLEMS], more]
        if problems:
            raise ConfigError(problems)

    def has_problem(self, path: str) -> bool:
        """Whether something at or below this key was refused already."""
        return any(problem.key == path or problem.key.startswith((path + ".", path + "[")) for problem in self.problems)

    def entries(self, mapping: Value, path: str = "") -> Entries:
        """Return the entries of a mapping by name, duplicates refused, merge keys (`<<`) followed."""
        if id(mapping) not in self.known:
            self.known[id(mapping)] = self.merged(mapping, path) | self.own(mapping, path)
        return self.known[id(mapping)]

    def own(self, mapping: Value, path: str) -> Entries:
        """Return the entries that stand in the mapping itself."""
        found: Entries = {}
        for key, value in mapping.pairs:
            if key.kind in ("mapping", "list", "tagged"):
                self.refuse(key, path, f"has {described(key)} as a key; keys must be text")
            elif key.text in found:
                first = found[key.text][0].line
                self.refuse(key, join(path, key.text), f"is a duplicate key; first defined in line {first}")
            elif not key.is_merge:
                found[key.text] = (key, value)
        return found

    def merged(self, mapping: Value, path: str) -> Entries:
        """Return what `<<` brings in; of several, the first wins, as YAML's merge key says."""
        found: Entries = {}
        for source in self.sources(mapping):
            if source.kind != "mapping":
                self.refuse(source, join(path, "<<"), f"can merge mappings only, not {described(source)}")
                continue
            for name, entry in self.entries(source, path).items():
                found.setdefault(name, entry)
        return found

    def sources(self, mapping: Value) -> list[Value]:
        """Return what `<<` names, each once."""
        merges = [value for key, value in mapping.pairs if key.is_merge]
        named = [source for value in merges for source in (value.items if value.kind == "list" else [value])]
        return list({id(source): source for source in named}.values())


def described(value: Value) -> str:
    """Name a value in a message; long or odd text is shortened and escaped."""
    if value.kind in ("mapping", "list"):
        return f"a {value.kind}"
    if value.kind == "empty":
        return "nothing"
    if value.kind == "tagged":
        return "a value with a tag of its own (`!…`)"
    names = {"text": "the text ", "integer": "the number ", "number": "the number "}
    return names.get(value.kind, "") + show(value.text)
