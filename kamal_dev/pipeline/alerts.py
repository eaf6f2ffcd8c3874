"""The story of `dev alerts`: the alerts that the watchers of the hosts have written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from kamal_dev.commands import answers, host
from kamal_dev.commands.facts import Record
from kamal_dev.errors import DevError
from kamal_dev.model import Host
from kamal_dev.pipeline.hosts.scripts import output_of
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.shell.fanout import each
from kamal_dev.values import dataclass

HEAD = ("WHEN", "STACK", "SERVICE", "STATE", "COUNT", "REASON")
ASKING = 30.0


@dataclass(frozen=True)
class Alert:
    """Hold one alert of a stack; `data` is the line as the host wrote it."""

    stack: str
    data: Mapping[str, Any] = field(repr=False)

    @property
    def at(self) -> str:
        """When it was written, UTC."""
        return str(self.data.get("at", ""))

    @property
    def row(self) -> tuple[str, ...]:
        """The row of the table."""
        cells = (self.at, self.stack, *(str(self.data.get(key, "")) for key in ("service", "state", "count", "reason")))
        return tuple(cell.partition("\n")[0] or "-" for cell in cells)

    def as_json(self) -> dict[str, Any]:
        """Return the alert for `--json`."""
        return {**{key: value for key, value in self.data.items() if key != "type"}, "stack": self.stack}


@dataclass(frozen=True)
class Alerts:
    """Hold alerts sorted by time, and the stacks whose hosts did not answer."""

    alerts: tuple[Alert, ...]
    silent: tuple[str, ...] = ()


def alerts(connections: HostConnections, stacks: Mapping[str, Host], lines: int) -> Alerts:
    """Return the last `lines` alerts of these stacks."""
    listed: list[Alert] = []
    silent = []
    read = each(stacks.items(), lambda item: _ask(connections, *item, lines), limit=connections.limit)
    for stack, answer in zip(stacks, read, strict=True):
        if isinstance(answer, DevError):
            connections.output.warn(f"{stack}: could not read its alerts: {answer.message}")
            silent.append(stack)
        else:
            listed += [Alert(stack, record) for record in answer]
    return Alerts(tuple(sorted(listed, key=lambda alert: alert.at)[-lines:]), tuple(silent))


def _ask(connections: HostConnections, stack: str, target: Host, lines: int) -> tuple[Record, ...]:
    if not target.address:
        raise DevError("the host is not running or does not answer")
    step = host.alerts(connections.scripts, stack, lines)
    return answers.records(output_of(connections, target, step, timeout=ASKING))
