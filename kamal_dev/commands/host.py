"""Steps for the scripts that run on a host: each function is one of them. Builds steps; runs nothing.

Steps that change a host take a `token` of the caller's choice, unique per run, under which
`attach` picks them up after a lost link. What comes back is read by `answers`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kamal_dev.commands.image_manifest import Layer
from kamal_dev.commands.payload import WATCHER, Scripts, about, performed, step, watcher_version
from kamal_dev.commands.words import checked, checked_folders, stack_word
from kamal_dev.model import File, Release, Secret, StartedService, Step
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class Login:
    """Say how a host may log in to a registry; `server` as in `Image.server`, `docker.io` for Docker Hub."""

    server: str
    username: str
    password: Secret


def facts(scripts: Scripts, stack: str, images: Iterable[str] = (), ports: Iterable[str] = ()) -> Step:
    """Ask what the host is and what `stack` runs there; changes nothing.

    `images` are the references that a release needs, `ports` what it takes of the host's, as
    `address:port/protocol`. Read by `answers.facts`.
    """
    return step(scripts, "facts.sh", *question(stack, images, ports), label=f"facts {stack}")


def contents(scripts: Scripts, stack: str) -> Step:
    """Ask for the compose files of the current release, and who is in its containers. Read by `answers.contents`."""
    return step(scripts, "contents.sh", stack_word(stack), label=f"contents {stack}")


def question(stack: str, images: Iterable[str] = (), ports: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the words of `facts`, for a step that ends with them."""
    return (stack_word(stack), " ".join(ports), *checked("image", images))


def bootstrap(scripts: Scripts, token: str, asked: Iterable[str] = ()) -> Step:
    """Make Docker Engine, Compose and the watcher run there; does nothing where they do. Needs up to 25 minutes.

    It ends with the facts that are `asked` for, as `question` has them; so does `pull`.
    """
    watcher = about({"watcher": "\n".join((watcher_version(scripts), *WATCHER))})
    return step(scripts, "bootstrap.sh", token=token, files=(*_asked(asked), *watcher), label="bootstrap")


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
    """Say what stays on a host: `retain` releases of the stack, and which of those that fall.

    One that falls is left as it is where `restore` is not wanted; with `keep_failed`, where
    there is none to go back to. With `recreate` no container stays.
    """

    retain: int = 5
    restore: bool = True
    keep_failed: bool = False
    recreate: bool = False

    @property
    def meta(self) -> dict[str, str]:
        """What host/switch.sh asks for."""
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
) -> Step:
    """Make `release` the current one of its stack, observe it, or put the last good one back.

    `timeout` is for starting and observing, `window` how long a service without a health
    check must stay up, both in seconds; after `restarts` it counts as failed. `pull` are the
    images to pull, those of the release that the host lacks unless they are given, and `layers`
    what they consist of. `services` are those to start, none means all. `workspace` are folders to make, relative
    to the stack's `workspace/`, `brought` the one that was given the source; `user` is who
    works in them, in the main container, empty for the container's own. `lifecycle` is what
    is run there (`devcontainer.lifecycle.files`). `parts` is what containers are made of (`compose.parts`).
    """
    checked("release", (release.id,))
    options = {"performer": performer, "user": user, "restarts": str(restarts), "brought": brought, "parts": parts}
    meta = _meta(release, pull, layers, workspace) | keeping.meta | options
    shipped = (File(f"files/{file.path}", file.content, file.mode) for file in release.files)
    files = (*shipped, *about(meta), *lifecycle, *_login(login))
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
    }


def _line(service: StartedService) -> str:
    """Return what host/watch.sh, replace.sh and restarts.sh know of a service: `name|needs|ports|restart`."""
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
    """Switch to an existing release by its id, or revert to the one before.

    Images that are gone are pulled with `login` before anything stops. The rest is as in `apply`.
    """
    words = (stack_word(stack), *checked("release", (release,)), *_milliseconds(timeout, window))
    files = (*about({"performer": performer, "restarts": str(restarts)}), *_login(login))
    return step(scripts, "rollback.sh", *words, token=token, files=files, label=f"rollback {stack} {release}")


def stop(scripts: Scripts, token: str, stack: str, *, performer: str = "") -> Step:
    """Stop a stack and keep its containers; for one that has no release to go back to."""
    return step(scripts, "stop.sh", stack_word(stack), token=token, files=performed(performer), label=f"stop {stack}")


