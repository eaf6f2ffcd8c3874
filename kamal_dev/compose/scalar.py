"""Parse plain YAML scalars like Compose, and write numbers like it. Knows no key.

Compose decodes with go-yaml v3: `0644` is an octal number, `1_000` a number, `yes` a string and `2024-01-01` a time.
It passes numbers on in its own spelling, so a build argument `3.10` reaches the Dockerfile as `3.1`.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from kamal_dev.pattern import pattern

_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_BASES = ((16, pattern(r"0[xX][0-9a-fA-F]+")), (2, pattern(r"0[bB][01]+")), (8, pattern(r"0[oO]?[0-7]+")))
_DECIMAL = pattern(r"0|[1-9][0-9]*")
_FLOAT = pattern(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_TIME = pattern(
    r"(\d{4})-(\d{1,2})-(\d{1,2})(?:(?:[Tt]|[ ])(\d{1,2}):(\d{1,2}):(\d{1,2})(\.\d+)?(?:(Z)|([-+])(\d\d):(\d\d))?)?"
)
_LARGEST = 1 << 64
_LONGEST = len("0b") + 64


def resolve(text: str) -> str | int | float | bool | datetime | None:
    """Return the value of a plain scalar; anything else is text."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    time = _time(text)
    if time is not None:
        return time
    number = _integer(text.replace("_", "")) if text[0] != "." else None
    if number is not None:
        return number
    plain = text if text[0] == "." else text.replace("_", "")
    return float(plain) if _FLOAT.fullmatch(plain) else text


def spell(value: str | int | float | bool | datetime | None) -> str:
    """Return the text that Compose makes of a value where it needs a string."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _spell_float(value)
    if isinstance(value, datetime):
        return _spell_time(value)
    return str(value)


def _integer(text: str) -> int | None:
    digits = text[1:] if text[0] in "+-" else text
    if len(digits) > _LONGEST:
        return None
    absolute = next((int(digits, base) for base, pattern in _BASES if pattern.fullmatch(digits)), None)
    if absolute is None:
        if not _DECIMAL.fullmatch(digits):
            return None
        absolute = int(digits)
    number = -absolute if text[0] == "-" else absolute
    return number if -_LARGEST / 2 <= number < _LARGEST else None


def _spell_float(value: float) -> str:
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
    number = Decimal(repr(value)).normalize()
    power = number.adjusted()
    if -4 <= power < 6:
        return f"{number:f}"
    first, *rest = map(str, number.as_tuple().digits)
    mantissa = f"{first}.{''.join(rest)}" if rest else first
    return f"{'-' if value < 0 else ''}{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"


def _time(text: str) -> datetime | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, _, sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
    try:
        return datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0),
            int(float(fraction or 0) * 1_000_000), timezone(offset),
        )  # fmt: skip
    except ValueError:
        return None


def _spell_time(value: datetime) -> str:
    fraction = f"{value.microsecond / 1_000_000:.6f}".rstrip("0")[1:] if value.microsecond else ""
    zone = value.strftime("%z")
    name = "UTC" if zone == "+0000" else zone
    return f"{value:%Y-%m-%d %H:%M:%S}{fraction} {zone} {name}"
