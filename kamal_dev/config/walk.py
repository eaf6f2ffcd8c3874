"""Read a document along the options that are allowed. The rules of an option belong to its kind."""

from __future__ import annotations

from dataclasses import replace

from kamal_dev.config.document import ConfigValue
from kamal_dev.config.options import Group, Leaf, Old
from kamal_dev.config.problems import MAX_PROBLEMS, MISSING, Reading, described, join, suggest
from kamal_dev.model import Location, Notice


class Walk:
    """Read every key of a group; misplaced keys are looked up in `root`, by default the group itself."""

    def __init__(self, reading: Reading, group: Group, root: Group | None = None) -> None:
        self._reading = reading
        self._top = group
        self._root = root or group
        self._deferred: list[tuple[Old, ConfigValue]] = []

    def read(self, mapping: ConfigValue) -> None:
        """Read everything; the keys of kamal-dev 0.3 last, because the current keys take precedence."""
        self._group(self._top, mapping)
        for old, value in self._deferred:
            self._take_old(old, value)

    def _group(self, group: Group, mapping: ConfigValue) -> None:
        reading = self._reading
        for name, (key, value) in reading.entries(mapping, group.path).items():
            path = join(group.path, name)
            reading.place(path, key)
            child = group.children.get(name)
            if name.startswith("x-") or (child and value.kind == "empty"):
                continue
            if child is None:
                reading.refuse(key, path, self._unknown(name, group))
            else:
                self._take(child, value)
        for child in group.children.values():
            if isinstance(child, Leaf):
                self._require(child, mapping)

    def _take(self, child: Leaf | Old | Group, value: ConfigValue) -> None:
        if isinstance(child, Leaf):
            self._keep(child, value)
        elif isinstance(child, Old):
            self._deferred.append((child, value))
        elif value.kind == "mapping":
            self._group(child, value)
        elif child.shorthand and value.kind == "text":
            self._reading.place(join(child.path, child.shorthand), value)
            self._keep(self._leaf(join(child.path, child.shorthand)), value)
        else:
            rule = "must be text or a mapping" if child.shorthand else "must be a mapping"
            self._reading.refuse(value, child.path, f"{rule}, not {described(value)}")

    def _keep(self, leaf: Leaf, value: ConfigValue) -> None:
        """Read an option's value, and keep it if it is valid."""
        read = leaf.option.kind.read(value, leaf.path, self._reading)
        if read is not MISSING:
            self._reading.values[leaf.path] = read

    def _take_old(self, old: Old, value: ConfigValue) -> None:
        """Pass the value of a key of kamal-dev 0.3 to the key that replaced it, or say why not."""
        where = self._reading.where
        if not old.into:
            self._reading.notices.append(Notice(where[old.path], f"`{old.path}` is not used: {old.reason}"))
        elif old.into in where:
            self._reading.refuse(value, old.path, f"conflicts with `{old.into}`, which has the same meaning; keep one")
        else:
            where[old.into] = where[old.path]
            value = replace(value, text=value.text.removesuffix(old.suffix))
            self._keep(self._leaf(old.into), value)

    def _require(self, leaf: Leaf, mapping: ConfigValue) -> None:
        reading = self._reading
        if leaf.is_required and leaf.path not in reading.values and not reading.has_problem(leaf.path):
            where = reading.where.get(leaf.path) or (mapping if "." in leaf.path else Location(reading.path, 1))
            reading.refuse(where, leaf.path, "is required")

    def _unknown(self, name: str, group: Group) -> str:
        """Report an unknown key, with a suggestion."""
        hint = "" if len(self._reading.problems) > MAX_PROBLEMS else suggest(name, group.children)
        if not hint:
            groups = (child for child in self._root.children.values() if isinstance(child, Group))
            homes = [child.path for child in groups if name in child.children]
            hint = f"; it belongs under `{homes[0]}`" if homes else ""
        return f"unknown key{hint}"

    def _leaf(self, path: str) -> Leaf:
        return next(leaf for leaf in self._root.leaves if leaf.path == path)
