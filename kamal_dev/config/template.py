"""The files that `dev init` writes, with known values filled in. Only values change; does no I/O."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from kamal_dev.errors import ConfigError
from kamal_dev.pattern import pattern
from kamal_dev.syntax.composer import parse
from kamal_dev.syntax.emitter import scalar

# Forge → its registry, in which its accounts own images.
_REGISTRIES = {"github.com": "ghcr.io", "gitlab.com": "registry.gitlab.com"}
_REMOTE = pattern(r"(?:[a-z+]+://)?(?:[^@/]*@)?(?P<forge>[A-Za-z0-9.-]+)(?::\d+/|[:/])/*(?P<user>[A-Za-z0-9_.-]+)/.+")


def fill_template(
    text: str,
    *,
    service: str = "",
    devcontainer: str = "",
    server: str = "",
    registry_user: str = "",
    provider: str = "",
    hosts: Iterable[str] = (),
) -> str:
    """Fill known values into the text of dev.yml.example; an empty one leaves the text unchanged.

    `registry_user` only fills in the image name of a commented example.
    """
    for key, value in {"service": service, "registry.server": server, "provider.type": provider}.items():
        text = _replace(text, key, value) if value else text
    if registry_user:
        name = f"{registry_user.lower()}/{service or 'my-app'}"
        text = _line(text, "name", f"# name: {scalar(name)}")
    if devcontainer:
        text = _line(text, "devcontainer", f"devcontainer: {scalar(devcontainer)}")
    listed = ", ".join(scalar(host) for host in hosts)
    return _line(text, "hosts", f"hosts: [{listed}]") if listed else text


def fill_secrets(text: str, *, username: str = "", names: Iterable[str] = ()) -> str:
    """Fill the registry's user name into the text of secrets.example, and append names that compose files need."""
    line = f"REGISTRY_USERNAME={shlex.quote(username)}"
    text = re.sub(r"(?m)^# REGISTRY_USERNAME=.*$", lambda _: line, text) if username else text
    listed = "".join(f"# {name}=\n" for name in names)
    return (
        f"{text}\n# Variables of the compose files without a value: uncomment and set them.\n{listed}"
        if listed
        else text
    )


def guess_registry(remote: str) -> tuple[str, str]:
    """Return (server, user) of the registry that belongs to a git remote; both empty if unknown.

    `https://github.com/acme/app.git` and `git@github.com:acme/app` give `ghcr.io` and `acme`.
    """
    match = _REMOTE.fullmatch(remote)
    server = _REGISTRIES.get(match["forge"].lower(), "") if match else ""
    return (server, match["user"].lower()) if match and server else ("", "")


def _replace(text: str, key: str, value: str) -> str:
    """Replace the value of a dotted key."""
    (node,) = parse(text, "", ConfigError)
    for part in key.split("."):
        entry = node.entry(part)
        if entry is None:
            return text
        node = entry[1]
    return text[: node.start] + scalar(value) + text[node.end :]


def _line(text: str, key: str, line: str) -> str:
    """Replace the first commented line that shows a key."""
    return re.sub(rf"(?m)^( *)# {key}:.*$", lambda match: match[1] + line, text, count=1)
