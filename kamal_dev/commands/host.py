"""Steps for the scripts that run on a host, one function each. Runs nothing.

Steps that change a host take a `token` chosen by the caller, unique per run, with which `attach` follows them after a
lost connection. `answers` parses the output.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kamal_dev.commands import payload
from kamal_dev.commands.image_manifest import Layer
from kamal_dev.commands.payload import Scripts, about, performed, step, watcher
from kamal_dev.commands.words import checked, checked_folders, stack_word
from kamal_dev.model import File, Release, Secret, StartedService, Step
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class Login:
    """Hold a host's login for a registry; `server` as in `Image.server`, `docker.io` for Docker Hub."""

    server: str
    username: str
    password: Secret


def facts(scripts: Scripts, stack: str, images: Iterable[str] = (), ports: Iterable[str] = ()) -> Step:
    """Ask for the facts of a host, and for what `stack` runs there; changes nothing.

    `images` are the references that a release needs, `ports` the host ports that it publishes, as
    `address:port/protocol`. Parsed by `answers.facts`.
    """
    return step(scripts, "facts.sh", *question(stack, images, ports), label=f"facts {stack}")


def contents(scripts: Scripts, stack: str) -> Step:
    """Ask for the compose files of the current release, and for sessions in its containers; see `answers.contents`."""
    return step(scripts, "contents.sh", stack_word(stack), label=f"contents {stack}")


def manifests(scripts: Scripts, stacks: Iterable[str]) -> Step:
    """Ask for the manifests of the current releases of stacks. Parsed by `answers.manifests`."""
    words = tuple(map(stack_word, stacks))
    return step(scripts, "manifest.sh", *words, label=" ".join(("manifest", *words)))


