"""Say why there is no connection, about the host or the jump host that it was. Connects to none."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import paramiko

from kamal_dev.errors import HostError, HostKeyChanged, HostUnreachable
from kamal_dev.shell.way import Way


def told(way: Way, error: Exception, unused: Sequence[str] = (), complaint: str = "") -> HostError:
    """Return the error for people.

    `unused` is what to do about keys that were not tried, `complaint` what a ProxyCommand said.
    """
    if isinstance(error, paramiko.AuthenticationException):
        return _refused(way, unused)
    if isinstance(error, paramiko.ChannelException) and way.through:
        return _not_led_on(way, way.through, error)
    return HostUnreachable(
        way.stack,
        f"no SSH at {way.shown}: {complaint or _reason(error, way.trust.connect_timeout)}",
        hint="check the `ProxyCommand` in ~/.ssh/config"
        if complaint
        else "check that the host is up and its address is correct",
    )


def _refused(way: Way, unused: Sequence[str]) -> HostUnreachable:
    keys = ", ".join(way.identities)
    agent = "" if way.identities_only or way.agent == "none" else "the agent"
    offered = " and ".join(filter(None, (agent, keys))) or "no key"
    hint = "set `ssh.user` and `ssh.keys` in config/dev.yml, or add the key to the host's authorized_keys"
    if way.missing:
        hint = f"there is no file {way.missing[0]}; see `ssh.keys` in config/dev.yml"
    elif unused:
        hint = unused[0]
    return HostUnreachable(way.stack, f"{way.shown} refused the login of `{way.user}` with {offered}", hint=hint)


def _not_led_on(way: Way, hop: Way, error: paramiko.ChannelException) -> HostUnreachable:
    if error.code == 1:
        return HostUnreachable(
            way.stack,
            f"{hop.shown} does not forward connections, so {way.shown} cannot be reached through it",
            hint="see `AllowTcpForwarding` and `PermitOpen` in its sshd_config",
        )
    return HostUnreachable(
        way.stack,
        f"{hop.shown} could not connect to {way.shown}: {error.text}",
        hint="check that the host is up, and that its address is correct from the jump host",
    )


def changed_key(way: Way, file: str, got: str) -> HostKeyChanged:
    """Return the error for a host with another key than the one in `file`."""
    forget = shlex.join(("ssh-keygen", "-R", way.known_as, "-f", file))
    return HostKeyChanged(
        way.stack,
        f"{_named(way)} has a different key than before (now {got}); nothing was sent to it",
        hint=f"if you replaced it, remove the old key: `{forget}`",
    )


def revoked_key(way: Way) -> HostKeyChanged:
    """Return the error for a key that known_hosts marks as revoked."""
    return HostKeyChanged(
        way.stack,
        f"{_named(way)} has a revoked key; nothing was sent to it",
        hint="give the host a new key; see `@revoked` in known_hosts, and `RevokedHostKeys`",
    )


def unknown_key(way: Way) -> HostKeyChanged:
    """Return the error for a host that is in no known_hosts, where only known ones are accepted."""
    said = (
        "`ssh.known_hosts` is strict" if way.trust.policy == "strict" else "ssh_config says `StrictHostKeyChecking yes`"
    )
    return HostKeyChanged(
        way.stack,
        f"{way.shown} is not in known_hosts, and {said}",
        hint=f"`ssh-keyscan` it into {way.trust.known_hosts} after checking the key",
    )


def _named(way: Way) -> str:
    return f"jump host {way.known_as}" if way.is_hop else way.known_as


def _reason(error: Exception, patience: int) -> str:
    """Say why there is no connection, in the system's words where it has some."""
    if "protocol banner" in str(error) or "No existing session" in str(error):
        return f"it accepts connections, but sent no SSH banner within {patience} s"
    if isinstance(error, TimeoutError) or "Timeout opening channel" in str(error):
        return f"no answer within {patience} s"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
