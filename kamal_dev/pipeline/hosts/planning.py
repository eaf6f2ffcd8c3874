"""Make the release of each stack from the observation of its host, and plan with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from functools import cached_property

from kamal_dev.commands.facts import Facts, Record
from kamal_dev.devcontainer import Devcontainer, lifecycle
from kamal_dev.errors import DevError
from kamal_dev.model import Host, Image, Release
from kamal_dev.pipeline.hosts.rendering import RenderedReleases
from kamal_dev.pipeline.hosts.workspace import Workspace
from kamal_dev.pipeline.images.metadata import Metadata
from kamal_dev.plan.admission import Requirements, ServicePlatform
from kamal_dev.plan.deploy import operations, stack_plan
from kamal_dev.plan.observation import Observation
from kamal_dev.plan.placement import natural
from kamal_dev.plan.plan import Plan, StackPlan
from kamal_dev.plan.request import Candidate, DeployRequest
from kamal_dev.project import Project
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class StackRelease:
    """Hold the release of a stack, the values that the plan compares, and the devcontainer that applies to it."""

    candidate: Candidate
    devcontainer: Devcontainer

    @property
    def release(self) -> Release:
        """The release itself."""
        return self.candidate.release


@dataclass(frozen=True)
class Planner:
    """Plan for stacks; the images are the same on all hosts.

    `stacks` are all stacks of the project and their hosts, for `DEV_PEERS`. With `is_quick`, the repository is not
    read to find out whether a workspace has this source.
    """

    project: Project
    rendered: RenderedReleases
    images: Mapping[str, Image]
    metadata: Metadata
    workspace: Workspace
    requirements: Requirements
    request: DeployRequest = field(default_factory=DeployRequest)
    is_quick: bool = False
    stacks: Mapping[str, Host] = field(default_factory=dict)

    @property
    def main_image(self) -> str:
        """The image of the main service if it is not built, else an empty string."""
        return self.project.compose.service(self.project.main).image

    def plan(self, observations: Iterable[Observation]) -> Plan:
        """Return the plan of all stacks; a stack whose release cannot be made is blocked."""
        stacks = (self._stack(observation) for observation in observations)
        return Plan(operations(self.request), tuple(stacks))

    def stack(self, observation: Observation, *, source: str = "") -> tuple[StackPlan, StackRelease]:
        """Return the plan of one stack, and its release. Raises DevcontainerError, ComposeError.

        `source` is what this deploy did to the stack's workspace (see `Workspace.send`); empty if it did nothing yet.
        """
        made = self.release(observation)
        request = self.request
        if source:
            made = replace(made, candidate=replace(made.candidate, is_sent=True))
            moved = frozenset((observation.stack,)) if source in ("new", "moved") else frozenset()
            request = replace(request, source_moved=moved)
        return stack_plan(observation, made.candidate, request), made

    def release(self, observation: Observation) -> StackRelease:
        """Return the release of one stack for its observed host. Raises DevcontainerError, ComposeError."""
        facts = observation.facts or Facts()
        merged = self.metadata.merged(facts)
        images = tuple((name, self._as_held(image, facts)) for name, image in self.images.items())
        ports = tuple(facts.host_ports.items()) if merged.additions.is_shared else ()
        address, others = observation.peer_address, self._peers(observation.stack)
        release, parts = self.rendered.of(observation.stack, address, merged.additions, images, ports, others)
        configuration = merged.devcontainer
        asked = replace(
            self.requirements, asked=configuration.host_requirements, where=configuration.where("hostRequirements")
        )
        candidate = Candidate(
            release,
            parts,
            asked,
            is_sent=self._was_sent(facts.source),
            is_offered=self._was_sent(facts.offered),
            follows_source=lifecycle.follows_source(configuration),
        )
        return StackRelease(candidate, configuration)

    @cached_property
    def _peers(self) -> Callable[[str], str]:
        return peers(self.stacks)

    def _was_sent(self, record: Record | None) -> bool:
        return self.workspace.was_sent(record, is_quick=self.is_quick)

    def _as_held(self, image: Image, facts: Facts) -> Image:
        """Return an image as the host runs it: an image sent over SSH has a digest only if it was pulled before."""
        return replace(image, digest="") if self.request.over_ssh and not facts.has(image) else image

    def _stack(self, observation: Observation) -> StackPlan:
        try:
            return self.stack(observation)[0]
        except DevError as error:
            return StackPlan(observation.stack, observation.address, error=error)


def peers(stacks: Mapping[str, Host]) -> Callable[[str], str]:
    """Return what tells a stack the others of its project and the addresses of their hosts, for `DEV_PEERS`.

    A thousand stacks have a thousand others each: they are sorted and written once.
    """
    names = sorted((name for name, host in stacks.items() if host.address), key=natural)
    words = {name: f"{name}={stacks[name].peer_address or stacks[name].address}" for name in names}
    places, all_words = {name: place for place, name in enumerate(names)}, [*words.values()]

    def others(stack: str) -> str:
        place = places.get(stack, len(names))
        return " ".join((*all_words[:place], *all_words[place + 1 :]))

    return others


def requirements(project: Project, images: Iterable[Image], *, warns: bool, lock_wait: float) -> Requirements:
    """Return what this project requires of any host, without the requirements that the main image adds."""
    configuration = project.devcontainer
    services = tuple(
        ServicePlatform(service.where, service.platform, service.image)
        for service in project.compose.services
        if service.platform and service.is_active and not service.built_as
    )
    return Requirements(
        configuration.host_requirements,
        configuration.where("hostRequirements"),
        warns,
        tuple(images),
        services,
        lock_wait,
    )
