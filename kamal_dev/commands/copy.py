"""Copy files into and out of containers: source, destination and command lines. Runs nothing."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence

from kamal_dev.commands.docker import PROGRAM
from kamal_dev.commands.stacks import RunningContainer
from kamal_dev.errors import UsageError
from kamal_dev.model import Step
from kamal_dev.values import dataclass

# Runs in the container with a path and its folder: prints the user, then `dir`, `file`, `none` or `nowhere`, then for a
# link to a file which one that is. `memory`: the folder is in a file system that `docker cp` does not see; what it
# writes there would be in the container, but below that mount.
_LOOK = """id -u; id -g
if [ -d "$1" ]; then folder=$1; else folder=$2; fi
folder=$(cd "$folder" 2>/dev/null && pwd -P)/ longest=0 type=
while read -r _ _ _ root point rest; do
  case $folder in "${point%/}"/*) [ ${#point} -lt $longest ] || { longest=${#point} type=$root:${rest##* - }; } ;; esac
done </proc/self/mountinfo
case ${type%% *} in /:tmpfs | *:proc | *:sysfs | *:devpts | *:mqueue) echo memory; exit ;; esac
if [ -d "$1" ]; then echo dir
elif [ -e "$1" ]; then echo file; [ ! -L "$1" ] || readlink -f -- "$1"
elif [ -d "$2" ]; then echo none
else echo nowhere
fi"""


@dataclass(frozen=True)
class CopyPlace:
    """Hold where files are: at `path` in a service of a stack, or on this machine if `stack` is empty."""

    path: str
    stack: str = ""
    service: str = ""


def place(text: str, stacks: Iterable[str], services: Sequence[str]) -> CopyPlace:
    """Parse `NAME:path`, `NAME:SERVICE:path` or a local path.

    An empty path means the workspace folder, or `/`. A path with a colon is local if it begins with `/` or `.`.
    Raises UsageError for an unknown stack or service.
    """
    name, colon, rest = text.partition(":")
    if not colon or text[:1] in ("/", "."):
        return CopyPlace(text)
    if name not in stacks:
        raise UsageError(f"there is no stack `{name}`", hint=f"for a file of this machine, write `./{text}`")
    service, second, path = rest.partition(":")
    if second and service in services:
        return CopyPlace(path, name, service)
    if second and path[:1] == "/":
        raise UsageError(f"there is no service `{service}`", hint=f"the services are: {', '.join(services)}")
    return CopyPlace(rest, name)


def stacks_of(texts: Iterable[str], stacks: Iterable[str]) -> tuple[str, ...]:
    """Return the stacks that paths as `place` takes them name, each once."""
    known, named = set(stacks), (text.partition(":") for text in texts)
    return tuple(dict.fromkeys(name for name, colon, _ in named if colon and name in known))


@dataclass(frozen=True)
class CopyTarget:
    """Hold what is at a path in a container, and its owner for new files.

    `kind` is as `_LOOK` prints it; `leads_to` is the file that a link leads to.
    """

    user: int = 0
    group: int = 0
    kind: str = "dir"
    leads_to: str = ""

    @classmethod
    def of(cls, output: str) -> CopyTarget:
        """Parse the container's answer; without an answer, it is a folder of root."""
        user, group, kind, path, *_ = (*output.split("\n"), "", "", "", "")
        if not (user.isdecimal() and group.isdecimal() and kind in ("dir", "file", "none", "nowhere", "memory")):
            return cls()
        return cls(int(user), int(group), kind, path)


def look(container: RunningContainer, path: str, user: str = "") -> Step:
    """Return the step that inspects the target of a copy in a container; parsed by `CopyTarget.of`."""
    flags = ("--user", user) if user else ()
    parent = posixpath.dirname(path.rstrip("/")) or "/"
    words = ("exec", *flags, container.id, "sh", "-c", _LOOK, "kamal-dev", path, parent)
    return Step(_on_host(container, words), label=f"look at {path}")


def into(container: RunningContainer, folder: str) -> Step:
    """Return the step that unpacks a tar from stdin in a folder of a container."""
    return Step(_on_host(container, ("cp", "-", f"{container.id}:{folder}")), label=f"unpack in {folder}")


def out_of(container: RunningContainer, path: str) -> Step:
    """Return the step that writes a path of a container as a tar to stdout."""
    return Step(_on_host(container, ("cp", "--follow-link", f"{container.id}:{path}", "-")), label=f"pack {path}")


def _on_host(container: RunningContainer, words: tuple[str, ...]) -> tuple[str, ...]:
    engine = ("env", f"DOCKER_HOST={container.socket}") if container.socket else ()
    argv: tuple[str, ...] = (*engine, PROGRAM, *words)
    return argv if container.direct else ("sudo", "-n", "--", *argv)
