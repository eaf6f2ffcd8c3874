"""The story of `dev versions`: ask every host which releases it keeps of its stack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from kamal_dev.commands import answers, host
from kamal_dev.commands.stacks import KeptRelease
from kamal_dev.errors import DevError, HostUnreachable
from kamal_dev.model import Host, short
from kamal_dev.pipeline.hosts.scripts import output_of
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.names import of_project
from kamal_dev.pipeline.run.run import Run
from kamal_dev.plan.rollback import KeptReleases
from kamal_dev.shell.fanout import each
from kamal_dev.values import dataclass

HEAD = ("STACK", "VERSION", "RELEASE", "BY", "WHEN", "RESULT", "IMAGES", "NOTE")
ASKING = 60.0
LONGEST = 48  # characters of a result in the table


@dataclass(frozen=True)
class History(KeptReleases):
    """Add the output of `dev versions`."""

    def as_json(self) -> dict[str, Any]:
        """Return the releases for `--json`."""
        return {
            "stack": self.stack,
            "host": self.host.name,
            "releases": [_record(release) for release in self.releases],
            "error": self.error.message if self.error else None,
        }


def versions(run: Run, names: tuple[str, ...] = ()) -> list[History]:
    """Return the releases on every host of this project, or of the stacks that match `names`."""
    return histories(run.connections, of_project(run.stacks.items(), run.project, names))


def histories(connections: HostConnections, targets: Mapping[str, Host]) -> list[History]:
    """Ask the hosts of these stacks in parallel; a host that does not answer is part of the list."""
    outcomes = each(targets.items(), lambda item: _history(connections, *item), limit=connections.limit)
    return [history for history in outcomes if isinstance(history, History)]


def _history(connections: HostConnections, stack: str, target: Host) -> History:
    if not target.address:
        return History(stack, target, error=HostUnreachable(target.name, "the host is not running or does not answer"))
    try:
        output = output_of(connections, target, host.releases(connections.scripts, (stack,)), timeout=ASKING)
    except DevError as error:
        return History(stack, target, error=error)
    return History(stack, target, answers.releases(output))


def rows(history: History) -> Iterator[tuple[str, ...]]:
    """Yield the table rows of a stack; one row says why if there are no releases."""
    if not history.releases:
        reason = history.error.message if history.error else "never deployed"
        yield (history.stack, *("-",) * (len(HEAD) - 2), reason)
    for release in history.releases:
        when = release.at.replace("T", " ").removesuffix("Z")
        # A release id is the version and a hash; the hash alone is short enough to read.
        digest = release.id.rpartition("-")[2]
        about = (release.performer, when, _phrase(result_of(release)), _images(release), _note(release))
        yield (history.stack, *(word or "-" for word in (short(release.version), digest, *about)))


def result_of(release: KeptRelease) -> str:
    """Return how the last deploy or rollback to a release ended."""
    if release.state in ("new", "same"):
        return "good" if release.good else "unfinished since it was restored"
    if not release.state:
        return "never finished"
    return f"failed in {release.phase}: {release.reason.splitlines()[0] if release.reason else release.state}"


def _phrase(result: str) -> str:
    """Return the first words of a result, which fit in the table."""
    return result if len(result) <= LONGEST else f"{result[:LONGEST].rsplit(maxsplit=1)[0].rstrip(':,;')}…"


def _images(release: KeptRelease) -> str:
    return f"{len(release.missing)} missing" if release.missing else "present"


def _note(release: KeptRelease) -> str:
    """Return a note with the commit if the version does not begin with it."""
    is_named = release.version.startswith(release.commit)
    notes = (
        ("current", release.is_current),
        ("last good", release.is_last_good),
        (f"from {release.commit[:12]}", not is_named),
    )
    return ", ".join(word for word, is_so in notes if is_so)


def _record(release: KeptRelease) -> dict[str, Any]:
    record = asdict(release)
    del record["stack"]
    return {**record, "result": result_of(release)}
