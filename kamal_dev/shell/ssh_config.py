"""A file for `~/.ssh/config` to include: each host under its stack's name, for tools that call ssh themselves."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from kamal_dev.model import Host
from kamal_dev.shell import openssh
from kamal_dev.shell.trust import Trust

HEAD = "# Written by `dev open`; changes are lost. To use it: `Include {path}` at the top of ~/.ssh/config\n"


def text(stacks: Iterable[tuple[str, Host]], trust: Trust, path: Path) -> str:
    """Return the file: one `Host` for each stack."""
    return HEAD.format(path=path) + "".join(f"\n{_host(name, host, trust)}" for name, host in stacks if host.address)


def renew(path: Path, hosts: Iterable[Host], trust: Trust) -> None:
    """Let a file that is there say where these hosts are now; those of other stacks stay.

    Raises OSError, or ValueError for one that is no text.
    """
    before = path.read_text()
    head, *listed = before.rstrip("\n").split("\n\n")
    known = {item.partition("\n")[0].removeprefix("Host "): item for item in listed}
    # A host that config/dev.yml lists no longer has a name that is no stack's.
    met = (host for host in hosts if host.address and "@" not in host.name)
    known |= {host.name: _host(host.name, host, trust).rstrip("\n") for host in met}
    after = "\n\n".join((head, *known.values())) + "\n"
    if after != before:
        write(path, after)


def _host(name: str, host: Host, trust: Trust) -> str:
    settings = openssh.settings(host, trust)
    files = " ".join(f'"{word}"' for word in settings["UserKnownHostsFile"].split(" ~"))
    lines = {
        "HostName": host.address,
        "User": host.user,
        "Port": str(host.port) if host.port else "",
        "ProxyJump": host.proxy_jump,
        "StrictHostKeyChecking": settings["StrictHostKeyChecking"],
        "UserKnownHostsFile": files.replace('"/.ssh', '"~/.ssh'),
        "IdentitiesOnly": "yes" if host.keys else "",
    }
    written = [f"  {key} {value}\n" for key, value in lines.items() if value]
    written += [f'  IdentityFile "{key}"\n' for key in host.keys]
    return "".join((f"Host {name}\n", *written))


def write(path: Path, content: str) -> None:
    """Write the file in one rename; ssh refuses one that others may change."""
    fresh = path.with_suffix(".tmp")
    fresh.write_text(content)
    fresh.chmod(0o600)
    fresh.replace(path)


def is_included(name: str, host: Host, trust: Trust) -> bool:
    """Whether plain `ssh NAME` would reach this host with this project's known hosts, by what ssh itself says."""
    try:
        told = subprocess.run(("ssh", "-G", name), check=False, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return False
    found = dict(line.partition(" ")[::2] for line in told.stdout.splitlines())
    return (
        found.get("hostname") == host.address.lower()
        and found.get("port") == str(host.port or 22)
        and str(trust.known_hosts) in found.get("userknownhostsfile", "")
    )
