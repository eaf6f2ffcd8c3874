"""The frozen values of a `Devcontainer`. Computes nothing but places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Literal

from kamal_dev.errors import Problem
from kamal_dev.model import Explanation, Location, Notice
from kamal_dev.values import dataclass

SERVICE = "devcontainer"
NOWHERE = Location("")

Kind = Literal["image", "dockerfile", "compose", "none"]


@dataclass(frozen=True)
class Mount:
    """Describe one mount like `docker run --mount`.

    `source` is as written: for a bind an absolute path, or one relative to the compose project's directory; empty for
    tmpfs and anonymous volumes. `options` are the other fields under their `--mount` names, in order, with two of our
    own for `-v`: `bind-selinux` and `bind-create-host-path`.
    """

    type: str
    source: str
    target: str
    read_only: bool = False
    options: tuple[tuple[str, str], ...] = ()
    where: Location = NOWHERE


@dataclass(frozen=True)
class Translation:
    """Hold what `runArgs` and `appPort` become in a compose file.

    `service` and `networks` are compose keys, not yet escaped for interpolation; `environment` and `user` are
    separate because they take precedence over `containerEnv` and `containerUser`.
    """

    service: Mapping[str, Any] = field(default_factory=dict)
    networks: Mapping[str, Any] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    user: str = ""
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True)
class Devcontainer:
    """Hold a devcontainer.json with variables replaced and the defaults of its form.

    `configuration` is what `read-configuration` of the devcontainer CLI prints under that name; it keeps
    `${devcontainerId}`, which all other fields have replaced. `root` is the folder that the devcontainer belongs to,
    `repository` the top of the git tree around it, `display` the file's name in messages. Paths are absolute;
    `workspace_folder` and a mount's `target` are paths in the container. `lifecycle` has the commands in execution
    order, a stage once per command; `entrypoints` are those of Features, which only come from an image's label;
    `local_env` names the variables of `remote_env` whose value depends on the machine where `dev` runs; `identity` is
    `${devcontainerId}`. Source: containers.dev.
    """

    path: Path
    root: Path
    repository: Path
    display: str
    configuration: dict[str, Any]
    kind: Kind
    positions: Mapping[tuple[str | int, ...], tuple[int, int]] = field(repr=False)

    image: str = ""
    dockerfile: Path | None = None
    context: Path | None = None
    target: str = ""
    build_args: tuple[tuple[str, str], ...] = ()
    cache_from: tuple[str, ...] = ()
    build_options: tuple[str, ...] = ()

    docker_compose_files: tuple[Path, ...] = ()
    service: str = SERVICE
    run_services: tuple[str, ...] = ()

    workspace_folder: str = "/"
    workspace_mount: str | None = None
    workspace: Mount | None = None

    container_env: tuple[tuple[str, str], ...] = ()
    container_user: str = ""
    mounts: tuple[Mount, ...] = ()
    init: bool | None = None
    privileged: bool | None = None
    cap_add: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    override_command: bool = True
    entrypoints: tuple[str, ...] = ()
    run_args: tuple[str, ...] = ()
    app_ports: tuple[str, ...] = ()
    translation: Translation = Translation()

    identity: str = ""
    name: str = ""
    remote_user: str = ""
    remote_env: tuple[tuple[str, str | None], ...] = ()
    local_env: frozenset[str] = frozenset()
    forward_ports: tuple[int | str, ...] = ()
    ports_attributes: Mapping[str, Any] = field(default_factory=dict)
    other_ports_attributes: Mapping[str, Any] = field(default_factory=dict)
    lifecycle: tuple[tuple[str, Any], ...] = ()
    wait_for: str = "updateContentCommand"
    user_env_probe: str = "loginInteractiveShell"
    features: Mapping[str, Any] = field(default_factory=dict)
    feature_order: tuple[str, ...] = ()
    host_requirements: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, Any] = field(default_factory=dict)
    customizations: Mapping[str, Any] = field(default_factory=dict)

    explanations: tuple[Explanation, ...] = ()
    notices: tuple[Notice, ...] = ()
    problems: tuple[Problem, ...] = ()

    def where(self, *keys: str | int) -> Location:
        """Return the place of a key, `where("build", "args")`, or of the nearest key above it."""
        return locate(self.positions, self.display, keys)


def locate(
    positions: Mapping[tuple[str | int, ...], tuple[int, int]], display: str, keys: tuple[str | int, ...]
) -> Location:
    """Return the place of a key or of the nearest key above it."""
    while keys and keys not in positions:
        keys = keys[:-1]
    return Location(display, *positions.get(keys, (0, 0)))
