"""Make the plan of a sync: whether the workspace of one stack gets the source."""

from __future__ import annotations

from kamal_dev.errors import UsageError
from kamal_dev.plan import admission
from kamal_dev.plan.observation import Observation
from kamal_dev.plan.operation import SendSource
from kamal_dev.plan.plan import Plan, StackPlan


def sync(observation: Observation, kind: str, folder: str, *, force: bool) -> Plan:
    """Return what is sent to the workspace; `kind` is `workspace.source`, `folder` the repository's name there.

    Raises UsageError for a stack that was never deployed, HostError if its name belongs to a project of somebody
    else.
    """
    facts, host = observation.facts, observation.host
    assert facts is not None
    assert host is not None
    if error := admission.foreign_project(host.name, observation.stack, facts):
        raise error
    if not facts.release and not facts.workspace:
        hint = f"`dev deploy {observation.stack}` sends the source too"
        raise UsageError(f"{observation.stack} is not deployed yet", hint=hint)
    is_empty = folder not in facts.workspace
    if kind == "sync" and not (is_empty or force):
        reason = f"workspace has files; `dev sync {observation.stack} --force` replaces them"
        return Plan(stacks=(StackPlan(observation.stack, observation.address, reason=reason),))
    cause = "workspace is empty" if is_empty else "`--force`" if force else "host compares the source"
    operation = SendSource(folder=folder, force=force and not is_empty, causes=(cause,))
    notes = ("changes made in the workspace are discarded; a backup is kept on the host",) if operation.force else ()
    return Plan(stacks=(StackPlan(observation.stack, observation.address, (operation,), notes=notes),))
