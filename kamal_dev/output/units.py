"""Format durations and sizes for people."""

from __future__ import annotations

_UNITS = ("B", "kB", "MB", "GB", "TB")


def duration(seconds: float) -> str:
    """Return a duration: `0.4s`, `12s`, `2m 05s`."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m {rest:02d}s" if minutes else f"{rest}s"


def long_duration(seconds: float) -> str:
    """Return a duration in its one or two largest units: `42s`, `5m`, `3h 12m`, `2d 4h`."""
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if days:
        return f"{days}d {hours % 24}h"
    if hours:
        return f"{hours}h {minutes % 60}m"
    return f"{minutes}m" if minutes else f"{int(seconds)}s"


def clock(seconds: float) -> str:
    """Return a running time: `0:07`, `12:31`, `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def size(count: float) -> str:
    """Return a size in decimal units, like `docker system df`: `1.2 GB`."""
    number, unit = _scaled(count)
    return f"{number} {unit}"


def amount(current: float, total: float | None) -> str:
    """Return the progress in bytes: `34.2/120 MB`, both in the unit of the total."""
    if not total:
        return size(current)
    number, unit = _scaled(total)
    part = current / 1000 ** _UNITS.index(unit)
    return f"{_number(part)}/{number} {unit}"


def in_bytes(text: str) -> int:
    """Return the bytes of a size as Docker prints it: `525.8kB`, `1.2 GB`."""
    number = text.rstrip("BkMGT ")
    return int(float(number) * 1000 ** _UNITS.index(text[len(number) :].strip()))


def _scaled(count: float) -> tuple[str, str]:
    for unit in _UNITS[:-1]:
        if count < 999.5:
            return _number(count), unit
        count /= 1000
    return _number(count), _UNITS[-1]


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 99.95 or value == int(value) else f"{value:.1f}"
