"""Plan that a new stack starts with copies of another stack's volumes, or say why it cannot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from kamal_dev.commands.facts import Facts
from kamal_dev.commands.stacks import PartSize
from kamal_dev.errors import DevError, HostError, UsageError
from kamal_dev.model import Release
from kamal_dev.plan import admission
from kamal_dev.plan.admission import SPARE, UNTOUCHED, size_of
from kamal_dev.plan.operation import Operation
from kamal_dev.values import dataclass

VOLUMES = "volumes/"
COPY = "copy"  # what is under way in a stack whose volumes are not complete, see host/observe.sh


@dataclass(frozen=True)
class CopiedStack:
    """Hold the stack whose volumes are copied: what it has, what runs there, and what people run `inside`.

    `is_stopped`: the services that use the volumes are stopped meanwhile.
    """

    stack: str
    parts: tuple[PartSize, ...] = ()
    running: tuple[str, ...] = ()
    inside: tuple[tuple[str, str], ...] = ()
    is_stopped: bool = True
    with_work: bool = False

    def parts_for(self, release: Release) -> tuple[PartSize, ...]:
        """Return the parts that are copied to a stack with this release."""
        wanted = {f"{VOLUMES}{key}" for key in release.volumes}
        return tuple(part for part in self.parts if part.plain and part.name in wanted)

    def stopped_for(self, parts: Iterable[PartSize]) -> tuple[str, ...]:
        """Return the services that are stopped while these parts are copied."""
        users = {service for part in parts for service in part.services} if self.is_stopped else set()
        return tuple(service for service in self.running if service in users)


@dataclass(frozen=True, kw_only=True)
class CopyVolumes(Operation):
    """Copy volumes of another stack; `stops` are its services that are stopped meanwhile, `inside` who is in them."""

    verb: ClassVar[str] = "copy"
    source: str
    volumes: tuple[str, ...] = ()
    bytes: int = 0
    stops: tuple[str, ...] = ()
    inside: tuple[tuple[str, str], ...] = ()
    with_work: bool = False

    @property
    def target(self) -> str:
        """The volumes, their size, and the stack."""
        noun = "volume" if len(self.volumes) == 1 else "volumes"
        work = " and uncommitted work" if self.with_work else ""
        return f"{noun} {', '.join(self.volumes)}{work} of {self.source} ({size_of(self.bytes)})"


def copying(copied: CopiedStack, release: Release) -> CopyVolumes:
    """Return the operation for a new stack with this release."""
    parts = copied.parts_for(release)
    stops = copied.stopped_for(parts)
    causes = (f"stops {', '.join(f'`{service}`' for service in stops)} of {copied.stack} meanwhile",) if stops else ()
    return CopyVolumes(
        source=copied.stack,
        volumes=tuple(part.name.removeprefix(VOLUMES) for part in parts),
        bytes=sum(part.bytes for part in parts),
        stops=stops,
        inside=tuple(item for item in copied.inside if item[0] in stops),
        with_work=copied.with_work,
        causes=causes,
    )


def notes(copied: CopiedStack, release: Release) -> Iterator[str]:
    """Yield which volumes are not copied, and why."""
    existing = {part.name.removeprefix(VOLUMES): part.plain for part in copied.parts if part.name.startswith(VOLUMES)}
    for key, is_plain in existing.items():
        if not is_plain:
            yield f"volume `{key}` of {copied.stack} is not copied: it has a driver or options of its own"
        elif key not in release.volumes:
            yield f"volume `{key}` of {copied.stack} is not copied: this version has no such volume of its own"
    for key in release.volumes:
        if key not in existing:
            yield f"volume `{key}` starts empty: {copied.stack} has no such volume"


def refusal(host: str, copied: CopiedStack | None, release: Release, facts: Facts) -> DevError | None:
    """Return why a stack cannot get copies of volumes, or without `copied` why it cannot be deployed."""
    if copied is None:
        return _incomplete(host, release.stack) if facts.underway == COPY else None
    if facts.release and facts.underway != COPY:
        hint = "choose another name, or deploy it without `--from`"
        return UsageError(f"{release.stack} exists, and a copy would replace its data", hint=hint)
    if error := unmatched(copied, release):
        return error
    needed, free = copying(copied, release).bytes, facts.disk_free
    if facts.engine and needed * 1.05 + SPARE > free:
        message = f"the volumes of {copied.stack} need about {size_of(needed)}, and the host has {size_of(free)} free"
        return HostError(host, message, hint=admission.ROOM, left_behind=UNTOUCHED)
    return None


def unmatched(copied: CopiedStack, release: Release) -> DevError | None:
    """Return the error for a stack that has no volume that this release has, too."""
    if copied.parts_for(release):
        return None
    own = (part.name.removeprefix(VOLUMES) for part in copied.parts if part.plain and part.name.startswith(VOLUMES))
    volumes = ", ".join(own) or "none"
    wants = ", ".join(release.volumes) or "none"
    message = f"{copied.stack} has no volume that {release.stack} would have, too"
    return UsageError(message, hint=f"volumes of {copied.stack}: {volumes}; of {release.stack}: {wants}")


def _incomplete(host: str, stack: str) -> HostError:
    return HostError(
        host,
        "it was to start with volumes of another stack, and the copy is not complete",
        hint=f"`dev deploy {stack} --from STACK` starts it again, `dev remove {stack}` removes it",
        left_behind=UNTOUCHED,
    )
