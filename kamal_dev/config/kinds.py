"""The kinds of values that options can have, and how to read them. Knows no option."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from kamal_dev.config.document import ConfigValue
from kamal_dev.config.problems import MISSING, Reading, described, show, suggest
from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

MAX_LENGTH = 1024
NAME = r"[A-Za-z_][A-Za-z0-9_]*"

# Tokens of registries and forges; no variable has a name like these.
_TOKEN = pattern(r"(gh[pousr]_|github_pat_|glpat-|dckr_pat_|AKIA).*|(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9_]{24,}")


class Kind:
    """Read one kind of value; `title` is a noun phrase for messages."""

    accepts: ClassVar[tuple[str, ...]] = ("text",)
    title: str

    def read(self, value: ConfigValue, key: str, reading: Reading) -> Any:
        """Return the value, or MISSING after reporting the problem to `reading`."""
        if value.kind in self.accepts:
            return self._convert(value, key, reading)
        hint = (
            "; put it in quotes" if self.accepts == ("text",) and value.kind in ("integer", "number", "boolean") else ""
        )
        return reading.refuse(value, key, f"must be {self.title}, not {described(value)}{hint}")

    def _convert(self, value: ConfigValue, key: str, reading: Reading) -> Any:
        raise NotImplementedError


@dataclass(frozen=True)
class Text(Kind):
    """Text, of a form where `pattern` says so; `rule` is that form in words."""

    pattern: str = r"[^\x00-\x1f\x7f]+"
    rule: str = "must be one line of text"
    title: str = "text"

    def _convert(self, value: ConfigValue, key: str, reading: Reading) -> Any:
        if len(value.text) > MAX_LENGTH:
            return reading.refuse(value, key, f"is longer than {MAX_LENGTH} characters")
        if re.fullmatch(self.pattern, value.text):
            return value.text
        return reading.refuse(value, key, f"{show(value.text)} {self.rule}")


@dataclass(frozen=True)
class Amount(Text):
    """A number or text that stays as written: `1.50` cpus, `512m` of memory."""

    accepts: ClassVar[tuple[str, ...]] = ("text", "integer", "number")
    title: str = "an amount"


@dataclass(frozen=True)
class Name(Kind):
    """The name of a variable, never a secret itself; so what is refused is not shown."""

    title: str = "a variable name"
    may_be_empty: bool = False

    def read(self, value: ConfigValue, key: str, reading: Reading) -> Any:
        """Return the name, or MISSING after reporting the problem to `reading`."""
        if value.kind == "text" and self.may_be_empty and not value.text:
            return ""
        if value.kind != "text" or not re.fullmatch(NAME, value.text):
            return reading.refuse(value, key, "must be a variable name: letters, digits and `_`")
        if _TOKEN.fullmatch(value.text):
            return reading.refuse(value, key, "looks like the secret itself; use the name of a variable that holds it")
        return value.text


@dataclass(frozen=True)
class Boolean(Kind):
    """`true` or `false`; YAML 1.2 knows no `yes` and `off`."""

    accepts: ClassVar[tuple[str, ...]] = ("boolean",)
    title: str = "true or false"

    def _convert(self, value: ConfigValue, key: str, reading: Reading) -> bool:
        return value.text.lower() == "true"


@dataclass(frozen=True)
class Number(Kind):
    """A number within limits, fractions allowed."""

    minimum: float
    maximum: float
    accepts: ClassVar[tuple[str, ...]] = ("integer", "number")
    noun: ClassVar[str] = "a number"

    @property
    def title(self) -> str:  # type: ignore[override]
        """What the value must be, limits included."""
        return f"{self.noun} from {self.minimum:g} to {self.maximum:g}"

    def _convert(self, value: ConfigValue, key: str, reading: Reading) -> Any:
        number = self._number(value.text)
        if number is not None and self.minimum <= number <= self.maximum:
            return number
        return reading.refuse(value, key, f"must be {self.title}, not {show(value.text)}")

    def _number(self, text: str) -> float | None:
        return float(text) if re.fullmatch(r"[-+0-9.eE]+", text) else None


@dataclass(frozen=True)
class Whole(Number):
    """A whole number within limits."""

    accepts: ClassVar[tuple[str, ...]] = ("integer",)
    noun: ClassVar[str] = "a whole number"

    def _number(self, text: str) -> int | None:
        # More digits than any limit has, and fewer than Python refuses to convert.
        return int(text, {"0x": 16, "0o": 8}.get(text[:2], 10)) if len(text) < 20 else None


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few words."""

    names: tuple[str, ...]

    @property
    def title(self) -> str:  # type: ignore[override]
        """The words."""
        return "one of " + ", ".join(f"`{name}`" for name in self.names)

    def _convert(self, value: ConfigValue, key: str, reading: Reading) -> Any:
        if value.text in self.names:
            return value.text
        return reading.refuse(
            value, key, f"must be {self.title}, not {show(value.text)}{suggest(value.text, self.names)}"
        )


@dataclass(frozen=True)
class Many(Kind):
    """A list without repetition; with `or_one`, one item may stand alone."""

    item: Kind
    or_one: bool = False
    accepts: ClassVar[tuple[str, ...]] = ("list",)

    @property
    def title(self) -> str:  # type: ignore[override]
        """What the items must be, and whether a list is needed."""
        return f"{self.item.title}, or a list" if self.or_one else f"a list, each item {self.item.title}"

    def read(self, value: ConfigValue, key: str, reading: Reading) -> Any:
        """Return a tuple, or MISSING after reporting the problem to `reading`."""
        if self.or_one and value.kind in ("text", *self.item.accepts):
            one = self.item.read(value, key, reading)
            return one if one is MISSING else (one,)
        return super().read(value, key, reading)

    def _convert(self, value: ConfigValue, key: str, reading: Reading) -> Any:
        items: dict[Any, None] = {}
        for index, item in enumerate(value.items):
            path = f"{key}[{index}]"
            reading.place(path, item)
            read = self.item.read(item, path, reading)
            if read in items and read is not MISSING:
                reading.refuse(item, path, "is listed twice")
            items[read] = None
        return MISSING if MISSING in items else tuple(items)


@dataclass(frozen=True)
class Pairs(Kind):
    """A mapping of names to text; numbers and booleans become text as they are written."""

    name: str = r"[A-Za-z_][A-Za-z0-9_.-]*"
    title: str = "a mapping of names to text"
    accepts: ClassVar[tuple[str, ...]] = ("mapping",)

    def _convert(self, value: ConfigValue, key: str, reading: Reading) -> Any:
        pairs = [self.pair(name, entry, key, reading) for name, entry in reading.entries(value, key).items()]
        return MISSING if MISSING in pairs else tuple(pairs)

    def pair(self, name: str, entry: tuple[ConfigValue, ConfigValue], key: str, reading: Reading) -> Any:
        """Read one entry as (name, text)."""
        place, value = entry
        path = f"{key}.{name}"
        reading.place(path, place)
        if not re.fullmatch(self.name, name):
            return reading.refuse(place, key, f"{show(name)} is not a name")
        if value.kind not in ("text", "integer", "number", "boolean"):
            return reading.refuse(value, path, f"must be text, a number or a boolean, not {described(value)}")
        return name, value.text.lower() if value.kind == "boolean" else value.text
