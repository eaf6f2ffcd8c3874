"""Decide which stacks a verb is about."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from kamal_dev.config.loading import STACK_NAME
from kamal_dev.config.settings import MAX_COUNT
from kamal_dev.errors import UsageError
from kamal_dev.model import Host, stack_name
from kamal_dev.pattern import pattern
from kamal_dev.project import Project
from kamal_dev.values import dataclass

NUMBERS = pattern("[0-9]+")
RULE = "lower-case letters and digits, joined by `-` or `_`"
SHORT_NAME = pattern(r"[a-z0-9]+([_-]+[a-z0-9]+)*")


def choose(project: Project, count: int | None, only: tuple[str, ...], known: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the names of the stacks, in order.

    `only` limits them to some of the first `count` (default: vms.count) or of the existing ones, `known`. Raises
    UsageError for any other name.
    """
    config = project.config
    names = tuple(stack_name(config.service, index, config.naming) for index in range(1, (count or config.count) + 1))
    if not only or only == (config.service,):
        return names
    return restrict((*names, *(name for name in known if name not in names)), only, config.service)


def is_numbered(project: Project, stack: str) -> bool:
    """Return whether `dev deploy` without a name deploys this stack, for a high enough count."""
    config = project.config
    return stack_name(config.service, index(project, stack), config.naming) == stack


def full_name(project: Project, word: str) -> str:
    """Return the name of a named stack that may be given without the service."""
    service = project.config.service
    return f"{service}-{word.removeprefix(f'{service}-')}"


def new_name(project: Project, word: str) -> str:
    """Return the full name of a new named stack, which may be given without the service. Raises UsageError."""
    service, stack = project.config.service, full_name(project, word)
    name = stack.removeprefix(f"{service}-")
    if not SHORT_NAME.fullmatch(name) or not STACK_NAME.fullmatch(stack):
        suggestion = "-".join(re.findall(r"[a-z0-9]+", name.lower()))[: 62 - len(service)].strip("-")
        hint = f"for instance `{suggestion}`" if suggestion else "for instance `fix-42`"
        raise UsageError(f"`{word}` cannot be the name of a stack: a name consists of {RULE}", hint=hint)
    if is_numbered(project, stack):
        raise UsageError(
            f"`{stack}` is a numbered stack, which has no reference of its own",
            hint=f"choose a name, such as `fix-{name}`; `dev deploy {stack}` deploys the working tree",
        )
    return stack


def index(project: Project, stack: str) -> int:
    """Return the index of a stack, counted from 1.

    The index of a stack named by an earlier `naming.pattern` is the last number in its name, or 1 without a number.
    """
    config = project.config
    # Try every part of every number, because the pattern may put the index right after other digits.
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


def restrict(names: Iterable[str], only: tuple[str, ...], service: str = "") -> tuple[str, ...]:
    """Return those of `names` that `only` lists, by name or as a glob. Raises UsageError with a suggestion.

    With `service`, a name may be given without it: `fix-42` for `guestbook-fix-42`.
    """
    names = tuple(names)
    for word in only:
        if not matching(names, word, service):
            raise UsageError(f"there is no stack `{word}`", hint=suggestion(word, names))
    wanted = {name for word in only for name in matching(names, word, service)}
    return tuple(name for name in names if name in wanted)


@dataclass(frozen=True)
class Selection:
    """Hold the stacks and services named on a command line; none means all of them."""

    stacks: tuple[str, ...] = ()
    services: tuple[str, ...] = ()


def select(words: Iterable[str], stacks: Iterable[str], services: Iterable[str], project: str = "") -> Selection:
    """Tell stacks from services in `[NAME...] [SERVICE...]`.

    A word that matches a stack, by name or as a glob, is a stack; a word that is the name of a service is a service;
    the name of the `project` means all stacks. Raises UsageError for a word that is both or neither.
    """
    stacks, services, words = tuple(stacks), tuple(services), tuple(words)
    for word in words:
        if word in stacks and word in services:
            raise UsageError(
                f"`{word}` is a stack and a service",
                hint=f"use `--service {word}`, or the glob `[{word[0]}]{word[1:]}`",
            )
        if word not in (*services, project) and not matching(stacks, word, project):
            kind = "stack or service" if stacks else "service"
            raise UsageError(f"there is no {kind} `{word}`", hint=suggestion(word, (*stacks, *services)))
    wanted = {name for word in words if word not in services for name in matching(stacks, word, project)}
    named = tuple(name for name in stacks if name in wanted)
    is_all = any(word == project and word not in services for word in words)
    return Selection(() if is_all else named, tuple(dict.fromkeys(word for word in words if word in services)))


def matching(names: Iterable[str], word: str, service: str = "") -> tuple[str, ...]:
    """Return those of `names` that a word matches, by name or as a glob; if none, by name without the service."""
    names = tuple(names)
    exact = tuple(name for name in names if fnmatchcase(name, word))
    # A number alone is no name: `dev rollback 2` means a version.
    is_short = bool(service) and not word.isdecimal()
    return exact or tuple(name for name in names if is_short and fnmatchcase(name, f"{service}-{word}"))


def suggestion(word: str, known: tuple[str, ...]) -> str:
    """Return the hint for a word that is not known: the nearest one that is, or all of them."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known) or 'none'}"


def of_project(
    stacks: Iterable[tuple[str, Host]], project: Project, names: tuple[str, ...], *, is_sure: bool = True
) -> dict[str, Host]:
    """Return all stacks and their hosts, or those that match `names`; the name of the service means all.

    Raises UsageError for a name or glob that matches nothing; unless `is_sure`, such a name is skipped.
    """
    targets = dict(stacks)
    if not names or project.config.service in names:
        return targets
    service = project.config.service
    wanted = names if is_sure else tuple(name for name in names if matching(targets, name, service))
    return {stack: targets[stack] for stack in restrict(targets, wanted, service)}
