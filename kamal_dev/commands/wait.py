"""Wait on a host for a stack or a service. Builds a step; runs nothing."""

from __future__ import annotations

from kamal_dev.commands.payload import Scripts, step
from kamal_dev.commands.words import checked, stack_word
from kamal_dev.errors import UsageError
from kamal_dev.model import Step
from kamal_dev.pattern import pattern

_PORT = pattern(r"port=([1-9][0-9]{0,4})")


def condition(text: str) -> str:
    """Return the condition to wait for: `healthy`, `exited` or `port=N`. Raises UsageError for anything else."""
    match = _PORT.fullmatch(text)
    if text not in ("healthy", "exited") and not (match and int(match[1]) < 1 << 16):
        raise UsageError(f"`--for {text}` is not a condition", hint="use `healthy`, `exited` or `port=N`")
    return text


def wait(scripts: Scripts, stack: str, what: str, seconds: float, service: str = "") -> Step:
    """Return the step that ends when the condition is met, or after `seconds`; parsed by `answers.outcome`."""
    words = (
        stack_word(stack),
        condition(what),
        str(round(seconds * 1000)),
        *checked("service", filter(None, (service,))),
    )
    return step(scripts, "wait.sh", *words, label=" ".join(("wait", *words)))
