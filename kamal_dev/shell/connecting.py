"""Open an SSH connection along a way: its hosts' keys and ours, and how long to try. Runs no step."""

from __future__ import annotations

import logging
import random
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from fabric import Config, Connection

from kamal_dev.shell import failures, known_hosts
from kamal_dev.shell.host_key import Judge, preferring
from kamal_dev.shell.identities import Offer
from kamal_dev.shell.known_hosts import KnownKeys
from kamal_dev.shell.sockets import ProxyCommand, dial
from kamal_dev.shell.way import Way

ATTEMPTS = 4
HASTY = 3.0  # seconds; sshd turns a connection away at once, or it is not sshd's doing
# Paramiko's threads log tracebacks to stderr where nobody has given them a handler; the errors reach us anyway.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class ConnectionChain:
    """Hold an open connection, and those to the jump hosts that it goes through."""

    connection: Connection
    through: ConnectionChain | None = None
    command: ProxyCommand | None = None

    @property
    def transport(self) -> paramiko.Transport:
        """What channels are opened on."""
        transport: paramiko.Transport = self.connection.transport
        return transport

    @property
    def is_open(self) -> bool:
        """Whether it is, as far as can be told without asking the host."""
        return bool(self.connection.is_connected)

    def close(self) -> None:
        """End it, the nearest host last."""
        with suppress(Exception):
            self.connection.client.close()
        if self.command:
            self.command.close()
        if self.through:
            self.through.close()


def connect(way: Way) -> ConnectionChain:
    """Return an open connection. Raises HostUnreachable, HostKeyChanged, each about the hop that it was."""
    through = connect(way.through) if way.through else None
    try:
        link = _opened(way, through)
    except BaseException:
        if through:
            through.close()
        raise
    threading.Thread(target=_keep_alive, args=(link.transport, way.trust.connect_timeout), daemon=True).start()
    return link


def _opened(way: Way, through: ConnectionChain | None) -> ConnectionChain:
    if way.vouched:
        known_hosts.pin(way.trust.known_hosts, way.known_as, way.vouched)
    known = known_hosts.known(way)
    for number in range(1, ATTEMPTS + 1):
        attempt, started = _Attempt(way, known), time.monotonic()
        try:
            return ConnectionChain(attempt.open(through), through, attempt.command)
        except (OSError, EOFError, ValueError, paramiko.SSHException, UnsupportedAlgorithm) as error:
            is_lost = through is not None and not through.is_open
            if number == ATTEMPTS or is_lost or _is_final(error, time.monotonic() - started, way.trust.connect_timeout):
                raise failures.told(way, error, attempt.offer.unused, attempt.complaint) from error
            # sshd drops connections at random above MaxStartups: try again, not all at the same moment.
            time.sleep(random.uniform(0.2, 0.6) * 2**number)  # noqa: S311
    raise AssertionError("unreachable")


class _Attempt:
    """Try once, and keep what the try told beside its error."""

    def __init__(self, way: Way, known: KnownKeys) -> None:
        self._way = way
        self._known = known
        self.command: ProxyCommand | None = None
        self.offer = Offer(way)

    @property
    def complaint(self) -> str:
        """What the user's ProxyCommand said last."""
        return self.command.complaint if self.command else ""

    def open(self, through: ConnectionChain | None) -> Connection:
        """Connect, check the host's key and log in; what was opened is closed where that fails."""
        sock = self._sock(through)
        connection = self._connection(sock)
        try:
            connection.open()
        except BaseException:
            connection.client.close()
            sock.close()
            if self.command:
                self.command.close()
            raise
        return connection

    def _sock(self, through: ConnectionChain | None) -> socket.socket | paramiko.Channel:
        way = self._way
        if through:
            goal, wait = (way.hostname, way.port), way.trust.connect_timeout
            return through.transport.open_channel("direct-tcpip", goal, ("127.0.0.1", 0), timeout=wait)
        if way.command:
            self.command = ProxyCommand(way)
            return self.command.socket
        return dial(way)

    def _connection(self, sock: socket.socket | paramiko.Channel) -> Connection:
        way = self._way
        connection = Connection(
            way.hostname,
            user=way.user,
            port=way.port,
            gateway=False,
            # ssh has read its configuration already; Paramiko's reading of it differs.
            config=Config(ssh_config=paramiko.SSHConfig()),
            connect_timeout=way.trust.connect_timeout,
            connect_kwargs={
                "sock": sock,
                "transport_factory": preferring(self._known.kinds),
                "auth_strategy": self.offer,
                "banner_timeout": way.trust.connect_timeout,
                "auth_timeout": 20,
            },
        )
        connection.client.set_missing_host_key_policy(Judge(way, self._known))
        return connection


def _is_final(error: Exception, seconds: float, patience: int) -> bool:
    """Whether trying again would not help: only what is turned away at once may be let in later."""
    return seconds > min(HASTY, patience / 2) or isinstance(
        error,
        socket.gaierror
        | ConnectionRefusedError
        | TimeoutError
        | paramiko.AuthenticationException
        | paramiko.ChannelException,
    )


def _keep_alive(transport: paramiko.Transport, patience: int) -> None:
    """Check regularly that the host answers, and close the connection if it does not.

    Paramiko's own keepalive asks for none, so that a frozen link would look alive for ever.
    """
    while transport.is_active():
        time.sleep(1.5 * patience)
        asking = threading.Thread(target=_ask_alive, args=(transport,), daemon=True)
        asking.start()
        asking.join(3 * patience)
        if asking.is_alive():
            transport.close()


def _ask_alive(transport: paramiko.Transport) -> None:
    with suppress(Exception):
        transport.global_request("keepalive@openssh.com", wait=True)
