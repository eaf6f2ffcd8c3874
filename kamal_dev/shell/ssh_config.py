"""Write a file for `~/.ssh/config` to include, which names each host after its stack, for tools that run ssh."""

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
    """Return the line for `~/.ssh/config` that includes the file."""
    return f"Include {quoting.included(str(path))}"


def text(stacks: Iterable[tuple[str, Host]], trust: Trust, path: Path) -> str:
    """Return the file: one `Host` for each stack."""
    head = f"# Written by `dev open`; changes are lost. To use it: `{include(path)}` at the top of ~/.ssh/config\n"
    return head + "".join(f"\n{_host(name, host, trust)}" for name, host in stacks if host.address)


def renew(path: Path, hosts: Iterable[Host], trust: Trust) -> None:
    """Update the addresses of these hosts in an existing file; the entries of other stacks stay.

    Raises OSError, HostUnreachable.
    """
    before = os.fsdecode(path.read_bytes())
    head, *listed = before.rstrip("\n").split("\n\n")
    known = {item.partition("\n")[0].removeprefix("Host "): item for item in listed}
    # A host that config/dev.yml no longer lists has a name that is not a stack's name.
    met = (host for host in hosts if host.address and "@" not in host.name)
    known |= {host.name: _host(host.name, host, trust).rstrip("\n") for host in met}
    after = "\n\n".join((head, *known.values())) + "\n"
    if after != before:
        write(path, after)


def _host(name: str, host: Host, trust: Trust) -> str:
    """Return the resolved settings of a host, under a name for which ~/.ssh/config has none."""
    route = way(host, trust)
    lines = [*openssh.settings(route).items(), ("ProxyCommand", openssh.proxy(route)), *openssh.keys(route)]
    return "".join((f"Host {name}\n", *(f"  {key} {value}\n" for key, value in lines if value)))


def write(path: Path, content: str) -> None:
    """Write the file by rename, with a mode that ssh accepts: it refuses files that others may change."""
    fresh = path.with_suffix(".tmp")
    fresh.write_bytes(os.fsencode(content))
    fresh.chmod(0o600)
    fresh.replace(path)


def is_included(name: str, host: Host, trust: Trust) -> bool:
    """Return whether plain `ssh NAME` reaches this host with the project's known hosts, according to ssh itself."""
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
