"""Run `initializeCommand` on this machine before anything is built, and read the project again afterwards."""

from __future__ import annotations

from functools import partial

from kamal_dev.devcontainer import lifecycle
from kamal_dev.devcontainer.lifecycle import INITIALIZE, LifecycleCommand
from kamal_dev.errors import InitializeFailed
from kamal_dev.model import Result, Step
from kamal_dev.pipeline.run.run import Run
from kamal_dev.pipeline.run.tools import LocalTools
from kamal_dev.project import Project
from kamal_dev.shell.fanout import each

LAST_LINES = 20


def initialize(run: Run) -> Run:
    """Run it in the workspace folder; return the run with the project read again. Raises InitializeFailed."""
    stages = lifecycle.initialize(run.project.devcontainer)
    for stage in stages:
        results = each(stage.commands, lambda command: _run(run.project, run.tools, command), limit=len(stage.commands))
        failed = [result for result in results if isinstance(result, Exception)]
        if failed:
            raise failed[0]
    return run.read_again() if stages else run


def _run(project: Project, tools: LocalTools, command: LifecycleCommand) -> Result:
    name = f"{INITIALIZE} ({command.name})" if command.name else INITIALIZE
    tools.output.start("initializing", name, message=command.text)
    result = tools.shell.run(Step(command.argv, cwd=project.root), on_line=partial(tools.output.line, "initializing"))
    if not result:
        where = project.devcontainer.where(INITIALIZE)
        raise InitializeFailed(
            f"{name} exited with code {result.exit_code} ({where}): `{command.text}`\n{result.tail(LAST_LINES)}",
            hint="fix it, or skip it with `--skip-initialize`",
            left_behind="changes made by the command; nothing was built or deployed",
        )
    tools.output.done("initializing", name, seconds=result.seconds)
    return result
