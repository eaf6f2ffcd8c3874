"""Decide which stacks a verb is about."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from kamal_dev.config.settings import MAX_COUNT
from kamal_dev.errors import UsageError
from kamal_dev.model import Host, stack_name
from kamal_dev.project import Project

NUMBERS = re.compile("[0-9]+")


def choose(project: Project, count: int | None, only: tuple[str, ...], known: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the names of the stacks, in order.

    `only` restricts them to some of the first `count` (default: vms.count) or of
    those that are `known` to exist. Raises UsageError for a name that is neither.
    """
    config = project.config
    names = tuple(stack_name(config.service, index, config.naming) for index in range(1, (count or config.count) + 1))
    if not only or only == (config.service,):
        return names
    return restrict((*names, *(name for name in known if name not in names)), only)


def index(project: Project, stack: str) -> int:
    """Return the place of a stack, counted from 1.

    One that an earlier `naming.pattern` named has the last number in its name, and without any the first place.
    """
    config = project.config
    # Every part of every number in it, since the pattern may put the place right behind other digits.
    parts = (
        number[at:to]
        for number in NUMBERS.findall(stack)
        for at in range(len(number))
        for to in range(at + 1, len(number) + 1)
    )
    places = [place for part in dict.fromkeys(parts) if 1 <= (place := int(part)) <= MAX_COUNT]
    named = (place for place in places if stack_name(config.service, place, config.naming) == stack)
    last = NUMBERS.findall(stack)[-1:] or ["1"]
    return next(named, min(max(int(last[0]), 1), MAX_COUNT))


def restrict(names: Iterable[str], only: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of `names` that `only` lists. Raises UsageError with a suggestion."""
    names = tuple(names)
    for name in only:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(names) or 'none'}"
            raise UsageError(f"there is no stack `{name}`", hint=hint)
    return tuple(name for name in names if name in only)


def of_project(
    stacks: Iterable[tuple[str, Host]], project: Project, name: str | None, *, is_sure: bool = True
) -> dict[str, Host]:
    """Return all stacks with their hosts, or the one of this name; the service's own name means all.

    Raises UsageError for an unknown name; none is returned for it unless `is_sure`.
    """
    targets = dict(stacks)
    if not name or name == project.config.service:
        return targets
    if not is_sure and name not in targets:
        return {}
    return {stack: targets[stack] for stack in restrict(targets, (name,))}
