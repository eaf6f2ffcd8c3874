"""Steps for hosts that share stacks: which ones they have, names and ports of new ones. Runs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from kamal_dev.commands import answers
from kamal_dev.commands.payload import Scripts, about, step
from kamal_dev.commands.stacks import About, Allotted, Claim, Survey
from kamal_dev.commands.words import checked, is_stack_word, stack_word
from kamal_dev.model import Step

Question = tuple[str, ...]  # the arguments of facts.sh, as returned by `host.question`


def survey(scripts: Scripts, questions: Iterable[Question] = (), *, is_deep: bool = False, described: str = "") -> Step:
    """Ask for the stacks on a host, and for the facts of those in `questions` that are there; changes nothing.

    `is_deep` also asks for the content of their releases, and who works in them. `described` is the service of a
    project, for the manifests of its named stacks. Parsed by `surveyed`.
    """
    asked = {f"asked.{number:04}": "\n".join(words) for number, words in enumerate(questions)}
    asked |= {name: value for name, value in (("inside", "yes" if is_deep else ""), ("described", described)) if value}
    return step(scripts, "survey.sh", files=about(asked), label="survey")


def surveyed(output: str) -> Survey | None:
    """Return the output of `survey`; None if the script did not get that far."""
    first, *others = _parts(output)
    answer = next((event for event in answers.events(first) if isinstance(event, Survey)), None)
    if answer is None:
        return None
    parts = {event.stack: part for part in others for event in answers.events(part) if isinstance(event, About)}
    facts = {stack: facts for stack, part in parts.items() if (facts := answers.facts(part))}
    contents = {stack: answers.contents(parts[stack]) for stack in facts}
    return replace(
        answer,
        stacks=tuple(filter(is_stack_word, answer.stacks)),
        facts=facts,
        contents=contents,
        manifests=answers.manifests(first),
    )


def _parts(output: str) -> list[str]:
    """Return what the host said of itself, and then of each stack."""
    parts: list[list[str]] = [[]]
    for line in output.split("\n"):
        if line.startswith('{"type":"about"'):
            parts.append([])
        parts[-1].append(line)
    return ["\n".join(part) for part in parts]


def claim(scripts: Scripts, hosts: Mapping[str, str]) -> Step:
    """Claim the names of new stacks, each for a host; an earlier claim of another deploy wins. See `claimed`.

    Without a host, the claim is given up.
    """
    words = [word for stack, host in hosts.items() for word in (stack_word(stack), host)]
    return step(scripts, "claim.sh", *words, label=" ".join(("claim", *hosts)))


def claimed(output: str) -> dict[str, str]:
    """Return the host that each stack was claimed for."""
    return {event.stack: event.host for event in answers.events(output) if isinstance(event, Claim)}


def allot(
    scripts: Scripts, stack: str, ports: tuple[int, int], names: Iterable[str], wanted: Iterable[str] = ()
) -> Step:
    """Allot free ports between the first and the last of `ports` to a stack; those that it has stay. See `allotted`.

    `wanted` names a port for some, as `name port`, which they get if it is free.
    """
    words = (stack_word(stack), *map(str, ports), *checked("port", names))
    return step(
        scripts, "allot.sh", *words, files=about({"wanted": "\n".join(wanted)}), label=" ".join(("allot", *words))
    )


def allotted(output: str) -> tuple[str, ...]:
    """Return all ports of the stack as `name port`, for `Facts.allotted`."""
    return next((event.ports for event in answers.events(output) if isinstance(event, Allotted)), ())
