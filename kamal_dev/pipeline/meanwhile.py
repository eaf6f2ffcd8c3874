"""What became of hosts while images could not be built or pushed: nothing is left out, and nothing claimed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kamal_dev.errors import DevError
from kamal_dev.pipeline.prepare import Ready
from kamal_dev.pipeline.report import Outcome
from kamal_dev.pipeline.run import Run
from kamal_dev.shell.fanout import Background


@contextmanager
def told_of_hosts(run: Run, making: tuple[str, ...], hosts: Background[list[Ready | Outcome]]) -> Iterator[None]:
    """Make images beside `hosts`; where that fails, wait for these, and say what failed there and which were made."""
    try:
        yield
    except DevError as error:
        for other in dict.fromkeys(_failures(hosts)):
            error.message += f"\nat the same time: {other.message}"
            error.hint = "; ".join(dict.fromkeys(filter(None, (error.hint, other.hint))))
        error.left_behind = "; ".join(filter(None, (error.left_behind, _made(run, making))))
        raise


def _failures(hosts: Background[list[Ready | Outcome]]) -> list[DevError]:
    try:
        return [item.error for item in hosts.result() if isinstance(item, Outcome) and item.error]
    except DevError as error:
        return [error]


def _made(run: Run, making: tuple[str, ...]) -> str:
    """Say which of these the provider has now: what was going to be made may not have been."""
    if not making:
        return ""
    try:
        there = dict(run.provider.stacks())
    except DevError as error:
        return f"whether {', '.join(making)} were made is unknown: {error.message}"
    made = [name for name in making if name in there]
    verb = "was" if len(made) == 1 else "were"
    return f"{', '.join(made)} {verb} made; the next deploy uses what is there" if made else ""
