"""What `dev init` writes, filled in from what was found. Only values change; reads and writes no file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from kamal_dev.config.document import Value, parse

# Forge → the registry that belongs to it, in which its accounts own images.
_REGISTRIES = {"github.com": "ghcr.io", "gitlab.com": "registry.gitlab.com"}
_REMOTE = re.compile(
    r"(?:[a-z+]+://)?(?:[^@/]*@)?(?P<forge>[A-Za-z0-9.-]+)(?::\d+/|[:/])/*(?P<user>[A-Za-z0-9_.-]+)/.+"
)
_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./:@-]*")


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
    """Put what is known into the text of dev.yml.example; what is empty stays as it is there.

    `registry_user` only makes the name of an image that stands in a comment as an example a likely one.
    """
    for key, value in {"service": service, "registry.server": server, "provider.type": provider}.items():
        text = _replace(text, key, value) if value else text
    if registry_user:
        name = f"{registry_user.lower()}/{service or 'my-app'}"
        text = _line(text, "name", f"# name: {_quote(name)}")
    if devcontainer:
        text = _line(text, "devcontainer", f"devcontainer: {_quote(devcontainer)}")
    listed = ", ".join(_quote(host) for host in hosts)
    return _line(text, "hosts", f"hosts: [{listed}]") if listed else text


def fill_secrets(text: str, *, username: str = "", names: Iterable[str] = ()) -> str:
    """Put the registry's user name into the text of secrets.example, and names that compose files need below it."""
    line = f"REGISTRY_USERNAME={shlex.quote(username)}"
    text = re.sub(r"(?m)^# REGISTRY_USERNAME=.*$", lambda _: line, text) if username else text
    listed = "".join(f"# {name}=\n" for name in names)
    return (
        f"{text}\n# Variables of the compose files without a value: uncomment and set them.\n{listed}"
        if listed
        else text
    )


def guess_registry(remote: str) -> tuple[str, str]:
    """Return (server, user) of the registry beside a git remote; both empty where none is known.

    `https://github.com/acme/app.git` and `git@github.com:acme/app` give `ghcr.io` and `acme`.
    """
    match = _REMOTE.fullmatch(remote)
    server = _REGISTRIES.get(match["forge"].lower(), "") if match else ""
    return (server, match["user"].lower()) if match and server else ("", "")


def _replace(text: str, key: str, value: str) -> str:
    """Put a value in place of the one that stands under a dotted key."""
    old = parse(text, "")
    for part in key.split("."):
        old = _child(old, part)
    return text[: old.start] + _quote(value) + text[old.end :] if old else text


def _line(text: str, key: str, line: str) -> str:
    """Put a line in place of the first one that shows a key in a comment."""
    return re.sub(rf"(?m)^( *)# {key}:.*$", lambda match: match[1] + line, text, count=1)


def _child(mapping: Value | None, name: str) -> Value | None:
    return next((value for key, value in mapping.pairs if key.text == name), None) if mapping else None


def _quote(value: str) -> str:
    """Write text as YAML: plain where nothing in it could be taken for something else."""
    import json

    looks_like_text = _PLAIN.fullmatch(value) and re.search("[A-Za-z]", value) and value.lower() not in _WORDS
    return value if looks_like_text else json.dumps(value, ensure_ascii=False)


_WORDS = ("null", "true", "false", "yes", "no", "on", "off", "y", "n", ".nan", ".inf")
