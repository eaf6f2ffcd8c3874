"""Command lines that run inside a container on a host. Builds argv; quotes and runs nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from kamal_dev.commands.stacks import RunningContainer
from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

ENGINE = "docker"  # the program on hosts; `docker.py` has the local one
# Runs in the container: FOLDER [WORD]...; without words a shell. A single word is a line for that shell, like in ssh.
_ENTER = """if [ -n "$1" ] && ! cd -- "$1" 2>/dev/null; then
  echo "kamal-dev: $1 is not there, or not for this user; this is $PWD" >&2
fi
shift
[ $# -lt 2 ] || exec "$@"
name=$(id -un 2>/dev/null) found=
while IFS=: read -r user _ _ _ _ _ login; do
  [ "$user" != "$name" ] || found=$login
done 2>/dev/null </etc/passwd
case ${found##*/} in
  '' | sh | false | nologin) found=$(command -v bash) || found=/bin/sh ;;
  *) [ -x "$found" ] || found=/bin/sh ;;
esac
SHELL=$found
export SHELL
[ $# -eq 0 ] || exec "$found" -c "$1"
exec "$found"
"""
# Runs on the host: FILE WORD...; the file is deleted before the command starts, and only the command can read it.
_WITH_FILE = 'exec 3<"$1" && rm -f -- "$1" && shift && exec "$@"'
_NAME = pattern(r"[A-Za-z_][A-Za-z0-9_.-]*")
_CONTAINER_ENV = pattern(r"\$\{containerEnv:([^:}\r\n]*)(?::([^:}\r\n]*))?[^}\r\n]*\}")


@dataclass(frozen=True)
class ExecOptions:
    """Hold how to enter a container: the user (empty: its own), folder, and additional environment.

    `file` is the path of the environment file on the host; `without` names variables to unset; `terminal` is the
    terminal type, empty for none; with `detach`, the command is not waited for.
    """

    user: str = ""
    folder: str = ""
    file: str = ""
    without: tuple[str, ...] = ()
    terminal: str = ""
    detach: bool = False


def command(
    place: RunningContainer, entry: ExecOptions, words: tuple[str, ...], *, is_main: bool = True
) -> tuple[str, ...]:
    """Return the words to run on a host; without `words`, for a shell.

    Several words are run unchanged; a single word is a line for the user's shell. In a container other than the main
    one, several words need no shell.
    """
    flags = ["--detach" if entry.detach else "--interactive"]
    flags += ["--tty", "--env", f"TERM={entry.terminal}"] if entry.terminal else []
    flags += ["--user", entry.user] if entry.user else []
    flags += ["--env-file", "/dev/fd/3"] if entry.file else []
    inside = words if len(words) > 1 and not is_main else ("sh", "-c", _ENTER, "kamal-dev", entry.folder, *words)
    if entry.without:
        inside = ("env", *(word for name in entry.without for word in ("-u", name)), *inside)
    engine = ("env", f"DOCKER_HOST={place.socket}") if place.socket else ()
    argv: tuple[str, ...] = (*engine, ENGINE, "exec", *flags, place.id, *inside)
    if entry.file:
        argv = ("sh", "-c", _WITH_FILE, "kamal-dev", entry.file, *argv)
    return argv if place.direct else ("sudo", "-n", "--", *argv)


def environment(
    wanted: Iterable[tuple[str, str | None]], place: RunningContainer
) -> tuple[Mapping[str, str], tuple[str, ...], tuple[str, ...]]:
    """Return `remoteEnv` as variables to set, names to unset, and names that cannot be set.

    `${containerEnv:NAME}` becomes the container's value. Docker reads a file of lines, so a value with a line break
    cannot be set.
    """
    own = dict(item.partition("=")[::2] for item in place.environment)
    values = {name: None if value is None else _resolved(value, own) for name, value in wanted}
    carried = {
        name: value
        for name, value in values.items()
        if value is not None and _NAME.fullmatch(name) and not re.search(r"[\r\n\0]", value)
    }
    without = tuple(name for name, value in values.items() if value is None and _NAME.fullmatch(name))
    return carried, without, tuple(name for name in values if name not in carried and name not in without)


def _resolved(value: str, own: Mapping[str, str]) -> str:
    return _CONTAINER_ENV.sub(lambda match: own.get(match[1], match[2] or ""), value)
