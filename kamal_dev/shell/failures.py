"""Find out from ssh's log why a connection failed, and at which hop. Connects to nothing."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from kamal_dev.errors import HostError, HostKeyChanged, HostUnreachable
from kamal_dev.shell import identities, openssh
from kamal_dev.shell.way import Way
from kamal_dev.values import dataclass

HINT = "check that the host is up and its address is correct"
SILENT = "no answer within {patience} s"
NO_BANNER = "it accepts connections, but sent no SSH banner within {patience} s"
# Messages of ssh for a host that does not answer as it should, and ours; the first match counts.
REASONS = (
    (r"timed out during banner exchange", NO_BANNER),
    (r"timed out|^Timeout, server ", SILENT),
    (r"connect to host .* port \d+: (.+)", "{reason}"),
    (r"Could not resolve hostname .*?: (.+)", "{reason}"),
    (r"Unable to negotiate with .*?: (.+)", "{reason}"),
    (r"kex_exchange_identification: (?:read: |write: )?(.+)", "{reason}"),
    (r"(Connection (?:closed|reset) by .+)", "{reason}"),
)
# Failures that a retry may fix: MaxStartups of sshd, a network that is still coming up.
PASSING = r"kex_exchange_identification: |Connection (?:closed|reset) by |: No route to host|: Network is unreachable"
REFUSED = r"Permission denied \(|Too many authentication failures|o more authentication methods"
NOT_LED_ON = r"channel \d+: open failed: (?:connect failed: )?(.+)"

# Lines that ssh logs although nothing is wrong.
CHATTER = ("debug", "Warning: Permanently added", "Authenticated ", "Transferred: ", "Bytes per second: ", "** ")


class ConnectionDropped(Exception):
    """Carry the error of a connection that is worth another attempt."""

    def __init__(self, error: HostError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(frozen=True)
class _Hop:
    """One host on the route, and the log of the ssh that logs in there."""

    way: Way
    log: str

    def says(self, pattern: str) -> re.Match[str] | None:
        """Return the first error line that matches."""
        return next(filter(None, (re.search(pattern, line) for line in _errors(self.log))), None)


def complaint(log: Path, since: int = 0) -> str:
    """Return the last error in a log, after its first `since` bytes; empty if there is none."""
    return next(iter(_errors(_text(log, since))[::-1]), "")


def stderr_of(log: Path) -> Path:
    """Return where the stderr of the ssh that writes a log goes: the messages of a ProxyCommand."""
    return Path(f"{log}.stderr")


def found(way: Way, log: Path) -> Exception:
    """Return the HostError or ConnectionDropped for an ssh that has ended."""
    hops = list(_hops(way, log))
    following = (*(hop.way for hop in hops[1:]), None)
    errors = (_of(hop, then) for hop, then in zip(hops, following, strict=True))
    words = (_text(stderr_of(log)).strip().splitlines() or [""])[-1]
    error = next(filter(None, errors), None) or _unreachable(way, complaint(log) or words or "ssh gave no reason")
    first = hops[0].way
    if first.command and words and isinstance(error, HostUnreachable) and not hops[0].says(REFUSED):
        return _unreachable(first, words, hint="check the `ProxyCommand` in ~/.ssh/config")
    is_passing = any(hop.says(PASSING) for hop in hops) and error.hint == HINT
    return ConnectionDropped(error) if is_passing else error


def endless(way: Way, seconds: float) -> HostUnreachable:
    """Return the error for a login that does not finish."""
    return _unreachable(
        way,
        f"the login did not end within {seconds:.0f} s",
        hint="an agent, a token or a `ProxyCommand` may be waiting for an answer",
    )


def _hops(way: Way, log: Path) -> Iterator[_Hop]:
    """Yield the hops, the first jump host first."""
    if way.through:
        yield from _hops(way.through, openssh.log_of_jump(log))
    yield _Hop(way, _text(log))


def _of(hop: _Hop, then: Way | None) -> HostError | None:
    """Return what went wrong at one hop; None if the login succeeded or was never tried."""
    way = hop.way
    if hop.says("Host key verification failed"):
        return _wrong_key(hop)
    if hop.says(REFUSED):
        return _refused(hop)
    if then and (match := hop.says(NOT_LED_ON)):
        return _not_led_on(way, then, match[1])
    for pattern, text in REASONS:
        if match := hop.says(pattern):
            reason = match[1] if match.re.groups else ""
            return _unreachable(way, text.format(patience=way.trust.connect_timeout, reason=reason))
    return None


def _unreachable(way: Way, reason: str, hint: str = HINT) -> HostUnreachable:
    return HostUnreachable(way.stack, f"no SSH at {way.shown}: {reason}", hint=hint)


def _refused(hop: _Hop) -> HostUnreachable:
    way = hop.way
    keys = ", ".join(way.identities)
    agent = "" if way.identities_only or way.agent == "none" else "the agent"
    offered = " and ".join(filter(None, (agent, keys))) or "no key"
    hint = "set `ssh.user` and `ssh.keys` in config/dev.yml, or add the key to the host's authorized_keys"
    if way.missing:
        hint = f"there is no file {way.missing[0]}; see `ssh.keys` in config/dev.yml"
    hint = identities.hint(way, hop.log) or hint
    return HostUnreachable(way.stack, f"{way.shown} refused the login of `{way.user}` with {offered}", hint=hint)


def _not_led_on(hop: Way, way: Way, reason: str) -> HostUnreachable:
    if reason.startswith("administratively prohibited"):
        return HostUnreachable(
            way.stack,
            f"{hop.shown} does not forward connections, so {way.shown} cannot be reached through it",
            hint="see `AllowTcpForwarding` and `PermitOpen` in its sshd_config",
        )
    return HostUnreachable(
        way.stack,
        f"{hop.shown} could not connect to {way.shown}: {reason}",
        hint="check that the host is up, and that its address is correct from the jump host",
    )


def _wrong_key(hop: _Hop) -> HostKeyChanged:
    way = hop.way
    name = f"jump host {way.known_as}" if way.is_hop else way.known_as
    if hop.says("REVOKED HOST KEY|revoked by"):
        return HostKeyChanged(
            way.stack,
            f"{name} has a revoked key; nothing was sent to it",
            hint="give the host a new key; see `@revoked` in known_hosts, and `RevokedHostKeys`",
        )
    if hop.says("IDENTIFICATION HAS CHANGED"):
        return _changed_key(hop, name)
    policy = (
        "`ssh.known_hosts` is strict" if way.trust.policy == "strict" else "ssh_config says `StrictHostKeyChecking yes`"
    )
    return HostKeyChanged(
        way.stack,
        f"{way.shown} is not in known_hosts, and {policy}",
        hint=f"`ssh-keyscan` it into {way.trust.known_hosts} after checking the key",
    )


def _changed_key(hop: _Hop, name: str) -> HostKeyChanged:
    old, key = hop.says(r"Offending .*key in (.+):\d+$"), re.search(r"Server host key: (\S+ SHA256:\S+)", hop.log)
    file = old[1] if old else str(hop.way.trust.known_hosts)
    forget = shlex.join(("ssh-keygen", "-R", hop.way.known_as, "-f", file))
    return HostKeyChanged(
        hop.way.stack,
        f"{name} has a different key than before (now {key[1] if key else 'unknown'}); nothing was sent to it",
        hint=f"if you replaced it, remove the old key: `{forget}`",
    )


def _text(path: Path, since: int = 0) -> str:
    try:
        return path.read_bytes()[since:].decode(errors="replace")
    except OSError:
        return ""


def _errors(log: str) -> list[str]:
    lines = (line.strip() for line in log.splitlines())
    return [line for line in lines if line and not line.startswith(CHATTER)]
