"""Find the stack whose volumes a new stack starts with: `dev deploy NAME --from STACK`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from kamal_dev.commands.hooks import BACKUP
from kamal_dev.errors import UsageError
from kamal_dev.model import Host
from kamal_dev.pipeline.hosts.forking import Fork
from kamal_dev.pipeline.hosts.moving import inventory
from kamal_dev.pipeline.hosts.observe import look_inside
from kamal_dev.pipeline.hosts.target import running
from kamal_dev.pipeline.plan import DeployOptions, chosen
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.hooks import runnable
from kamal_dev.pipeline.run.run import Run
from kamal_dev.plan.volume_copy import CopiedStack
from kamal_dev.project import Project

Deploys = list[tuple[Run, DeployOptions]]


def forked(
    project: Project,
    connections: HostConnections,
    stacks: Mapping[str, Host],
    every: Deploys,
    source: str,
    *,
    with_work: bool,
) -> Deploys:
    """Return what has to be deployed, so that the new stack starts with the volumes of `source`.

    `with_work`: also with the uncommitted changes in its workspace.

    Asks the host of `source` what it has. Raises UsageError for several stacks, and for one that cannot be copied.
    """
    if project.engine.is_swarm:
        raise UsageError("`--from` does not work with `engine: swarm-stack`")
    names = tuple(name for run, options in every for name in chosen(run, options))
    if len(names) != 1 or len(every) != 1 or every[0][1].retry_failed:
        raise UsageError("`--from` needs the name of one new stack", hint=f"`dev deploy NAME --from {source}`")
    if with_work and {run.project.workspace_source for run, _ in every} | {project.workspace_source} != {"git"}:
        raise UsageError("`--with-work` needs workspaces that are git clones", hint="set `workspace.source: git`")
    stack, target = running(stacks, source, project.config.service)
    if stack == names[0]:
        raise UsageError(f"{stack} cannot be a copy of itself", hint="choose another name")
    contents, inside = inventory(connections, target, stack), look_inside(connections, target, stack).inside
    within = tuple((item.service, what) for item in inside for what in item.inside)
    is_prepared = BACKUP in runnable(project) and not every[0][1].skip_hooks
    copied = CopiedStack(
        stack, contents.parts, contents.running, within, is_stopped=not is_prepared, with_work=with_work
    )
    return [(run, replace(options, fork=Fork(project, copied, target))) for run, options in every]
