"""The story of `dev rollback`: bring stacks back to a release that their hosts still have."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from kamal_dev.commands.events import Kept
from kamal_dev.errors import DevError, UsageError
from kamal_dev.model import Host, short
from kamal_dev.pipeline.hosts.apply import distinguishing_id, failure, tell
from kamal_dev.pipeline.hosts.restore import Reach, back
from kamal_dev.pipeline.images import local_registry, registry
from kamal_dev.pipeline.images.tunnel import RegistryTunnel
from kamal_dev.pipeline.run import history
from kamal_dev.pipeline.run.hooks import Hooks
from kamal_dev.pipeline.run.names import restrict
from kamal_dev.pipeline.run.report import Report, StackResult
from kamal_dev.pipeline.run.run import Run
from kamal_dev.pipeline.versions import History, histories
from kamal_dev.shell.fanout import each


@dataclass(frozen=True)
class RollbackOptions:
    """Say what to go back to: the flags of `dev rollback`.

    `version` is a version, a release id or the beginning of one, empty for the good release
    before the current one. `name` is a stack, or a version where no stack is called so;
    `hosts` are further stacks. None means all.
    """

    name: str = ""
    version: str = ""
    hosts: tuple[str, ...] = ()
    skip_hooks: bool = False
    agree: Callable[[str], bool] = lambda question: True


@dataclass(frozen=True)
class ReleaseChoice:
    """Hold the release that a stack goes back to, and the version that runs until then."""

    stack: str
    host: Host
    release: Kept
    current: str = ""


def rollback(run: Run, order: RollbackOptions) -> Report:
    """Bring every chosen stack back, side by side.

    Raises UsageError, before anything is changed, where a stack has no such release.
    What goes wrong on a host is in the report, and stops no other host.
    """
    started = time.monotonic()
    stacks = dict(run.provider.stacks())
    targets, version = _meant(stacks, run.project.config.service, order)
    hooks = Hooks(run, "rollback", skip=order.skip_hooks, version=version)
    hooks.before("pre-connect", targets, left_behind="nothing was rolled back")
    found = histories(run, targets)
    choices = _choices(found, version, stacks=() if order.version else tuple(stacks))
    if choices and not order.agree(f"Roll back {', '.join(map(_words, choices))}?"):
        raise KeyboardInterrupt
    reach = _reach(run, choices)
    went = each(choices, lambda choice: _go(run, choice, reach), limit=run.limit)
    lost = [_lost(history, history.error) for history in found if history.error]
    for unreached in lost:
        tell(run, unreached)
    outcomes = [*(item for item in went if isinstance(item, StackResult)), *lost]
    outcomes.sort(key=lambda item: list(targets).index(item.stack))
    chosen = ", ".join(dict.fromkeys(choice.release.version for choice in choices))
    report = Report("Rolled back", chosen, tuple(outcomes), time.monotonic() - started)
    if outcomes:
        history.note(run, "rollback", outcomes, report.seconds, version=chosen)
    if outcomes and not report.failed:
        report.tell(run.output)
    return replace(report, hook=hooks.after_rollback(outcomes, report.seconds))


def _lost(history: History, error: DevError) -> StackResult:
    """Return the outcome of a stack whose host did not say which releases it has."""
    if not history.host.address:
        again = f"`dev rollback {history.stack} VERSION` goes back, to one of `dev versions`"
        error.hint = f"`dev deploy {history.stack}` starts the host first; then {again}"
    return failure(history.host, history.stack, error)


def _meant(stacks: Mapping[str, Host], service: str, order: RollbackOptions) -> tuple[dict[str, Host], str]:
    """Return the stacks that are meant, and the version."""
    is_version = bool(order.name) and not order.version and order.name not in (*stacks, service)
    names = (*order.hosts, *((order.name,) if order.name and not is_version else ()))
    chosen = restrict(stacks, names) if names and names != (service,) else tuple(stacks)
    if not chosen:
        raise UsageError("there is no stack to roll back", hint="`dev deploy` makes one")
    return {name: stacks[name] for name in chosen}, order.name if is_version else order.version


def _choices(found: list[History], version: str, stacks: tuple[str, ...]) -> list[ReleaseChoice]:
    """Choose for every stack whose host answered. Raises UsageError where one has nothing to choose.

    `stacks` are those that may have been meant instead of a version.
    """
    asked = [history for history in found if not history.error]
    chosen = [(history, _chosen(history, version)) for history in asked]
    lacking = [history for history, release in chosen if release is None]
    if lacking:
        raise _nothing(lacking, version, stacks)
    return [
        ReleaseChoice(history.stack, history.host, release, _current(history)) for history, release in chosen if release
    ]


def _current(history: History) -> str:
    return next((release.version for release in history.releases if release.is_current), "")


def _chosen(history: History, version: str) -> Kept | None:
    """Return the release that `version` names: of several with one version a good one, deployed last."""
    if not version:
        return next((release for release in history.releases if release.is_before), None)
    exact = [
        release for release in history.releases if version in (release.id, release.version, short(release.version))
    ]
    begun = exact or [release for release in history.releases if _is_named(release.id, version)]
    if len({release.version for release in begun}) > 1:
        known = ", ".join(dict.fromkeys(short(release.version) for release in begun))
        raise UsageError(f"`{version}` names several versions of {history.stack}", hint=f"which one: {known}")
    return max(begun, key=lambda release: release.good, default=None)


def _is_named(release_id: str, word: str) -> bool:
    """Whether a word is the beginning of a release's id, or the hash at its end."""
    return release_id.startswith(word) or release_id.endswith(f"-{word}")


def _nothing(lacking: list[History], version: str, stacks: tuple[str, ...]) -> UsageError:
    where = ", ".join(history.stack for history in lacking)
    versions = list(dict.fromkeys(short(release.version) for history in lacking for release in history.releases))
    known = ", ".join(versions) or "none"
    if not version:
        return UsageError(
            f"{where}: there is no good release before the current one",
            hint=f"known: {known}; `dev versions` says how each ended",
        )
    near = difflib.get_close_matches(version, (*stacks, *versions), n=1)
    meant = f"did you mean `{near[0]}`? " if near else ""
    if stacks:
        return UsageError(
            f"`{version}` is neither a stack nor a version on {where}",
            hint=f"{meant}stacks: {', '.join(stacks)}; versions: {known}",
        )
    return UsageError(f"there is no version `{version}` on {where}", hint=f"{meant}known: {known}")


def _words(choice: ReleaseChoice) -> str:
    release = choice.release
    named, at = short(release.version, distinguishing_id(release.id, choice.current)), release.at.replace("T", " ")
    return f"{choice.stack} to {named}, deployed {at.rstrip('Z')} by {release.performer or '?'}"


def _reach(run: Run, choices: list[ReleaseChoice]) -> Reach | None:
    """Make ready what images are pulled with, where any are gone. Raises CredentialsMissing, RegistryError."""
    if not any(choice.release.missing for choice in choices):
        return None
    if run.project.config.registry.is_local:
        local_registry.ensure(run)
    return Reach(RegistryTunnel(run, is_wanted=True), registry.credentials(run))


def _go(run: Run, choice: ReleaseChoice, reach: Reach | None) -> StackResult:
    release, reach = choice.release, reach if choice.release.missing else None
    named = short(release.version, distinguishing_id(release.id, choice.current))
    run.output.start("rolling_back", named, choice.host)
    ended = back(run, choice.stack, choice.host, release.id, reach, current=choice.current)
    tell(run, ended)
    return ended
