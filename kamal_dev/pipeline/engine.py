"""Make sure that Docker here can do what a verb needs. Installs nothing."""

from __future__ import annotations

from kamal_dev.commands import docker
from kamal_dev.errors import EngineError
from kamal_dev.model import Result
from kamal_dev.shell import Shell
from kamal_dev.shell.local import NOT_FOUND, TIMED_OUT

INSTALL = "install Docker Engine: https://docs.docker.com/engine/install/"


def require_engine(shell: Shell) -> str:
    """Return the engine's platform, such as `linux/amd64`.

    Raises EngineError where docker is not installed or no engine answers.
    """
    result = shell.run(docker.engine(), timeout=30)
    if result.exit_code == NOT_FOUND:
        raise EngineError("docker is not installed on this machine", hint=INSTALL)
    if not result:
        raise EngineError(
            f"no Docker Engine answers: {last_line(result.tail())}",
            hint="start it (`systemctl start docker`, Docker Desktop, `colima start`), or set DOCKER_HOST",
        )
    return result.output.split()[-1] if result.output.split() else ""


def require_buildx(shell: Shell) -> None:
    """Raise EngineError where buildx is missing; asked only once a build needs it."""
    if not shell.run(docker.buildx(), timeout=30):
        raise EngineError(
            "docker buildx is not installed on this machine",
            hint="install the buildx plugin: https://docs.docker.com/build/install-buildx/",
        )


def why(ended: Result) -> str:
    """Return what a program said when it failed, or that it did not end in time."""
    said = ended.tail()
    return said or ("it did not answer in time" if ended.exit_code == TIMED_OUT else "it said nothing")


def last_line(text: str) -> str:
    """Return the last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
