"""The provider section of config/dev.yml: the types and their options. Creates no host."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any, ClassVar

from kamal_dev.config.constraint import Constraint, Constraints
from kamal_dev.config.document import ConfigValue
from kamal_dev.config.kinds import MAX_LENGTH, Amount, Choice, Kind, Many, Text, Whole
from kamal_dev.config.options import Group, Leaf, Option, build, option, shape
from kamal_dev.config.problems import MISSING, Reading, show
from kamal_dev.config.walk import Walk
from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

CPUS = Amount(r"0*[1-9][0-9]*(\.[0-9]+)?|0+\.0*[1-9][0-9]*", "must be a number of CPUs above 0, such as 2 or 1.5")
MEMORY = Amount(
    r"[1-9][0-9]*(\.[0-9]+)?([bBkKmMgG]|[kKmMgG][bB])?",
    "must be an amount of memory, such as 512m or 2g (without a unit: bytes)",
)
ADDRESS = Text(
    r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*",
    "must be a host name or an IP address",
    "a host name or an IP address",
)
USER = Text(r"[A-Za-z0-9_][A-Za-z0-9_.@\\-]*", "must be a user name", "a user name")
KEY = Text(r"[^\x00-\x1f\x7f-][^\x00-\x1f\x7f]*", "must be the path to a private key", "the path to a private key")
JUMP = Text(
    r"[A-Za-z0-9_\[][A-Za-z0-9_.@:%\[\]-]*(,[A-Za-z0-9_\[][A-Za-z0-9_.@:%\[\]-]*)*",
    "must be `user@address:port`, or several separated by commas, in order",
    "`user@address:port`",
)
PORT = Whole(1, 65535)

_HOST = pattern(r"(?:(?P<user>[^@]+)@)?(?:\[(?P<six>[^]]+)\]|(?P<address>[^:\[\]]+))(?::(?P<port>\d{1,5}))?")


@dataclass(frozen=True)
class StaticHost:
    """Hold one host of the static provider, as written in config/dev.yml.

    An empty `user` and `port` 0 leave them to `ssh` and `~/.ssh/config`; `keys` are paths as written. ProviderConfig
    has it as a mapping of these names.
    """

    address: str = option(ADDRESS, "Host name or IP address.", example="10.0.0.1")
    user: str = option(USER, "SSH user.", default="", otherwise="`ssh.user`")
    port: int = option(PORT, "SSH port.", default=0, otherwise="`ssh.port`")
    keys: tuple[str, ...] = option(Many(KEY, or_one=True), "Private keys.", default=(), otherwise="`ssh.keys`")
    proxy_jump: str = option(JUMP, "Jump host.", default="", otherwise="`ssh.proxy_jump`")


@dataclass(frozen=True)
class Hosts(Kind):
    """The hosts of the static provider, each `user@address:port` or a mapping."""

    title: str = "a list of hosts"
    accepts: ClassVar[tuple[str, ...]] = ("list",)

    def _convert(self, value: ConfigValue, key: str, reading: Reading) -> Any:
        if not value.items:
            return reading.refuse(value, key, "must name at least one host")
        hosts = [self.host(item, f"{key}[{index}]", reading) for index, item in enumerate(value.items)]
        first_index: dict[Any, int] = {}
        for index, host in enumerate(hosts):
            first = (
                index
                if host is MISSING
                else first_index.setdefault((host["address"].lower(), host["port"] or 22), index)
            )
            if first != index:
                reading.refuse(value.items[index], f"{key}[{index}]", f"is the same host as {key}[{first}]")
        return MISSING if MISSING in hosts else tuple(hosts)

    def host(self, value: ConfigValue, key: str, reading: Reading) -> Any:
        """Read one host, as text or as a mapping."""
        reading.place(key, value)
        if value.kind == "text":
            return self.from_text(value, key, reading)
        if value.kind != "mapping":
            return reading.refuse(value, key, "must be `user@address:port` or a mapping with `address`")
        before = len(reading.problems)
        Walk(reading, shape(StaticHost, key)).read(value)
        return asdict(build(StaticHost, reading.values, key)) if len(reading.problems) == before else MISSING

    def from_text(self, value: ConfigValue, key: str, reading: Reading) -> Any:
        """Read `user@address:port`; an IPv6 address with a port is in brackets."""
        is_bare_six = value.text.count(":") > 1 and re.fullmatch(ADDRESS.pattern, value.text)
        match = _HOST.fullmatch(f"[{value.text}]" if is_bare_six else value.text[:MAX_LENGTH])
        if not match:
            return reading.refuse(value, key, f"{show(value.text)} is not a host: write `user@address:port`")
        address, user, port = match["six"] or match["address"], match["user"] or "", int(match["port"] or 0)
        for kind, part in ((ADDRESS, address), (USER, user)):
            if part and not re.fullmatch(kind.pattern, part):
                return reading.refuse(value, key, f"{show(part)} {kind.rule}")
        if match["port"] and not 1 <= port <= 65535:
            return reading.refuse(value, key, f"the port must be {PORT.title}, not `{port}`")
        return asdict(StaticHost(address, user=user, port=port))


@dataclass(frozen=True)
class StaticOptions:
    """Hosts that exist already: machines of your own, reached by SSH."""

    hosts: tuple[dict[str, Any], ...] = option(
        Hosts(),
        """Machines to deploy to, in the order in which stacks are assigned: `user@address:port`, where user and port
        are optional, or a mapping with `address` and any of `user`, `port`, `keys`, `proxy_jump` that differ from
        the `ssh` section. Each machine runs one stack, or up to `placement.per_host`.""",
        example="[deploy@10.0.0.1, deploy@10.0.0.2:2222]",
    )


@dataclass(frozen=True)
class OneHost(Hosts):
    """A single host, written like one of the static provider."""

    title: str = "`user@address:port` or a mapping with `address`"
    accepts: ClassVar[tuple[str, ...]] = ("text", "mapping")

    def _convert(self, value: ConfigValue, key: str, reading: Reading) -> Any:
        return self.host(value, key, reading)


@dataclass(frozen=True)
class SwarmOptions:
    """The nodes of a Docker Swarm, as one of its managers lists them."""

    manager: dict[str, Any] = option(
        OneHost(),
        """Manager of the swarm that lists the nodes: `user@address:port`, or a mapping as in `provider.hosts` of the
        static provider. Nodes are reached with the settings in `ssh`; the user and the keys of the manager are used
        for what is not set there.""",
        example="deploy@10.0.0.1",
    )
    nodes: tuple[Constraint, ...] = option(
        Constraints(),
        """Which nodes run stacks, as constraints of Docker Swarm with `==` or `!=` on `node.labels.NAME`, `node.id`,
        `node.hostname`, `node.ip`, `node.role`, `node.platform.os`, `node.platform.arch` and `engine.labels.NAME`;
        several are joined by `&&` or are a list.""",
        default=(),
        example='"node.labels.dev == true"',
        otherwise="all",
    )


@dataclass(frozen=True)
class DockerOptions:
    """Hosts created on this machine, as privileged containers: for a first run and for tests."""

    image: str = option(
        Text(r"[A-Za-z0-9\[][A-Za-z0-9._/:@\[\]-]*", "must be an image reference"),
        "Image of the hosts. It must start systemd and an SSH server.",
        default="",
        example="registry.example.com/host:1",
        otherwise="a Debian 12 image, built on first use",
    )
    cpus: str = option(CPUS, "CPU limit of each host.", default="", example="2", otherwise="no limit")
    memory: str = option(MEMORY, "Memory limit of each host.", default="", example="4g", otherwise="no limit")


@dataclass(frozen=True)
class ProviderType:
    """Describe one type of provider; nothing else compares the type's name.

    `implementation` is the class in `providers/<type>.py`. `creates_hosts` is false if hosts are listed: those are
    known by their address, and never destroyed. `shares_machine` is true if hosts are as large as this machine.
    `listed_in` names what lists the hosts. `runs_stacks` is true if
    that can run stacks, as `engine: swarm-stack` needs it.
    """

    options: type
    implementation: str
    creates_hosts: bool = True
    shares_machine: bool = False
    listed_in: str = "`provider.hosts`"
    runs_stacks: bool = False


DEFAULT = "docker"
PROVIDERS = {
    DEFAULT: ProviderType(DockerOptions, "DockerProvider", shares_machine=True),
    "static": ProviderType(StaticOptions, "StaticProvider", creates_hosts=False),
    "swarm": ProviderType(SwarmOptions, "SwarmProvider", creates_hosts=False, listed_in="the swarm", runs_stacks=True),
}


def creates_hosts(name: str) -> bool:
    """Return whether a type of provider creates its hosts; a type remembered by another version may be unknown."""
    return name not in PROVIDERS or PROVIDERS[name].creates_hosts


@dataclass(frozen=True)
class ProviderConfig:
    """Hold who creates the hosts: a type, and its options in declared order."""

    type: str = DEFAULT
    options: tuple[tuple[str, Any], ...] = tuple(PROVIDERS[DEFAULT].options().__dict__.items())

    def __getitem__(self, name: str) -> Any:
        return dict(self.options)[name]

    @property
    def creates_hosts(self) -> bool:
        """Whether hosts are created, and destroyed with their stacks."""
        return PROVIDERS[self.type].creates_hosts

    @property
    def shares_machine(self) -> bool:
        """Whether hosts can be no larger than this machine."""
        return PROVIDERS[self.type].shares_machine

    @property
    def listed_in(self) -> str:
        """What lists the hosts, for messages."""
        return PROVIDERS[self.type].listed_in


TYPE = Option(
    Choice(tuple(PROVIDERS)),
    """Where hosts come from. `docker`: containers on this machine; `static`: existing machines; `swarm`: the nodes of
    a Docker Swarm.""",
    example=DEFAULT,
)


def group(name: str, path: str = "provider") -> Group:
    """Return the keys for a provider of this type."""
    return Group(
        path, children={"type": Leaf(f"{path}.type", TYPE, DEFAULT), **shape(PROVIDERS[name].options, path).children}
    )


@dataclass(frozen=True)
class ProviderSection(Kind):
    """The provider section: which options are known depends on its `type`."""

    title: str = "a mapping with `type`"
    accepts: ClassVar[tuple[str, ...]] = ("mapping",)

    def _convert(self, value: ConfigValue, key: str, reading: Reading) -> Any:
        entry = reading.entries(value, key).get("type")
        name = DEFAULT if entry is None or entry[1].kind == "empty" else entry[1].text
        if name not in PROVIDERS:
            assert entry is not None
            reading.place(f"{key}.type", entry[0])
            return TYPE.kind.read(entry[1], f"{key}.type", reading)
        before = len(reading.problems)
        others = {
            other: Group(f"type: {other}", children=shape(row.options).children) for other, row in PROVIDERS.items()
        }
        Walk(reading, group(name, key), Group(children=others)).read(value)
        if len(reading.problems) > before:
            return MISSING
        options = build(PROVIDERS[name].options, reading.values, key)
        return ProviderConfig(name, tuple(options.__dict__.items()))
