"""Every property of devcontainer.json as a table: what it becomes, and which kinds have it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from kamal_dev.devcontainer.reader import Reader
from kamal_dev.devcontainer.values import Explanation, Kind, Outcome

LIFECYCLE = (
    "initializeCommand",
    "onCreateCommand",
    "updateContentCommand",
    "postCreateCommand",
    "postStartCommand",
    "postAttachCommand",
)
BUILD_KEYS = ("dockerfile", "context", "args", "target", "cacheFrom", "options")

_ALL: tuple[Kind, ...] = ("image", "dockerfile", "compose")
_SINGLE: tuple[Kind, ...] = ("image", "dockerfile")
_DECIDES: Mapping[Kind, str] = {"image": "image", "dockerfile": "build.dockerfile", "compose": "dockerComposeFile"}


@dataclass(frozen=True)
class Property:
    """Say what a property becomes, `outcome` in a word, for the kinds that use it."""

    text: str
    outcome: Outcome = "carried out"
    kinds: tuple[Kind, ...] = _ALL


def _not(reason: str) -> Property:
    return Property(reason, "not carried out")


def _exposed(text: str) -> Property:
    return Property(text, "exposed")


_EDITORS = "it is for editors; nothing on a host reads it"

PROPERTIES: Mapping[str, Property] = {
    "$schema": Property("the schema, for editors"),
    "name": Property("the name that people see"),
    "image": Property("the image of the service", kinds=("image",)),
    "build": Property("the image of the service, built and pushed", kinds=("dockerfile",)),
    "dockerFile": Property("the older spelling of build.dockerfile", kinds=("dockerfile",)),
    "context": Property("the context of the older dockerFile", kinds=("dockerfile",)),
    "dockerComposeFile": Property("the files of the stack", kinds=("compose",)),
    "service": Property("the main service", kinds=("compose",)),
    "runServices": Property("the services that are started, with the main one", kinds=("compose",)),
    "workspaceFolder": Property("the folder that commands start in"),
    "workspaceMount": Property("a volume of the main service", kinds=_SINGLE),
    "containerEnv": Property("environment of the main service"),
    "containerUser": Property("the user of the main service"),
    "mounts": Property("volumes of the main service"),
    "init": Property("`init` of the main service"),
    "privileged": Property("`privileged` of the main service"),
    "capAdd": Property("`cap_add` of the main service"),
    "securityOpt": Property("`security_opt` of the main service"),
    "overrideCommand": Property("whether the main service runs its own command"),
    "runArgs": Property("keys of the main service", kinds=_SINGLE),
    "appPort": Property("ports of the main service", kinds=_SINGLE),
    "features": _exposed("Features of the image"),
    "overrideFeatureInstallOrder": _exposed("the order of the Features"),
    "remoteUser": _exposed("the user of commands in the container"),
    "remoteEnv": _exposed("the environment of commands in the container"),
    "userEnvProbe": _exposed("how the environment of commands is found out"),
    "forwardPorts": _exposed("ports to forward to this machine"),
    "hostRequirements": _exposed("what a host must have"),
    "secrets": _exposed("the secrets that the devcontainer asks for"),
    "initializeCommand": _exposed("a command to run here, before the build"),
    **{name: _exposed("a command to run in the container") for name in LIFECYCLE[1:]},
    "waitFor": _exposed("the command to wait for"),
    "portsAttributes": _not(_EDITORS),
    "otherPortsAttributes": _not(_EDITORS),
    "customizations": _not(_EDITORS),
    "extensions": _not(_EDITORS),
    "settings": _not(_EDITORS),
    "devPort": _not(_EDITORS),
    "shutdownAction": _not("a stack runs until it is removed"),
    "updateRemoteUserUID": _not("the user id of this machine means nothing on a host"),
}


def explain(reader: Reader, kind: Kind) -> tuple[Explanation, ...]:
    """Say for each property that is present where it goes, in the order of the file."""
    names = [name for name in reader.value if reader.has(name)]
    found = [_explain(name, reader, kind) for name in names]
    build = reader.raw("build")
    if isinstance(build, dict) and kind == "dockerfile":
        found += [said for name in build if (said := _build_key(name, reader))]
    return tuple(sorted(found, key=lambda item: (item.where.line, item.where.column)))


def _explain(name: str, reader: Reader, kind: Kind) -> Explanation:
    where = reader.where(name)
    known = PROPERTIES.get(name)
    if known is None:
        near = difflib.get_close_matches(name, PROPERTIES, 1)
        asked = f": is `{near[0]}` meant?" if near else ""
        return Explanation(name, where, "not carried out", f"it is not a property of devcontainer.json{asked}")
    if kind not in known.kinds and kind != "none":
        return Explanation(name, where, "not carried out", f"`{_DECIDES[kind]}` decides, and excludes it")
    if name == "context" and not reader.has("dockerFile"):
        return Explanation(name, where, "not carried out", "it belongs to the older `dockerFile`: use `build.context`")
    return Explanation(name, where, known.outcome, known.text)


def _build_key(name: str, reader: Reader) -> Explanation | None:
    """Say why a key of `build` is not carried out; None for one that is."""
    if name not in BUILD_KEYS:
        text = f"it is not a key of `build`: {', '.join(BUILD_KEYS)} are"
    elif name in ("dockerfile", "context") and reader.has("dockerFile"):
        text = "the older `dockerFile` decides, and excludes it"
    else:
        return None
    return Explanation(f"build.{name}", reader.where("build", name), "not carried out", text)
