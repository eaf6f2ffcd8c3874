"""Hosts as privileged systemd containers on this machine, like the nodes of kind."""

from __future__ import annotations

import hashlib
import re
import socket
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kamal_dev.commands.docker import docker
from kamal_dev.errors import ConfigError, DevError, EngineError, NoAnswer, Problem, ProviderError
from kamal_dev.model import Host, Result, Step
from kamal_dev.pattern import pattern
from kamal_dev.plan.placement import HostContents, natural
from kamal_dev.providers import Agree, Capacity, host_image, identity, keys, machine
from kamal_dev.shell import Shell
from kamal_dev.shell.fanout import each
from kamal_dev.values import dataclass

if TYPE_CHECKING:
    from kamal_dev.config import Config
    from kamal_dev.output import Output

ADMIT = Path(__file__).with_name("admit.sh")
HOST_LABEL, SERVICE_LABEL, PROJECT_LABEL = machine.HOST_LABEL, "kamal-dev.service", "kamal-dev.project"
ADDRESS = "127.0.0.1"  # not the container's own address, which cannot be reached on macOS
FIELDS = f'{{{{.ID}}}}\t{{{{.Label "{HOST_LABEL}"}}}}\t{{{{.State}}}}\t{{{{.Ports}}}}'
NAME = pattern(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
NAMING = (
    "`naming.pattern` must produce 1 to 63 letters, digits, `-`, `_` and `.`, the first and the last a letter or digit"
)
MACHINE = pattern(r"host-[0-9]+\.")  # the name of a host that stacks share
MOST = 999  # hosts of a project
SHORTEN = "choose a shorter `service`, or set `placement.per_host` to 1"
RAISE = "set it to 2 or more, and remove the stacks that share a host before you lower it"
AT_ONCE = 8
COMMAND_TIMEOUT, CREATE_TIMEOUT = 120.0, 900.0
BOOT, GLANCE = 60, 2  # seconds to wait for sshd: of a host that is needed, and of one that is only listed
SETTLE = 3.0


@dataclass(frozen=True)
class _Container:
    """Hold one host's container, as `docker ps` lists it: `state` is `created`, `running`, `exited` …"""

    id: str
    host: str
    state: str
    ports: str = ""

    @property
    def port(self) -> int:
        """The published port of sshd, 0 if there is none: it changes with each start."""
        match = re.search(r":(\d+)->22/tcp", self.ports)
        return int(match[1]) if match else 0


class DockerProvider:
    """Create hosts on the engine that `docker` uses; labels say whose they are."""

    def __init__(
        self, config: Config, *, shell: Shell, directory: Path, output: Output, project: str = "", **_: Any
    ) -> None:
        self._service = config.service
        self._naming = config.where.get("naming.pattern")
        self._options = dict(config.provider.options)
        self._shell = shell
        self._directory = directory
        self._output = output
        # Hashed, because a project may be identified by the URL of its remote, which may contain a token.
        self._project = _short(project) if project else identity.read(directory, _short(str(_folder(directory))))
        self._image = ""
        self._per_host = config.placement.per_host
        self._met: dict[_Container, Host] = {}
        self._listed: tuple[Host, ...] | None = None

    def check(self, names: tuple[str, ...]) -> None:
        """Refuse names that are invalid for hosts."""
        if self._is_shared and not NAME.fullmatch(self._machine_name(MOST)):
            raise ProviderError(f"`{self._machine_name(MOST)}` is too long for the name of a host", hint=SHORTEN)
        refused = [name for name in names if not NAME.fullmatch(name) and not self._is_shared]
        if refused:
            message, hint = f"`{refused[0]}` cannot be the name of a host", NAMING
            if where := self._naming:
                problem = Problem(where.path, where.line, message, "naming.pattern", where.column)
                raise ConfigError(problem, hint=hint)
            raise ProviderError(message, hint=hint)

    def ensure(self, names: tuple[str, ...]) -> dict[str, Host | DevError]:
        """Create missing hosts, start stopped ones, and wait for sshd in all.

        A failure does not stop the others. Raises EngineError without an engine.
        """
        containers = self._containers()
        self._listed = None
        key = keys.ensure(self._directory)
        identity.keep(self._directory, self._project)
        flags = self._flags() if not containers.keys() >= {*names} else ()

        def ensured(name: str) -> Host:
            return self._host(containers[name], key) if name in containers else self._made(name, flags, key)

        return dict(zip(names, each(names, ensured, limit=AT_ONCE), strict=True))

    def _made(self, name: str, flags: tuple[str, ...] | DevError, key: tuple[Path, str]) -> Host:
        if isinstance(flags, DevError):
            raise flags
        started = time.monotonic()
        self._output.start("provisioning", host=name)
        container = self._create(name, flags)
        try:
            host = self._host(container, key)
        except ProviderError as error:
            error.left_behind = f"host {name}; the next deploy uses it"
            raise
        self._output.done("provisioning", host=host, seconds=time.monotonic() - started)
        return host

    def stacks(self) -> tuple[tuple[str, Host], ...]:
        """Return this project's hosts by name; a host that does not answer at once has no address.

        Raises ProviderError if a host was created for several stacks and a host takes only one now.
        """
        if self._is_shared:
            return ()
        hosts = self._existing()
        if shared := next((host.name for host in hosts if MACHINE.match(host.name)), ""):
            raise ProviderError(f"{shared} was created for several stacks, but `placement.per_host` is 1", hint=RAISE)
        return tuple((host.name, host) for host in hosts)

    def machines(self) -> tuple[Host, ...]:
        """Return this project's hosts if they take several stacks; one that does not answer at once has no address."""
        if self._is_shared and self._listed is None:
            self._listed = self._existing()
        return self._listed or ()

    def creatable(self) -> Iterator[HostContents]:
        """Return the next hosts by number, as large as `provider` and this machine let them be."""
        taken = {machine.name for machine in self.machines()}
        sizes, _ = machine.limited(self._options, self._machine.capacity)
        memory, cpus, disk = machine.size(sizes, self._machine)
        for name in map(self._machine_name, count(1)):
            if name not in taken:
                yield HostContents(Host(name, ""), (), memory, cpus, disk)

    def inventory(self) -> dict[str, HostContents]:
        """Return the hosts that are switched off: nobody knows what they have."""
        off = (machine for machine in self.machines() if not machine.address)
        return {machine.name: HostContents(machine, error=self._is_off(machine.name)) for machine in off}

    @staticmethod
    def _is_off(name: str) -> NoAnswer:
        return NoAnswer(name, f"{name} is not running or does not answer", hint="`dev deploy` starts it")

    @property
    def _is_shared(self) -> bool:
        return self._per_host > 1

    def _machine_name(self, number: int) -> str:
        """Return the name of a host that stacks share; no stack has such a name."""
        return f"host-{number}.{self._service}"

    def _existing(self) -> tuple[Host, ...]:
        containers = sorted(self._containers().values(), key=lambda container: natural(container.host))
        # Reading creates nothing, because a dry run reads, too.
        if not containers:
            return ()
        identity.keep(self._directory, self._project)
        key = keys.ensure(self._directory)
        outcomes = each(containers, lambda container: self._seen(container, key), limit=AT_ONCE)
        return tuple(outcome for outcome in outcomes if isinstance(outcome, Host))

    def registrar(self) -> None:
        """Return none: the hosts keep claims."""

    def record(self, stacks: Mapping[str, Host], answered: Collection[str]) -> None:
        """Do nothing: labels of containers tell which stack a host is for."""

    def capacity(self) -> Capacity:
        """Return the size of this machine, which none of its hosts exceeds."""
        return self._machine.capacity

    def make_room(self, count: int, agree: Agree) -> None:
        """Refuse hosts that this machine could not boot; raises ProviderError before one is created."""
        machine.make_room(self._machine, count, agree)

    def destroy(self, names: tuple[str, ...]) -> None:
        """Remove the containers of these hosts with their volumes."""
        containers, self._listed = self._containers(), None
        outcomes = each([containers[name] for name in names if name in containers], self._remove, limit=AT_ONCE)
        failures = [outcome for outcome in outcomes if isinstance(outcome, DevError)]
        if failures:
            raise _sum(failures)

    def _containers(self) -> dict[str, _Container]:
        owner = (f"label={PROJECT_LABEL}={self._project}", f"label={SERVICE_LABEL}={self._service}")
        filters = [word for label in owner for word in ("--filter", label)]
        result = self._run(docker("ps", "--all", "--no-trunc", *filters, "--format", FIELDS))
        if not result:
            raise EngineError(
                f"the docker provider needs Docker Engine on this machine: {result.tail(3)}",
                hint="start Docker, or set `provider.type` to `static` and list hosts",
            )
        containers = (_Container(*line.split("\t")) for line in result.output.splitlines() if line)
        return {container.host: container for container in containers}

    def _flags(self) -> tuple[str, ...] | DevError:
        """Return the flags for creating hosts, or why none can be created."""
        try:
            return self._prepare()
        except DevError as error:
            return error

    def _prepare(self) -> tuple[str, ...]:
        """Prepare the image, and return the flags of a new host: its limits, and what systemd needs."""
        self._image = str(self._options.get("image") or host_image.ready(self._shell, self._output, self._system))
        sizes, cut = machine.limited(self._options, self._machine.capacity)
        if cut:
            self._output.info(
                f"Limiting hosts to the resources of this machine: {', '.join(cut)}", phase="provisioning"
            )
        limits = tuple(f"--{limit}={sizes[limit]}" for limit in ("memory", "cpus") if sizes.get(limit))
        return (*self._system, *limits)

    @cached_property
    def _machine(self) -> machine.Machine:
        return machine.read(self._shell)

    @cached_property
    def _system(self) -> tuple[str, ...]:
        """The flags that systemd needs under this machine's cgroup version."""
        if self._machine.cgroup == "1":
            return ("--cgroupns=host", "--volume=/sys/fs/cgroup:/sys/fs/cgroup")
        return ("--cgroupns=private",)

    def _create(self, name: str, flags: tuple[str, ...]) -> _Container:
        """Create a host; if another run was faster, or an earlier one stopped half-way, return the existing one."""
        result = self._run(self._creation(name, flags), timeout=CREATE_TIMEOUT)
        deadline = time.monotonic() + SETTLE
        while (container := self._containers().get(name)) is None:
            # A name is taken shortly before its container is listed.
            if result or time.monotonic() > deadline:
                raise ProviderError(f"{name}: the container could not be created: {result.tail(3)}")
            time.sleep(0.3)
        return container

    def _creation(self, name: str, flags: tuple[str, ...]) -> Step:
        labels = {HOST_LABEL: name, SERVICE_LABEL: self._service, PROJECT_LABEL: self._project}
        # The name acts as a lock: two runs that start together cannot both create the host.
        unique = f"kamal-dev-{name}-{_short(self._project + self._service)[:8]}"
        return docker(
            *("run", "--detach", *host_image.MACHINE, *flags, f"--publish={ADDRESS}::22"),
            *(f"--label={key}={value}" for key, value in labels.items()),
            *(f"--name={unique}", f"--hostname={name}", self._image),
        )

    def _host(self, container: _Container, key: tuple[Path, str], patience: int = BOOT) -> Host:
        """Start the container if necessary, add our key, and wait until sshd answers."""
        if container in self._met:
            return self._met[container]
        if container.state != "running":
            container = self._started(container)
        if not container.port:
            raise ProviderError(
                f"{container.host}: the container has no port on this machine, it may be disconnected from its network",
                hint=f"`docker network connect bridge {container.id[:12]}` reconnects it",
            )
        private, public = key
        script = (
            "exec",
            "--interactive",
            container.id,
            "sh",
            "-c",
            ADMIT.read_text(encoding="utf-8"),
            "admit",
            str(patience),
        )
        entry = docker(*script, stdin=f"{public}\n".encode())
        admitted = self._run(replace(entry, label=f"docker exec {container.id[:12]} admit {patience}"))
        if not admitted or not _answers(container.port, patience):
            boot = self._run(docker("logs", "--tail=8", container.id)).output.strip()
            raise ProviderError(
                f"{container.host}: no sshd in the container after {patience} s: {admitted.errors.strip()}\n{boot}",
                hint=f"see `docker logs {container.id[:12]}`",
            )
        host_key, address = _admitted(admitted.output)
        self._met[container] = Host(
            container.host, ADDRESS, "root", container.port, (private,), host_key=host_key, peer_address=address
        )
        return self._met[container]

    def _seen(self, container: _Container, key: tuple[Path, str]) -> Host:
        if container.state == "running":
            with suppress(ProviderError):
                return self._host(container, key, GLANCE)
        return Host(container.host, "", user="root", keys=(key[0],))

    def _started(self, container: _Container) -> _Container:
        self._output.info("Starting the stopped host", container.host, phase="provisioning")
        result = self._run(docker("unpause" if container.state == "paused" else "start", container.id))
        if not result:
            raise ProviderError(
                f"{container.host}: the container did not start: {result.tail(3)}",
                hint=f"`docker rm --force --volumes {container.id[:12]}` destroys it; "
                "the next deploy creates a new one",
            )
        return self._containers().get(container.host, container)

    def _remove(self, container: _Container) -> None:
        result = self._run(docker("rm", "--force", "--volumes", container.id))
        if not result and container.host in self._containers():
            raise ProviderError(f"{container.host}: the container was not removed: {result.tail(3)}")
        self._output.done("removing", f"host {container.host}")

    def _run(self, step: Step, timeout: float = COMMAND_TIMEOUT) -> Result:
        return self._shell.run(step, timeout=timeout)


def _admitted(output: str) -> tuple[str, str]:
    """Return the key of a host and its address among the containers, empty where admit.sh printed none."""
    first, *others = output.splitlines() or [""]
    return " ".join(first.split()[:2]), next(filter(_is_address, others), "")


def _is_address(text: str) -> bool:
    with suppress(ValueError):
        return bool(ip_address(text))
    return False


def _sum(failures: Sequence[DevError]) -> ProviderError:
    hint = next((failure.hint for failure in failures if failure.hint), "")
    return ProviderError("\n".join(failure.message for failure in failures), hint=hint)


def _folder(directory: Path) -> Path:
    """Return the project of a private folder, `.kamal/local`."""
    return directory.parent.parent.resolve()


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _answers(port: int, patience: float) -> bool:
    """Wait for the banner: Docker's proxy accepts connections long before sshd does."""
    deadline = time.monotonic() + patience
    while port and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection((ADDRESS, port), timeout=5) as connection:
            if connection.recv(4) == b"SSH-":
                return True
        time.sleep(0.1)
    return False
