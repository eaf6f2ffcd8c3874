"""Reach the registry: log in aside, start the local one, ask for digests. Pushes nothing."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kamal_dev import config
from kamal_dev.commands import docker
from kamal_dev.commands.host import Login
from kamal_dev.errors import RegistryError
from kamal_dev.model import Image
from kamal_dev.pipeline.engine import last_line
from kamal_dev.pipeline.run import Run
from kamal_dev.project import temporary

if TYPE_CHECKING:
    from http.client import HTTPResponse

MEDIA_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


def credentials(run: Run) -> Login | None:
    """Return what the configuration names; None for a registry that asks for nothing.

    Raises CredentialsMissing that names the variable and its file.
    """
    project = run.project
    known = config.credentials(project.config, project.secrets_file)
    if known is None:
        return None
    project.learn(known.password)
    return Login(known.server, known.username, known.password)


def log_in(run: Run) -> str:
    """Log in to the registry and return the docker config folder to use; empty where none is needed.

    The folder is a copy of the user's own configuration in a private place, so
    that the credential is neither written to ~/.docker nor to a keychain; it is
    removed with the run. Raises RegistryError where the login is refused.
    """
    login = credentials(run)
    if login is None:
        return ""
    folder = run.resources.enter_context(temporary.folder("docker"))
    _copy_user_config(folder, Path(os.environ.get("DOCKER_CONFIG") or Path("~/.docker").expanduser()))
    step = docker.login(login.server, login.username, login.password, config=str(folder))
    result = run.local.run(step, timeout=60)
    if not result:
        registry = run.project.config.registry
        raise RegistryError(
            f"the login of `{login.username}` at {login.server} failed: {last_line(result.errors)}",
            hint=f"check `{registry.password_env}` in {run.project.config.secrets_file}; it must be allowed to push",
        )
    return str(folder)


def ensure_local(run: Run) -> None:
    """Start a registry on `localhost:PORT` when none answers. Raises RegistryError."""
    port = run.project.config.registry.port
    if run.is_paper or _answers(port):
        return
    run.output.start(f"Starting a registry on localhost:{port}")
    result = run.local.run(docker.restart_registry(port))
    if not result:
        result = run.local.run(docker.start_registry(port))
    if not result:
        run.local.run(docker.forget_registry(port))
        raise RegistryError(
            f"no registry answers on localhost:{port}, and none could be started: {last_line(_reason(result.errors))}",
            hint=f"`docker pull {docker.REGISTRY_IMAGE}`, start one yourself, or deploy with `--skip-push`",
        )
    deadline = time.monotonic() + 30
    while not _answers(port):
        if time.monotonic() > deadline:
            raise RegistryError(
                f"the registry on localhost:{port} does not answer", hint=f"`docker logs kamal-dev-registry-{port}`"
            )
        time.sleep(0.1)
    run.output.done(f"Started a registry on localhost:{port}")


def digest(run: Run, image: Image, folder: str) -> str:
    """Return the digest that the registry itself has for a tag, or an empty string.

    `folder` is the docker config that `log_in` returned.
    """
    if run.project.config.registry.is_local and not run.is_paper:
        return _local_digest(image)
    result = run.local.run(docker.manifest(image, config=folder), timeout=60)
    return str(json.loads(result.output)["digest"]) if result else ""


def _reason(errors: str) -> str:
    """Leave out the line with which docker points to its own help."""
    return "\n".join(line for line in errors.splitlines() if "docker run --help" not in line)


def _local_digest(image: Image) -> str:
    return _ask(image, f"manifests/{image.tag}", "HEAD", lambda answer: answer.headers.get("Docker-Content-Digest", ""))


def local_text(image: Image, path: str) -> str:
    """Return what the registry here has of an image under `manifests/…` or `blobs/…`; empty where it has nothing."""
    return _ask(image, path, "GET", lambda answer: answer.read().decode(errors="replace"))


def _ask(image: Image, path: str, method: str, read: Callable[[HTTPResponse], str]) -> str:
    url = f"http://{image.server}/v2/{image.repository}/{path}"
    return _answered(url, 10, read, method=method, headers={"Accept": ", ".join(MEDIA_TYPES)})


def _answers(port: int) -> bool:
    return _answered(f"http://localhost:{port}/v2/", 2, lambda answer: str(answer.status)) == "200"


def _answered(url: str, timeout: float, read: Callable[[HTTPResponse], str], **request: Any) -> str:
    """Return what `read` makes of the answer of a registry here; empty where it has none."""
    # Imported where it is asked: it takes as long as the rest of a start.
    from urllib.request import Request, urlopen

    try:
        with urlopen(Request(url, **request), timeout=timeout) as answer:  # noqa: S310
            return read(answer)
    except OSError:
        return ""


def _copy_user_config(folder: Path, own: Path) -> None:
    """Keep the user's other logins, builders, contexts and plugins usable from the private folder."""
    try:
        settings = json.loads((own / "config.json").read_text())
    except (OSError, ValueError):
        settings = {}
    # A `credsStore` would take our credential into the user's keychain; per server it does not.
    if store := settings.pop("credsStore", ""):
        settings["credHelpers"] = dict.fromkeys(settings.get("auths", {}), store) | settings.get("credHelpers", {})
    settings["cliPluginsExtraDirs"] = [*settings.get("cliPluginsExtraDirs", []), str(own / "cli-plugins")]
    descriptor = os.open(folder / "config.json", os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(settings, file)
    for name in ("buildx", "contexts"):
        if (own / name).is_dir():
            (folder / name).symlink_to(own / name)
