"""Build command lines for OpenSSH; all of its options are set here."""

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

REFUSED = 255  # exit code of ssh itself; commands must not use it
UNUSED = 5  # seconds until an ssh that is not kept for the next run ends, if this process is killed


def argv(way: Way, flags: tuple[str, ...], command: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ssh command line that runs `command` on a host.

    sshd hands the words to the login shell as one line: they are quoted here, and nowhere else.
    """
    line = frame.line(f"exec {shlex.join(command)}")
    return ("ssh", *flags, *options(way), "--", way.address, line)


def master(way: Way, socket: Path, log: Path) -> tuple[str, ...]:
    """Return the ssh that logs in and goes on in the background; it logs to `log`, like those to jump hosts.

    It accepts sessions on `socket`, and ends by itself if nobody has used it for `ssh.control_persist`.
    """
    control = f"ControlPath={quoting.path(str(socket))}"
    persist = f"ControlPersist={way.trust.control_persist or UNUSED}"
    # With ControlPersist, only `-v` keeps the stderr of a ProxyCommand.
    return ("ssh", "-v", "-M", "-N", "-T", "-o", control, "-o", persist, *options(way, log), "--", way.address)


def log_of_jump(log: Path) -> Path:
    """Return the log file of the ssh to the last jump host."""
    return Path(f"{log}.jump")


def patience(way: Way) -> int:
    """Return how many seconds a host has to show its banner, the time for all jump hosts included."""
    return way.trust.connect_timeout + (patience(way.through) if way.through else 0)


def options(way: Way, log: Path | None = None) -> tuple[str, ...]:
    """Return the options to reach a host. ssh_config is not read again: its forwards and terminals are for people.

    The ssh with a log is the first one of a run, and the first to see the host's key.
    """
    logged = ("-E", str(log), "-o", "LogLevel=DEBUG1") if log else ()
    about = {**_behaviour(way), **settings(way, learns=log is not None), "ProxyCommand": proxy(way, log) or "none"}
    pairs = [*about.items(), *keys(way)]
    return ("-F", "none", *logged, *(word for name, value in pairs for word in ("-o", f"{name}={value}")))


def _behaviour(way: Way) -> dict[str, str]:
    """Return the options for ssh run by a program, whatever the user's terminal settings are."""
    return {
        "BatchMode": "yes",
        "ExitOnForwardFailure": "yes",
        # The connection is closed after three unanswered keepalive messages.
        "ServerAliveInterval": str(math.ceil(1.5 * way.trust.connect_timeout)),
        "ServerAliveCountMax": "2",
        "ConnectTimeout": str(patience(way)),
        "CheckHostIP": "no",
        "ControlPath": "none",
        "LogLevel": "ERROR",
    }


def settings(way: Way, *, learns: bool = False) -> dict[str, str]:
    """Return address, user and accepted host keys; `learns` also records the key of a new host."""
    # `${` has a meaning in one of the two lists only.
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
    # Without an IdentityFile, ssh would try its default keys.
    identities = [("IdentityFile", quoting.path(item)) for item in way.identities or ("none",)]
    return identities + [("CertificateFile", quoting.path(item)) for item in way.certificates]


def proxy(way: Way, log: Path | None = None) -> str:
    """Return the ProxyCommand: the user's own, or an ssh to the jump host; empty for a direct connection.

    ProxyJump is not used: it would use neither the project's known_hosts nor the keys configured for the host.
    """
    if not way.through:
        return way.command.replace("%", "%%")
    goal = f"[{way.hostname}]:{way.port}"
    words = ("ssh", *options(way.through, log and log_of_jump(log)), "-W", goal, "--", way.through.address)
    return shlex.join(words).replace("%", "%%")


def become(words: tuple[str, ...]) -> NoReturn:
    """Replace this process by ssh, with its terminal, signals and exit code. Raises DevError if there is no ssh."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    # Python ignores SIGPIPE, and a replaced process inherits that.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp(words[0], words)  # noqa: S606 # no shell is wanted
    except OSError as error:
        raise DevError(f"`{words[0]}` cannot be run: {error.strerror}", hint="install the OpenSSH client") from error
