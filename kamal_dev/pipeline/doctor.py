"""The story of `dev doctor`: check everything that a deploy needs, and change nothing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from kamal_dev.commands import docker
from kamal_dev.commands.hooks import FOLDER
from kamal_dev.errors import ConfigError, DevError
from kamal_dev.model import Host, Step, short
from kamal_dev.output import Output
from kamal_dev.pipeline.hosts.checks import Check, advice, host_checks, lacking_capacity
from kamal_dev.pipeline.images import features, local_registry, registry
from kamal_dev.pipeline.images.building import planned, secrets
from kamal_dev.pipeline.images.engine import INSTALL, require_engine
from kamal_dev.pipeline.run import hooks
from kamal_dev.pipeline.run.run import Run
from kamal_dev.pipeline.run.tools import LocalTools
from kamal_dev.project import Project
from kamal_dev.project.source import committed
from kamal_dev.providers import Provider
from kamal_dev.shell import Shell
from kamal_dev.shell.local import Local

ENOUGH = 5 << 30


def doctor(folder: Path, output: Output, *, config_path: str | None, devcontainer_path: str | None) -> list[Check]:
    """Check this machine, then the project in `folder`, then its registry, provider and hosts."""
    local = Local(log=output.step)
    checks = [_python(), _engine(local), *(_tool(local, *tool) for tool in TOOLS), _disk(local, folder)]
    try:
        run = Run.open(folder, output, config_path=config_path, devcontainer_path=devcontainer_path)
    except DevError as error:
        return [*checks, Check("project", False, error.message, error.hint)]
    try:
        # An open connection would hide that a new login fails.
        return [*checks, *examine(replace(run, keeps_connections=False))]
    finally:
        run.close()


def examine(run: Run) -> list[Check]:
    """Check a project that could be read, then its registry, provider and hosts."""
    project, tools = run.project, run.tools
    checks = [_try("project", lambda: _project(project)), *_features(project, tools), *_hooks(project)]
    reached = [
        _try("secrets", lambda: _secrets(project)),
        _try("registry", lambda: _registry(project, tools)),
        _try("provider", lambda: f"{project.config.provider.type}: {len(_places(run.provider) or run.stacks)} hosts"),
    ]
    return [*checks, *_secrets_file(project, run.local), *reached, *_requirements(run), *_hosts(run)]


TOOLS = (
    ("buildx", docker.buildx(), "https://docs.docker.com/build/install-buildx/"),
    ("git", Step(("git", "--version")), "install git"),
    ("ssh", Step(("ssh", "-V")), "install the OpenSSH client"),
)


def _python() -> Check:
    return Check("python", sys.version_info >= (3, 10), sys.version.split()[0], "use Python 3.10 or later")


def _engine(shell: Shell) -> Check:
    try:
        return Check("engine", True, f"answers, {require_engine(shell)}")
    except DevError as error:
        return Check("engine", False, error.message, error.hint or INSTALL)


def _tool(shell: Shell, name: str, step: Step, advice: str) -> Check:
    result = shell.run(step, timeout=30)
    answer = (result.output.strip() or result.errors.strip() or "not found").splitlines()[0]
    return Check(name, bool(result), answer, advice)


def _disk(shell: Shell, folder: Path) -> Check:
    root = _docker_root(shell) or folder
    free = shutil.disk_usage(root).free
    advice = "`docker system df` shows disk usage"
    return Check("disk", free > ENOUGH, f"{free / (1 << 30):.0f} GB free at {root}", advice)


def _docker_root(shell: Shell) -> Path | None:
    """Return where the engine keeps images, if that is a folder of this machine."""
    result = shell.run(docker.root_folder(), timeout=10)
    root = Path(result.output.strip())
    return root if result and root.is_absolute() and root.is_dir() else None


def _project(project: Project) -> str:
    project.require_deployable()
    where = project.config.path or "no config/dev.yml: defaults"
    return f"{project.config.service} at {short(str(project.version))} ({where})"


def _features(project: Project, tools: LocalTools) -> list[Check]:
    """Check for the program that installs Features, if the project has any."""
    return [_try("features", lambda: _installer(project, tools))] if project.features else []


def _installer(project: Project, tools: LocalTools) -> str:
    for build in planned(project):
        features.require(project, tools, build)
    return str(tools.devcontainer_cli)


def _hooks(project: Project) -> list[Check]:
    """Check for hooks that are not executable, if the project has any."""
    present, runnable = hooks.present(project), hooks.runnable(project)
    idle = [name for name in present if name not in runnable]
    if not idle:
        return [Check("hooks", True, ", ".join(present))] if present else []
    paths = " ".join(f"{FOLDER}/{name}" for name in idle)
    return [Check("hooks", False, f"not executable and therefore skipped: {', '.join(idle)}", f"`chmod +x {paths}`")]


def _registry(project: Project, tools: LocalTools) -> str:
    settings = project.config.registry
    if settings.is_local:
        is_there = local_registry.runs(settings.server)
        return f"{settings.server}: {'answers' if is_there else 'on this machine, started by the next push'}"
    registry.log_in(project, tools)
    return f"{settings.server}: logged in" if settings.needs_login else f"{settings.server}: no login required"


def _places(provider: Provider) -> dict[str, Host]:
    """Return the hosts that share stacks, by name."""
    return {machine.name: machine for machine in provider.machines()}


def _hosts(run: Run) -> list[Check]:
    try:
        only_warns = run.warns_of_requirements
        return host_checks(run.project, _places(run.provider) or run.stacks, run.connections, only_warns=only_warns)
    except DevError as error:
        return [Check("hosts", False, error.message, error.hint)]


def _secrets(project: Project) -> str:
    """Ask for everything that a deploy asks for."""
    names = dict.fromkeys((*project.config.secrets, *project.config.notify.secrets))
    # What cannot be read is said of the project.
    with suppress(ConfigError):
        names |= dict.fromkeys(secrets(project, project.compose.builds))
    project.require_all(names)
    return f"{len(names)} of {len(names)} set"


def _secrets_file(project: Project, local: Shell) -> list[Check]:
    """Check who else can read the secrets file if it contains values, and find copies of it."""
    shown, path = project.config.secrets_file, project.home.root / project.config.secrets_file
    has_values = project.secrets_file.has_values and path.is_file()
    checks = []
    if has_values and (mode := path.stat().st_mode & 0o777) & 0o077:
        state = f"{shown} has mode {mode:o}: readable by other users of this machine"
        checks.append(Check("secrets file", True, state, f"`chmod 600 {shown}`", is_warning=True))
    own = os.path.relpath(path, project.source.repository)
    for name in committed(project.source, local, project.withheld) if isinstance(local, Local) else ():
        if name != own or has_values:
            checks.append(_tracked(shown if name == own else name))
    return checks


def _tracked(name: str) -> Check:
    state = f"{name} is tracked by git: everyone with access to the repository has the secrets"
    advice = f"`git rm --cached {name}`, add it to .gitignore, and rotate the secrets: they stay in the history"
    return Check("secrets file", True, state, advice, is_warning=True)


def _requirements(run: Run) -> list[Check]:
    """Compare `hostRequirements`, if there are any, with what the provider offers."""
    return [_try("requirements", lambda: _compared(run))] if run.project.devcontainer.host_requirements else []


def _compared(run: Run) -> str | Check:
    missing = lacking_capacity(run.project, run.provider)
    if not missing:
        return "met by the provider"
    state = f"hosts have at most {', '.join(missing)} ({run.project.devcontainer.where('hostRequirements')})"
    only_warns = run.warns_of_requirements
    return Check("requirements", only_warns, state, advice(only_warns=only_warns), only_warns)


def _try(name: str, work: Callable[[], str | Check]) -> Check:
    try:
        answer = work()
        return answer if isinstance(answer, Check) else Check(name, True, answer)
    except DevError as error:
        return Check(name, False, error.message, error.hint)
