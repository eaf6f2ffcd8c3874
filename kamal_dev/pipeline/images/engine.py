"""Make sure that local Docker can do what a verb needs. Installs nothing."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from kamal_dev.commands import docker
from kamal_dev.errors import EngineError
from kamal_dev.model import Image, ImageConfig, Result, familiar
from kamal_dev.pattern import pattern
from kamal_dev.shell import Shell
from kamal_dev.shell.local import NOT_FOUND, TIMED_OUT
from kamal_dev.values import dataclass

INSTALL = "install Docker Engine: https://docs.docker.com/engine/install/"


def require_engine(shell: Shell) -> str:
    """Return the engine's platform, such as `linux/amd64`.

    Raises EngineError if docker is not installed or no engine answers.
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
    """Raise EngineError if buildx is missing; only called when something is to be built."""
    if not shell.run(docker.buildx(), timeout=30):
        raise EngineError(
            "docker buildx is not installed on this machine",
            hint="install the buildx plugin: https://docs.docker.com/build/install-buildx/",
        )


def why(ended: Result) -> str:
    """Return a failed program's message, or that it timed out."""
    output = ended.tail()
    return output or ("no answer in time" if ended.exit_code == TIMED_OUT else "no output")


def last_line(text: str) -> str:
    """Return the last line that is not empty."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no output"


# The messages of Docker, and of Podman behind the `docker` command.
_NONE = pattern(r"no such (image|object)|image not known", re.IGNORECASE)


@dataclass(frozen=True)
class Present:
    """Describe an image of the local engine; `digests` are `name@sha256:…`, `platform` is like `linux/amd64`."""

    id: str
    digests: tuple[str, ...]
    config: ImageConfig
    platform: str = ""

    def has(self, image: Image, digest: str) -> bool:
        """Return whether this is the image that the registry knows as `digest`."""
        return digest in self.pushed_as(image) or digest == self.id

    def pushed_as(self, image: Image) -> tuple[str, ...]:
        """Return the digests under which the engine pushed it to this repository, or pulled it from there."""
        names = (familiar(name).partition("@") for name in self.digests)
        own = familiar(f"{image.name}@")
        return tuple(digest for name, at, digest in names if name + at == own)

    def lasting(self, image: Image) -> Image:
        """Return the image with a tag made from its id, and the digest of an earlier push if there was one."""
        tag = f"id-{self.id.removeprefix('sha256:')[:32]}"
        digest = next(iter(self.pushed_as(image)), "")
        return replace(image, tag=tag, digest=digest).on([self.platform])


def is_none(output: str) -> bool:
    """Return whether a message of the engine means that it has no such image."""
    return _NONE.search(output) is not None


def inspect(shell: Shell, name: str) -> Present | None:
    """Return the image that has this reference or id; None if the engine has none.

    Raises EngineError if the engine does not answer: whether it has the image is then unknown.
    """
    result = shell.run(docker.describe(name), timeout=30)
    if result:
        data = json.loads(result.output)
        digests, config = tuple(data["digests"] or ()), ImageConfig.from_json(data)
        return Present(data["id"], digests, config, data.get("platform", ""))
    if is_none(result.errors):
        return None
    require_engine(shell)
    raise EngineError(
        f"could not query Docker on this machine for `{name}`: {last_line(result.tail())}",
        hint="check that it is running: `docker version`",
    )
