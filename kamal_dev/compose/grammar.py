"""Texts with a grammar: ports, durations, sizes, addresses. Finds what Compose or an engine would refuse.

Source: compose-go, the parsers behind its schema; Docker Engine API, the checks of a container's configuration.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Any

from kamal_dev.compose import secret_text, volume
from kamal_dev.compose.schema import described, dotted, one_of
from kamal_dev.compose.value import Value
from kamal_dev.errors import Problem
from kamal_dev.model import REDACTED
from kamal_dev.pattern import pattern

HIGHEST_PORT = 65535
_DURATION = pattern(r"-?(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))+|0")
_SIZE = pattern(r"\d+(\.\d+)* ?([kmgtp]?i?b?)", re.IGNORECASE)
_NUMBER = pattern(r"[-+]?(\d+(\.\d*)?|\.\d+)")
_PORT = pattern(r"((?P<address>\[[^]]*\]|[^:]*):)?((?P<host>[^:]*):)?(?P<container>[^:/]+)(/(?P<protocol>.*))?")
_RESTART = pattern(r"no|always|unless-stopped|on-failure(:\d+)?")
_CONTAINER = pattern(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_ULIMITS = (
    *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc"),
    *("rss", "rtprio", "rttime", "sigpending", "stack"),
)
# Source: capabilities(7).
_CAPABILITIES = (
    *("ALL", "AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN"),
    *("DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE"),
    *("LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST"),
    *("NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT"),
    *("SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME"),
    *("SYS_TTY_CONFIG", "SYSLOG", "WAKE_ALARM"),
)
Judge = Callable[[Value], str]


def problems(project: Value) -> Iterator[Problem]:
    """Return the texts that no parser would accept, with their places."""
    for place, judge in _GRAMMARS:
        for path, value in _under(project, tuple(place.split(".")), ()):
            text = str(value.data)
            # A secret whose value is not known yet can be anything.
            if value.data is None or REDACTED in text:
                continue
            if message := judge(value):
                message = f"`{value.hidden}` is not valid here" if secret_text.is_in(text) else message
                yield Problem(value.where.path, value.where.line, message, key=dotted(path), column=value.where.column)


def _under(value: Value, keys: tuple[str, ...], path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Value]]:
    """Yield the values under keys; `*` means every entry and every item."""
    if not keys:
        yield path, value
    elif keys[0] == "*":
        for key, item in (*value.items.items(), *enumerate(value.list)):
            yield from _under(item, keys[1:], (*path, key))
    elif (below := value.at(keys[0])) is not None:
        yield from _under(below, keys[1:], (*path, keys[0]))


def _duration(value: Value) -> str:
    text = value.text
    if _DURATION.fullmatch(text):
        return ""
    example = f"{text}s" if text.isdecimal() else "1m30s"
    return f"{described(value)} is not a duration; write a number with its unit, such as `{example}`"


def _size(value: Value) -> str:
    if isinstance(value.data, int) or _SIZE.fullmatch(value.text):
        return ""
    return f"{described(value)} is not a size; write a number with its unit, such as `512m` or `2g`"


def _number(value: Value) -> str:
    return "" if _NUMBER.fullmatch(value.text) else f"must be a number, not {described(value)}"


def _whole(value: Value) -> str:
    is_whole = isinstance(value.data, (dict, list)) or re.fullmatch(r"[-+]?\d+", value.text)
    return "" if is_whole else f"must be a whole number, not {described(value)}"


def _port(value: Value) -> str:
    if value.items:
        return _range(value.string("target"), lowest=1) or _range(value.string("published"))
    match = _PORT.fullmatch(value.text)
    if not match:
        return f"{described(value)} is not a port; write `host:container`, such as `8000:80`"
    # In `8000:80`, the part before the colon is a port; in `127.0.0.1:8000:80` it is the address.
    address, host = match["address"] or "", match["host"]
    if host is None:
        address, host = "", address
    message = _address(address.strip("[]")) or _range(match["container"], lowest=1) or _range(host)
    return message or _protocol(match["protocol"]) or _length(host, match["container"])


def _exposed(value: Value) -> str:
    port, _, protocol = value.text.partition("/")
    return _range(port, lowest=1) or _protocol(protocol or None)


def _range(text: str, lowest: int = 0) -> str:
    """Check a port or a range of ports; an empty one is chosen by the engine."""
    for part in text.split("-") if text else ():
        if not part.isdecimal() or not part.isascii():
            return f"`{text}` is not a port or a range of ports"
        if not lowest <= int(part) <= HIGHEST_PORT:
            return f"port `{part}` is not between {lowest} and {HIGHEST_PORT}"
    first, dash, last = text.partition("-")
    if dash and (not first or not last or "-" in last or int(first) > int(last)):
        return f"`{text}` is not a range of ports"
    return ""


def _length(host: str, container: str) -> str:
    """A range is published as a range of the same length, or as one port anywhere in a range."""
    lengths = [_count(host), _count(container)]
    if not host or lengths[0] == lengths[1] or lengths[1] == 1:
        return ""
    return f"the ranges `{host}` and `{container}` differ in length"


def _count(text: str) -> int:
    first, _, last = text.partition("-")
    return int(last) - int(first) + 1 if last else 1


def _protocol(text: str | None) -> str:
    return "" if text is None or text.lower() in ("tcp", "udp", "sctp") else one_of(text, ("tcp", "udp", "sctp"))


def _address(text: str) -> str:
    try:
        ipaddress.ip_address(text or "::")
    except ValueError:
        return f"`{text}` is not an IP address"
    return ""


def _ip(value: Value) -> str:
    return _address(value.text)


def _subnet(value: Value) -> str:
    try:
        ipaddress.ip_network(value.text, strict=False)
    except ValueError:
        return f"{described(value)} is not a subnet; write an address with its prefix length, `172.28.0.0/16`"
    return ""


def _restart(value: Value) -> str:
    if value.data is False or _RESTART.fullmatch(value.text):
        return ""
    return one_of(value.text, ("no", "always", "unless-stopped", "on-failure"))


def _test(value: Value) -> str:
    first = value.list[0].text if value.list else "NONE"
    if first in ("NONE", "CMD", "CMD-SHELL"):
        return ""
    return f"a list must begin with `CMD`, `CMD-SHELL` or `NONE`, not `{first}`"


def _container(value: Value) -> str:
    if _CONTAINER.fullmatch(value.text):
        return ""
    return f"{described(value)} is not a valid container name: use letters, digits, `_`, `.` and `-`"


def _capability(value: Value) -> str:
    name = value.text.upper().removeprefix("CAP_")
    near = difflib.get_close_matches(name, _CAPABILITIES, 1)
    # An unknown capability may be a new one.
    return f"{described(value)} is not a capability; did you mean `{near[0]}`?" if near and name not in near else ""


def _ulimits(value: Value) -> str:
    wrong = [name for name in value.items if name not in _ULIMITS and not name.startswith("x-")]
    return one_of(wrong[0], _ULIMITS) if wrong else ""


def _host(value: Value) -> str:
    name, separator, address = value.text.replace("=", ":", 1).partition(":")
    return "" if name and separator and address else f"{described(value)} is not `name:address`"


def _volume(value: Value) -> str:
    if value.items:
        target = value.string("target")
        return "" if _is_absolute(target) else f"the path in the container must be absolute, not `{target}`"
    parts = volume.split(value.text)
    if ":" in parts.options:
        return f"{described(value)} has too many colons; write `source:target:options`"
    if not value.text.strip():
        return "is empty"
    return "" if _is_absolute(parts.target) else f"the path in the container must be absolute, not `{parts.target}`"


def _is_absolute(path: str) -> bool:
    return path.startswith("/") or bool(re.match(r"[A-Za-z]:[\\/]", path))


_SERVICE = {
    _port: ("ports.*",),
    _exposed: ("expose.*",),
    _duration: (
        *(f"healthcheck.{key}" for key in ("interval", "timeout", "start_period", "start_interval")),
        *(f"deploy.{key}_config.{name}" for key in ("update", "rollback") for name in ("delay", "monitor")),
        *("stop_grace_period", "deploy.restart_policy.delay", "deploy.restart_policy.window"),
    ),
    _size: (
        *("mem_limit", "mem_reservation", "shm_size", "build.shm_size"),
        *(f"deploy.resources.{kind}.memory" for kind in ("limits", "reservations")),
    ),
    _number: ("cpus", *(f"deploy.resources.{kind}.cpus" for kind in ("limits", "reservations"))),
    _whole: (
        *("scale", "pids_limit", "mem_swappiness", "cpu_shares", "healthcheck.retries", "deploy.replicas"),
        *(f"{place}ulimits.{key}" for place in ("", "build.") for key in ("*", "*.soft", "*.hard")),
        *(f"deploy.{key}_config.parallelism" for key in ("update", "rollback")),
        *("deploy.resources.limits.pids", "deploy.restart_policy.max_attempts"),
    ),
    _restart: ("restart",),
    _test: ("healthcheck.test",),
    _container: ("container_name",),
    _capability: ("cap_add.*", "cap_drop.*"),
    _ulimits: ("ulimits", "build.ulimits"),
    _host: ("extra_hosts.*",),
    _volume: ("volumes.*",),
    _ip: (*(f"networks.*.{key}" for key in ("ipv4_address", "ipv6_address")), "dns.*"),
}
_GRAMMARS: tuple[tuple[str, Judge], ...] = (
    *((f"services.*.{path}", judge) for judge, paths in _SERVICE.items() for path in paths),
    ("networks.*.ipam.config.*.subnet", _subnet),
    ("networks.*.ipam.config.*.gateway", _ip),
)
