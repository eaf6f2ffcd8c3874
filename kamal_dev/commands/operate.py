"""Steps that stop, start, restart or scale services of a stack on its host. Builds steps; runs nothing."""

from __future__ import annotations

from collections.abc import Iterable

from kamal_dev.commands.payload import Scripts, about, step
from kamal_dev.commands.words import checked, stack_word
from kamal_dev.errors import UsageError
from kamal_dev.model import Step
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class StartLimits:
    """Hold how long services may take to come up, and how long they must stay up, in seconds, as in `host.apply`."""

    timeout: float = 300
    window: float = 5
    restarts: int = 3


def operate(
    scripts: Scripts,
    token: str,
    stack: str,
    verb: str,
    services: Iterable[str] = (),
    limits: StartLimits = StartLimits(),
    *,
    performer: str = "",
) -> Step:
    """Return the step for `verb`: `stop`, `start`, `restart`, or `scale` with `service=count` as services."""
    names = tuple(services)
    for name in names:
        service, equals, count = name.partition("=")
        checked("service", (service,))
        if equals and not (count.isascii() and count.isdigit()):
            raise UsageError(f"`{name}` cannot name a number of containers")
    times = tuple(str(round(seconds * 1000)) for seconds in (limits.timeout, limits.window))
    meta = about({"performer": performer, "restarts": str(limits.restarts)})
    words = (stack_word(stack), verb, *times, *names)
    return step(
        scripts, "operate.sh", *words, token=token, files=meta, label=" ".join(("operate", verb, stack, *names))
    )
