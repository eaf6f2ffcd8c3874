"""Payloads for the scripts that run on a host. Builds steps; reads no script and runs nothing.

Each step is one exec: a small wrapper as argv and, on stdin, a compressed tar with the
script, what it sources, and its files. Steps that change a host run apart from the SSH
channel under a `token` of the caller's making, unique per run: the same step sent again
follows the run that is there, and `attach` picks it up after a lost link.
What comes back is read by `answers`.
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from kamal_dev.commands.manifest import Layer
from kamal_dev.errors import UsageError
from kamal_dev.model import File, Release, Secret, Step

SCRIPTS = (
    "apply.sh",
    "attach.sh",
    "audit.sh",
    "bootstrap.sh",
    "clone.sh",
    "collect.sh",
    "detach.sh",
    "environment.sh",
    "exec.sh",
    "facts.sh",
    "forward.sh",
    "history.sh",
    "images.sh",
    "lib.sh",
    "lifecycle.sh",
    "load.sh",
    "lock.sh",
    "observe.sh",
    "owner.sh",
    "packages.sh",
    "place.sh",
    "prune.sh",
    "pull.sh",
    "records.sh",
    "releases.sh",
    "remove.sh",
    "retention.sh",
    "rollback.sh",
    "room.sh",
    "run.sh",
    "seed.sh",
    "stack.sh",
    "status.sh",
    "stop.sh",
    "switch.sh",
    "unlock.sh",
    "worker.sh",
    "workspace.sh",
)
Scripts = Mapping[str, str]

_SWITCH = (
    *("switch.sh", "stack.sh", "history.sh", "lock.sh", "audit.sh", "images.sh"),
    *("room.sh", "observe.sh", "owner.sh", "pull.sh", "exec.sh", "lifecycle.sh"),
)
_SOURCED = {
    "apply.sh": (*_SWITCH, "retention.sh"),
    "attach.sh": ("run.sh",),
    "bootstrap.sh": ("packages.sh",),
    "facts.sh": ("stack.sh", "lock.sh"),
    "place.sh": ("stack.sh",),
    "prune.sh": ("stack.sh", "history.sh", "lock.sh", "audit.sh", "images.sh", "retention.sh", "run.sh"),
    "pull.sh": ("images.sh",),
    "records.sh": ("stack.sh",),
    "releases.sh": ("stack.sh", "history.sh", "images.sh"),
    "remove.sh": ("stack.sh", "audit.sh", "lock.sh"),
    "rollback.sh": _SWITCH,
    "status.sh": ("stack.sh", "lock.sh"),
    "stop.sh": _SWITCH,
    "unlock.sh": ("stack.sh", "audit.sh", "lock.sh"),
}
_DETACHED = ("detach.sh", "run.sh", "worker.sh")

# The modes of the files must arrive as they are, whatever the umask; their owner must not.
_UNPACK = """umask 077
dir=$(mktemp -d "${TMPDIR:-/tmp}/kamal-dev.XXXXXX") && tar -xzpf - --no-same-owner -C "$dir" || {
  rm -rf "$dir"
  echo '{"type":"result","ok":false,"phase":"upload","reason":"files were not unpacked; is /tmp full or read-only?"}'
  exit 1
}
trap 'rm -rf "$dir"' EXIT
trap 'exit 143' HUP INT PIPE TERM
script=$1
shift
sh "$dir/$script" "$@"
"""

_STACK = re.compile(r"[a-z0-9][a-z0-9_-]*")
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/:@+-]*")


@dataclass(frozen=True)
class Login:
    """Say how a host may log in to a registry; `server` as in `Image.server`, `docker.io` for Docker Hub."""

    server: str
    username: str
    password: Secret


def facts(scripts: Scripts, stack: str, images: Iterable[str] = ()) -> Step:
    """Ask what the host is and what `stack` runs there; changes nothing.

    `images` are the references that a release needs. Read by `answers.facts`.
    """
    return _step(scripts, "facts.sh", _stack(stack), *_words("image", images), label=f"facts {stack}")


def bootstrap(scripts: Scripts, token: str) -> Step:
    """Make Docker Engine and Compose run there; does nothing where they do. Needs up to 25 minutes."""
    return _step(scripts, "bootstrap.sh", token=token, label="bootstrap")


def pull(scripts: Scripts, token: str, images: Iterable[str], login: Login | None = None) -> Step:
    """Pull the images that the host lacks."""
    words = _words("image", images)
    return _step(scripts, "pull.sh", *words, token=token, files=_login(login), label=f"pull {' '.join(words)}")


@dataclass(frozen=True)
class Keeping:
    """Say what stays on a host: `retain` releases of the stack, and which of those that fall.

    One that falls is left as it is where `restore` is not wanted; with `keep_failed`, where
    there is none to go back to.
    """

    retain: int = 5
    restore: bool = True
    keep_failed: bool = False

    @property
    def meta(self) -> dict[str, str]:
        """What host/switch.sh asks for."""
        rollback, keep_failed = "host" if self.restore else "never", "yes" if self.keep_failed else ""
        return {"retain": str(self.retain), "rollback": rollback, "keep_failed": keep_failed}


def apply(
    scripts: Scripts,
    token: str,
    release: Release,
    *,
    timeout: float = 300,
    window: float = 5,
    pull: Iterable[str] | None = None,
    layers: Iterable[Layer] = (),
    services: Iterable[str] = (),
    workspace: Iterable[str] = (),
    login: Login | None = None,
    performer: str = "",
    user: str = "",
    lifecycle: Iterable[File] = (),
    keeping: Keeping = Keeping(),
) -> Step:
    """Make `release` the current one of its stack, observe it, or put the last good one back.

    `timeout` is for starting and observing, `window` how long a service without a health
    check must stay up, both in seconds. `pull` are the images to pull, those of the
    release that the host lacks unless they are given, and `layers` what they consist of.
    `services` are those to start, none means all. `workspace` are folders to make, relative
    to the stack's `workspace/`; `user` is who works in them, in the main container, empty for
    the container's own. `lifecycle` is what is run there (`devcontainer.lifecycle.files`).
    """
    _words("release", (release.id,))
    meta = _meta(release, pull, layers, workspace) | keeping.meta | {"performer": performer, "user": user}
    shipped = (File(f"files/{file.path}", file.content, file.mode) for file in release.files)
    files = (*shipped, *_about(meta), *lifecycle, *_login(login))
    times = _milliseconds(timeout, window)
    words = (_stack(release.stack), release.id, release.digest, *times, *_words("service", services))
    return _step(scripts, "apply.sh", *words, token=token, files=files, label=f"apply {release.stack} {release.id}")


def _meta(
    release: Release, pull: Iterable[str] | None, layers: Iterable[Layer], workspace: Iterable[str]
) -> dict[str, str]:
    images = _words("image", (*(str(image) for _, image in release.images), *release.third_party))
    return {
        "version": str(release.version),
        "commit": release.version.commit,
        "images": "\n".join(dict.fromkeys(images)),
        "built": "\n".join(dict.fromkeys(str(image) for _, image in release.images)),
        **({} if pull is None else {"pull": "\n".join(_words("image", pull))}),
        "layers": "\n".join(f"{digest} {size}" for digest, size in layers),
        "workspace": "\n".join(_folders(workspace)),
    }


def _about(meta: Mapping[str, str]) -> Iterator[File]:
    return (File(f"meta/{name}", _text(text), 0o600) for name, text in meta.items())


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
    login: Login | None = None,
    performer: str = "",
) -> Step:
    """Make a release that is there already, by its id, the current one again, or put back what there was.

    Images that are gone are pulled with `login` before anything stops. The rest is as in `apply`.
    """
    words = (_stack(stack), *_words("release", (release,)), *_milliseconds(timeout, window))
    files = (*_about({"performer": performer}), *_login(login))
    return _step(scripts, "rollback.sh", *words, token=token, files=files, label=f"rollback {stack} {release}")


def stop(scripts: Scripts, token: str, stack: str, *, performer: str = "") -> Step:
    """Stop a stack and keep its containers; for one that has no release to go back to."""
    about = _about({"performer": performer})
    return _step(scripts, "stop.sh", _stack(stack), token=token, files=about, label=f"stop {stack}")


def releases(scripts: Scripts, stacks: Iterable[str] = ()) -> Step:
    """Ask which releases these stacks have, or all that the host has. Read by `answers.releases`."""
    names = tuple(map(_stack, stacks))
    return _step(scripts, "releases.sh", *names, label=" ".join(("releases", *names)))


def prune(
    scripts: Scripts, stack: str, repositories: Iterable[str], *, retain: int, dry_run: bool, performer: str = ""
) -> Step:
    """Remove what deploys of a stack have left over, or, in a dry run, only tell. Read by `answers.leftovers`.

    `repositories` are those whose images are this project's, as `Image.name` names them.
    """
    meta = {
        "retain": str(retain),
        "repositories": "\n".join(_words("image", repositories)),
        "performer": performer,
    }
    words = (_stack(stack), *(("dry-run",) if dry_run else ()))
    return _step(scripts, "prune.sh", *words, files=_about(meta), label=" ".join(("prune", *words)))


def attach(scripts: Scripts, token: str, seen: int = 0) -> Step:
    """Follow a run that was started before; `seen` is how many of its events have arrived (`answers.count`)."""
    return _step(scripts, "attach.sh", *_words("token", (token,)), str(seen), label=f"attach {token}")


def status(scripts: Scripts, stacks: Iterable[str] = ()) -> Step:
    """Ask for the containers of these stacks, or of all that the host has. Read by `answers.stacks`."""
    names = tuple(map(_stack, stacks))
    return _step(scripts, "status.sh", *names, label=" ".join(("status", *names)))


def remove(scripts: Scripts, stack: str, *, keep_volumes: bool = False, performer: str = "") -> Step:
    """Remove a stack; `keep_volumes` keeps its volumes and its workspace. Can be sent again."""
    words = (_stack(stack), *(("keep-volumes",) if keep_volumes else ()))
    return _step(scripts, "remove.sh", *words, files=by(performer), label=" ".join(("remove", *words)))


def unlock(scripts: Scripts, stack: str, pid: int | None = None, *, performer: str = "") -> Step:
    """Ask for the lock of a stack; with the `pid` of its owner, end him and remove it. Needs up to a minute."""
    words = (_stack(stack), *(() if pid is None else (str(pid),)))
    return _step(scripts, "unlock.sh", *words, files=by(performer), label=" ".join(("unlock", *words)))


def records(scripts: Scripts, stack: str, lines: int) -> Step:
    """Ask for the last lines of a stack's record. Read by `answers.records`."""
    words = (_stack(stack), str(lines))
    return _step(scripts, "records.sh", *words, label=" ".join(("records", *words)))


