"""Make the plan of a move: what is carried to which host, and why that host cannot take it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from kamal_dev.commands.facts import Facts
from kamal_dev.commands.stacks import Inventory, PartSize
from kamal_dev.errors import DevError, HostError
from kamal_dev.model import Host, Release, Version
from kamal_dev.plan import admission
from kamal_dev.plan.admission import SPARE, size_of
from kamal_dev.plan.operation import Operation, TransferImages
from kamal_dev.plan.placement import HostContents, PlacementRules, place
from kamal_dev.plan.plan import Plan, StackPlan
from kamal_dev.values import dataclass

UNTOUCHED = "nothing was changed"


@dataclass(frozen=True, kw_only=True)
class MoveStack(Operation):
    """Carry a stack to another host, start it there, and remove it from the old host."""

    verb: ClassVar[str] = "move"
    destination: str
    parts: tuple[str, ...] = ()
    bytes: int = 0

    @property
    def target(self) -> str:
        """The host, and what is carried."""
        return f"to {self.destination} with {', '.join(self.parts)}" if self.parts else f"to {self.destination}"


def relocation(
    stack: str,
    source: Host,
    contents: HostContents,
    inventory: Inventory,
    facts: tuple[Facts, Facts],
    rules: PlacementRules,
) -> Plan:
    """Return the plan; `contents` is what the new host has, `facts` are those of the old and of the new host."""
    before, after = facts
    errors = _refusals(stack, contents, inventory, before, after, rules)
    if error := next(errors, None):
        return Plan(stacks=(StackPlan(stack, source.address, error=error),))
    moving = MoveStack(
        destination=contents.host.name, parts=tuple(map(described, inventory.parts)), bytes=inventory.size
    )
    missing = tuple(image for image in missing_images(inventory, after) if "@" not in image)
    sending = (TransferImages(images=missing),) if missing else ()
    warnings = () if inventory.good else ("its release was never healthy",)
    return Plan(stacks=(StackPlan(stack, source.address, (*sending, moving), warnings=warnings),))


def described(part: PartSize) -> str:
    """Return a part with its size."""
    return f"{part.name.removeprefix('volumes/')} ({size_of(part.bytes)})"


def missing_images(inventory: Inventory, facts: Facts) -> tuple[str, ...]:
    """Return the images of the stack that a host does not have."""
    return tuple(image for image in inventory.images if not facts.held(image))


def _refusals(
    stack: str,
    contents: HostContents,
    inventory: Inventory,
    before: Facts,
    after: Facts,
    rules: PlacementRules,
) -> Iterator[DevError]:
    name = contents.host.name
    if contents.error:
        yield contents.error
    yield from place((stack,), (contents,), rules).errors.values()
    if not after.daemon:
        hint = f"`dev deploy NAME --on {name}` deploys a new stack there, and installs Docker first"
        yield HostError(name, after.trouble, hint=hint, left_behind=UNTOUCHED)
    release = Release(inventory.release, stack, Version(inventory.version), "", ())
    yield from filter(None, (admission.refusal(name, release, after, admission.Requirements()),))
    for image in inventory.images:
        if held := before.held(image):
            yield from admission.foreign_platform(name, after, image, held.platform)
    free = min(after.disk_free, after.home_free)
    if inventory.size * 1.05 + SPARE > free:
        message = f"its data needs about {size_of(inventory.size)}, and the host has {size_of(free)} free"
        yield HostError(name, message, hint=admission.ROOM, left_behind=UNTOUCHED)
