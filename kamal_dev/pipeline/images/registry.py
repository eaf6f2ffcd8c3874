"""Log in to the registry with a separate docker config, and ask what it has. Pushes nothing."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from kamal_dev import config
from kamal_dev.commands import docker, image_manifest, refusal
from kamal_dev.commands.host import Login
from kamal_dev.errors import RegistryError, RegistryUnknown
from kamal_dev.model import Image, Step
from kamal_dev.pipeline.images import local_registry
from kamal_dev.pipeline.images.engine import last_line, why
from kamal_dev.pipeline.run.tools import LocalTools
from kamal_dev.project import Project, temporary
from kamal_dev.shell import Shell
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class Stored:
    """Hold what a registry has under a tag; `platforms` are those of an index, empty for a single image."""

    digest: str
    platforms: frozenset[str] = frozenset()


def credentials(project: Project) -> Login | None:
    """Return the configured credential; None for a registry without login.

    Raises CredentialsMissing that names the variable and its file.
    """
    known = config.credentials(project.config, project.secrets_file)
    if known is None:
        return None
    project.redaction.add(known.password)
    return Login(known.server, known.username, known.password)


def log_in(project: Project, tools: LocalTools) -> str:
    """Log in to the registry and return the docker config folder to use; empty if none is needed.

    The folder is a copy of the user's configuration in a private place, so that the credential is written neither to
    ~/.docker nor to a keychain; it is removed when the run ends. Raises RegistryError if the login is refused.
    """
    login = credentials(project)
    if login is None:
        return ""
    folder = tools.resources.enter_context(temporary.folder("docker"))
    own = Path(os.environ.get("DOCKER_CONFIG") or Path("~/.docker").expanduser())
    _copy_user_config(folder, own, login.server)
    result = tools.shell.run(login_step(login, str(folder)), timeout=60)
    if not result:
        raise _login_failed(project, login, last_line(why(result)))
    return str(folder)


def login_step(login: Login, folder: str = "") -> Step:
    """Return the step that logs in, with the password on stdin."""
    return docker.login(login.server, login.username, login.password, config=folder)


def _login_failed(project: Project, login: Login, reason: str) -> RegistryError:
    """Return the error for a refused login or an unreachable registry."""
    settings = project.config
    token = f"check `{settings.registry.password_env}` in {settings.secrets_file} and its permission to push"
    cause = refusal.cause(reason)
    advice = token if cause == "denied" else refusal.hint(reason, login.server, otherwise=token)
    message = f"the login of `{login.username}` at {login.server} failed: {reason}"
    if cause == "denied":
        return RegistryError(message, hint=advice)
    return RegistryUnknown(message, hint=advice, cause=cause)


def stored(project: Project, shell: Shell, image: Image, folder: str) -> Stored | None:
    """Return what the registry has under a tag; None if it says that it has nothing.

    `folder` is the docker config that `log_in` returned. Raises RegistryUnknown if the answer is unclear.
    """
    if project.config.registry.is_local:
        return _stored_here(image)
    answer = _asked(shell, image, docker.manifest(image, config=folder))
    return _read(image, answer) if answer else None


def configurations(local: Shell, image: Image, folder: str) -> dict[str, dict[str, Any]]:
    """Return the configuration of an image in the registry, by platform (`linux/amd64`).

    Raises RegistryUnknown, or RegistryError if the registry has no such image.
    """
    answer = _asked(local, image, docker.manifest(image, part="Image", config=folder))
    fields = json.loads(answer or "{}")
    if not fields:
        raise RegistryError(f"the registry does not have `{image}`", hint="push it again: `dev deploy`")
    if "rootfs" not in fields and "config" not in fields:
        return {str(name): part for name, part in fields.items() if isinstance(part, dict)}
    return {f"{fields.get('os', 'linux')}/{fields.get('architecture', '')}": fields}


def _asked(local: Shell, image: Image, step: Step) -> str:
    """Return the registry's answer; empty if it has no such image. Raises RegistryUnknown."""
    for pause in (*local_registry.PAUSES, None):
        result = local.run(step, timeout=60)
        if result:
            return result.output
        reason = why(result)
        if refusal.is_absent(reason, step.argv[-1]):
            return ""
        if pause is None or refusal.cause(reason) not in refusal.TRANSIENT:
            break
        time.sleep(pause)
    raise _unknown(image, last_line(reason))


def require(project: Project, shell: Shell, image: Image, folder: str) -> Stored:
    """Return what the registry has of an image that was just pushed. Raises RegistryError if it has none."""
    if present := stored(project, shell, image, folder):
        return present
    raise RegistryError(
        f"`{image.reference}` was pushed, but the registry has nothing under that tag",
        hint="check the registry's log, and whether another program removes images",
        left_behind="nothing was deployed",
    )


def _stored_here(image: Image) -> Stored | None:
    answer = local_registry.ask(image, f"manifests/{image.tag}")
    if answer is None:
        return None
    return _read(image, json.dumps({"digest": answer.headers.get("docker-content-digest", "")}), answer.text)


def _read(image: Image, answer: str, text: str = "") -> Stored:
    """Read a digest, and the platforms of an index. Raises RegistryUnknown for anything else."""
    try:
        digest = str(json.loads(answer)["digest"])
    except (ValueError, LookupError, TypeError):
        digest = ""
    if not digest.startswith("sha256:"):
        raise _unknown(image, "the server is not a registry")
    return Stored(digest, image_manifest.platforms(text or answer))


def _unknown(image: Image, reason: str) -> RegistryUnknown:
    return RegistryUnknown(
        f"could not query the registry for `{image.reference}`: {reason}",
        hint=refusal.hint(reason, image.server, otherwise="check the registry and the network, and try again"),
        cause=refusal.cause(reason),
    )


def _copy_user_config(folder: Path, own: Path, server: str) -> None:
    """Copy the user's other logins, builders, contexts and plugins, so that they work from the private folder."""
    try:
        settings = json.loads((own / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        settings = {}
    settings = docker.without_helper(settings if isinstance(settings, dict) else {}, server)
    settings["cliPluginsExtraDirs"] = [*settings.get("cliPluginsExtraDirs", []), str(own / "cli-plugins")]
    descriptor = os.open(folder / "config.json", os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(settings, file)
    for name in ("buildx", "contexts"):
        if (own / name).is_dir():
            (folder / name).symlink_to(own / name)
