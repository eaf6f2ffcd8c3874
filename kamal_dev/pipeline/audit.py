"""The story of `dev audit`: what was done to the stacks, from the audit logs of this machine and the hosts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from fnmatch import fnmatchcase
from typing import Any

from kamal_dev.commands import answers, host
from kamal_dev.commands.facts import Record
from kamal_dev.errors import DevError
from kamal_dev.model import Host, short
from kamal_dev.pipeline.hosts.scripts import output_of
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.names import of_project
from kamal_dev.pipeline.run.run import Run
from kamal_dev.project import Project
from kamal_dev.project import audit_log as local
from kamal_dev.shell.fanout import each
from kamal_dev.values import dataclass

HEAD = ("WHEN", "WHERE", "WHO", "WHAT", "STACK", "VERSION", "RESULT")
ASKING = 30.0
SAID = {"new": "good", "same": "unchanged"}  # what hosts call the result of a release → the word for people


@dataclass(frozen=True)
class Entry:
    """Hold one entry of an audit log; `where` is `local` or the host's name, `data` the entry as written."""

    at: str
    where: str
    by: str
    what: str
    stack: str = ""
    version: str = ""
    result: str = ""
    data: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def row(self) -> tuple[str, ...]:
        """The row of the table."""
        return tuple(
            cell or "-"
            for cell in (self.at, self.where, self.by, self.what, self.stack, short(self.version), self.result)
        )

    def as_json(self) -> dict[str, Any]:
        """Return the entry for `--json`: its log and all its fields."""
        return {**self.data, "at": self.at, "where": self.where, "what": self.what, "stack": self.stack}


@dataclass(frozen=True)
class Audit:
    """Hold the entries sorted by time, and the hosts that did not answer."""

    entries: tuple[Entry, ...]
    silent: tuple[str, ...] = ()


def audit(run: Run, names: tuple[str, ...], lines: int) -> Audit:
    """Return the last `lines` entries of all stacks, or of those that match `names`, from here and from all hosts.

    Raises UsageError for a name that is not a stack and does not appear in the local audit log.
    """
    is_all = not names or run.project.config.service in names
    entries = [
        entry for entry in _local(run.project) if is_all or any(fnmatchcase(entry.stack, name) for name in names)
    ]
    targets = of_project(run.stacks.items(), run.project, names, is_sure=not entries)
    silent = []
    for (stack, _), answer in zip(
        targets.items(),
        each(targets.items(), lambda item: _ask(run.connections, *item, lines), limit=run.connections.limit),
        strict=True,
    ):
        if isinstance(answer, DevError):
            run.output.warn(f"{stack}: could not read its audit log: {answer.message}")
            silent.append(stack)
        else:
            entries += answer
    return Audit(tuple(sorted(entries, key=lambda entry: entry.at)[-lines:]), tuple(silent))


def _local(project: Project) -> Iterable[Entry]:
    for record in local.read(project.private()):
        stacks = record.get("stacks") or [{}]
        for stack in stacks:
            result = _words(stack.get("state"), stack.get("reason"))
            yield Entry(
                record["at"],
                "local",
                str(record.get("by", "")),
                str(record.get("command", "")),
                str(stack.get("stack", "")),
                str(record.get("version", "")),
                result,
                {**{key: value for key, value in record.items() if key != "stacks"}, **stack},
            )


def _ask(connections: HostConnections, stack: str, target: Host, lines: int) -> list[Entry]:
    if not target.address:
        raise DevError("the host is not running or does not answer")
    records = answers.records(
        output_of(connections, target, host.records(connections.scripts, stack, lines), timeout=ASKING)
    )
    return [_entry(stack, target, record) for record in records]


def _entry(stack: str, target: Host, record: Record) -> Entry:
    state = SAID.get(str(record.get("state")), record.get("state")) or ("ok" if record.get("ok") else "")
    of_whom = f"{record.get('word')} of {record.get('owner')}" if record.get("type") == "lock" else ""
    return Entry(
        str(record["at"]),
        target.name,
        str(record.get("by", "")),
        str(record.get("type", "")),
        stack,
        str(record.get("version", "")),
        _words(state, record.get("reason") or of_whom),
        {key: value for key, value in record.items() if key != "type"},
    )


def _words(state: Any, reason: Any) -> str:
    first = str(reason or "").partition("\n")[0]
    return f"{state}: {first}" if first else str(state or "")
