"""Command lines for OpenSSH, and the one place for its options.

It has what Paramiko lacks: the user's terminal, and forwards that are fast.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from typing import NoReturn

from kamal_dev.errors import DevError
from kamal_dev.model import Host
from kamal_dev.shell import frame
from kamal_dev.shell.trust import Trust

REFUSED = 255  # ssh's own exit code, which no command's may be


def argv(host: Host, trust: Trust, flags: tuple[str, ...], command: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ssh command line that runs `command` on a host.

    sshd hands the words to the login shell as one line: they are quoted here, and nowhere else.
    """
    line = frame.line(f"exec {shlex.join(command)}")
    return ("ssh", *flags, *options(host, trust), *_way(host, trust), "--", host.address, line)


def _way(host: Host, trust: Trust) -> tuple[str, ...]:
    """Return how to get to a host that others stand before."""
    hops = [hop for hop in host.proxy_jump.split(",") if hop]
    if len(hops) == 1:
        # `-J` would not use the keys named for the host, which are those for the hop as well.
        hop = (*options(replace(host, port=0, user=""), trust), "-W", "[%h]:%p", f"ssh://{hops[0]}")
        return ("-o", f"ProxyCommand={shlex.join(('ssh', *hop))}")
    return ("-J", host.proxy_jump) if hops else ()


def options(host: Host, trust: Trust) -> tuple[str, ...]:
    """Return how to reach a host: whose key is right, who logs in, and with what."""
    words = [] if trust.read_ssh_config else ["-F", "none"]
    words += [word for name, value in settings(host, trust).items() for word in ("-o", f"{name}={value}")]
    if host.keys:
        words += ["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"]
    words += [word for key in host.keys for word in ("-i", str(key))]
    words += ["-p", str(host.port)] if host.port else []
    return (*words, *(("-l", host.user) if host.user else ()))


def settings(host: Host, trust: Trust) -> dict[str, str]:
    """Return the options that do not depend on who logs in."""
    files = str(trust.known_hosts) if host.host_key else f"{trust.known_hosts} ~/.ssh/known_hosts"
    return {
        "BatchMode": "yes",
        "ExitOnForwardFailure": "yes",
        "ServerAliveInterval": "15",
        "ConnectTimeout": str(trust.connect_timeout),
        "ControlPath": "none",
        "LogLevel": "ERROR",
        "StrictHostKeyChecking": "no" if trust.policy == "off" else "yes",
        "UserKnownHostsFile": files,
    }


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
