"""A file for `~/.ssh/config` to include: each host under its stack's name, for tools that call ssh themselves."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from kamal_dev.errors import HostUnreachable
from kamal_dev.model import Host
from kamal_dev.shell import openssh, quoting
from kamal_dev.shell.trust import Trust
from kamal_dev.shell.way import way


def include(path: Path) -> str:
    """Return the line for `~/.ssh/config` that reads the file."""
    return f"Include {quoting.included(str(path))}"


def text(stacks: Iterable[tuple[str, Host]], trust: Trust, path: Path) -> str:
    """Return the file: one `Host` for each stack."""
    head = f"# Written by `dev open`; changes are lost. To use it: `{include(path)}` at the top of ~/.ssh/config\n"
    return head + "".join(f"\n{_host(name, host, trust)}" for name, host in stacks if host.address)


def renew(path: Path, hosts: Iterable[Host], trust: Trust) -> None:
    """Let a file that is there say where these hosts are now; those of other stacks stay.

    Raises OSError, HostUnreachable.
    """
    before = os.fsdecode(path.read_bytes())
    head, *listed = before.rstrip("\n").split("\n\n")
    known = {item.partition("\n")[0].removeprefix("Host "): item for item in listed}
    # A host that config/dev.yml lists no longer has a name that is no stack's.
    met = (host for host in hosts if host.address and "@" not in host.name)
    known |= {host.name: _host(host.name, host, trust).rstrip("\n") for host in met}
    after = "\n\n".join((head, *known.values())) + "\n"
    if after != before:
        write(path, after)


def _host(name: str, host: Host, trust: Trust) -> str:
    """Return what was answered about a host, under a name for which ~/.ssh/config says nothing."""
    route = way(host, trust)
    lines = [*openssh.settings(route).items(), ("ProxyCommand", openssh.proxy(route)), *openssh.keys(route)]
    return "".join((f"Host {name}\n", *(f"  {key} {value}\n" for key, value in lines if value)))


def write(path: Path, content: str) -> None:
    """Write the file in one rename; ssh refuses one that others may change."""
    fresh = path.with_suffix(".tmp")
    fresh.write_bytes(os.fsencode(content))
    fresh.chmod(0o600)
    fresh.replace(path)


def is_included(name: str, host: Host, trust: Trust) -> bool:
    """Whether plain `ssh NAME` would reach this host with this project's known hosts, by what ssh itself says."""
    try:
        route = way(host, trust)
        answer = subprocess.run(
            ("ssh", "-T", "-G", name),
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired, HostUnreachable):
        return False
    settings = dict(line.partition(" ")[::2] for line in answer.stdout.splitlines())
    files = " ".join(route.known_hosts) or "/dev/null"
    return (
        settings.get("hostname") == route.hostname
        and settings.get("port") == str(route.port)
        and settings.get("userknownhostsfile") == files
    )
