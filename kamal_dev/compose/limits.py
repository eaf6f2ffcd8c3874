"""Apply the limits of config/dev.yml next to those in the compose file. Converts no units."""

from __future__ import annotations

from typing import Any

from kamal_dev.compose.value import Value


def entries(service: Value, cpus: str, memory: str, memory_swap: str) -> dict[str, Any]:
    """Return the keys that limit a service; its own settings take precedence.

    Compose has two forms, and refuses a service that sets the same limit in both, so the form in use is kept.
    """
    below = service.at("deploy", "resources", "limits")
    keys: dict[str, Any] = {}
    wanted = (("cpus", "cpus", cpus), ("mem_limit", "memory", memory))
    missing = [
        (key, limit, amount)
        for key, limit, amount in wanted
        if amount and service.at(key) is None and (below is None or below.at(limit) is None)
    ]
    if missing and below is not None:
        keys["deploy"] = {"resources": {"limits": {limit: amount for _, limit, amount in missing}}}
    elif missing:
        keys |= {key: amount for key, _, amount in missing}
    if memory_swap and service.at("memswap_limit") is None:
        # Compose accepts `no limit` only as a number.
        keys["memswap_limit"] = -1 if memory_swap == "-1" else memory_swap
    return keys
