"""Make the plan of a rollback from the releases that hosts keep."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from kamal_dev.commands.stacks import KeptRelease
from kamal_dev.errors import DevError, UsageError
from kamal_dev.model import Host, short
from kamal_dev.plan.operation import RollBack
from kamal_dev.plan.plan import Plan, StackPlan
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class KeptReleases:
    """Hold the releases that a host keeps of a stack, latest deploy first; `error` if the host did not answer."""

    stack: str
    host: Host
    releases: tuple[KeptRelease, ...] = ()
    error: DevError | None = None

    @property
    def current(self) -> KeptRelease | None:
        """The current release."""
        return next((release for release in self.releases if release.is_current), None)


def rollback(kept: Sequence[KeptReleases], version: str, stacks: Sequence[str] = ()) -> Plan:
    """Return the rollback of each stack to `version`, or to the good release before the current one.

    `version` is a version, a release id, or the beginning or the hash of one. `stacks` are the stacks that the user
    may have meant. Raises UsageError if a stack that answered has no such release.
    """
    chosen = {item.stack: _chosen(item, version) for item in kept if not item.error}
    lacking = [item for item in kept if not item.error and chosen[item.stack] is None]
    if lacking:
        raise _nothing(lacking, version, tuple(stacks))
    return Plan(stacks=tuple(_stack(item, chosen.get(item.stack)) for item in kept))


def _stack(kept: KeptReleases, release: KeptRelease | None) -> StackPlan:
    address = kept.host.address
    if release is None:
        return StackPlan(kept.stack, address, error=kept.error)
    current = kept.current
    operation = RollBack(
        release=release.id,
        version=release.version,
        missing=release.missing,
        same_version=current is not None and current.version == release.version,
        causes=(f"deployed {_when(release.at)} by {release.performer or '?'}",),
    )
    notes = tuple(f"{short(image)} is pulled again" for image in release.missing)
    return StackPlan(kept.stack, address, (operation,), notes=notes)


def _when(at: str) -> str:
    return at.replace("T", " ").rstrip("Z")


def _chosen(kept: KeptReleases, version: str) -> KeptRelease | None:
    """Return the release that `version` names: if several match, the good one that was deployed last."""
    if not version:
        return next((release for release in kept.releases if release.is_before), None)
    exact = [release for release in kept.releases if version in (release.id, release.version, short(release.version))]
    begun = exact or [release for release in kept.releases if _is_named(release.id, version)]
    if len({release.version for release in begun}) > 1:
        known = ", ".join(dict.fromkeys(short(release.version) for release in begun))
        raise UsageError(f"`{version}` names several versions of {kept.stack}", hint=f"choose one: {known}")
    return max(begun, key=lambda release: release.good, default=None)


def _is_named(release_id: str, word: str) -> bool:
    """Return whether a word is the beginning of a release's id, or the hash at its end."""
    return release_id.startswith(word) or release_id.endswith(f"-{word}")


def _nothing(lacking: Sequence[KeptReleases], version: str, stacks: tuple[str, ...]) -> UsageError:
    where = ", ".join(item.stack for item in lacking)
    versions = list(dict.fromkeys(short(release.version) for item in lacking for release in item.releases))
    known = ", ".join(versions) or "none"
    if not version:
        return UsageError(
            f"{where}: there is no good release before the current one",
            hint=f"known: {known}; `dev versions` shows their results",
        )
    near = difflib.get_close_matches(version, (*stacks, *versions), n=1)
    meant = f"did you mean `{near[0]}`? " if near else ""
    if stacks:
        return UsageError(
            f"`{version}` is neither a stack nor a version on {where}",
            hint=f"{meant}stacks: {', '.join(stacks)}; versions: {known}",
        )
    return UsageError(f"there is no version `{version}` on {where}", hint=f"{meant}known: {known}")
