"""How long a stack lives: durations as people write them, and what a host says of a lifetime. Runs nothing."""

from __future__ import annotations

import re

from kamal_dev.errors import UsageError
from kamal_dev.values import dataclass

NEVER = "never"
DURATION = "(?=[1-9])([0-9]{1,4}d)?([0-9]{1,5}h)?([0-9]{1,6}m)?([0-9]{1,8}s)?"
RULE = "must be a number with a unit, such as `90m`, `8h`, `2d` or `1h30m`"

_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_NAMES = {"d": "d", "h": "h", "m": "min", "s": "s"}


def seconds_of(text: str) -> int:
    """Return the seconds of a duration; 0 for `never`. Raises UsageError for anything else."""
    if text == NEVER:
        return 0
    if not re.fullmatch(DURATION, text):
        raise UsageError(f"`{text}` is not a duration: it {RULE}", hint="`never` sets no limit")
    return sum(int(number) * _SECONDS[unit] for number, unit in re.findall("([0-9]+)([dhms])", text))


def spoken(seconds: int) -> str:
    """Return a duration in its one or two largest units: `20 s`, `5 min`, `1 h 30 min`, `2 d`."""
    parts: list[tuple[int, str]] = []
    rest = seconds
    for unit, length in _SECONDS.items():
        number, rest = divmod(rest, length)
        if number or parts:
            parts.append((number, unit))
    return " ".join(f"{number} {_NAMES[unit]}" for number, unit in parts[:2] if number) or "0 s"


@dataclass(frozen=True)
class Lifetime:
    """Describe the lifetime of a stack, in seconds, as its host counts it; 0 means no limit.

    `then` is what happens at the end: `stop`, or `remove`, unless the workspace has work that exists nowhere else.
    `ttl_left` and `idle_left` count down. `ended` is the limit that has ended, `ttl` or `idle`, `ended_ago` seconds
    ago; empty while the lifetime lasts. `kept` says why an ended stack was not removed. `watched`: its host carries
    the end out by itself.
    """

    ttl: int = 0
    idle: int = 0
    then: str = "stop"
    ttl_left: int = 0
    idle_left: int = 0
    ended: str = ""
    ended_ago: int = 0
    kept: str = ""
    watched: bool = False

    @property
    def is_limited(self) -> bool:
        """Whether it has an end."""
        return bool(self.ttl or self.idle)

    @property
    def is_over(self) -> bool:
        """Whether a limit is reached, even if nobody has carried the end out yet."""
        return bool(self.ended or (self.ttl and self.ttl_left <= 0) or (self.idle and self.idle_left <= 0))

    @property
    def why(self) -> str:
        """The limit that is reached and how long ago that was: `ttl ended 2 h ago`."""
        if self.ended:
            return f"{self.ended} ended {spoken(self.ended_ago)} ago"
        return "ttl ended" if self.ttl and self.ttl_left <= 0 else "idle ended"

    def __str__(self) -> str:
        """Return what is left: `7 h 20 min`, `idle 1 h`, or `-` without a limit."""
        if self.is_over:
            return "0 s"
        parts = [spoken(self.ttl_left)] if self.ttl else []
        parts += [f"idle {spoken(self.idle_left)}"] if self.idle else []
        return ", ".join(parts) or "-"
