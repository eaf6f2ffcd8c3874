"""The payload for a host: scripts, and how to run one of them with its files in a single exec. Runs nothing.

A step is a small wrapper as argv and, on stdin, a compressed tar with the script, the scripts that it sources, and
its files. With a token it runs detached from the SSH connection: the same step sent again follows the existing run.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping

from kamal_dev.commands.words import checked
from kamal_dev.model import File, Step

SCRIPTS = (
    "allot.sh",
    "apply.sh",
    "apply_patch.sh",
    "arrive.sh",
    "attach.sh",
    "audit.sh",
    "backup.sh",
    "bootstrap.sh",
    "carry.sh",
    "checkout.sh",
    "claim.sh",
    "clone.sh",
    "collect.sh",
    "compose.sh",
    "confine.sh",
    "contents.sh",
    "copy.sh",
    "create.sh",
    "detach.sh",
    "engine.sh",
    "engine_events.sh",
    "engine_images.sh",
    "engine_root.sh",
    "engine_swarm.sh",
    "engine_tasks.sh",
    "environment.sh",
    "exec.sh",
    "expire.sh",
    "extend.sh",
    "facts.sh",
    "feed.sh",
    "folders.sh",
    "forward.sh",
    "gather.sh",
    "handover.sh",
    "history.sh",
    "idle.sh",
    "images.sh",
    "incidents.sh",
    "inventory.sh",
    "jail.sh",
    "label.sh",
    "lib.sh",
    "lifecycle.sh",
    "lifetime.sh",
    "load.sh",
    "lock.sh",
    "logs.sh",
    "manifest.sh",
    "mounts.sh",
    "move.sh",
    "nodes.sh",
    "notify.sh",
    "observe.sh",
    "operate.sh",
    "outage.sh",
    "owner.sh",
    "packages.sh",
    "parts.sh",
    "patch.sh",
    "place.sh",
    "pools.sh",
    "ports.sh",
    "problems.sh",
    "process.sh",
    "prune.sh",
    "pull.sh",
    "reap.sh",
    "records.sh",
    "recover.sh",
    "releases.sh",
    "remove.sh",
    "repair.sh",
    "replace.sh",
    "restarts.sh",
    "restorable.sh",
    "restore.sh",
    "resume.sh",
    "retention.sh",
    "rollback.sh",
    "room.sh",
    "run.sh",
    "save.sh",
    "seed.sh",
    "services.sh",
    "stack.sh",
    "stage.sh",
    "status.sh",
    "stop.sh",
    "stream.sh",
    "survey.sh",
    "swap.sh",
    "switch.sh",
    "underway.sh",
    "unit.sh",
    "unlock.sh",
    "unpack.sh",
    "unsaved.sh",
    "usage.sh",
    "vacancy.sh",
    "wait.sh",
    "watch.sh",
    "watcher.sh",
    "work.sh",
    "worker.sh",
    "workspace.sh",
)
Scripts = Mapping[str, str]

# The scripts that run another one confined to a workspace.
CONFINED = ("confine.sh", "jail.sh", "engine_root.sh")
# The scripts that finish an interrupted backup or restore.
UNDERWAY = ("underway.sh", "parts.sh", "swap.sh")
# What ends containers, and knows who is in them.
_REPLACE = ("replace.sh", "process.sh", "engine_events.sh")
_SWITCH = (
    *("switch.sh", "stack.sh", "history.sh", "lock.sh", "audit.sh", "lifetime.sh", "images.sh", "engine_images.sh"),
    *(
        "room.sh",
        "observe.sh",
        "repair.sh",
        "watch.sh",
        "restarts.sh",
        "owner.sh",
        "ports.sh",
        "pull.sh",
        "exec.sh",
        "lifecycle.sh",
        *_REPLACE,
    ),
    *CONFINED,
    *("folders.sh", "handover.sh", "mounts.sh"),
    *UNDERWAY,
)
_FACTS = (
    *("stack.sh", "history.sh", "observe.sh", "lock.sh", "ports.sh", "unit.sh"),
    *("pools.sh", "engine_images.sh", "lifetime.sh"),
)
_REMOVE = (
    *("stack.sh", "unit.sh", "audit.sh", "lock.sh", "lifetime.sh", *UNDERWAY, *_REPLACE, *CONFINED),
    *("work.sh", "clone.sh", "unsaved.sh", "images.sh", "engine_images.sh", "retention.sh"),
)
_OPERATE = (*_SWITCH, "services.sh")
# What ends a stack.
_EXPIRE = (*_OPERATE, "operate.sh", *_REMOVE, "remove.sh")
# The scripts of the watcher, which are installed on the host.
_WATCHER = (
    *("lib.sh", "engine.sh", "engine_tasks.sh", "stack.sh", "history.sh", "audit.sh", "lock.sh", "observe.sh"),
    *("exec.sh", "lifecycle.sh"),
    *("outage.sh", "problems.sh", "incidents.sh", "notify.sh", "resume.sh", "watcher.sh", "engine_events.sh"),
    *("recover.sh", "engine_root.sh", *UNDERWAY),
    *("lifetime.sh", "idle.sh", "expire.sh"),
)
WATCHER = tuple(dict.fromkeys((*_WATCHER, *_EXPIRE)))
_SOURCED = {
    "allot.sh": ("stack.sh", "ports.sh"),
    "apply.sh": (*_SWITCH, "retention.sh", "unit.sh"),
    "attach.sh": ("run.sh",),
    "backup.sh": (*_SWITCH, "services.sh", "copy.sh"),
    "claim.sh": (),
    "bootstrap.sh": ("packages.sh", "pools.sh", "facts.sh", *_FACTS),
    "carry.sh": ("stack.sh", "lifetime.sh"),
    "contents.sh": ("stack.sh", *_REPLACE),
    "create.sh": (*_SWITCH, "services.sh", "unit.sh"),
    "extend.sh": ("stack.sh", "audit.sh", "lifetime.sh"),
    "facts.sh": _FACTS,
    "inventory.sh": ("stack.sh", "history.sh", "parts.sh", "engine_root.sh"),
    "label.sh": ("engine_swarm.sh",),
    "logs.sh": ("stack.sh", "engine_events.sh"),
    "manifest.sh": (),
    "move.sh": ("stack.sh", "audit.sh", "lock.sh", "feed.sh", "lifetime.sh", *CONFINED, *UNDERWAY),
    "nodes.sh": ("engine_swarm.sh",),
    "operate.sh": _OPERATE,
    "place.sh": ("stack.sh",),
    "prune.sh": (
        "stack.sh",
        "history.sh",
        "lock.sh",
        "audit.sh",
        "images.sh",
        "engine_images.sh",
        "retention.sh",
        "run.sh",
    ),
    "pull.sh": ("images.sh", "facts.sh", *_FACTS),
    "reap.sh": (*_EXPIRE, "vacancy.sh"),
    "records.sh": ("stack.sh",),
    "releases.sh": ("stack.sh", "history.sh", "images.sh", "engine_images.sh"),
    "remove.sh": _REMOVE,
    "restorable.sh": ("stack.sh", "room.sh", "parts.sh", "engine_root.sh"),
    "restore.sh": (*_SWITCH, "services.sh"),
    "rollback.sh": _SWITCH,
    "status.sh": ("stack.sh", "history.sh", "observe.sh", "lock.sh", "usage.sh", "lifetime.sh"),
    "stop.sh": _SWITCH,
    "stream.sh": ("run.sh",),
    "survey.sh": ("facts.sh", *_FACTS, "contents.sh", *_REPLACE, "manifest.sh"),
    "unlock.sh": ("stack.sh", "audit.sh", "lock.sh"),
    "wait.sh": ("stack.sh", "history.sh", "lock.sh", "observe.sh", "process.sh"),
}
_DETACHED = ("detach.sh", "run.sh", "worker.sh")

LEVEL = 4  # the highest one takes three times as long for each host, and saves a twenty-fifth of the bytes

# Variables that start-up files set for people's programs must not affect the scripts. Also, the last output of a
# failed program as text that needs no escapes in JSON.
PLAIN = """unset TAR_OPTIONS GZIP GREP_OPTIONS POSIXLY_CORRECT CDPATH COMPOSE_FILE COMPOSE_PROJECT_NAME COMPOSE_PROFILES
refuse() {
  words=$(printf %s "$said" | tr -d '"\\\\' | tr -s '\\000-\\037' ' ' | cut -c1-300)
  echo '{"type":"result","ok":false,"phase":"upload","reason":"'"$1${words:+ ($words)}"'"}'
  exit 1
}
"""
# The modes of files are kept whatever the umask is, but not their owner.
_UNPACK = f"""{PLAIN}umask 077
said=$(mktemp -d "${{TMPDIR:-/tmp}}/kamal-dev.XXXXXX" 2>&1) && dir=$said &&
  said=$(tar -xzpf - --no-same-owner -C "$dir" 2>&1) || {{
  rm -rf "${{dir:-}}"
  for each in mktemp tar gzip; do command -v "$each" >/dev/null 2>&1 || lacks="${{lacks:-}} $each"; done
  case ${{lacks:+lacks}}$said in
    lacks*) said='' && refuse "the host lacks$lacks" ;;
    *'unexpected end of file'* | *'short read'*) said=''
      refuse 'no files arrived; does a start-up file such as ~/.bashrc read the input?' ;;
    *) refuse 'files were not unpacked; is /tmp full or read-only?' ;;
  esac
}}
trap 'rm -rf "$dir"' EXIT
trap 'exit 143' HUP INT PIPE TERM
script=$1
shift
sh "$dir/$script" "$@"
"""


def step(
    scripts: Scripts,
    script: str,
    *args: str,
    label: str,
    token: str = "",
    files: tuple[File, ...] = (),
) -> Step:
    """Run `script` with these arguments and files; with a `token`, detached from the connection."""
    names = {script, "lib.sh", "engine.sh", *_SOURCED[script]}
    names |= {"engine_tasks.sh"} if "stack.sh" in names else set()
    argv: tuple[str, ...] = (script, *args)
    if token:
        names.update(_DETACHED)
        argv = ("detach.sh", *checked("token", (token,)), *argv)
    members = (*_files(scripts, names - {file.path for file in files}), *files)
    return Step(("sh", "-c", _UNPACK, "kamal-dev", *argv), stdin=pack(members), label=label)


def _files(scripts: Scripts, names: Iterable[str]) -> tuple[File, ...]:
    return tuple(File(name, scripts[name].encode()) for name in names)


def watcher(scripts: Scripts) -> tuple[File, ...]:
    """Return the files with which a script installs the watcher."""
    names = "\n".join((watcher_version(scripts), *WATCHER))
    return (*_files(scripts, dict.fromkeys(("unit.sh", *WATCHER))), *about({"watcher": names}))


def watcher_version(scripts: Scripts) -> str:
    """Return a digest of the watcher that unit.sh installs."""
    texts = (scripts[name] for name in (*WATCHER, "unit.sh"))
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def pack(files: Iterable[File]) -> bytes:
    """Return a compressed tar of `files`; equal files give equal bytes."""
    return gzip.compress(tar(sorted(files, key=lambda file: file.path)), LEVEL, mtime=0)


def tar(files: Iterable[File]) -> bytes:
    """Return a tar of `files` in their order."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in files:
            member = tarfile.TarInfo(file.path)
            member.size, member.mode = len(file.content), file.mode
            archive.addfile(member, io.BytesIO(file.content))
    return stream.getvalue()


def about(meta: Mapping[str, str]) -> tuple[File, ...]:
    """Return the files that scripts read under `meta/`, one per name."""
    return tuple(File(f"meta/{name}", _text(text), 0o600) for name, text in meta.items())


def arriving(token: str) -> dict[str, str]:
    """Return the setting of a script that is part of the move or the copy with this token, if there is one."""
    return {"arrival": checked("token", (token,))[0]} if token else {}


def performed(performer: str) -> tuple[File, ...]:
    """Return the file with the name of the performer, for the host's audit log."""
    return about({"performer": performer})


def _text(text: str) -> bytes:
    return f"{text}\n".encode() if text else b""
