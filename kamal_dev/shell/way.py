"""Resolve the route to a host once with `ssh -G`, and pass the result to every ssh.

Include, Match, tokens, aliases and defaults of ssh_config are left to ssh; nothing else reads that file.
"""

from __future__ import annotations

from itertools import count

from kamal_dev.errors import HostUnreachable
from kamal_dev.model import Host
from kamal_dev.pattern import pattern
from kamal_dev.shell.fanout import once
from kamal_dev.shell.resolved import Resolved
from kamal_dev.shell.trust import Trust
from kamal_dev.values import dataclass

MOST_HOPS = 8
_HOP = pattern(r"(?:(?P<user>.+)@)?(?:\[(?P<six>[^]]+)\]|(?P<name>[^@:\[\]]+))(?::(?P<port>\d+))?")


@dataclass(frozen=True)
class Way:
    """Hold how one host is reached, and through which jump hosts.

    `stack` is the stack on the host, for errors; `address` is the argument for ssh, `hostname` what it resolves to.
    `identities` and `certificates` are existing files, `missing` the keys of config/dev.yml that do not exist.
    `agent` is the socket of the agent as in ssh_config: a path, `SSH_AUTH_SOCK`, `$NAME`, or `none`. `known_hosts`
    are the files with host keys; `alias` is the name to look up there, empty for the address. `vouched` is the only
    valid host key (`type base64`), if the provider knows it. `command` replaces the socket connection. `others` are
    further options of ssh, as pairs.
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
        """The address and port, for people."""
        name = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        return f"jump host {name}:{self.port}" if self.is_hop else f"{name}:{self.port}"

    @property
    def known_as(self) -> str:
        """The name of the host in known_hosts. Source: sshd(8)."""
        return self.alias or entry_name(self.hostname, self.port)


def entry_name(hostname: str, port: int) -> str:
    """Return the name of an address in known_hosts. Source: sshd(8)."""
    return hostname if port in (0, 22) else f"[{hostname}]:{port}"


@once
def way(host: Host, trust: Trust) -> Way:
    """Return how to reach a host; resolved once per host and run. Raises HostUnreachable."""
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
    """Raise HostUnreachable for a host without an address."""
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
    """Return the policy for an unknown key; ssh_config may make it stricter than config/dev.yml, never laxer."""
    is_strict = resolved.one("stricthostkeychecking") in ("true", "yes")
    return "strict" if trust.policy == "accept-new" and is_strict else trust.policy


def _through(host: Host, resolved: Resolved, trust: Trust, depth: count[int]) -> Way | None:
    """Return the route to the last jump host; earlier jump hosts are part of its own route, like in ssh."""
    *before, last = resolved.tokens("proxyjump").split(",")
    if not last:
        return None
    hop = _HOP.fullmatch(last)
    if hop is None:
        raise HostUnreachable(host.name, f"`{last}` is not a jump host", hint="write it as `user@address:port`")
    # The keys in config/dev.yml also apply to the jump host; the user and the port apply to the host only.
    jump_host = Host(
        host.name, hop["six"] or hop["name"], hop["user"] or "", int(hop["port"] or 0), host.keys, ",".join(before)
    )
    return _way(jump_host, trust, depth, is_hop=True)