def releases(scripts: Scripts, stacks: Iterable[str] = ()) -> Step:
    """Ask which releases these stacks have, or all that the host has. Read by `answers.releases`."""
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
    """Remove what deploys of a stack have left over, or, in a dry run, only tell. Read by `answers.leftovers`.

    `repositories` are those whose images are this project's, as `Image.name` names them. `pieces` are the only ones
    that may be removed, by kind and name; without any, all.
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
    """Follow a run that was started before; `seen` is how many of its events have arrived (`answers.count`)."""
    return step(scripts, "attach.sh", *checked("token", (token,)), str(offset), label=f"attach {token}")


def status(scripts: Scripts, stacks: Iterable[str] = ()) -> Step:
    """Ask for the containers of these stacks, or of all that the host has. Read by `answers.stacks`."""
    names = tuple(map(stack_word, stacks))
    return step(scripts, "status.sh", *names, label=" ".join(("status", *names)))


def remove(scripts: Scripts, stack: str, *, keep_volumes: bool = False, performer: str = "") -> Step:
    """Remove a stack; `keep_volumes` keeps its volumes and its workspace. Can be sent again."""
    words = (stack_word(stack), *(("keep-volumes",) if keep_volumes else ()))
    return step(scripts, "remove.sh", *words, files=performed(performer), label=" ".join(("remove", *words)))


def unlock(scripts: Scripts, stack: str, pid: int | None = None, *, performer: str = "") -> Step:
    """Ask for the lock of a stack; with the `pid` of its owner, end him and remove it. Needs up to a minute."""
    words = (stack_word(stack), *(() if pid is None else (str(pid),)))
    return step(scripts, "unlock.sh", *words, files=performed(performer), label=" ".join(("unlock", *words)))


def records(scripts: Scripts, stack: str, lines: int) -> Step:
    """Ask for the last lines of a stack's record. Read by `answers.records`."""
    words = (stack_word(stack), str(lines))
    return step(scripts, "records.sh", *words, label=" ".join(("records", *words)))


def alerts(scripts: Scripts, stack: str, lines: int) -> Step:
    """Ask for the last alerts of a stack. Read by `answers.records`."""
    words = (stack_word(stack), str(lines), "alerts.log")
    return step(scripts, "records.sh", *words, label=" ".join(("records", *words)))


def load(scripts: Scripts) -> Step:
    """Take what `docker save` wrote, plain or compressed by gzip or zstd, from the stdin that the caller streams."""
    text = "".join(scripts[name] for name in ("lib.sh", "engine.sh", "engine_images.sh", "load.sh"))
    return Step(("sh", "-c", text, "kamal-dev"), label="load")


def place(scripts: Scripts, stack: str, service: str = "") -> Step:
    """Ask for the container of a service, of the main one unless named. Read by `answers.place`."""
    words = (stack_word(stack), *checked("service", (service,) if service else ()))
    return step(scripts, "place.sh", *words, label=" ".join(("place", *words)))


def environment(scripts: Scripts, token: str, values: Mapping[str, str]) -> Step:
    """Keep an environment on the host for the command that comes next; prints the path of its file."""
    text = "".join(f"{name}={value}\n" for name, value in values.items())
    words = checked("token", (token,))
    return Step(("sh", "-c", scripts["environment.sh"], "kamal-dev", *words), text.encode(), label="environment")


def forward(
    scripts: Scripts, directory: str, container: str, pid: int, image: str, targets: Iterable[str]
) -> tuple[str, ...]:
    """Return the command that makes a socket per target in `directory`, for as long as its stdin is open.

    `targets` are `host:port` as the container sees them; their sockets are called `0`, `1` and so on.
    """
    words = (directory, container, str(pid), image, scripts["relay.pl"], *targets)
    return ("sh", "-c", scripts["lib.sh"] + scripts["engine.sh"] + scripts["forward.sh"], "kamal-dev", *words)


def _login(login: Login | None) -> tuple[File, ...]:
    if login is None:
        return ()
    words = {"server": login.server, "username": login.username, "password": login.password.reveal()}
    return tuple(File(f"registry/{name}", word.encode(), 0o600) for name, word in words.items())
