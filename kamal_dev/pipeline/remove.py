"""The story of `dev remove`: stop stacks, then destroy the hosts that the provider made."""

from __future__ import annotations

import time
from collections.abc import Callable

from kamal_dev.commands import answers, host
from kamal_dev.errors import DevError, HostError
from kamal_dev.model import Host
from kamal_dev.pipeline.apply import failure
from kamal_dev.pipeline.conversation import ask
from kamal_dev.pipeline.hooks import Hooks
from kamal_dev.pipeline.names import restrict
from kamal_dev.pipeline.report import Outcome, Report
from kamal_dev.pipeline.run import Run
from kamal_dev.shell.fanout import each

REMOVING = 300.0


def remove(
    run: Run, name: str | None, *, keep_volumes: bool, agree: Callable[[str], bool], skip_hooks: bool = False
) -> Report:
    """Remove every stack of this project, or the one of this name.

    With `keep_volumes` the containers go, and volumes, workspaces and hosts stay.
    A host whose stack could not be removed is not destroyed, unless it is off.
    """
    started = time.monotonic()
    targets = dict(run.provider.stacks())
    if name and name != run.project.config.service:
        targets = {stack: targets[stack] for stack in restrict(targets, (name,))}
    if not targets:
        run.output.note("Nothing to remove")
    elif not agree(_question(tuple(targets), keep_volumes)):
        raise KeyboardInterrupt
    else:
        Hooks(run, "remove", skip=skip_hooks).before("pre-connect", targets, left_behind="nothing was removed")
    found = each(targets.items(), lambda item: _remove(run, *item, keep_volumes), limit=run.limit)
    outcomes = tuple(outcome for outcome in found if isinstance(outcome, Outcome))
    gone = tuple(outcome.stack for outcome in outcomes if outcome.is_fine)
    if gone and not keep_volumes:
        run.provider.destroy(gone)
    report = Report("Removed", str(run.project.version), outcomes, time.monotonic() - started)
    if outcomes and not report.failed:
        run.output.done(report.summary())
    return report


def _question(names: tuple[str, ...], keep_volumes: bool) -> str:
    fate = "volumes and workspaces are kept" if keep_volumes else "with all their data, and the hosts made for them"
    return f"Remove {', '.join(names)} ({fate})?"


def _remove(run: Run, name: str, target: Host, keep_volumes: bool) -> Outcome:
    started = time.monotonic()
    if not target.address and not keep_volumes:
        return Outcome(name, target.address, "removed")
    run.output.start(f"Removing {name}", target.name)
    try:
        step = host.remove(run.scripts, name, keep_volumes=keep_volumes)
        told = answers.outcome(ask(run, target, step, timeout=REMOVING).output)
        if not told:
            raise HostError(target.name, f"{name} could not be removed: {told.reason}")
    except DevError as error:
        run.output.failed(error.message, target.name)
        return failure(target, name, error)
    seconds = time.monotonic() - started
    run.output.done(f"Removed {name}", target.name, seconds)
    return Outcome(name, target.address, "removed", seconds=seconds)
