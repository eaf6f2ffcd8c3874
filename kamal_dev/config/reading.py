"""Walk a YAML document along the keys that may be there, and collect every problem. Knows no option."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Final

from kamal_dev.config.document import Value
from kamal_dev.config.options import Group, Leaf, Old, join
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
        self.deferred: list[tuple[Old, Value]] = []

    def refuse(self, where: Value | Location | None, key: str, message: str) -> Any:
        """Note a problem; returns MISSING, so that a reader can end with it."""
        self.problems[Problem(self.path, where.line if where else 0, message, clean(key, 120))] = None
        return MISSING

    def place(self, key: str, value: Value) -> None:
        """Remember where a key stands; the first mention counts.

        Raises ConfigError where anchors blow up a small file into a large one.
        """
        self.places += 1
        if self.places > MAX_PLACES:
            message = f"stands for more than {MAX_PLACES} values, through its anchors"
            raise ConfigError(Problem(self.path, value.line, message, key))
        self.where.setdefault(key, Location(self.path, value.line, value.column))

    def finish(self) -> None:
        """Raise ConfigError where anything was refused, in the order of the file."""
        problems = sorted(self.problems, key=lambda problem: problem.line)
        if len(problems) > MAX_PROBLEMS:
            more = Problem(self.path, 0, f"has {len(problems) - MAX_PROBLEMS} more problems")
            problems = [*problems[:MAX_PROBLEMS], more]
        if problems:
            raise ConfigError(problems)

    def walk(self, group: Group, mapping: Value, root: Group | None = None) -> None:
        """Read the keys of `mapping` into `values`; `root` is where misplaced keys are looked up."""
        root = root or group
        for name, (key, value) in self.entries(mapping, group.path).items():
            path = join(group.path, name)
            self.place(path, key)
            child = group.children.get(name)
            if name.startswith("x-") or (child and value.kind == "empty"):
                continue
            if child is None:
                self.refuse(key, path, self.unknown(name, group, root))
            else:
                self.take(child, value, root)
        for child in group.children.values():
            if isinstance(child, Leaf):
                self.require(child, mapping)

    def take(self, child: Leaf | Old | Group, value: Value, root: Group) -> None:
        """Read one known key."""
        if isinstance(child, Leaf):
            self.keep(child, value)
        elif isinstance(child, Old):
            self.deferred.append((child, value))
        elif value.kind == "mapping":
            self.walk(child, value, root)
        elif child.shorthand and value.kind == "text":
            self.place(join(child.path, child.shorthand), value)
            self.keep(_leaf(root, join(child.path, child.shorthand)), value)
        else:
            rule = "must be text or a mapping" if child.shorthand else "must be a mapping"
            self.refuse(value, child.path, f"{rule}, not {described(value)}")

    def keep(self, leaf: Leaf, value: Value) -> None:
        """Read an option's value, and keep it where it is good."""
        read = leaf.option.kind.read(value, leaf.path, self)
        if read is not MISSING:
            self.values[leaf.path] = read

    def settle(self, root: Group) -> None:
        """Read the keys of kamal-dev 0.3, after all others, since theirs is the second say."""
        for old, value in self.deferred:
            self.take_old(old, value, root)

    def take_old(self, old: Old, value: Value, root: Group) -> None:
        """Hand the value of a key of kamal-dev 0.3 to the key that took its place, or say why not."""
        if not old.into:
            where = self.where[old.path]
            self.notices.append(Notice(where, f"`{old.path}` is not used: {old.reason}"))
        elif old.into in self.where:
            self.refuse(value, old.path, f"stands beside `{old.into}`, which means the same; keep one")
        else:
            self.where[old.into] = self.where[old.path]
            value = Value(value.kind, value.text.removesuffix(old.suffix), value.line, value.column, items=value.items)
            self.keep(_leaf(root, old.into), value)

    def require(self, leaf: Leaf, mapping: Value) -> None:
        """Refuse the lack of a required option."""
        if leaf.is_required and leaf.path not in self.values and not self.has_problem(leaf.path):
            where = self.where.get(leaf.path) or (mapping if "." in leaf.path else Location(self.path, 1))
            self.refuse(where, leaf.path, "is required")

    def has_problem(self, path: str) -> bool:
        """Whether something at or below this key was refused already."""
        return any(problem.key == path or problem.key.startswith((path + ".", path + "[")) for problem in self.problems)

    def unknown(self, name: str, group: Group, root: Group) -> str:
        """Say what is wrong with an unknown key, and what may have been meant."""
        hint = "" if len(self.problems) > MAX_PROBLEMS else suggest(name, group.children)
        if not hint:
            homes = [
                child.path for child in root.children.values() if isinstance(child, Group) and name in child.children
            ]
            hint = f"; it belongs under `{homes[0]}`" if homes else ""
        return f"is not a key that is known here{hint}"

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
                self.refuse(key, join(path, key.text), f"stands here a second time; the first is in line {first}")
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


def _leaf(root: Group, path: str) -> Leaf:
    return next(leaf for leaf in root.leaves if leaf.path == path)
