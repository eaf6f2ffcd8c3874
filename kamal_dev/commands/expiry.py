"""Steps for the lifetime of a stack on its host. Builds steps; runs nothing."""

from __future__ import annotations

from kamal_dev.commands import answers
from kamal_dev.commands.payload import Scripts, about, performed, step
from kamal_dev.commands.stacks import StackState
from kamal_dev.commands.words import stack_word
from kamal_dev.model import Lifetime, Step
from kamal_dev.model.lifetime import NEVER, seconds_of
from kamal_dev.values import dataclass

UNCHANGED = "-"
STOP, UNLESS_WORK, ENDED, UNUSED = "stop", "unless-work", "ended", "unused"


@dataclass(frozen=True)
class LifetimeLimits:
    """Hold the limits that somebody asks for, as `8h` or `never`; empty means not asked for."""

    ttl: str = ""
    idle: str = ""

    @property
    def words(self) -> tuple[str, str]:
        """The arguments of extend.sh. Raises UsageError for what is not a duration."""
        return _word(self.ttl), _word(self.idle)

    def __bool__(self) -> bool:
        return bool(self.ttl or self.idle)


def extend(scripts: Scripts, stack: str, limits: LifetimeLimits, *, performer: str = "") -> Step:
    """Set limits of a stack, counted from now. Parsed by `lifetime_of`."""
    return _extend(scripts, stack, limits.words, performer)


def begin(
    scripts: Scripts, stack: str, flags: LifetimeLimits, configured: LifetimeLimits, then: str, *, performer: str = ""
) -> Step:
    """Start to count the limits of a stack after a deploy: those of its flags, of earlier flags, or the configured."""
    return _extend(scripts, stack, (*flags.words, *configured.words, then), performer)


def look(scripts: Scripts, stack: str, *, force: bool = False) -> Step:
    """Ask whether the lifetime of a stack is over, and what would be lost with it; with `force`, not for that.

    The `state` of the result is `over`, `worked`, `kept` or `unused`, see host/reap.sh.
    """
    words = (stack_word(stack), "look-ended" if force else "look")
    return step(scripts, "reap.sh", *words, files=performed(""), label=" ".join(("reap", *words)))


def reap(scripts: Scripts, stack: str, mode: str, *, restarts: int = 3, performer: str = "") -> Step:
    """Carry out the end of a stack: STOP it, or remove it UNLESS_WORK or if it has ENDED.

    UNUSED asks whether its host still has no stack.
    """
    words = (stack_word(stack), mode)
    meta = about({"performer": performer, "restarts": str(restarts)})
    return step(scripts, "reap.sh", *words, files=meta, label=" ".join(("reap", *words)))


def lifetime_of(output: str, stack: str) -> Lifetime | None:
    """Return the lifetime that a host reports; None if the stack has none."""
    states = (event for event in answers.events(output) if isinstance(event, StackState) and event.stack == stack)
    return next((state.lifetime for state in states), None)


def _extend(scripts: Scripts, stack: str, words: tuple[str, ...], performer: str) -> Step:
    words = (stack_word(stack), *words)
    return step(scripts, "extend.sh", *words, files=performed(performer), label=" ".join(("extend", *words)))


def _word(text: str) -> str:
    if not text:
        return UNCHANGED
    seconds = seconds_of(text)
    return str(seconds) if seconds else NEVER