def question(stack: str, images: Iterable[str] = (), ports: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the arguments of `facts`, for a step that ends with the facts."""
    return (stack_word(stack), " ".join(ports), *checked("image", images))


def bootstrap(scripts: Scripts, token: str, asked: Iterable[str] = (), *, adds_pools: bool = False) -> Step:
    """Set up Docker Engine, Compose and the watcher; does nothing if they are running. Takes up to 25 minutes.

    With `adds_pools`, an engine that is installed gets address pools for many networks. It ends with the facts that are
    `asked` for (see `question`), like `pull`.
    """
    files = (*_asked(asked), *watcher(scripts), *about({"pools": "yes"} if adds_pools else {}))
    return step(scripts, "bootstrap.sh", token=token, files=files, label="bootstrap")


def pull(
    scripts: Scripts, token: str, images: Iterable[str], login: Login | None = None, asked: Iterable[str] = ()
) -> Step:
    """Pull the images that the host lacks."""
    words, files = checked("image", images), (*_login(login), *_asked(asked))
    return step(scripts, "pull.sh", *words, token=token, files=files, label=f"pull {' '.join(words)}")


def _asked(words: Iterable[str]) -> tuple[File, ...]:
    lines = "\n".join(words)
    return about({"facts": lines}) if lines else ()


@dataclass(frozen=True)
class Keeping:
    """Hold what a host keeps: `retain` releases of the stack, and whether a failed one keeps running.

    A failed release is left in place if `restore` is false or, with `keep_failed`, if there is no good release to
    roll back to. With `recreate`, all containers are replaced.
    """

    retain: int = 5
    restore: bool = True
    keep_failed: bool = False
    recreate: bool = False

    @property
    def meta(self) -> dict[str, str]:
        """The settings that host/switch.sh reads."""
        rollback, keep_failed = "host" if self.restore else "never", "yes" if self.keep_failed else ""
        recreate = "yes" if self.recreate else ""
        return {"retain": str(self.retain), "rollback": rollback, "keep_failed": keep_failed, "recreate": recreate}


def apply(
    scripts: Scripts,
    token: str,
    release: Release,
    *,
    timeout: float = 300,
    window: float = 5,
    restarts: int = 3,
    pull: Iterable[str] | None = None,
    layers: Iterable[Layer] = (),
    services: Iterable[str] = (),
    workspace: Iterable[str] = (),
    brought: str = "",
    login: Login | None = None,
    performer: str = "",
    user: str = "",
    lifecycle: Iterable[File] = (),
    parts: str = "",
    keeping: Keeping = Keeping(),
    brings_watcher: bool = False,
    arrival: str = "",
) -> Step:
    """Make `release` the current one of its stack, observe it, and roll back if it fails.

    `timeout` is for starting and observing, `window` how long a service without a health check must stay up, both in
    seconds; after `restarts` it counts as failed. `pull` are the images to pull (default: the release's images that
    the host lacks), and `layers` their layers. `services` are those to start, none means all. `workspace` are folders
    to create, relative to the stack's `workspace/`, `brought` is the folder that was given the source; `user` is the
    user of the main container who works in them, empty for the container's own. `lifecycle` are the commands to run
    (`devcontainer.lifecycle.files`). `parts` are the parts of containers (`compose.parts`). With `brings_watcher`, the
    watcher is installed meanwhile. With `arrival`, the token of a copy, nothing is started: see host/apply.sh.
    """
    checked("release", (release.id,))
    options = {"performer": performer, "user": user, "restarts": str(restarts), "brought": brought, "parts": parts}
    meta = _meta(release, pull, layers, workspace) | keeping.meta | options | payload.arriving(arrival)
    shipped = (File(f"files/{file.path}", file.content, file.mode) for file in release.files)
    files = (*shipped, *about(meta), *lifecycle, *_login(login), *(watcher(scripts) if brings_watcher else ()))
    times = _milliseconds(timeout, window)
    words = (stack_word(release.stack), release.id, release.digest, *times, *checked("service", services))
    return step(scripts, "apply.sh", *words, token=token, files=files, label=f"apply {release.stack} {release.id}")


def _meta(
    release: Release, pull: Iterable[str] | None, layers: Iterable[Layer], workspace: Iterable[str]
) -> dict[str, str]:
    images = checked("image", (*(str(image) for _, image in release.images), *release.third_party))
    return {
        "version": str(release.version),
        "commit": release.version.commit,
        "images": "\n".join(dict.fromkeys(images)),
        "built": "\n".join(dict.fromkeys(str(image) for _, image in release.images)),
        **({} if pull is None else {"pull": "\n".join(checked("image", pull))}),
        "layers": "\n".join(f"{digest} {size}" for digest, size in layers),
        "workspace": "\n".join(checked_folders(workspace)),
        "started": "\n".join(map(_line, release.started)),
        "networks": "\n".join(release.networks),
    }


def _line(service: StartedService) -> str:
    """Return the line about a service for host/watch.sh, replace.sh and restarts.sh: `name|needs|ports|restart`."""
    words = (checked("service", (service.name,)), checked("service", service.needs), service.ports, (service.restart,))
    return "|".join(map(" ".join, words))


def _milliseconds(*seconds: float) -> tuple[str, ...]:
    return tuple(str(round(each * 1000)) for each in seconds)


def rollback(
    scripts: Scripts,
    token: str,
    stack: str,
    release: str,
    *,
    timeout: float = 300,
    window: float = 5,
    restarts: int = 3,
    login: Login | None = None,
    performer: str = "",
) -> Step:
    """Roll back to an existing release by its id, or to the one before.

    Missing images are pulled with `login` before anything stops. Otherwise like `apply`.
    """
    words = (stack_word(stack), *checked("release", (release,)), *_milliseconds(timeout, window))
    files = (*about({"performer": performer, "restarts": str(restarts)}), *_login(login))
    return step(scripts, "rollback.sh", *words, token=token, files=files, label=f"rollback {stack} {release}")


def stop(scripts: Scripts, token: str, stack: str, *, performer: str = "") -> Step:
    """Stop a stack that has no release to roll back to, and keep its containers."""
    return step(scripts, "stop.sh", stack_word(stack), token=token, files=performed(performer), label=f"stop {stack}")


def releases(scripts: Scripts, stacks: Iterable[str] = ()) -> Step:
    """Ask for the releases of these stacks, or of all stacks on the host. Parsed by `answers.releases`."""
    names = tuple(map(stack_word, stacks))
    return step(scripts, "releases.sh", *names, label=" ".join(("releases", *names)))


def prune(
    scripts: Scripts,
    stack: str,
    repositories: Iterable[str],
    *,
    retain: int,
    dry_run: bool,
    pieces: Iterable[tuple[str, str]] = (),
    performer: str = "",
) -> Step:
    """Remove what deploys of a stack left behind or, in a dry run, only list it. Parsed by `answers.leftovers`.

    `repositories` are the image repositories of this project, in the form of `Image.name`. Only `pieces`, given by
    kind and name, may be removed; without any, all.
    """
    meta = {
        "retain": str(retain),
        "repositories": "\n".join(checked("image", repositories)),
        "performer": performer,
        "pieces": "\n".join(f"{kind} {name}" for kind, name in pieces),
    }
    words = (stack_word(stack), *(("dry-run",) if dry_run else ()))
    return step(scripts, "prune.sh", *words, files=about(meta), label=" ".join(("prune", *words)))


def attach(scripts: Scripts, token: str, offset: int = 0) -> Step:
    """Follow a run that was started before; `seen` is the number of events received (`answers.count`)."""
    return step(scripts, "attach.sh", *checked("token", (token,)), str(offset), label=f"attach {token}")


def status(scripts: Scripts, stacks: Iterable[str] = (), *, is_measured: bool = False) -> Step:
    """Ask for the containers of these stacks, or of all stacks on the host; `is_measured`, also for what they use.

    Parsed by `answers.stacks`.
    """
    names = tuple(map(stack_word, stacks))
    files = about({"measure": "yes"}) if is_measured else ()
    return step(scripts, "status.sh", *names, files=files, label=" ".join(("status", *names)))


ARRIVING, MOVED = "arriving", "moved"


def remove(
    scripts: Scripts,
    stack: str,
    *,
    keep_volumes: bool = False,
    keep_images: bool = False,
    move: str = "",
    arrival: str = "",
    performer: str = "",
) -> Step:
    """Remove a stack; `keep_volumes` keeps its volumes, workspace and images. Safe to repeat.

    With `ARRIVING` as `move`, only what a move to the host or a copy has not completed is removed, if `arrival` is
    its token or empty; with `MOVED` also a stack that has moved away.
    """
    words = (stack_word(stack), *(("keep-volumes",) if keep_volumes else (move,) if move else ()))
    meta = {"performer": performer} | ({"keep-images": "yes"} if keep_images else {}) | payload.arriving(arrival)
    return step(scripts, "remove.sh", *words, files=about(meta), label=" ".join(("remove", *words)))


def unlock(scripts: Scripts, stack: str, pid: int | None = None, *, performer: str = "") -> Step:
    """Ask for the lock of a stack; with its owner's `pid`, end the owner and release it. Takes up to a minute."""
    words = (stack_word(stack), *(() if pid is None else (str(pid),)))
    return step(scripts, "unlock.sh", *words, files=performed(performer), label=" ".join(("unlock", *words)))


def records(scripts: Scripts, stack: str, lines: int) -> Step:
    """Ask for the last entries of a stack's audit log. Parsed by `answers.records`."""
    words = (stack_word(stack), str(lines))
    return step(scripts, "records.sh", *words, label=" ".join(("records", *words)))


def alerts(scripts: Scripts, stack: str, lines: int) -> Step:
    """Ask for the last alerts of a stack. Parsed by `answers.records`."""
    words = (stack_word(stack), str(lines), "alerts.log")
    return step(scripts, "records.sh", *words, label=" ".join(("records", *words)))


def load(scripts: Scripts) -> Step:
    """Load images in the format of `docker save`, plain or compressed with gzip or zstd, from the caller's stream."""
    text = "".join(scripts[name] for name in ("lib.sh", "engine.sh", "engine_images.sh", "load.sh"))
    return Step(("sh", "-c", text, "kamal-dev"), label="load")


def place(scripts: Scripts, stack: str, service: str = "") -> Step:
    """Ask for the container of a service (default: the main one). Parsed by `answers.place`."""
    words = (stack_word(stack), *checked("service", (service,) if service else ()))
    return step(scripts, "place.sh", *words, label=" ".join(("place", *words)))


def environment(scripts: Scripts, token: str, values: Mapping[str, str]) -> Step:
    """Store an environment on the host for the next command; prints the path of its file."""
    text = "".join(f"{name}={value}\n" for name, value in values.items())
    words = checked("token", (token,))
    return Step(("sh", "-c", scripts["environment.sh"], "kamal-dev", *words), text.encode(), label="environment")


def forward(
    scripts: Scripts, directory: str, container: str, pid: int, image: str, targets: Iterable[str]
) -> tuple[str, ...]:
    """Return the command that creates a socket per target in `directory`, as long as its stdin is open.

    `targets` are `host:port` as the container sees them; their sockets are named `0`, `1` and so on.
    """
    words = (directory, container, str(pid), image, scripts["relay.pl"], *targets)
    return ("sh", "-c", scripts["lib.sh"] + scripts["engine.sh"] + scripts["forward.sh"], "kamal-dev", *words)


def _login(login: Login | None) -> tuple[File, ...]:
    if login is None:
        return ()
    words = {"server": login.server, "username": login.username, "password": login.password.reveal()}
    return tuple(File(f"registry/{name}", word.encode(), 0o600) for name, word in words.items())
