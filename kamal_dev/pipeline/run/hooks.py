"""Run the hooks of a project: programs in .kamal/hooks, on this machine. A missing hook is not mentioned."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime, timezone
from functools import cached_property, partial

from kamal_dev.commands import git
from kamal_dev.commands.hooks import FOLDER, HEALTH, NAMES, WITH_SECRETS, Details, hook
from kamal_dev.errors import DevError, HookFailed
from kamal_dev.model import Host, Result, Step
from kamal_dev.output import Output
from kamal_dev.pipeline.run.report import StackResult
from kamal_dev.pipeline.run.run import Run
from kamal_dev.project import Project, debts
from kamal_dev.shell.local import CANNOT_RUN, NOT_FOUND

LAST_LINES = 20
CHECKING = 60.0  # seconds
UNTOUCHED = "no stack was changed"
BACK = ("rolled back", "stopped")
UP = ("up", "completed")


class Hooks:
    """Run the hooks of one verb, `command`; with `skip`, none of them.

    `version` defaults to the version of the working tree. Hooks with the same `turn` run one after another, except
    `health`.
    """

    def __init__(
        self,
        run: Run,
        command: str,
        *,
        skip: bool = False,
        version: str | None = None,
        turn: AbstractContextManager[object] | None = None,
    ) -> None:
        self._run = run
        self._turn = turn or nullcontext()
        self._command = command
        self._skip = skip
        self._version = version
        self._debts = Debts(run.project, run.output)

    def has(self, name: str) -> bool:
        """Return whether a hook exists and will run."""
        return not self._skip and name in runnable(self._run.project)

    def before(self, name: str, stacks: Mapping[str, Host | None], *, left_behind: str) -> None:
        """Run a hook that can stop the verb; the address of a stack without a host is empty. Raises HookFailed."""
        self._call(name, {stack: host.address if host else "" for stack, host in stacks.items()}, left_behind)

    def after_deploy(self, outcomes: Sequence[StackResult], seconds: float) -> DevError | None:
        """Run `post-deploy`. A failure is reported and returned, not raised: the deploy is already done."""
        result = "unchanged" if all(outcome.state == "unchanged" for outcome in outcomes) else "deployed"
        return self._after("post-deploy", outcomes, seconds, result=result)

    def after_rollback(self, outcomes: Sequence[StackResult], seconds: float) -> DevError | None:
        """Run `post-rollback` for the stacks that were rolled back, if any; failures as in `after_deploy`."""
        if not any(outcome.state in BACK for outcome in outcomes):
            return None
        went = all(outcome.state in (*BACK, "unchanged") for outcome in outcomes)
        version = ",".join(dict.fromkeys(outcome.running for outcome in outcomes if outcome.running))
        result = "rolled back" if went else "failed"
        return self._after("post-rollback", outcomes, seconds, result=result, version=version)

    def health(self, stack: str, host: Host, *, left_behind: str, version: str = "") -> None:
        """Run the hook `health`, if there is one, for a stack that is up. Raises HookFailed."""
        if self.has(HEALTH):
            self._call(HEALTH, {stack: host.address}, left_behind, **({"version": version} if version else {}))

    def checked(self, result: StackResult, host: Host, *, left_behind: str) -> StackResult:
        """Return the result of a stack whose containers are all up; it has failed if the hook `health` does."""
        if result.is_fine and all(container.state in UP for container in result.containers):
            try:
                self.health(result.stack, host, left_behind=left_behind, version=result.running)
            except DevError as error:
                return replace(result, state="failed", error=error)
        return result

    def owe_setup(self, stack: str) -> None:
        """Record that Docker is about to be set up for a stack, so that `docker-setup` runs even if this run fails."""
        if self.has("docker-setup"):
            self._debts.add(stack)

    def docker_setup(self, stacks: Mapping[str, Host]) -> None:
        """Run `docker-setup` for those of these stacks that still need it. Raises HookFailed."""
        is_there = self.has("docker-setup")
        due = {stack: host for stack, host in stacks.items() if stack in self._debts} if is_there else {}
        if due:
            state = f"Docker runs on the hosts of {', '.join(due)}; the next deploy runs the hook again; {UNTOUCHED}"
            self.before("docker-setup", due, left_behind=state)
            self._debts.settle(due)

    def _after(self, name: str, outcomes: Sequence[StackResult], seconds: float, **details: str) -> DevError | None:
        state = f"the changes of `dev {self._command}` are kept"
        addresses = {outcome.stack: outcome.address for outcome in outcomes}
        try:
            self._call(name, addresses, state, runtime=str(round(seconds)), **details)
        except DevError as error:
            self._run.output.fail("hook", error, subject=name)
            return error
        return None

    def _call(self, name: str, addresses: Mapping[str, str], left_behind: str, **details: str) -> None:
        """Run a hook for stacks with these addresses; `told` are further variables."""
        output, path = self._run.output, f"{FOLDER}/{name}"
        if self._skip or name not in present(self._run.project):
            return
        if name not in runnable(self._run.project):
            output.warn(f"{path} is not executable and was skipped: `chmod +x {path}`")
            return
        with nullcontext() if name == HEALTH else self._turn:
            output.start("hook", name)
            step = self._step(name, self._details(addresses, details))
            timeout = CHECKING if name == HEALTH else None
            ended = self._run.local.run(step, on_line=partial(output.line, "hook"), timeout=timeout)
            if not ended:
                raise _failure(name, ended, left_behind)
            output.done("hook", name, seconds=ended.seconds)

    @cached_property
    def _performer(self) -> str:
        """Return the performer like Kamal: the email address in git, else the user."""
        return self._run.local.run(git.email(self._run.project.home.root)).output.strip() or self._run.performer

    def _details(self, addresses: Mapping[str, str], details: Mapping[str, str]) -> Details:
        project = self._run.project
        return Details(
            recorded_at=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            performer=self._performer,
            version=details.get("version", str(project.version) if self._version is None else self._version),
            service=project.config.service,
            command=self._command,
            hosts=tuple(filter(None, addresses.values())),
            stacks=tuple(addresses),
            runtime=details.get("runtime", ""),
            result=details.get("result", ""),
        )

    def _step(self, name: str, details: Details) -> Step:
        project = self._run.project
        names = project.config.secrets if name in WITH_SECRETS else ()
        return hook(project.home.root, name, details, [(secret, project.require(secret)) for secret in names])


class Debts:
    """Remember across runs which stacks still need `docker-setup`: a build may fail after Docker was set up."""

    def __init__(self, project: Project, output: Output) -> None:
        self._project = project
        self._output = output
        self._lock = threading.Lock()

    def __contains__(self, stack: str) -> bool:
        return stack in self._read()

    def add(self, stack: str) -> None:
        """Record a stack; hosts are set up in parallel."""
        self._change(lambda known: known | {stack})

    def settle(self, stacks: Iterable[str]) -> None:
        """Forget these stacks."""
        self._change(lambda known: known - set(stacks))

    def _read(self) -> debts.Stacks:
        try:
            return debts.read(self._project.private())
        except OSError as error:
            raise _unknown(error) from error

    def _change(self, change: Callable[[debts.Stacks], debts.Stacks]) -> None:
        with self._lock:
            try:
                debts.update(self._project.private(), change, say=self._output.info)
            except OSError as error:
                raise _unknown(error) from error


def _unknown(error: OSError) -> DevError:
    what = f"{error.filename or 'docker-setup'}: {error.strerror or error}"
    return DevError(
        f"could not record which hosts still need `docker-setup`: {what}", hint=".kamal/local must be writable"
    )


def present(project: Project) -> tuple[str, ...]:
    """Return the names of the hooks; files named `….sample` are ignored."""
    folder = project.home.root / FOLDER
    return tuple(name for name in NAMES if (folder / name).is_file())


def runnable(project: Project) -> tuple[str, ...]:
    """Return the hooks that are executable."""
    folder = project.home.root / FOLDER
    return tuple(name for name in present(project) if os.access(folder / name, os.X_OK))


def _failure(name: str, ended: Result, left_behind: str) -> HookFailed:
    code = ended.exit_code
    how = f"exited with code {code}" if code >= 0 else f"was killed by signal {-code}"
    return HookFailed(
        "\n".join(filter(None, (f"hook `{name}` {how}", ended.tail(LAST_LINES)))),
        hint=NOT_FOUND_HINT if code in (NOT_FOUND, CANNOT_RUN) else "fix it, or skip hooks with `--skip-hooks`",
        left_behind=left_behind,
    )


NOT_FOUND_HINT = "its first line must be an installed program such as `#!/bin/sh`, and end with LF only"
