"""Offer a host our keys as OpenSSH does: its order, its files, its agent. Asks for no passphrase."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from copy import copy
from functools import cache
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from paramiko.agent import AgentKey, AgentSSH
from paramiko.pkey import UnknownKeyType

from kamal_dev.shell.way import Way

ASKING = 10.0  # seconds that an agent has to list its keys, and ssh-keygen to read one


class Offer:
    """Log in with the keys of a way: certificates come before keys, the agent's before those in files.

    `unused` says of the files that could not be used, and whose key no agent holds, what to do; known after a try.
    """

    def __init__(self, way: Way) -> None:
        self._way = way
        self.unused: list[str] = []

    def authenticate(self, transport: paramiko.Transport) -> list[str]:
        """Try one key after the other. Raises AuthenticationException where none is let in."""
        agent = Agent(self._way.agent)
        try:
            for key in self._keys(agent):
                if _lets_in(transport, self._way.user, key):
                    return []
            if not transport.auth_none(self._way.user):
                return []
        finally:
            agent.close()
        raise paramiko.AuthenticationException("it requires more than a key")

    def _keys(self, agent: Agent) -> Iterator[paramiko.PKey]:
        way = self._way
        held = {key.fingerprint: key for key in agent.get_keys() if not _is_certificate(key)}
        named = {path: fingerprint(path) for path in way.identities} if held else {}
        own = [held[print_] for print_ in named.values() if print_ in held]
        unnamed = [key for print_, key in held.items() if print_ not in named.values()]
        others = [] if way.identities_only else [*filter(_is_certificate, agent.get_keys()), *unnamed]
        files = [key for path in way.identities if named.get(path) not in held and (key := self._loaded(path))]
        certificates = _certificates(way)
        for key in (*own, *others, *files):
            if (path := certificates.get(key.fingerprint)) and not _is_certificate(key):
                yield _certified(key, path)
        yield from (*own, *others, *files)

    def _loaded(self, path: str) -> paramiko.PKey | None:
        quoted = shlex.quote(path)
        try:
            if _is_open_to_others(path):
                self.unused.append(f"{path} is readable by others, so ssh ignores it: `chmod 600 {quoted}`")
                return None
            key = paramiko.PKey.from_path(path)
        except TypeError:  # how cryptography says that there is a passphrase
            self.unused.append(f"{path} has a passphrase: add it to the agent: `ssh-add {quoted}`")
        except (UnknownKeyType, UnsupportedAlgorithm):
            self.unused.append(f"{path} is of a type that deploys only use from the agent: `ssh-add {quoted}`")
        except (OSError, ValueError, paramiko.SSHException):
            pass  # a public key, or what ssh would skip as well
        else:
            key.public_blob = None
            return key
        return None


def _is_open_to_others(path: str) -> bool:
    """Whether ssh would refuse to use a private key. Source: sshkey_perm_ok() of OpenSSH."""
    found = Path(path).stat()
    is_private = b"PRIVATE KEY" in Path(path).read_bytes()[:100]
    return is_private and found.st_uid == os.getuid() and bool(found.st_mode & 0o077)


def _lets_in(transport: paramiko.Transport, user: str, key: paramiko.PKey) -> bool:
    """Offer one key. Raises BadAuthenticationType where the host takes none, and what the link ended with."""
    try:
        return not transport.auth_publickey(user, key)
    except paramiko.BadAuthenticationType:
        raise
    except (paramiko.SSHException, OSError):
        # Refused, or an agent that would not sign: the next one. Not so where the connection is gone.
        if not transport.is_active():
            raise
        return False


def _is_certificate(key: paramiko.PKey) -> bool:
    return "-cert-v01@" in key.get_name()


def _certificates(way: Way) -> dict[str, str]:
    """Return the certificates that are there, by the fingerprint of the key that each is for."""
    paths = (*way.certificates, *(f"{path.removesuffix('.pub')}-cert.pub" for path in way.identities))
    return {fingerprint(path): path for path in reversed(paths) if Path(path).is_file()}


def _certified(key: paramiko.PKey, path: str) -> paramiko.PKey:
    """Return the same key, to be shown with its certificate."""
    shown = AgentKey(key.agent, key.blob, key.comment) if isinstance(key, AgentKey) else copy(key)
    shown.load_certificate(path)
    return shown


@cache
def fingerprint(path: str) -> str:
    """Return the fingerprint of a key or certificate, private or public, as ssh-keygen reads it; empty for none."""
    for name in (path, f"{path}.pub"):
        words = ("ssh-keygen", "-l", "-E", "sha256", "-f", name)
        with suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(
                words,
                check=False,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=ASKING,
                start_new_session=True,
            )
            if done.returncode == 0:
                return done.stdout.decode(errors="replace").split()[1]
    return ""


class Agent(AgentSSH):
    """Talk to the agent that ssh_config names; one that is not there, or does not answer, holds no keys."""

    def __init__(self, named: str) -> None:
        super().__init__()
        path = _socket_of(named)
        if not path:
            return
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(ASKING)
        try:
            connection.connect(path)
            self._connect(connection)  # type: ignore[attr-defined] # for subclasses, and not in the stubs
            # From here on it may ask its owner for a touch or a word.
            connection.settimeout(None)
        except (OSError, paramiko.SSHException):
            connection.close()
            self._keys = ()

    def close(self) -> None:
        """End the talk."""
        self._close()  # type: ignore[attr-defined]


def _socket_of(named: str) -> str:
    """Return the path of the agent's socket. Source: ssh_config(5), IdentityAgent."""
    if named == "none":
        return ""
    if named == "SSH_AUTH_SOCK":
        return os.environ.get(named, "")
    return os.environ.get(named[1:], "") if named.startswith("$") else named
