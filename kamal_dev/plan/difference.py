"""Explain why two releases differ: by image, by name of a variable, by part of a service.

The parts of a release are lines of service, part and hash, separated by tabs, as `compose.parts` makes them and a
host stores them. They contain no values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from kamal_dev.values import dataclass

Parts = Mapping[str, Mapping[str, str]]  # service → part → hash
_MOUNTS = frozenset(("volumes", "configs", "secrets", "tmpfs", "volumes_from"))
_VARIABLE = "environment."


@dataclass(frozen=True)
class Difference:
    """Hold what differs between two releases; `variables` are names, the other fields name services.

    `keys` are the changed keys of the Compose Specification, by service.
    """

    images: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    keys: tuple[tuple[str, tuple[str, ...]], ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()

    @property
    def causes(self) -> tuple[str, ...]:
        """Return one phrase for each kind of difference."""
        return tuple(self._causes())

    def _causes(self) -> Iterator[str]:
        if self.images:
            yield f"image of {listed(self.images)} changed"
        if self.variables:
            count = len(self.variables)
            yield f"{count} variable{'' if count == 1 else 's'} changed: {', '.join(self.variables)}"
        if self.files:
            yield f"files mounted in {listed(self.files)} changed"
        for service, keys in self.keys:
            yield f"{listed(keys)} of {listed([service])} changed"
        if self.added:
            yield f"service {listed(self.added)} added"
        if self.removed:
            yield f"service {listed(self.removed)} removed"


def read(text: str) -> dict[str, dict[str, str]]:
    """Read lines of parts; other lines are ignored."""
    marks: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        words = line.split("\t")
        if len(words) == 3:
            marks.setdefault(words[0], {})[words[1]] = words[2]
    return marks


def compare(before: Parts, after: Parts, *, unknown: Iterable[str] = ()) -> Difference:
    """Compare the parts of two releases; the images of `unknown` services are not known yet."""
    unknown = frozenset(unknown)
    both = sorted(set(before) & set(after))
    changed = {name: _changed(before[name], after[name], has_image=name not in unknown) for name in both}
    everything = [(name, part) for name, parts in changed.items() for part in parts]
    removed, added = sorted(set(before) - set(after)), sorted(set(after) - set(before))
    return Difference(
        images=tuple(name for name, part in everything if part == "image"),
        variables=tuple(sorted({part[len(_VARIABLE) :] for _, part in everything if part.startswith(_VARIABLE)})),
        files=tuple(name for name, part in everything if part == "files"),
        keys=tuple((name, keys) for name, parts in changed.items() if (keys := _keys(parts))),
        added=tuple(added),
        removed=tuple(removed),
        replaced=tuple(name for name, parts in changed.items() if parts) + tuple(removed),
    )


def _changed(before: Mapping[str, str], after: Mapping[str, str], *, has_image: bool) -> tuple[str, ...]:
    parts = sorted({*before, *after} - (set() if has_image else {"image"}))
    return tuple(part for part in parts if before.get(part) != after.get(part))


def _keys(parts: Iterable[str]) -> tuple[str, ...]:
    others = [part for part in parts if part not in ("image", "files") and not part.startswith(_VARIABLE)]
    return tuple(dict.fromkeys("mounts" if part in _MOUNTS else part for part in others))


def listed(names: Iterable[str]) -> str:
    """Return names as a list in a sentence."""
    return ", ".join(f"`{name}`" for name in names)
