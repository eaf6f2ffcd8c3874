"""Every property of devcontainer.json as a table: what becomes of it, and which forms have it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from kamal_dev.devcontainer.configuration import Kind
from kamal_dev.devcontainer.reader import PropertyReader
from kamal_dev.model import Explanation
from kamal_dev.values import dataclass

LIFECYCLE = (
    "initializeCommand",
    "onCreateCommand",
    "updateContentCommand",
    "postCreateCommand",
    "postStartCommand",
    "postAttachCommand",
)
APPLIED = "applied"
IGNORED = "ignored"

BUILD_KEYS = {
    "dockerfile": "`-f` of the build",
    "context": "the context of the build",
    "args": "`--build-arg` of the build",
    "target": "`--target` of the build",
    "cacheFrom": "`--cache-from` of the build",
    "options": "options of the build command",
}

_ALL: tuple[Kind, ...] = ("image", "dockerfile", "compose")
_SINGLE: tuple[Kind, ...] = ("image", "dockerfile")
_DECIDES: Mapping[Kind, str] = {"image": "image", "dockerfile": "build.dockerfile", "compose": "dockerComposeFile"}


@dataclass(frozen=True)
class Property:
    """Hold what becomes of a property in the forms that use it, or why it is ignored."""

    text: str
    is_applied: bool = True
    kinds: tuple[Kind, ...] = _ALL


def _not(reason: str) -> Property:
    return Property(reason, is_applied=False)


_EDITORS = "for editors only; not used on a host"

PROPERTIES: Mapping[str, Property] = {
    "$schema": Property("the schema, for editors"),
    "name": Property("a display name; not used on a host"),
    "image": Property("the image of the service", kinds=("image",)),
    "build": Property("the image of the service, built and pushed", kinds=("dockerfile",)),
    "dockerFile": Property("the older spelling of build.dockerfile", kinds=("dockerfile",)),
    "context": Property("the context of the older dockerFile", kinds=("dockerfile",)),
    "dockerComposeFile": Property("the files of the stack", kinds=("compose",)),
    "service": Property("the main service", kinds=("compose",)),
    "runServices": Property("the services that are started, with the main one", kinds=("compose",)),
    "workspaceFolder": Property("value of `${containerWorkspaceFolder}`"),
    "workspaceMount": Property("a volume of the main service", kinds=_SINGLE),
    "containerEnv": Property("`environment` of the main service"),
    "containerUser": Property("`user` of the main service"),
    "mounts": Property("`volumes` of the main service"),
    "init": Property("`init` of the main service"),
    "privileged": Property("`privileged` of the main service"),
    "capAdd": Property("`cap_add` of the main service"),
    "securityOpt": Property("`security_opt` of the main service"),
    "overrideCommand": Property("whether the main service runs its own command"),
    "runArgs": Property("keys of the main service", kinds=_SINGLE),
    "appPort": Property("`ports` of the main service", kinds=_SINGLE),
    "features": Property("installed on the image of the main service, by the devcontainer CLI"),
    "overrideFeatureInstallOrder": Property("the order in which the devcontainer CLI installs Features"),
    "initializeCommand": Property("run on this machine before the build"),
    "onCreateCommand": Property("run in the main container, once after it is created"),
    "updateContentCommand": Property(
        "run in the main container after it is created, and when a deploy updates its source"
    ),
    "postCreateCommand": Property("run in the main container, once after it is created"),
    "postStartCommand": Property("run in the main container, each time it starts"),
    "postAttachCommand": _not("runs when an editor attaches, not during a deploy"),
    "remoteUser": Property("user of the lifecycle commands, the workspace and `dev ssh`"),
    "remoteEnv": Property("environment of the lifecycle commands and of `dev ssh`"),
    "userEnvProbe": Property("shell that provides the environment of the lifecycle commands"),
    "waitFor": Property("how long to wait at least; a deploy waits for all lifecycle commands"),
    "forwardPorts": Property("ports that `dev forward` opens on this machine"),
    "hostRequirements": Property("checked on a host before anything is changed"),
    "secrets": _not("only `secrets` in config/dev.yml reach a container"),
    "portsAttributes": Property("`label`, `protocol` and `requireLocalPort` of what `dev forward` opens"),
    "otherPortsAttributes": Property("the same, for ports without attributes"),
    "customizations": _not(_EDITORS),
    "extensions": _not(_EDITORS),
    "settings": _not(_EDITORS),
    "devPort": _not(_EDITORS),
    "shutdownAction": _not("a stack runs until it is removed"),
    "updateRemoteUserUID": _not("the user ID of this machine has no meaning on a host"),
}


def explain(reader: PropertyReader, kind: Kind) -> tuple[Explanation, ...]:
    """Return for each property in the file what becomes of it, in order."""
    names = [name for name in reader.value if reader.has(name)]
    explanations = [_explain(name, reader, kind) for name in names]
    build = reader.raw("build")
    if isinstance(build, dict) and kind == "dockerfile":
        explanations += [_build_key(name, reader) for name in build if reader.has("build", name)]
    return tuple(sorted(explanations, key=lambda item: (item.where.line, item.where.column)))


def _explain(name: str, reader: PropertyReader, kind: Kind) -> Explanation:
    where = reader.where(name)
    known = PROPERTIES.get(name)
    if known is None:
        near = difflib.get_close_matches(name, PROPERTIES, 1)
        asked = f"; did you mean `{near[0]}`?" if near else ""
        return Explanation(name, where, IGNORED, f"unknown property of devcontainer.json{asked}")
    if kind not in known.kinds and kind != "none":
        return Explanation(name, where, IGNORED, f"`{_DECIDES[kind]}` takes precedence")
    if name == "context" and not reader.has("dockerFile"):
        return Explanation(name, where, IGNORED, "it only applies to `dockerFile`: use `build.context`")
    return Explanation(name, where, APPLIED if known.is_applied else IGNORED, known.text)


def _build_key(name: str, reader: PropertyReader) -> Explanation:
    """Return what becomes of a key of `build`, or why it is ignored."""
    where = reader.where("build", name)
    if name not in BUILD_KEYS:
        text = f"it is not a key of `build`: {', '.join(BUILD_KEYS)} are"
        return Explanation(f"build.{name}", where, IGNORED, text)
    if name in ("dockerfile", "context") and reader.has("dockerFile"):
        text = "the older `dockerFile` takes precedence"
        return Explanation(f"build.{name}", where, IGNORED, text)
    return Explanation(f"build.{name}", where, APPLIED, BUILD_KEYS[name])
