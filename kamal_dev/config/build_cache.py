"""The build cache of config/dev.yml. Builds nothing."""

from __future__ import annotations

from typing import Any, ClassVar

from kamal_dev.config.document import ConfigValue
from kamal_dev.config.kinds import Choice, Kind, Pairs
from kamal_dev.config.problems import MISSING, Reading
from kamal_dev.values import dataclass

TYPE = Choice(("inline", "registry", "local", "gha"))
OPTIONS = Pairs(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True)
class Cache:
    """Hold where buildx keeps layers between builds; `options` are passed to buildx as written.

    Source: Docker Buildx, cache storage backends.
    """

    type: str = "inline"
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class CacheKind(Kind):
    """`true`, `false`, or a mapping with `type` and that type's options."""

    title: str = "true, false or a mapping with `type`"
    accepts: ClassVar[tuple[str, ...]] = ("boolean", "mapping")

    def _convert(self, value: ConfigValue, key: str, reading: Reading) -> Any:
        if value.kind == "boolean":
            return Cache() if value.text.lower() == "true" else None
        options = OPTIONS.read(value, key, reading)
        if options is MISSING:
            return MISSING
        entry = reading.entries(value, key).get("type")
        if entry is None:
            return reading.refuse(value, f"{key}.type", f"is required: {TYPE.title}")
        cache_type = TYPE.read(entry[1], f"{key}.type", reading)
        return MISSING if cache_type is MISSING else self.cache(cache_type, options, value, key, reading)

    def cache(self, name: str, options: Any, value: ConfigValue, key: str, reading: Reading) -> Any:
        """Make the cache; buildx takes options as one line of comma-separated values."""
        kept = tuple((option, text) for option, text in options if option != "type")
        bad = [option for option, text in kept if any(sign in text for sign in ',"\n\r')]
        for option in bad:
            reading.refuse(value, f"{key}.{option}", "must have no comma, quote or line break")
        return MISSING if bad else Cache(name, kept)
