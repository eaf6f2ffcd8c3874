"""Read the mappings of a YAML document, and collect every problem. Knows no option."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Final

from kamal_dev.config.document import ConfigValue
from kamal_dev.errors import ConfigError, Problem
from kamal_dev.model import Location, Notice

MAX_PROBLEMS = 50


Entries = dict[str, tuple[ConfigValue, ConfigValue]]


class _Missing:
    """A value that could not be read."""

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()


def show(text: str) -> str:
    """Quote the user's text: one line, without control characters, and not too long."""
    return f"`{clean(text)}`"


def clean(text: str, length: int = 60) -> str:
    """Shorten and escape text for a terminal."""
    short = text[:length]
    safe = short if short.isascii() and short.isprintable() else short.encode("unicode_escape").decode()
    return safe if len(text) <= length else f"{safe}…"


def suggest(name: str, names: Iterable[str]) -> str:
    """Return `; did you mean …?`, or nothing if no name is similar."""
    near = difflib.get_close_matches(name, list(names), 1) if len(name) <= 60 else []
    return f"; did you mean `{near[0]}`?" if near else ""


def join(*parts: str) -> str:
    """Join the parts of a dotted path, leaving out empty ones."""
    return ".".join(part for part in parts if part)


class Reading:
    """Collect values, problems, notices and places while one file is read."""

    def __init__(self, path: str, problems: Iterable[Problem] = ()) -> None:
        self.path = path
        self.values: dict[str, Any] = {}
        self.where: dict[str, Location] = {}
        self.notices: list[Notice] = []
        self.problems: dict[Problem, None] = dict.fromkeys(problems)
        self.known: dict[int, Entries] = {}

    def refuse(self, where: ConfigValue | Location | None, key: str, message: str) -> Any:
        """Record a problem; returns MISSING, so that a reader can end with it."""
        path = (where.path if where else "") or self.path
        self.problems[Problem(path, where.line if where else 0, message, clean(key, 120))] = None
        return MISSING

    def place(self, key: str, value: ConfigValue) -> None:
        """Record the location of a key; the first mention counts."""
        self.where.setdefault(key, Location(value.path or self.path, value.line, value.column))

    def finish(self) -> None:
        """Raise ConfigError with all problems, in the order of the file."""
        problems = sorted(self.problems, key=lambda problem: (problem.path != self.path, problem.line))
        if len(problems) > MAX_PROBLEMS:
            more = Problem(self.path, 0, f"has {len(problems) - MAX_PROBLEMS} more problems")
            problems = [*problems[:MAX_PROBLEMS], more]
        if problems:
            raise ConfigError(problems)

    def has_problem(self, path: str) -> bool:
        """Return whether a problem was reported at or below this key."""
        return any(problem.key == path or problem.key.startswith((path + ".", path + "[")) for problem in self.problems)

    def entries(self, mapping: ConfigValue, path: str = "") -> Entries:
        """Return the entries of a mapping by name, with merge keys (`<<`) resolved."""
        if id(mapping) not in self.known:
            own: Entries = {}
            for key, value in mapping.pairs:
                if not key.is_merge and key.kind not in ("mapping", "list"):
                    own.setdefault(key.text, (key, value))
            self.known[id(mapping)] = self.merged(mapping, path) | own
        return self.known[id(mapping)]

    def merged(self, mapping: ConfigValue, path: str) -> Entries:
        """Return what `<<` merges; of several, the first wins."""
        entries: Entries = {}
        for source in self.sources(mapping):
            if source.kind != "mapping":
                self.refuse(source, join(path, "<<"), f"can merge mappings only, not {described(source)}")
                continue
            for name, entry in self.entries(source, path).items():
                entries.setdefault(name, entry)
        return entries

    def sources(self, mapping: ConfigValue) -> list[ConfigValue]:
        """Return the mappings that `<<` names, each once."""
        merges = [value for key, value in mapping.pairs if key.is_merge]
        named = [source for value in merges for source in (value.items if value.kind == "list" else [value])]
        return list({id(source): source for source in named}.values())


def described(value: ConfigValue) -> str:
    """Quote a value for a message; long or odd text is shortened and escaped."""
    if value.kind in ("mapping", "list"):
        return f"a {value.kind}"
    if value.kind == "empty":
        return "nothing"
    if value.kind == "tagged":
        return "a value with a tag of its own (`!…`)"
    names = {"text": "the text ", "integer": "the number ", "number": "the number "}
    return names.get(value.kind, "") + show(value.text)
