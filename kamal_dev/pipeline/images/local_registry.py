"""Ask the registry on `localhost:PORT`, and start it if none runs. Uses no proxy."""

from __future__ import annotations

import time
from collections.abc import Mapping

from kamal_dev.commands import docker, refusal
from kamal_dev.errors import RegistryError, RegistryUnknown
from kamal_dev.model import Image, Result
from kamal_dev.pipeline.images import local_http
from kamal_dev.pipeline.images.engine import last_line, why
from kamal_dev.pipeline.run.tools import LocalTools
from kamal_dev.project import Project
from kamal_dev.shell import Shell
from kamal_dev.values import dataclass

MEDIA_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
LOOKING, ASKING = 5.0, 10.0
STARTING = 30.0
FETCHING = 900.0  # seconds to start: the image of the registry may have to be pulled
LONGEST = 1 << 24  # bytes of a manifest or an image configuration
PAUSES = (0.3, 1.0)  # seconds before each retry of a request that failed temporarily


@dataclass(frozen=True)
class Answer:
    """Hold the registry's answer; header names are in lower case."""

    headers: Mapping[str, str]
    text: str


def ask(image: Image, path: str) -> Answer | None:
    """Return what the registry has of an image under `manifests/…` or `blobs/…`; None if it says that it has none.

    Raises RegistryUnknown for every other answer, and if there is no answer.
    """
    return _patiently(image.server, f"{image.repository}/{path}", ASKING)


def text(image: Image, path: str) -> str:
    """Return the text under a path, empty if it cannot be had: for estimates only."""
    try:
        answer = ask(image, path)
    except RegistryUnknown:
        return ""
    return answer.text if answer else ""


def runs(server: str) -> bool:
    """Return whether a registry answers; False only if nothing listens. Raises RegistryUnknown for anything else."""
    try:
        answer = _patiently(server, "", LOOKING)
    except RegistryUnknown as unknown:
        if unknown.cause == "refused":
            return False
        raise
    if answer and _is_registry(answer):
        return True
    raise _unknown(server, "the server is not a registry")


def ensure(project: Project, tools: LocalTools, waits: float = STARTING) -> None:
    """Start a registry on `localhost:PORT` if nothing listens there. Raises RegistryError.

    Two runs may start it at the same time: the first container serves both.
    """
    server, port = project.config.registry.server, project.config.registry.port
    if runs(server):
        return
    tools.output.start("registry", f"localhost:{port}")
    _start(tools.shell, port, time.monotonic() + waits)
    _await(server, port, time.monotonic() + waits)
    tools.output.done("registry", f"localhost:{port}")


def _start(local: Shell, port: int, deadline: float) -> None:
    """Start the container of an earlier run, or create one; only a container that this run created is removed again.

    Another run may be creating it: its name is taken shortly before the container can be started.
    """
    made = ""
    while not (started := local.run(docker.start_registry(port), timeout=STARTING)):
        if made:
            local.run(docker.forget_registry(made), timeout=STARTING)
        if made or "no such container" not in started.errors.lower():
            raise _not_started(port, started)
        created = local.run(docker.make_registry(port), timeout=FETCHING)
        made = last_line(created.output) if created else ""
        if not created and ("already in use" not in created.errors or time.monotonic() > deadline):
            raise _not_started(port, created)
        time.sleep(0 if created else 0.1)


def _await(server: str, port: int, deadline: float) -> None:
    """Wait until it answers; while it starts, Docker may accept a connection and drop it."""
    reason = "nothing listens"
    while time.monotonic() < deadline:
        try:
            if runs(server):
                return
        except RegistryUnknown as unknown:
            reason = unknown.message
        time.sleep(0.1)
    raise RegistryError(
        f"the registry on localhost:{port} was started, but does not answer: {reason}",
        hint=f"`docker logs kamal-dev-registry-{port}`",
    )


def _not_started(port: int, ended: Result) -> RegistryError:
    errors = _reason(why(ended))
    otherwise = f"`docker pull {docker.REGISTRY_IMAGE}`, start one yourself, or deploy with `--skip-push`"
    advice = refusal.hint(errors, docker.DOCKER_HUB, otherwise=otherwise)
    return RegistryError(
        f"no registry answers on localhost:{port}, and none could be started: {last_line(errors)}",
        hint=advice if advice == otherwise else f"{advice}; or deploy with `--skip-push`",
    )


def _reason(errors: str) -> str:
    """Drop the lines with which docker points to its own help or names the containers that did not start."""
    skipped = ("--help", "failed to start containers")
    return "\n".join(line for line in errors.splitlines() if not any(word in line for word in skipped))


def _patiently(server: str, path: str, timeout: float) -> Answer | None:
    """Retry a request whose failure may be temporary."""
    for pause in PAUSES:
        try:
            return _asked(server, path, timeout)
        except RegistryUnknown as unknown:
            if unknown.cause not in refusal.TRANSIENT:
                raise
            time.sleep(pause)
    return _asked(server, path, timeout)


def _asked(server: str, path: str, timeout: float) -> Answer | None:
    try:
        answer = local_http.get(server, f"/v2/{path}", MEDIA_TYPES, timeout=timeout, longest=LONGEST)
    except (OSError, local_http.NotHttp) as error:
        raise _unknown(server, str(error)) from error
    if answer.status == 200:
        return Answer(answer.headers, answer.body.decode(errors="replace"))
    return _refused(server, answer.status, answer.reason, Answer(answer.headers, ""))


def _refused(server: str, code: int, words: str, answer: Answer) -> Answer | None:
    """Read an answer other than 200: only a 404 of a real registry means that it has no such image."""
    if code == 404 and _is_registry(answer):
        return None
    if code == 404:
        raise _unknown(server, "the server is not a registry: it answered with status 404")
    if code == 401 and _is_registry(answer):
        raise _unknown(server, "it requires a login (status 401), which the registry on this machine must not do")
    raise _unknown(server, f"it answered with status {code} {words}".strip())


def _is_registry(answer: Answer) -> bool:
    is_json = answer.headers.get("content-type", "").startswith("application/json")
    return "docker-distribution-api-version" in answer.headers or is_json


def _unknown(server: str, reason: str) -> RegistryUnknown:
    return RegistryUnknown(
        f"could not query the registry at {server}: {reason}",
        hint=refusal.hint(reason, server),
        cause=refusal.cause(reason),
    )
