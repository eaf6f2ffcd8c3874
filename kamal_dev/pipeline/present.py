"""Ask the engine here for images. Makes none."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from kamal_dev.commands import docker
from kamal_dev.errors import EngineError
from kamal_dev.model import Image, ImageConfig
from kamal_dev.pipeline.engine import last_line
from kamal_dev.pipeline.run import Run

# Docker's words, and those of Podman behind the same command.
_NONE = re.compile(r"no such (image|object)|image not known", re.IGNORECASE)


@dataclass(frozen=True)
class Present:
    """Describe an image as the engine here has it; `digests` are `name@sha256:…`, `platform` is `linux/amd64`."""

    id: str
    digests: tuple[str, ...]
    config: ImageConfig
    platform: str = ""

    def has(self, image: Image, digest: str) -> bool:
        """Whether this very image is what the registry calls `digest`."""
        return f"{image.name}@{digest}" in self.digests or digest == self.id


def is_none(said: str) -> bool:
    """Whether an engine says with these words that it has no such image."""
    return _NONE.search(said) is not None


def inspect(run: Run, name: str) -> Present | None:
    """Return the image that has this reference or id; None where the engine has none.

    Raises EngineError where the engine does not answer: nobody knows then what it has.
    """
    result = run.local.run(docker.describe(name), timeout=30)
    if result:
        data = json.loads(result.output)
        digests, config = tuple(data["digests"] or ()), ImageConfig.from_json(data)
        return Present(data["id"], digests, config, data.get("platform", ""))
    if is_none(result.errors):
        return None
    raise EngineError(
        f"Docker on this machine could not be asked for `{name}`: {last_line(result.tail())}",
        hint="check that it runs: `docker version`",
    )
