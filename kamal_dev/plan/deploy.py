"""Make the plan of a deploy from observations, images, and the releases for the stacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from kamal_dev.commands.facts import Facts
from kamal_dev.model import Image
from kamal_dev.plan import admission, volume_copy
from kamal_dev.plan.change import application, change
from kamal_dev.plan.observation import Observation
from kamal_dev.plan.operation import (
    POOLS,
    WATCHER,
    ApplyRelease,
    Bootstrap,
    BuildImage,
    CreateHost,
    Operation,
    PullImages,
    PushImage,
    ReuseImage,
    SendSource,
    StartHost,
    TransferImages,
)
from kamal_dev.plan.plan import Plan, StackPlan
from kamal_dev.plan.request import Candidate, DeployRequest

AGAIN = "built before; the builder reuses its cache"


def deploy(observations: Sequence[Observation], candidates: Mapping[str, Candidate], request: DeployRequest) -> Plan:
    """Return the plan of a deploy; `candidates` holds the release of every observed stack."""
    stacks = tuple(stack_plan(observation, candidates[observation.stack], request) for observation in observations)
    return Plan(operations(request), stacks)


def operations(request: DeployRequest) -> tuple[Operation, ...]:
    """Return the operations on this machine."""
    return tuple(_here(request))


def _here(request: DeployRequest) -> Iterator[Operation]:
    for item in request.images:
        reference = item.image.reference
        if not item.is_to_be_built:
            yield ReuseImage(
                image=reference, services=item.services, digest=item.image.digest, causes=("built before",)
            )
            continue
        causes = (AGAIN,) if item.is_known else ("new version",)
        yield BuildImage(image=reference, services=item.services, is_known=item.is_known, causes=causes)
        if not request.over_ssh and not item.is_known:
            yield PushImage(image=reference)


def stack_plan(observation: Observation, candidate: Candidate, request: DeployRequest) -> StackPlan:
    """Return the operations for one stack."""
    if observation.error:
        return StackPlan(observation.stack, observation.address, error=observation.error)
    copied, release = request.copied, candidate.release
    if observation.facts is None:
        error = volume_copy.unmatched(copied, release) if copied else None
        operations = () if error else tuple(_on_new_host(observation, candidate, request))
        notes = tuple(volume_copy.notes(copied, release)) if copied else ()
        return StackPlan(observation.stack, observation.address, operations, error=error, notes=notes)
    host = observation.host.name if observation.host else observation.stack
    error = admission.refusal(host, release, observation.facts, candidate.requirements)
    error = volume_copy.refusal(host, copied, release, observation.facts) or error
    if error:
        return StackPlan(observation.stack, observation.address, error=error)
    operations = tuple(_on_host(observation, observation.facts, candidate, request))
    notes = tuple(_notes(observation, observation.facts, operations, candidate, request))
    warnings = tuple(_warnings(observation.facts, candidate))
    return StackPlan(observation.stack, observation.address, operations, notes=notes, warnings=warnings)


def _warnings(facts: Facts, candidate: Candidate) -> Iterator[str]:
    if missing := admission.short_of(candidate.requirements, facts):
        yield admission.lacking(missing, candidate.requirements)
    if facts.unwatched and not facts.release:
        yield facts.unwatched


def _notes(
    observation: Observation,
    facts: Facts,
    operations: tuple[Operation, ...],
    candidate: Candidate,
    request: DeployRequest,
) -> Iterator[str]:
    yield from volume_copy.notes(request.copied, candidate.release) if request.copied else ()
    for operation in operations:
        inside = operation.inside if isinstance(operation, ApplyRelease) else ()
        yield from (f"`{what}` runs inside `{service}` and ends with the container" for service, what in inside)
    if facts.lock and facts.lock.is_alive:
        yield f"{admission.locked(facts.lock)}; a deploy waits up to {candidate.requirements.lock_wait:.0f} s"
    if reason := _kept_source(facts, candidate, request):
        stack = observation.stack
        yield f"{reason}: `dev pull {stack}` fetches its changes, `dev sync {stack} --force` discards them"


def _on_new_host(observation: Observation, candidate: Candidate, request: DeployRequest) -> Iterator[Operation]:
    """Yield the operations for a host that has to be created or started first, so nothing is known about it."""
    if observation.is_off:
        yield StartHost(causes=("switched off",))
        yield application(candidate, ("state is known once the host runs",))
        return
    machine = request.machines.get(observation.stack, "")
    cause = (f"new host {machine}" if machine else "new host",)
    if request.creates_host_of(observation.stack):
        yield CreateHost(
            provider=request.provider, host=machine, causes=("no host has room" if machine else "no host yet",)
        )
    yield Bootstrap(causes=cause)
    yield from _pull(candidate.release.third_party, cause)
    if candidate.release.workspace and request.source in ("git", "sync"):
        yield SendSource(folder=request.folder, causes=cause)
    yield from _transfer(tuple(image for _, image in candidate.release.images), request, cause)
    yield from _copy(candidate, request)
    yield application(candidate, cause)


def _on_host(
    observation: Observation, facts: Facts, candidate: Candidate, request: DeployRequest
) -> Iterator[Operation]:
    if not facts.is_ready:
        yield Bootstrap(lacks="Compose" if facts.daemon else "Docker", causes=(_missing_engine(facts),))
    elif request.is_shared and facts.needs_pools:
        yield Bootstrap(lacks=POOLS, causes=("Docker has addresses for about 30 networks",))
    elif facts.needs_watcher(request.watcher):
        what = "not running" if facts.watcher == "missing" else "of another version"
        yield Bootstrap(lacks=WATCHER, causes=(f"watcher is {what}",))
    release = candidate.release
    yield from _pull(tuple(image for image in release.third_party if not facts.held(image)), ("not on the host",))
    source = _source(facts, candidate, request)
    if source:
        yield source
    moved = source is not None or observation.stack in request.source_moved
    apply = change(observation, facts, candidate, request, moved=moved)
    if apply:
        unbuilt = request.unbuilt
        wanted = tuple(image for name, image in release.images if name not in unbuilt and not facts.has(image))
        yield from _transfer(wanted, request, ("not on the host",))
        yield from _copy(candidate, request)
        yield apply


def _copy(candidate: Candidate, request: DeployRequest) -> Iterator[Operation]:
    if request.copied:
        yield volume_copy.copying(request.copied, candidate.release)


def _missing_engine(facts: Facts) -> str:
    if facts.daemon:
        return f"Compose {facts.compose} is too old" if facts.compose else "Compose is not installed"
    return "Docker does not run" if facts.has_engine else "Docker is not installed"


def _pull(images: tuple[str, ...], causes: tuple[str, ...]) -> Iterator[Operation]:
    if images:
        yield PullImages(images=images, causes=causes)


def _transfer(images: tuple[Image, ...], request: DeployRequest, causes: tuple[str, ...]) -> Iterator[Operation]:
    references = tuple(dict.fromkeys(image.reference for image in images))
    if references and request.over_ssh:
        yield TransferImages(images=references, causes=causes)


def _source(facts: Facts, candidate: Candidate, request: DeployRequest) -> SendSource | None:
    """Return how the workspace gets the source; what people changed there is not touched."""
    if not candidate.release.workspace or request.source not in ("git", "sync"):
        return None
    if request.folder not in facts.workspace:
        return SendSource(folder=request.folder, causes=("workspace is empty",))
    if request.source == "sync" or candidate.is_sent or _kept_source(facts, candidate, request):
        return None
    return SendSource(folder=request.folder, causes=("source changed",))


def _kept_source(facts: Facts, candidate: Candidate, request: DeployRequest) -> str:
    """Return why a workspace with content does not get the source; empty if it does, or already has it."""
    if request.source != "git" or request.folder not in facts.workspace or candidate.is_sent:
        return ""
    # If its record was lost, the host finds out by itself what the workspace contains.
    if not facts.source or facts.source.get("kind") not in ("git", "lost"):
        return "workspace is not a clone of this source and was not updated"
    return "workspace had changes when this version was deployed and was not updated" if candidate.is_offered else ""
