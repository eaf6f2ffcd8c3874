"""The typed fields of a Devcontainer, section by section, from a file with variables replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kamal_dev.devcontainer import mount_options, workspace_folder
from kamal_dev.devcontainer.build_paths import build_paths, resolve
from kamal_dev.devcontainer.configuration import SERVICE, Kind, Mount, Translation
from kamal_dev.devcontainer.properties import LIFECYCLE
from kamal_dev.devcontainer.reader import PropertyReader, scalar
from kamal_dev.devcontainer.requirements import size
from kamal_dev.model import Notice

Fields = dict[str, Any]


def kind_of(reader: PropertyReader) -> Kind:
    """Return which form a file has; a Dockerfile takes precedence over compose files, and those over an image."""
    build = reader.raw("build")
    if reader.has("dockerFile") or (isinstance(build, dict) and build.get("dockerfile") is not None):
        return "dockerfile"
    if reader.has("dockerComposeFile"):
        return "compose"
    return "image" if reader.has("image") else "none"


def check(reader: PropertyReader, kind: Kind) -> None:
    """Reject a file that has nothing to run, or no main service."""
    if kind == "none":
        missing = "`build` has no `dockerfile`" if reader.has("build") else "has nothing to run"
        reader.refuse(
            ("build",) if reader.has("build") else (),
            f"{missing}: one of `image`, `build.dockerfile` and `dockerComposeFile` is required",
        )
    if kind == "compose" and not reader.has("service"):
        reader.refuse(("dockerComposeFile",), "requires `service`, the name of the main service")
    for keys in (("image",), ("service",), ("dockerFile",), ("build", "dockerfile")):
        if reader.raw(*keys) == "":
            reader.refuse(keys, "is empty")


def source(reader: PropertyReader, kind: Kind, folder: Path) -> Fields:
    """Read what to run: an image, a build or compose files; `folder` is the one of the file."""
    fields: Fields = {"run_services": reader.texts("runServices")}
    image, service = reader.text("image"), reader.text("service")
    if kind == "image":
        fields["image"] = image
    if kind == "compose":
        files = reader.texts("dockerComposeFile", alone=True)
        fields["docker_compose_files"] = tuple(resolve(folder, name) for name in files)
        fields["service"] = service or SERVICE
    if kind == "dockerfile":
        dockerfile, context = build_paths(reader, folder)
        fields |= {
            "dockerfile": dockerfile,
            "context": context,
            "target": reader.text("build", "target"),
            "build_args": reader.pairs("build", "args"),
            "cache_from": reader.texts("build", "cacheFrom", alone=True),
            "build_options": reader.texts("build", "options"),
        }
    return fields


def container(
    reader: PropertyReader,
    kind: Kind,
    translation: Translation,
    notices: list[Notice],
    *,
    option: Callable[[str], str] = str,
) -> Fields:
    """Read what the main service gets; `runArgs` takes precedence over other properties.

    `option` converts the path in a security option, which is relative to the workspace folder, to one relative to the
    compose file. With the user's own compose files it is relative to them already.
    """
    environment = dict(reader.pairs("containerEnv")) | dict(translation.environment)
    override = reader.flag("overrideCommand")
    return {
        "container_env": tuple(environment.items()),
        "container_user": translation.user or reader.text("containerUser"),
        "mounts": _mounts(reader, notices),
        "init": translation.service.get("init") or reader.flag("init"),
        "privileged": translation.service.get("privileged") or reader.flag("privileged"),
        "cap_add": reader.texts("capAdd"),
        "security_opt": tuple(map(str if kind == "compose" else option, reader.texts("securityOpt"))),
        "override_command": kind != "compose" if override is None else override,
        "run_args": reader.texts("runArgs"),
        "app_ports": app_ports(reader),
        "translation": translation,
    }


def place(reader: PropertyReader, kind: Kind, root: Path, repository: Path, notices: list[Notice]) -> Fields:
    """Read the workspace: its folder, and its mount if the compose file is generated."""
    reader.text("workspaceFolder")
    folder = workspace_folder.container_folder(reader.value, root, repository)
    written = reader.text("workspaceMount")
    # The devcontainer CLI mounts nothing with compose files, even if it does not use them.
    if reader.has("dockerComposeFile"):
        return {"workspace_folder": folder, "workspace_mount": written or None}
    mount = written if reader.has("workspaceMount") else workspace_folder.default_mount(repository)
    parsed = _mount(reader, ("workspaceMount",), mount, notices) if mount else None
    return {"workspace_folder": folder, "workspace_mount": mount, "workspace": parsed}


def later(reader: PropertyReader) -> Fields:
    """Read the properties that are only used with hosts and running containers."""
    return {
        "name": reader.text("name"),
        "remote_user": reader.text("remoteUser"),
        "remote_env": reader.nullable_pairs("remoteEnv"),
        "forward_ports": tuple(reader.each("forwardPorts", kinds=(int, str), expected="a port or `host:port`")),
        "ports_attributes": reader.mapping("portsAttributes"),
        "other_ports_attributes": reader.mapping("otherPortsAttributes"),
        "lifecycle": tuple((name, _command(reader, name)) for name in LIFECYCLE if reader.has(name)),
        "wait_for": reader.text("waitFor") or "updateContentCommand",
        "user_env_probe": reader.text("userEnvProbe") or "loginInteractiveShell",
        "features": reader.mapping("features"),
        "feature_order": reader.texts("overrideFeatureInstallOrder"),
        "host_requirements": _requirements(reader),
        "secrets": reader.mapping("secrets"),
        "customizations": reader.mapping("customizations"),
    }


def app_ports(reader: PropertyReader) -> tuple[str, ...]:
    """Read `appPort`: one port, one `-p` argument, or a list of both."""
    ports = reader.each("appPort", kinds=(int, str), expected="a port or `host:container`", alone=True)
    return tuple(map(scalar, ports))


def _requirements(reader: PropertyReader) -> dict[str, Any]:
    """Read `hostRequirements`; sizes are texts such as `4gb`."""
    requirements = reader.mapping("hostRequirements")
    for name in ("memory", "storage"):
        if requirements.get(name) is not None and not size(requirements[name]):
            reader.refuse(("hostRequirements", name), "must be a size, such as `4gb`")
    cpus = requirements.get("cpus", 1)
    if isinstance(cpus, bool) or not isinstance(cpus, (int, float)):
        reader.refuse(("hostRequirements", "cpus"), "must be a number")
    return requirements


def _command(reader: PropertyReader, name: str) -> Any:
    """Read a command: a shell line, a list of words, or an object of these."""
    value = reader.raw(name)
    for key, item in value.items() if isinstance(value, dict) else [("", value)]:
        is_words = isinstance(item, list) and all(isinstance(word, str) for word in item)
        if not isinstance(item, str) and not is_words:
            reader.refuse((name, key) if key else (name,), "must be a string, a list of strings or an object of these")
    return value


def _mounts(reader: PropertyReader, notices: list[Notice]) -> tuple[Mount, ...]:
    mounts = [_mount(reader, ("mounts", index), item, notices) for index, item in reader.items("mounts")]
    return tuple(mount for mount in mounts if mount)


def _mount(reader: PropertyReader, keys: tuple[str | int, ...], value: Any, notices: list[Notice]) -> Mount | None:
    if not isinstance(value, (str, dict)):
        reader.refuse(keys, "must be a string or an object")
        return None
    try:
        mount, own_notices = mount_options.parse(value, reader.where(*keys))
    except ValueError as error:
        reader.refuse(keys, str(error))
        return None
    notices += own_notices
    return mount
