"""Run steps on a host over one SSH connection. The only place that touches Fabric."""

from __future__ import annotations

import logging
import random
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import paramiko
from fabric import Config, Connection

from kamal_dev.errors import DevError, HostKeyChanged, HostTimeout, HostUnreachable, LinkDropped
from kamal_dev.model import Host, Result, Step
from kamal_dev.shell import OnLine, known_hosts
from kamal_dev.shell.lines import Bytes, Lines
from kamal_dev.shell.trust import Trust

ATTEMPTS = 4
HASTY = 3.0  # seconds; sshd turns a connection away at once, or it is not sshd's doing
# Paramiko's threads log tracebacks to stderr where nobody has given them a handler; the errors reach us anyway.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
POLL = 0.5


class Remote:
    """Run steps on one host. Connects at the first step, and again after a lost link."""

    def __init__(self, host: Host, trust: Trust, log: OnLine | None = None) -> None:
        self.host = host
        self._trust = trust
        self._log = log
        self._connection: Connection | None = None
        self._opening = threading.Lock()
        self._is_closed = False

    def run(
        self,
        step: Step,
        *,
        on_line: OnLine | None = None,
        timeout: float | None = None,
        feed: Iterable[bytes] | None = None,
    ) -> Result:
        """Run `step` in one exec. The step's environment is refused: it would stand in the remote argv.

        Raises HostUnreachable, HostKeyChanged, HostTimeout, and LinkDropped where the
        link went away before an exit code came.
        """
        return self._exec(step, Lines(on_line), Lines(on_line), feed, timeout)

    def receive(
        self, step: Step, take: Callable[[bytes], object], *, feed: Iterable[bytes], timeout: float | None = None
    ) -> Result:
        """Run `step` as `run` does, its stdout going to `take` byte by byte; `output` stays empty."""
        return self._exec(step, Bytes(take), Lines(), feed, timeout)

    def _exec(
        self, step: Step, out: Lines | Bytes, err: Lines, feed: Iterable[bytes] | None, timeout: float | None
    ) -> Result:
        if step.environment:
            raise ValueError("a step for a host carries no environment")
        if self._log:
            self._log(f"{self.host.name}$ {step.text}")
        started = time.monotonic()
        channel = self._channel()
        try:
            channel.exec_command(shlex.join(step.argv))
            output, errors = self._converse(channel, out, err, feed or ((step.stdin,) if step.stdin else ()), timeout)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise LinkDropped(
                self.host.name,
                f"the connection was lost during `{step.text}`: {error}",
                hint="try again: what has arrived is kept; `dev status` shows what runs",
            ) from error
        finally:
            channel.close()
        return Result(step, channel.recv_exit_status(), output, errors, time.monotonic() - started)

    def close(self) -> None:
        """End the connection for good; a running step ends with LinkDropped."""
        self._is_closed = True
        self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            with suppress(Exception):
                connection.close()

    def _channel(self) -> paramiko.Channel:
        with self._opening:
            if self._is_closed:
                raise HostUnreachable(self.host.name, "this run has ended")
            if self._connection is None or not self._connection.is_connected:
                self._connection = self._connect()
            transport = self._connection.transport
        try:
            return transport.open_session(timeout=self._trust.connect_timeout)  # type: ignore[no-any-return]
        except (OSError, EOFError, paramiko.SSHException) as error:
            self._drop()
            raise HostUnreachable(
                self.host.name, f"the host refused a session: {error}", hint="see `MaxSessions` in its sshd_config"
            ) from error

    def _connect(self) -> Connection:
        for attempt in range(1, ATTEMPTS + 1):
            connection, started = self._prepared(), time.monotonic()
            try:
                connection.open()
            except paramiko.BadHostKeyException as error:
                raise self._changed(error) from error
            except paramiko.AuthenticationException as error:
                raise self._refused(error) from error
            except (OSError, EOFError, paramiko.SSHException) as error:
                if (
                    "not found in known_hosts" in str(error)
                    or attempt == ATTEMPTS
                    or _is_final(error, time.monotonic() - started, self._trust.connect_timeout)
                ):
                    raise self._unreachable(error) from error
                # sshd drops connections at random above MaxStartups: try again, not all at the same moment.
                time.sleep(random.uniform(0.2, 0.6) * 2**attempt)  # noqa: S311
            else:
                _tune(connection, self._trust.connect_timeout)
                return connection
        raise AssertionError("unreachable")

    def _prepared(self) -> Connection:
        host = self.host
        config = Config() if self._trust.read_ssh_config else Config(ssh_config=paramiko.SSHConfig())
        connection = Connection(
            host.address,
            user=host.user or None,
            port=host.port or None,
            gateway=self._gateway(config),
            config=config,
            connect_timeout=self._trust.connect_timeout,
            connect_kwargs=self._credentials(),
        )
        self._guard(connection)
        return connection

    def _gateway(self, config: Config) -> Connection | None:
        """Return the last of the hosts to go through, each reached through the one before it."""
        gateway = None
        for hop in filter(None, self.host.proxy_jump.split(",")):
            gateway = Connection(
                hop,
                gateway=gateway,
                config=config,
                connect_timeout=self._trust.connect_timeout,
                connect_kwargs=self._credentials(),
            )
        return gateway

    def _credentials(self) -> dict[str, Any]:
        waits = {"banner_timeout": self._trust.connect_timeout, "auth_timeout": 20}
        if not self.host.keys:
            return waits
        # Named keys only: every wrong key counts as a failure, and OpenSSH 9.8 punishes those.
        return waits | {
            "key_filename": [str(key) for key in self.host.keys],
            "look_for_keys": False,
            "allow_agent": False,
        }

    def _guard(self, connection: Connection) -> None:
        """Give Fabric's client, which accepts every key, the project's policy."""
        trust = self._trust
        if self.host.host_key:
            known_hosts.pin(trust.known_hosts, connection.host, connection.port, self.host.host_key)
        while isinstance(connection, Connection):
            client = connection.client
            if trust.policy == "off":
                return
            accept = known_hosts.AcceptNew(trust.known_hosts)
            client.set_missing_host_key_policy(paramiko.RejectPolicy() if trust.policy == "strict" else accept)
            if not self.host.host_key:
                with suppress(OSError):
                    client.load_system_host_keys()
            with suppress(FileNotFoundError):
                client.load_host_keys(str(trust.known_hosts))
            connection = connection.gateway

    def _converse(
        self,
        channel: paramiko.Channel,
        out: Lines | Bytes,
        err: Lines,
        feed: Iterable[bytes],
        timeout: float | None,
    ) -> tuple[str, str]:
        threading.Thread(target=_write, args=(channel, feed), daemon=True).start()
        reader = threading.Thread(target=_drain_errors, args=(channel, err), daemon=True)
        reader.start()
        deadline = time.monotonic() + timeout if timeout else None
        channel.settimeout(POLL)
        while True:
            try:
                data = channel.recv(1 << 16)
            except TimeoutError:
                self._check(_is_alive(channel), deadline, timeout)
                continue
            if not data:
                break
            out.feed(data)
        reader.join(5)
        if not channel.exit_status_ready() and not channel.status_event.wait(5):
            raise EOFError("no exit code came")
        if channel.exit_status == -1 and not _is_alive(channel):
            raise EOFError("the connection closed")
        return out.end(), err.end()

    def _check(self, is_alive: bool, deadline: float | None, timeout: float | None) -> None:
        if not is_alive:
            raise EOFError("the connection closed")
        if deadline and time.monotonic() > deadline:
            self._drop()
            raise HostTimeout(self.host.name, f"no answer within {timeout:.0f} s; what runs there is unknown")

    def _changed(self, error: paramiko.BadHostKeyException) -> DevError:
        name = known_hosts.entry_name(self.host.address, self.host.port)
        got = f"{error.key.get_name()} {error.key.fingerprint}"
        return HostKeyChanged(
            self.host.name,
            f"{name} has another key than before (now {got}); nothing was sent to it",
            hint=f"if you replaced it, forget the old key: `ssh-keygen -R '{name}' -f {self._trust.known_hosts}`",
        )

    def _refused(self, error: Exception) -> DevError:
        keys = ", ".join(map(str, self.host.keys)) or "the agent and the default keys"
        return HostUnreachable(
            self.host.name,
            f"{self.host.address} refused the login of `{self.host.user or 'the default user'}` with {keys}",
            hint="set `ssh.user` and `ssh.keys` in config/dev.yml, or add the key to the host's authorized_keys",
        )

    def _unreachable(self, error: Exception) -> DevError:
        where = f"{self.host.address}:{self.host.port or 22}"
        if "not found in known_hosts" in str(error):
            return HostKeyChanged(
                self.host.name,
                f"{where} is not in known_hosts, and `ssh.known_hosts` is strict",
                hint=f"`ssh-keyscan` it into {self._trust.known_hosts} after checking the key",
            )
        return HostUnreachable(
            self.host.name,
            f"no SSH at {where}: {_reason(error, self._trust.connect_timeout)}",
            hint="check that the host is up and its address right",
        )


