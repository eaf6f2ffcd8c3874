"""Docker command lines for the local engine. Builds steps; runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kamal_dev.model import Image, Secret, Step

PROGRAM = "docker"
DOCKER_HUB = "docker.io"
REGISTRY_IMAGE = "registry:2"
REGISTRY_PORT = 5000


def docker(*words: str, stdin: bytes | None = None, config: str = "") -> Step:
    """Return a docker step; `config` is the folder that replaces ~/.docker."""
    environment = (("DOCKER_CONFIG", config),) if config else ()
    return Step((PROGRAM, *words), stdin=stdin, environment=environment)


def engine() -> Step:
    """Ask the engine for its version and platform: `26.1.5 linux/amd64`."""
    return docker("version", "--format", "{{.Server.Version}} {{.Server.Os}}/{{.Server.Arch}}")


def root_folder() -> Step:
    """Ask the engine for the folder in which it keeps images."""
    return docker("info", "--format", "{{.DockerRootDir}}")


def buildx() -> Step:
    """Ask for buildx's version."""
    return docker("buildx", "version")


def compose() -> Step:
    """Ask for Compose's version."""
    return docker("compose", "version", "--short")


def login(server: str, username: str, password: Secret, *, config: str) -> Step:
    """Log in, with the password on stdin; `config` receives the credential.

    For Docker Hub, no server name is passed: its key in config.json is a URL.
    """
    where = () if server == DOCKER_HUB else (server,)
    return docker(
        "login", "--username", username, "--password-stdin", *where, stdin=password.reveal().encode(), config=config
    )


def without_helper(settings: Mapping[str, Any], server: str) -> dict[str, Any]:
    """Return a config.json with which a login at `server` is stored in that file; other logins work as before.

    A credential helper of the user would store the credential, or refuse to. A `credsStore` becomes a helper for each
    other server that has a login. If nothing is configured, docker would use the system's keychain, so an empty login
    is written for `server`.
    """
    auths = {name: item for name, item in settings.get("auths", {}).items() if _server(name) != _server(server)}
    store = settings.get("credsStore", "")
    helpers = {**(dict.fromkeys(auths, store) if store else {}), **settings.get("credHelpers", {})}
    kept = {name: helper for name, helper in helpers.items() if _server(name) != _server(server)}
    others = {key: value for key, value in settings.items() if key != "credsStore"}
    return {**others, "auths": {**auths, server: {}}, "credHelpers": kept}


def _server(name: str) -> str:
    """Return the registry of a key in config.json, which may be a URL; Docker Hub has several keys."""
    host = name.rpartition("://")[2].partition("/")[0].lower()
    return DOCKER_HUB if host in ("index.docker.io", "registry-1.docker.io") else host


def push(image: Image, *, config: str = "") -> Step:
    """Push one tag, on a terminal: Docker prints bytes nowhere else."""
    return replace(docker("push", image.reference, config=config), on_terminal=True)


def pull(reference: str, *, config: str = "") -> Step:
    """Pull one image to the local engine."""
    return docker("pull", "--quiet", reference, config=config)


def tag(source: str, image: Image) -> Step:
    """Give an image, by id or reference, another name."""
    return docker("tag", source, image.reference)


def untag(image: Image) -> Step:
    """Remove a name of an image, and the image with its last name; its layers stay in the build cache."""
    return docker("image", "rm", "--no-prune", image.reference)


def describe(reference: str) -> Step:
    """Ask for the engine's description of an image as JSON; `metadata` and the others are as in ImageConfig."""
    fields = (
        '{"id":{{json .Id}},"digests":{{json .RepoDigests}},"platform":"{{.Os}}/{{.Architecture}}"'
        ',"metadata":{{with .Config.Labels}}{{json (index . "devcontainer.metadata")}}{{else}}""{{end}}'
        ',"entrypoint":{{json .Config.Entrypoint}},"command":{{json .Config.Cmd}}}'
    )
    return docker("image", "inspect", "--format", fields, "--", reference)


def manifest(image: Image, *, part: str = "Manifest", config: str = "") -> Step:
    """Ask the registry for an image as JSON, by digest if known.

    `part` is `Manifest`, with `digest`, or `Image`, the configuration, per platform if it has several.
    """
    fields = f"{{{{json .{part}}}}}"
    where = f"{image.name}@{image.digest}" if image.digest else image.reference
    return docker("buildx", "imagetools", "inspect", "--format", fields, where, config=config)


def raw_manifest(image: Image, name: str, *, config: str = "") -> Step:
    """Ask the registry for the raw manifest under a tag or digest."""
    where = f"{image.name}{'@' if ':' in name else ':'}{name}"
    return docker("buildx", "imagetools", "inspect", "--raw", where, config=config)


def save(references: tuple[str, ...]) -> Step:
    """Write images to stdout, as a tar that `docker load` reads."""
    return docker("image", "save", "--", *references)


def make_registry(port: int) -> Step:
    """Create a registry container that only this machine can reach, on `port`; prints its id."""
    name = f"kamal-dev-registry-{port}"
    options = ("--restart", "unless-stopped", "--name", name, "--label", "kamal-dev.registry=true")
    where = ("--publish", f"127.0.0.1:{port}:{REGISTRY_PORT}", "--volume", f"{name}:/var/lib/registry")
    return docker("create", *options, *where, REGISTRY_IMAGE)


def start_registry(port: int) -> Step:
    """Start the registry container, possibly one of an earlier run; a running one is not changed."""
    return docker("start", f"kamal-dev-registry-{port}")


def forget_registry(container: str) -> Step:
    """Remove a registry container that did not start; a running one, and the volumes, stay."""
    return docker("rm", container)
