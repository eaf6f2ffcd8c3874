"""Accept or refuse the key that a host shows, as OpenSSH would."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from typing import Any

import paramiko

from kamal_dev.errors import HostKeyChanged
from kamal_dev.shell import failures, openssh
from kamal_dev.shell.known_hosts import KnownKeys, remember
from kamal_dev.shell.way import Way

_SHOWN = re.compile(r"Server host (?:key|certificate): \S+ (SHA256:[^\s,]+)")


class Judge(paramiko.MissingHostKeyPolicy):
    """Decide on every host key of a connection; Paramiko has no known hosts of its own and always calls this."""

    def __init__(self, way: Way, known: KnownKeys) -> None:
        self._way = way
        self._known = known

    def missing_host_key(self, client: Any, hostname: str, key: paramiko.PKey) -> None:
        """Return where the key is right. Raises HostKeyChanged."""
        way, known = self._way, self._known
        verdict = "known" if way.policy == "off" else known.verdict(key.get_base64())
        if (
            verdict in ("unknown", "changed")
            and (known.has_authority or way.has_other_proofs)
            and _is_vouched_for(way, key)
        ):
            verdict = "known"
        if way.has_revoked_keys and verdict == "known" and way.policy != "off" and not _is_vouched_for(way, key):
            verdict = "revoked"
        if verdict == "unknown" and way.policy == "accept-new":
            remember(way.trust.known_hosts, way.known_as, f"{key.get_name()} {key.get_base64()}")
        elif verdict != "known":
            raise _refusal(way, known, verdict, key)


def _refusal(way: Way, known: KnownKeys, verdict: str, key: paramiko.PKey) -> HostKeyChanged:
    if verdict == "unknown":
        return failures.unknown_key(way)
    if verdict == "revoked":
        return failures.revoked_key(way)
    return failures.changed_key(way, known.file, f"{key.get_name()} {key.fingerprint}")


def preferring(kinds: tuple[str, ...]) -> Callable[..., paramiko.Transport]:
    """Return what makes a transport that asks for the kinds of host keys that are known first."""
    wanted = [name for kind in kinds for name in (("rsa-sha2-512", "rsa-sha2-256") if kind == "ssh-rsa" else (kind,))]

    def make(*arguments: Any, **options: Any) -> paramiko.Transport:
        transport = paramiko.Transport(*arguments, **options)
        security = transport.get_security_options()
        able = tuple(security.key_types)
        security.key_types = tuple(dict.fromkeys((*(name for name in wanted if name in able), *able)))
        return transport

    return make


def _is_vouched_for(way: Way, key: paramiko.PKey) -> bool:
    """Ask ssh, which reads certificates and runs KnownHostsCommand, whether it believes the host this very key.

    It gets no further than that: it has no key to log in with.
    """
    words = openssh.argv(way, ("-v", "-T", "-o", "LogLevel=DEBUG1", "-o", "PreferredAuthentications=none"), ("true",))
    wait = 3 * way.trust.connect_timeout
    try:
        done = subprocess.run(
            words, check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=wait, start_new_session=True
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    said = done.stderr.decode(errors="replace")
    shown = _SHOWN.findall(said)
    return key.fingerprint in shown and "is known and matches the" in said
