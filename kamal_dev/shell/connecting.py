"""Open an SSH connection to a host: its keys and ours, the hosts to go through, and how long to try. Runs no step."""

from __future__ import annotations

import logging
import random
import socket
import threading
import time
from contextlib import suppress
from typing import Any

import paramiko
from fabric import Config, Connection

from kamal_dev.errors import DevError, HostKeyChanged, HostUnreachable
from kamal_dev.model import Host
from kamal_dev.shell import known_hosts
from kamal_dev.shell.trust import Trust

ATTEMPTS = 4
UNKNOWN = "not found in known_hosts"  # how paramiko's RejectPolicy puts it
HASTY = 3.0  # seconds; sshd turns a connection away at once, or it is not sshd's doing
# Paramiko's threads log tracebacks to stderr where nobody has given them a handler; the errors reach us anyway.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


def connect(host: Host, trust: Trust) -> Connection:
    """Return an open connection. Raises HostUnreachable, HostKeyChanged."""
    for attempt in range(1, ATTEMPTS + 1):
        connection, started = _prepared(host, trust), time.monotonic()
        try:
            connection.open()
        except paramiko.BadHostKeyException as error:
            raise _changed(host, trust, error) from error
        except paramiko.AuthenticationException as error:
            raise _refused(host) from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            if attempt == ATTEMPTS or _is_final(error, time.monotonic() - started, trust.connect_timeout):
                raise _unreachable(host, trust, error) from error
            # sshd drops connections at random above MaxStartups: try again, not all at the same moment.
            time.sleep(random.uniform(0.2, 0.6) * 2**attempt)  # noqa: S311
        else:
            _tune(connection, trust.connect_timeout)
            return connection
    raise AssertionError("unreachable")


def _prepared(host: Host, trust: Trust) -> Connection:
    config = Config() if trust.read_ssh_config else Config(ssh_config=paramiko.SSHConfig())
    connection = Connection(
        host.address,
        user=host.user or None,
        port=host.port or None,
        gateway=_gateway(host, trust, config),
        config=config,
        connect_timeout=trust.connect_timeout,
        connect_kwargs=_credentials(host, trust),
    )
    _guard(connection, host, trust)
    return connection


def _gateway(host: Host, trust: Trust, config: Config) -> Connection | None:
    """Return the last of the hosts to go through, each reached through the one before it."""
    gateway = None
    for hop in filter(None, host.proxy_jump.split(",")):
        gateway = Connection(
            hop,
            gateway=gateway,
            config=config,
            connect_timeout=trust.connect_timeout,
            connect_kwargs=_credentials(host, trust),
        )
    return gateway


def _credentials(host: Host, trust: Trust) -> dict[str, Any]:
    waits = {"banner_timeout": trust.connect_timeout, "auth_timeout": 20}
    if not host.keys:
        return waits
    # Named keys only: every wrong key counts as a failure, and OpenSSH 9.8 punishes those.
    return waits | {
        "key_filename": [str(key) for key in host.keys],
        "look_for_keys": False,
        "allow_agent": False,
    }


def _guard(connection: Connection, host: Host, trust: Trust) -> None:
    """Give Fabric's client, which accepts every key, the project's policy."""
    if host.host_key:
        known_hosts.pin(trust.known_hosts, connection.host, connection.port, host.host_key)
    while isinstance(connection, Connection):
        client = connection.client
        if trust.policy == "off":
            return
        accept = known_hosts.AcceptNew(trust.known_hosts)
        client.set_missing_host_key_policy(paramiko.RejectPolicy() if trust.policy == "strict" else accept)
        if not host.host_key:
            with suppress(OSError):
                client.load_system_host_keys()
        with suppress(FileNotFoundError):
            client.load_host_keys(str(trust.known_hosts))
        connection = connection.gateway


def _changed(host: Host, trust: Trust, error: paramiko.BadHostKeyException) -> DevError:
    name = known_hosts.entry_name(host.address, host.port)
    got = f"{error.key.get_name()} {error.key.fingerprint}"
    return HostKeyChanged(
        host.name,
        f"{name} has another key than before (now {got}); nothing was sent to it",
        hint=f"if you replaced it, forget the old key: `ssh-keygen -R '{name}' -f {trust.known_hosts}`",
    )


def _refused(host: Host) -> DevError:
    keys = ", ".join(map(str, host.keys)) or "the agent and the default keys"
    return HostUnreachable(
        host.name,
        f"{host.address} refused the login of `{host.user or 'the default user'}` with {keys}",
        hint="set `ssh.user` and `ssh.keys` in config/dev.yml, or add the key to the host's authorized_keys",
    )


def _unreachable(host: Host, trust: Trust, error: Exception) -> DevError:
    where = f"{host.address}:{host.port or 22}"
    if UNKNOWN in str(error):
        return HostKeyChanged(
            host.name,
            f"{where} is not in known_hosts, and `ssh.known_hosts` is strict",
            hint=f"`ssh-keyscan` it into {trust.known_hosts} after checking the key",
        )
    return HostUnreachable(
        host.name,
        f"no SSH at {where}: {_reason(error, trust.connect_timeout)}",
        hint="check that the host is up and its address right",
    )


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
        or UNKNOWN in str(error)
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
