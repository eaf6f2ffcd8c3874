"""Decide whether a stack gets its release: how it differs from the current one, and how that one is doing."""

from __future__ import annotations

from collections.abc import Iterator

from kamal_dev.commands.facts import Facts
from kamal_dev.plan import difference
from kamal_dev.plan.observation import Observation
from kamal_dev.plan.operation import ApplyRelease
from kamal_dev.plan.request import Candidate, DeployRequest


def change(
    observation: Observation, facts: Facts, candidate: Candidate, request: DeployRequest, *, moved: bool
) -> ApplyRelease | None:
    """Return the release to apply, or None if exactly this release is current and runs."""
    changed = _difference(facts, candidate, request)
    causes = tuple(_causes(facts, candidate, request, changed, moved=moved))
    unbuilt = tuple(name for name in request.unbuilt if name in dict(candidate.release.images))
    if not causes and not unbuilt:
        return None
    replaced = changed.replaced if changed else tuple(dict.fromkeys(item.service for item in facts.containers))
    inside = _inside(observation, {*replaced, *unbuilt}, is_all=request.recreate or changed is None)
    return application(candidate, causes, replaced, inside, () if causes else unbuilt)


def _causes(
    facts: Facts, candidate: Candidate, request: DeployRequest, changed: difference.Difference | None, *, moved: bool
) -> Iterator[str]:
    release, unbuilt = candidate.release, request.unbuilt
    if facts.release is None:
        yield "first deploy"
        return
    if request.recreate:
        yield "`--recreate`"
    is_current = (facts.release.id, facts.release.digest) == (release.id, release.digest)
    if not is_current:
        yield from _news(facts.release.digest, candidate, changed, is_sure=not unbuilt)
    yield from _amiss(facts)
    lacking = [name for name, image in release.images if name not in unbuilt and not facts.has(image)]
    if is_current and lacking:
        yield f"image of {difference.listed(lacking)} is not on the host"
    if moved and candidate.follows_source:
        yield "lifecycle commands run again after the source changed"


def _news(before: str, candidate: Candidate, changed: difference.Difference | None, *, is_sure: bool) -> Iterator[str]:
    """Yield how a release differs from the current one, whose digest is `before`; images count only if it `is_sure`."""
    causes = changed.causes if changed else ()
    yield from causes
    if causes or not is_sure:
        return
    if before == candidate.release.digest:
        yield "new version with the same content"
    else:
        yield "files of the release changed" if changed else "release changed"


def _amiss(facts: Facts) -> Iterator[str]:
    """Yield how the last change of the stack failed, and why its release is not up."""
    last = facts.last
    if last is not None and last.state == "unfinished":
        yield "lifecycle command failed last time"
    elif last is not None:
        yield f"last deploy failed: {last.reason.splitlines()[0]}" if last.reason else "last deploy failed"
    if facts.underway:
        yield f"{facts.underway} was interrupted"
        return
    if facts.intact:
        return
    if stopped := [item.service for item in facts.containers if item.state == "stopped"]:
        yield f"{difference.listed(stopped)} stopped by `dev stop`"
        return
    reasons = [f"{item.service}: {item.reason}" for item in facts.containers if item.reason]
    if reasons:
        yield f"release does not run: {', '.join(reasons)}"
    elif last is None:
        yield "release is not known to be healthy" if facts.containers else "no container runs"


def _difference(facts: Facts, candidate: Candidate, request: DeployRequest) -> difference.Difference | None:
    """Return how the new release differs from the current one; None if the host does not report it."""
    before = difference.read(facts.parts)
    if not before or not candidate.parts:
        return None
    return difference.compare(before, difference.read(candidate.parts), unknown=request.unbuilt)


def _inside(observation: Observation, services: set[str], *, is_all: bool) -> tuple[tuple[str, str], ...]:
    return tuple(item for item in observation.inside if is_all or item[0] in services)


def application(
    candidate: Candidate,
    causes: tuple[str, ...],
    replaced: tuple[str, ...] = (),
    inside: tuple[tuple[str, str], ...] = (),
    depends_on: tuple[str, ...] = (),
) -> ApplyRelease:
    """Return the operation that applies the release of a stack."""
    release = candidate.release
    return ApplyRelease(
        release=release.id,
        version=str(release.version),
        replaced=replaced,
        inside=inside,
        depends_on=depends_on,
        causes=causes,
    )