def _is_alive(channel: paramiko.Channel) -> bool:
    transport = channel.get_transport()
    return transport is not None and transport.is_active()


def _reason(error: Exception, patience: int) -> str:
    """Say why there is no connection, in the system's words where it has some."""
    # Paramiko sums up several addresses of one name; each has its own reason.
    first = next(iter(getattr(error, "errors", {}).values()), error)
    if "protocol banner" in str(first) or "No existing session" in str(first):
        return f"something there takes connections, but said nothing of SSH within {patience} s"
    if isinstance(first, TimeoutError):
        return f"no answer within {patience} s"
    return getattr(first, "strerror", None) or str(first) or type(first).__name__


def _is_final(error: Exception, seconds: float, patience: int) -> bool:
    """Whether trying again would not help: only what is turned away at once may be let in later."""
    return (
        seconds > min(HASTY, patience / 2)
        or isinstance(error, socket.gaierror | ConnectionRefusedError | TimeoutError)
        or "Unable to connect" in str(error)
    )


def _tune(connection: Connection, patience: int) -> None:
    transport = connection.transport
    threading.Thread(target=_keep_alive, args=(transport, patience), daemon=True).start()
    # Nagle costs 40 ms on each exec; a jump host's channel has no such option.
    with suppress(AttributeError, OSError):
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _keep_alive(transport: paramiko.Transport, patience: int) -> None:
    """Ask again and again whether the host is there, and end the connection where no answer comes.

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


def _write(channel: paramiko.Channel, feed: Iterable[bytes]) -> None:
    """Feed stdin and close it, whatever happens: a command that waits for more would wait for ever."""
    with suppress(OSError, EOFError):
        try:
            for chunk in feed:
                _send(channel, chunk)
        finally:
            channel.shutdown_write()


def _send(channel: paramiko.Channel, rest: bytes) -> None:
    # The channel's timeout is for reading; a slow reader on the other side is no error.
    while rest:
        with suppress(TimeoutError):
            sent = channel.send(rest)
            if sent == 0:
                raise EOFError("the channel is closed")
            rest = rest[sent:]


def _drain_errors(channel: paramiko.Channel, lines: Lines) -> None:
    while True:
        try:
            data = channel.recv_stderr(1 << 16)
        except TimeoutError:
            if channel.closed or channel.eof_received:
                return
            continue
        except (OSError, EOFError):
            return
        if not data:
            return
        lines.feed(data)
