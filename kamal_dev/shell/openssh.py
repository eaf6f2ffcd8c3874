"""Command lines for OpenSSH, and the one place for its options."""

from __future__ import annotations

import math
import os
import shlex
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from kamal_dev.errors import DevError
from kamal_dev.shell import frame, quoting
from kamal_dev.shell.way import Way

REFUSED = 255  # ssh's own exit code, which no command's may be


def argv(way: Way, flags: tuple[str, ...], command: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ssh command line that runs `command` on a host.

    sshd hands the words to the login shell as one line: they are quoted here, and nowhere else.
    """
    line = frame.line(f"exec {shlex.join(command)}")
    return ("ssh", *flags, *options(way), "--", way.address, line)


def master(way: Way, socket: Path, log: Path) -> tuple[str, ...]:
    """Return the ssh that logs in, and then takes sessions on `socket`; it and those to jump hosts write to `log`."""
    control = f"ControlPath={quoting.path(str(socket))}"
    return ("ssh", "-M", "-N", "-T", "-o", control, *options(way, log), "--", way.address)


def log_of_jump(log: Path) -> Path:
    """Return where the ssh to the last jump host before a host writes its log."""
    return Path(f"{log}.jump")


def patience(way: Way) -> int:
    """Return how many seconds a host has to show its banner: as long as each host before it, and its own."""
    return way.trust.connect_timeout + (patience(way.through) if way.through else 0)


def options(way: Way, log: Path | None = None) -> tuple[str, ...]:
    """Return how to reach a host; ssh reads no configuration again, whose forwards and terminals are for people.

    The ssh that has a log is the first of a run, and meets the host.
    """
    logged = ("-E", str(log), "-o", "LogLevel=DEBUG1") if log else ()
    about = {**_behaviour(way), **settings(way, learns=log is not None), "ProxyCommand": proxy(way, log) or "none"}
    pairs = [*about.items(), *keys(way)]
    return ("-F", "none", *logged, *(word for name, value in pairs for word in ("-o", f"{name}={value}")))


def _behaviour(way: Way) -> dict[str, str]:
    """Return the ssh options of a program, regardless of the user's terminal settings."""
    return {
        "BatchMode": "yes",
        "ExitOnForwardFailure": "yes",
        # A host that answers three questions with nothing is given up.
        "ServerAliveInterval": str(math.ceil(1.5 * way.trust.connect_timeout)),
        "ServerAliveCountMax": "2",
        "ConnectTimeout": str(patience(way)),
        "CheckHostIP": "no",
        "ControlPath": "none",
        "LogLevel": "ERROR",
    }


def settings(way: Way, *, learns: bool = False) -> dict[str, str]:
    """Return where a host is, who logs in, and whose key is right; `learns` to record that of a new host."""
    # `${` has a meaning in the one list, and none in the other.
    files = [path for path in way.known_hosts if "${" not in path]
    global_files = [path for path in (*way.known_hosts, *way.global_known_hosts) if path not in files]
    lines = {
        "HostName": way.hostname.replace("%", "%%"),
        "User": quoting.quoted(way.user),
        "Port": str(way.port),
        "AddressFamily": way.family,
        "HostKeyAlias": way.alias,
        "StrictHostKeyChecking": _checking(way.policy, learns=learns),
        "UserKnownHostsFile": quoting.paths(files),
        "GlobalKnownHostsFile": " ".join(map(quoting.quoted, global_files)) or "/dev/null",
        "UpdateHostKeys": "no",
        "IdentitiesOnly": "yes" if way.identities_only else "no",
        "IdentityAgent": quoting.path(way.agent),
        "ProxyUseFdpass": "yes" if way.passes_socket and not way.through else "no",
    }
    return {**dict(way.others), **{name: value for name, value in lines.items() if value}}


def _checking(policy: str, *, learns: bool) -> str:
    if policy == "off":
        return "no"
    return "accept-new" if learns and policy == "accept-new" else "yes"


def keys(way: Way) -> list[tuple[str, str]]:
    """Return the options that may be given several times."""
    # Without any, ssh would take those of its own.
    identities = [("IdentityFile", quoting.path(item)) for item in way.identities or ("none",)]
    return identities + [("CertificateFile", quoting.path(item)) for item in way.certificates]


def proxy(way: Way, log: Path | None = None) -> str:
    """Return the ProxyCommand: that of the user, or an ssh to the jump host; empty for a host that is reached directly.

    Not ProxyJump, which would ask neither the project's known_hosts nor the keys that are named for the host.
    """
    if not way.through:
        return way.command.replace("%", "%%")
    goal = f"[{way.hostname}]:{way.port}"
    words = ("ssh", *options(way.through, log and log_of_jump(log)), "-W", goal, "--", way.through.address)
    return shlex.join(words).replace("%", "%%")


def become(words: tuple[str, ...]) -> NoReturn:
    """Give this process to ssh, with terminal, signals and exit code. Raises DevError where there is none."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    # Python ignores SIGPIPE, and what is ignored stays so in a process that takes over.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp(words[0], words)  # noqa: S606 # no shell is wanted
    except OSError as error:
        raise DevError(f"`{words[0]}` cannot be run: {error.strerror}", hint="install the OpenSSH client") from error