def by(performer: str) -> tuple[File, ...]:
    """Return the file that says who does it, for the host's record."""
    return (File("meta/performer", _text(performer), 0o600),)


def load(scripts: Scripts) -> Step:
    """Take what `docker save` wrote, plain or compressed by gzip or zstd, from the stdin that the caller streams."""
    return Step(("sh", "-c", scripts["load.sh"], "kamal-dev"), label="load")


def place(scripts: Scripts, stack: str, service: str = "") -> Step:
    """Ask for the container of a service, of the main one unless named. Read by `answers.place`."""
    words = (_stack(stack), *((service,) if service else ()))
    return _step(scripts, "place.sh", *words, label=" ".join(("place", *words)))


def environment(scripts: Scripts, token: str, values: Mapping[str, str]) -> Step:
    """Keep an environment on the host for the command that comes next; prints the path of its file."""
    text = "".join(f"{name}={value}\n" for name, value in values.items())
    words = _words("token", (token,))
    return Step(("sh", "-c", scripts["environment.sh"], "kamal-dev", *words), text.encode(), label="environment")


def forward(
    scripts: Scripts, directory: str, container: str, pid: int, image: str, targets: Iterable[str]
) -> tuple[str, ...]:
    """Return the command that makes a socket per target in `directory`, for as long as its stdin is open.

    `targets` are `host:port` as the container sees them; their sockets are called `0`, `1` and so on.
    """
    words = (directory, container, str(pid), image, scripts["relay.pl"], *targets)
    return ("sh", "-c", scripts["lib.sh"] + scripts["forward.sh"], "kamal-dev", *words)


