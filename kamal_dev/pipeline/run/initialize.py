"""Run `initializeCommand` on this machine, before anything is built. What it writes is read afterwards."""

from __future__ import annotations

from functools import partial

from kamal_dev.devcontainer import lifecycle
from kamal_dev.devcontainer.lifecycle import INITIALIZE, LifecycleCommand
from kamal_dev.errors import InitializeFailed
from kamal_dev.model import Result, Step
from kamal_dev.pipeline.run.run import Run
from kamal_dev.shell.fanout import each

LAST_LINES = 20


def initialize(run: Run) -> None:
    """Run it in the workspace folder, and read the project again. Raises InitializeFailed."""
    stages = lifecycle.initialize(run.project.devcontainer)
    for stage in stages:
        results = each(stage.commands, lambda command: _run(run, command), limit=len(stage.commands))
        failed = [result for result in results if isinstance(result, Exception)]
        if failed:
            raise failed[0]
    if stages:
        run.read_again()


def _run(run: Run, command: LifecycleCommand) -> Result:
    name = f"{INITIALIZE} ({command.name})" if command.name else INITIALIZE
    run.output.start("initializing", name, message=command.text)
    result = run.local.run(Step(command.argv, cwd=run.project.root), on_line=partial(run.output.line, "initializing"))
    if not result:
        where = run.project.devcontainer.where(INITIALIZE)
        raise InitializeFailed(
            f"{name} exited with code {result.exit_code} ({where}): `{command.text}`\n{result.tail(LAST_LINES)}",
            hint="fix it, or skip it with `--skip-initialize`",
            left_behind="changes made by the command; nothing was built or deployed",
        )
    run.output.done("initializing", name, seconds=result.seconds)
    return result
