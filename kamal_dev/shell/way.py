"""Find the way to a host once: `ssh -G` answers, and every ssh that is run is given its answers.

Include, Match, tokens, aliases and defaults of ssh_config are ssh's own to read; nothing else reads that file.
"""

from __future__ import annotations

import re
from itertools import count

from kamal_dev.errors import HostUnreachable
from kamal_dev.model import Host
from kamal_dev.shell.fanout import once
from kamal_dev.shell.resolved import Resolved
from kamal_dev.shell.trust import Trust
from kamal_dev.values import dataclass

MOST_HOPS = 8
_HOP = re.compile(r"(?:(?P<user>.+)@)?(?:\[(?P<six>[^]]+)\]|(?P<name>[^@:\[\]]+))(?::(?P<port>\d+))?")


@dataclass(frozen=True)
class Way:
    """Hold how one host is reached, and through which others.

    `stack` is whose host it is, for errors; `address` is what ssh is asked for, `hostname` where that leads.
    `identities` and `certificates` are files that exist, `missing` the keys of config/dev.yml that do not. `agent`
    is the socket of the agent as ssh_config writes it: a path, `SSH_AUTH_SOCK`, `$NAME`, or `none`. `known_hosts`
    are the files to look keys up in; `alias` is the name to look it up by, empty for the address. `vouched` is the
    only right key (`type base64`), where the provider knows it. `command` makes the connection in place of a socket.
    `others` are further options of ssh, as pairs.
    """

    stack: str
    address: str
    hostname: str
    user: str
    trust: Trust
    port: int = 22
    family: str = "any"
    identities: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    identities_only: bool = False
    agent: str = "SSH_AUTH_SOCK"
    alias: str = ""
    known_hosts: tuple[str, ...] = ()
    global_known_hosts: tuple[str, ...] = ()
    vouched: str = ""
    policy: str = "accept-new"
    others: tuple[tuple[str, str], ...] = ()
    command: str = ""
    passes_socket: bool = False
    through: Way | None = None
    is_hop: bool = False

    @property
    def shown(self) -> str:
        """Where it leads, for people."""
        name = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        return f"jump host {name}:{self.port}" if self.is_hop else f"{name}:{self.port}"

    @property
    def known_as(self) -> str:
        """The name under which known_hosts lists it. Source: sshd(8)."""
        return self.alias or entry_name(self.hostname, self.port)


def entry_name(hostname: str, port: int) -> str:
    """Return the name under which known_hosts lists an address. Source: sshd(8)."""
    return hostname if port in (0, 22) else f"[{hostname}]:{port}"


@once
def way(host: Host, trust: Trust) -> Way:
    """Return how to reach a host; asked once for each in a run. Raises HostUnreachable."""
    return _way(host, trust, count())


def _way(host: Host, trust: Trust, depth: count[int], *, is_hop: bool = False) -> Way:
    _require(host, next(depth))
    resolved = Resolved(host, trust)
    mine = str(trust.known_hosts)
    is_off, is_pinned = trust.policy == "off", bool(host.host_key)
    theirs = () if is_off or is_pinned else resolved.files("userknownhostsfile")
    return Way(
        stack=host.name,
        address=host.address,
        hostname=resolved.one("hostname"),
        user=resolved.one("user"),
        trust=trust,
        port=int(resolved.one("port")),
        family=resolved.one("addressfamily", "any"),
        identities=resolved.paths("identityfile"),
        certificates=resolved.paths("certificatefile"),
        missing=tuple(str(key) for key in host.keys if not key.exists()),
        identities_only=resolved.one("identitiesonly") == "yes",
        agent=resolved.one("identityagent", "SSH_AUTH_SOCK"),
        alias=resolved.one("hostkeyalias"),
        known_hosts=() if is_off else (mine, *theirs),
        global_known_hosts=() if is_off or is_pinned else resolved.files("globalknownhostsfile"),
        vouched=" ".join(host.host_key.split()[:2]),
        policy=_policy(trust, resolved),
        others=resolved.others(),
        command="" if resolved.one("proxycommand") == "none" else resolved.tokens("proxycommand"),
        passes_socket=resolved.one("proxyusefdpass") == "yes",
        through=_through(host, resolved, trust, depth),
        is_hop=is_hop,
    )


def _require(host: Host, depth: int) -> None:
    """Raise HostUnreachable for a host that leads nowhere."""
    if not host.address:
        raise HostUnreachable(
            host.name,
            "the host has no address",
            hint="it may be stopped; `dev deploy` starts it",
        )
    if depth > MOST_HOPS:
        raise HostUnreachable(
            host.name, f"circular jump hosts: {host.address}", hint="see `ProxyJump` in ~/.ssh/config"
        )


def _policy(trust: Trust, resolved: Resolved) -> str:
    """Return what to do with an unknown key; ssh_config may be stricter than config/dev.yml, never laxer."""
    is_strict = resolved.one("stricthostkeychecking") in ("true", "yes")
    return "strict" if trust.policy == "accept-new" and is_strict else trust.policy


def _through(host: Host, resolved: Resolved, trust: Trust, depth: count[int]) -> Way | None:
    """Return the way to the last jump host; those before it are its own way, as with ssh."""
    *before, last = resolved.tokens("proxyjump").split(",")
    if not last:
        return None
    hop = _HOP.fullmatch(last)
    if hop is None:
        raise HostUnreachable(host.name, f"`{last}` is not a jump host", hint="write it as `user@address:port`")
    # The keys that config/dev.yml names are those for the hop as well; its user and port are the host's alone.
    jump_host = Host(
        host.name, hop["six"] or hop["name"], hop["user"] or "", int(hop["port"] or 0), host.keys, ",".join(before)
    )
    return _way(jump_host, trust, depth, is_hop=True)