def _step(scripts: Scripts, script: str, *args: str, label: str, token: str = "", files: Iterable[File] = ()) -> Step:
    names = {script, "lib.sh", *_SOURCED[script]}
    words = (script, *args)
    if token:
        names.update(_DETACHED)
        words = ("detach.sh", *_words("token", (token,)), *words)
    members = (*(File(name, scripts[name].encode()) for name in names), *files)
    return Step(("sh", "-c", _UNPACK, "kamal-dev", *words), stdin=pack(members), label=label)


def pack(files: Iterable[File]) -> bytes:
    """Return a compressed tar of `files`; equal files give equal bytes."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for file in sorted(files, key=lambda file: file.path):
            member = tarfile.TarInfo(file.path)
            member.size, member.mode = len(file.content), file.mode
            tar.addfile(member, io.BytesIO(file.content))
    return gzip.compress(stream.getvalue(), mtime=0)


def _login(login: Login | None) -> tuple[File, ...]:
    if login is None:
        return ()
    words = {"server": login.server, "username": login.username, "password": login.password.reveal()}
    return tuple(File(f"registry/{name}", word.encode(), 0o600) for name, word in words.items())


def _text(text: str) -> bytes:
    return f"{text}\n".encode() if text else b""


def stack_word(name: str) -> str:
    """Return a stack's name. Raises UsageError for what cannot be one."""
    return _stack(name)


def _stack(name: str) -> str:
    if not _STACK.fullmatch(name):
        raise UsageError(
            f"`{name}` cannot name a stack",
            hint="use lower-case letters, digits, `-` and `_`; see `service` and `naming.pattern` in config/dev.yml",
        )
    return name


def _words(kind: str, words: Iterable[str]) -> tuple[str, ...]:
    """Refuse what a shell or Docker could take for a flag, a list or a path outside."""
    words = tuple(words)
    for word in words:
        if not _WORD.fullmatch(word) or ".." in word.split("/"):
            raise UsageError(f"`{word}` cannot name {'an' if kind == 'image' else 'a'} {kind}")
    return words


def _folders(folders: Iterable[str]) -> tuple[str, ...]:
    folders = tuple(folders)
    for folder in folders:
        if not folder or folder.startswith("/") or "\n" in folder or ".." in folder.split("/"):
            raise UsageError(f"`{folder}` cannot be a folder of the workspace")
    return folders
