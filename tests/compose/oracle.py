"""What Compose itself makes of a project and of its release. Needs the CLI plugin, but no engine."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from kamal_dev.compose import ComposeProject, stack_variables
from kamal_dev.model import Image, Release

HOME = "/home/tester"
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": HOME,
    # Where the plugins of this user's client are, if it has its own.
    "DOCKER_CONFIG": os.environ.get("DOCKER_CONFIG", str(Path.home() / ".docker")),
}


# Where Docker's command line looks for plugins, in its order.
ROOTS = ("/usr/local/lib", "/usr/local/libexec", "/usr/lib", "/usr/libexec")


class Refused(Exception):
    """Carry what Compose says against a project."""


@cache
def compose() -> tuple[str, ...]:
    """Return the command that is Compose: its plugin alone where it can be found, which starts in half the time."""
    own = Path(ENVIRONMENT["DOCKER_CONFIG"], "cli-plugins")
    folders = (own, *(Path(root, "docker/cli-plugins") for root in ROOTS))
    plugins = (folder / "docker-compose" for folder in folders)
    return next(((str(plugin),) for plugin in plugins if os.access(plugin, os.X_OK)), ("docker", "compose"))


@cache
def version() -> tuple[int, ...]:
    """Return the version of Compose here."""
    result = subprocess.run([*compose(), "version", "--short"], capture_output=True, text=True, check=True)
    return tuple(map(int, re.findall(r"\d+", result.stdout)[:3]))


def configured(folder: Path, files: tuple[Path, ...] = (), environment: Mapping[str, str] | None = None) -> Any:
    """Return what `docker compose config` prints in a folder. Raises Refused."""
    flags = [word for file in files for word in ("-f", str(file))]
    result = subprocess.run(
        [*compose(), *flags, "config", "--format", "json"],
        cwd=folder,
        env={**ENVIRONMENT, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if result.returncode:
        raise Refused(result.stderr.strip())
    return json.loads(result.stdout)


def write(release: Release, folder: Path) -> None:
    """Write a release as it is on a host."""
    for file in release.files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        path.chmod(file.mode)


def brought_home(after: Any, release: Release, folder: Path, repository: Path) -> Any:
    """Return a host's configuration with its paths as they are here, without our labels and variables."""
    text = json.dumps(after)
    text = text.replace(f"{folder}/kamal-dev.files", str(repository)).replace(str(folder), str(repository))
    text = text.replace(f"{HOME}/.kamal-dev/{release.stack}/workspace", str(repository.parent))
    found = json.loads(text)
    for service in found["services"].values():
        labels = {key: value for key, value in service.pop("labels", {}).items() if not key.startswith("kamal-dev.")}
        if labels:
            service["labels"] = labels
        for name, value in stack_variables.values(release.stack, release.version).items():
            if service.get("environment", {}).get(name) == value:
                del service["environment"][name]
        if not service.get("environment"):
            service.pop("environment", None)
    return found


def expected(before: Any, images: Mapping[str, Image]) -> Any:
    """Return what a project's configuration is to become: every build an image, ports the host's own, nothing else."""
    found = json.loads(json.dumps(before))
    for name, service in found["services"].items():
        service.pop("build", None)
        for port in service.get("ports", []):
            port.setdefault("host_ip", "127.0.0.1")
        if name in images:
            service["image"] = str(images[name])
            if service.get("pull_policy") == "build":
                service["pull_policy"] = "missing"
    return found


def compare(project: ComposeProject, release: Release, folder: Path, environment: Mapping[str, str]) -> tuple[Any, Any]:
    """Return what Compose should make of a release, which is written to `folder`, and what it makes of it.

    The environment is that of this machine: a host has nothing of it.
    """
    write(release, folder)
    files = tuple(file.path for file in project.top_files)
    before = configured(project.repository, files, {**environment, "COMPOSE_PROJECT_NAME": release.stack})
    after = configured(folder)
    return expected(before, dict(release.images)), brought_home(after, release, folder, project.repository)
