"""The ports to forward to this machine: `forwardPorts`, `appPort`, flags, and their attributes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kamal_dev.devcontainer.configuration import Devcontainer
from kamal_dev.errors import DevcontainerError, Problem, UsageError
from kamal_dev.model import Location
from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

LOOPBACK = "localhost"

_PORT = pattern(r"(?:(?P<host>[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?):)?(?P<number>[0-9]{1,5})")
_FLAG = pattern(r"(?:(?P<local>[0-9]{1,5}):)?(?P<remote>(?:[A-Za-z0-9_][A-Za-z0-9_.-]*:)?[0-9]{1,5})")


@dataclass(frozen=True)
class Port:
    """Describe one port to forward.

    `host` and `number` are what the main container would connect to, `local` the requested local port, which must be
    exactly that one if `is_exact`. `protocol` is `http`, `https` or empty.
    """

    host: str
    number: int
    local: int
    label: str = ""
    protocol: str = ""
    is_exact: bool = False

    @property
    def target(self) -> str:
        """The target of the connection, as the container sees it."""
        return f"{self.host}:{self.number}"

    @property
    def shown(self) -> str:
        """The target, as people write it."""
        return str(self.number) if self.host == LOOPBACK else self.target


def forwarded(devcontainer: Devcontainer) -> tuple[Port, ...]:
    """Return the ports of a devcontainer.json, each once. Raises DevcontainerError for an invalid one."""
    ports: dict[str, Port] = {}
    problems: list[Problem] = []
    for key, local, text in _named(devcontainer):
        where = devcontainer.where(*key)
        try:
            port = _port(devcontainer, text, local)
            ports.setdefault(port.target, port)
        except ValueError as error:
            problems.append(_problem(where, key, str(error)))
    if problems:
        raise DevcontainerError(problems, hint='a port is a number, or "host:number" for another service')
    return tuple(ports.values())


def flagged(devcontainer: Devcontainer, text: str) -> Port:
    """Return the port of a flag, `[LOCAL:][HOST:]PORT`. Raises UsageError for an invalid one."""
    match = _FLAG.fullmatch(text)
    try:
        if not match:
            raise ValueError(f"`{text}` is not a port")
        port = _port(devcontainer, match["remote"], _number(match["local"]) if match["local"] else 0)
    except ValueError as error:
        raise UsageError(f"--port: {error}", hint="[LOCAL:][HOST:]PORT, such as 3000, 8080:3000 or db:5432") from error
    return Port(port.host, port.number, port.local, port.label, port.protocol, is_exact=True)


def _named(devcontainer: Devcontainer) -> Iterator[tuple[tuple[str | int, ...], int, str]]:
    """Yield place, local port (0: the same) and text of every port."""
    for index, port in enumerate(devcontainer.forward_ports):
        yield ("forwardPorts", index), 0, str(port)
    if devcontainer.kind == "compose":
        return
    for text in devcontainer.app_ports:
        # `[[address:]port:]port[/protocol]`, as in `docker run -p`; only TCP can be forwarded over SSH.
        words, _, protocol = text.partition("/")
        *published, number = words.split(":")
        if protocol in ("", "tcp") and "-" not in words:
            yield ("appPort",), int(published[-1]) if published and published[-1].isdigit() else 0, number


def _port(devcontainer: Devcontainer, text: str, local: int) -> Port:
    match = _PORT.fullmatch(text)
    if not match:
        raise ValueError(f"`{text}` is not a port")
    host, number = match["host"] or LOOPBACK, _number(match["number"])
    host = LOOPBACK if host == "127.0.0.1" else host
    attributes = _attributes(devcontainer, f"{host}:{number}", number if host == LOOPBACK else 0)
    protocol = attributes.get("protocol")
    return Port(
        host,
        number,
        local or number,
        label=str(attributes.get("label") or ""),
        protocol=protocol if protocol in ("http", "https") else "",
        is_exact=attributes.get("requireLocalPort") is True,
    )


def _number(text: str) -> int:
    if not 0 < int(text) < 65536:
        raise ValueError(f"{text} is not a port: ports end at 65535")
    return int(text)


def _attributes(devcontainer: Devcontainer, target: str, number: int) -> Mapping[str, Any]:
    """Return the attributes of a port: by `host:port`, number or range; else those for all other ports.

    Regular expressions as keys match processes, which an editor can see, but not this program.
    """
    for key, attributes in devcontainer.ports_attributes.items():
        low, _, high = key.partition("-")
        is_in = low.isdigit() and (high or low).isdigit() and int(low) <= number <= int(high or low)
        if isinstance(attributes, dict) and (is_in or key == target):
            return attributes
    return devcontainer.other_ports_attributes


def _problem(where: Location, key: tuple[str | int, ...], message: str) -> Problem:
    return Problem(where.path, where.line, message, ".".join(map(str, key)), where.column)
