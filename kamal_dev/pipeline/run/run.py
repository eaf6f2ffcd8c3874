"""Hold what one run of a verb works with: the project, the shells, the provider, the output."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import field, replace
from functools import cached_property, partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from kamal_dev import project as projects
from kamal_dev import providers
from kamal_dev.devcontainer import requirements
from kamal_dev.errors import DevError, HostUnreachable
from kamal_dev.model import Host
from kamal_dev.output import Output
from kamal_dev.pipeline.run.budget import HostBudget, LockBudget
from kamal_dev.pipeline.run.connections import HostConnections, HostShells
from kamal_dev.pipeline.run.shared_hosts import remembered_on, survey
from kamal_dev.pipeline.run.tools import LocalTools
from kamal_dev.project import Project, SourceOrigin, state
from kamal_dev.providers import Provider
from kamal_dev.shell import Connecting, Shell
from kamal_dev.shell.local import Local
from kamal_dev.shell.trust import Trust
from kamal_dev.shell.way import Way, way
from kamal_dev.values import dataclass

if TYPE_CHECKING:
    from kamal_dev.project.remote_repository import RemoteRepository


@dataclass(frozen=True, eq=False)
class Run:
    """Give the stages of a verb what they need; `close` closes everything opened here.

    `read` reads the project of `folder` again, `wanted_lock_wait` is `--lock-wait`, `keeps_connections` is whether
    connections of an earlier run are used and kept for the next one, `budget` holds `--timeout` for each host. A change
    during a verb makes a new run, which shares the open connections. `remote_repository` is where the project comes
    from if a URL names it.
    """

    project: Project
    local: Shell
    output: Output
    read: Callable[..., Project] | None = None
    wanted_lock_wait: float | None = None
    keeps_connections: bool = True
    budget: HostBudget = field(default_factory=HostBudget)
    resources: ExitStack = field(default_factory=ExitStack)
    shells: HostShells = field(default_factory=HostShells)
    folder: Path = Path()
    remote_repository: RemoteRepository | None = None

    @classmethod
    def open(
        cls,
        folder: Path,
        output: Output,
        *,
        config_path: str | None = None,
        devcontainer_path: str | None = None,
        version: str | None = None,
        environment: Mapping[str, str] | None = None,
        strict: bool = True,
        ignore_features: bool = False,
        lock_wait: float | None = None,
        allow_outside: bool = False,
        degraded: bool = False,
        origin: SourceOrigin | None = None,
    ) -> Run:
        """Read the project of `folder` (absolute); see `project.load`. Raises ConfigError, UsageError."""
        local = Local(log=output.step)
        read = partial(
            projects.load,
            shell=local,
            config_path=config_path,
            devcontainer_path=devcontainer_path,
            version=version,
            environment=os.environ if environment is None else environment,
            redaction=output.redaction,
            strict=strict,
            ignore_features=ignore_features,
            allow_outside=allow_outside,
            degraded=degraded,
            origin=origin,
        )
        return cls(read(folder), local, output, partial(read, folder), lock_wait, folder=folder)

    def read_again(self) -> Run:
        """Return the run with the project read again, because a command may have changed its files."""
        return replace(self, project=self.read()) if self.read else self

    def reading(self, folder: Path, ref: str, repository: str = "") -> Run:
        """Return the run with the project of another folder; who has hosts and the secrets stay those of this one."""
        assert isinstance(self.read, partial)
        settings = {**self.read.keywords, "origin": SourceOrigin(self.project.home, ref, repository)}
        read = partial(self.read.func, folder, **settings)
        made = replace(self, project=read(), read=read)
        # Who has hosts, and hosts that share stacks, are asked once for all sources.
        if "stacks" in self.__dict__:
            made.__dict__["stacks"] = self.stacks
        if self.provider.machines():
            made.__dict__["provider"] = self.provider
        return made

    def within(self, seconds: float | None) -> Run:
        """Return the run with this many seconds for the work on each host; None means no limit."""
        return replace(self, budget=HostBudget(seconds))

    @cached_property
    def connections(self) -> HostConnections:
        """The connections to hosts, with their limits."""
        return HostConnections(
            self.remote,
            self.way,
            lambda: self.shells.is_closing,
            self.scripts,
            self.output,
            self.performer,
            self.project.config.ssh.max_connections,
            self.budget,
            LockBudget(self.lock_wait),
            self.machines,
        )

    @cached_property
    def provider(self) -> Provider:
        """The provider of hosts; sizes that its options do not set come from `hostRequirements`."""
        config = self.project.config
        sizes = requirements.sizes(self.project.devcontainer.host_requirements)
        options = tuple((name, value or sizes.get(name, value)) for name, value in config.provider.options)
        config = replace(config, provider=replace(config.provider, options=options))
        return providers.make(
            config,
            shell=self.local,
            directory=self.project.private(),
            output=self.output,
            remote=self.remote,
            scripts=self.scripts,
        )

    @cached_property
    def stacks(self) -> dict[str, Host]:
        """The stacks and their hosts, as the provider or the hosts knew them when this run first asked."""
        return self.locate()

    def start_machines(self) -> None:
        """Start hosts that are switched off, if stacks share them: only the hosts know which ones they have."""
        config = self.project.config
        if config.provider.creates_hosts and config.placement.per_host > 1:
            off = tuple(machine.name for machine in self.provider.machines() if not machine.address)
            outcomes = self.provider.ensure(off).values() if off else ()
            for error in (outcome for outcome in outcomes if isinstance(outcome, DevError)):
                self.output.warn(str(error))

    def machines(self) -> tuple[Host, ...]:
        """Return the hosts that share stacks, none if each stack has its own."""
        return self.provider.machines()

    def locate(self) -> dict[str, Host]:
        """Ask the provider, or the hosts that share stacks, for all stacks and their hosts.

        On a host that does not answer there are those that this machine remembers.
        """
        machines = self.provider.machines()
        if not machines:
            return dict(self.provider.stacks())
        service, inventory = self.project.config.service, self.provider.inventory()
        surveyed = survey(self.connections, machines, described=service, inventory=inventory)
        self.connections.manifests.update(surveyed.manifests)
        unknown = [item for item in surveyed.silent if item.is_unknown]
        for item in unknown:
            self.output.warn_once(f"{item.host.name} does not answer, so its stacks are not known: {item.error}")
        return {**self.remembered_on(item.host for item in unknown), **surveyed.of(self.project)}

    def remembered_on(self, machines: Iterable[Host]) -> dict[str, Host]:
        """Return the stacks that are on these hosts as far as this machine knows."""
        return remembered_on(machines, state.read(self.project.private()).state.hosts)

    @cached_property
    def scripts(self) -> dict[str, str]:
        """The texts of the scripts that run on hosts, by file name."""
        folder = files("kamal_dev") / "host"
        return {
            item.name: item.read_text(encoding="utf-8")
            for item in folder.iterdir()
            if item.name.endswith((".sh", ".pl"))
        }

    @cached_property
    def trust(self) -> Trust:
        """Which host keys are accepted."""
        ssh = self.project.config.ssh
        known_hosts = self.project.private() / "known_hosts"
        # Other jobs of a runner, which may be of other projects, must not use the connections of this one.
        is_shared = os.environ.get("CI", "").lower() not in ("", "0", "false")
        persist = ssh.control_persist if self.keeps_connections and not is_shared else 0
        return Trust(known_hosts, ssh.known_hosts, ssh.config, ssh.connect_timeout, persist)

    def way(self, host: Host) -> Way:
        """How hosts are reached; determined once per run. Raises HostUnreachable."""
        return way(host, self.trust)

    @property
    def ssh_config(self) -> Path:
        """The file that lets ssh find hosts by the names of their stacks; written by `dev open`."""
        return self.project.private() / "ssh_config"

    @cached_property
    def tools(self) -> LocalTools:
        """What runs commands on this machine."""
        return LocalTools(self.local, self.output, self.resources)

    @cached_property
    def performer(self) -> str:
        """The user as `user@machine`, for locks and audit logs."""
        try:
            user = getpass.getuser()
        except (KeyError, OSError):
            user = "unknown"
        return f"{user}@{os.uname().nodename}"

    @property
    def lock_wait(self) -> float:
        """The seconds to wait for another change of a stack."""
        return self.project.config.deploy.lock_wait if self.wanted_lock_wait is None else self.wanted_lock_wait

    @property
    def warns_of_requirements(self) -> bool:
        """Whether a host below `hostRequirements` is accepted with a warning.

        Hosts that are containers on this machine cannot be larger than it is.
        """
        config = self.project.config
        return (config.host_requirements or ("warn" if config.provider.shares_machine else "refuse")) == "warn"

    def remote(self, host: Host) -> Shell:
        """Return the connection to a host; its first step opens it."""
        return self.shells.of(host, self.trust, self.output.step)

    def connect(self, stacks: Iterable[str]) -> None:
        """Start to connect to the hosts of these stacks, which takes longer than deciding what to ask them."""
        machines = self.provider.machines()
        hosts = machines or [self.stacks[stack] for stack in stacks if stack in self.stacks]
        down = {name for name, known in self.provider.inventory().items() if known.error} if machines else ()
        for host in [host for host in hosts if host.address and host.name not in down][: self.connections.limit]:
            shell = self.remote(host)
            if isinstance(shell, Connecting):
                shell.connect()

    def close(self) -> None:
        """Close every connection and delete temporary files; errors of work that is still ending are not reported."""
        self.output.close()
        self.shells.close()
        self.resources.close()
        if self.shells.hosts and self.ssh_config.exists():
            from kamal_dev.shell import ssh_config

            # A restarted host may have a new port. A verb succeeds without this file.
            with suppress(OSError, HostUnreachable):
                machines = self.provider.machines()
                ssh_config.renew(
                    self.ssh_config, (host for host in self.shells.hosts if host not in machines), self.trust
                )
        if isinstance(self.local, Local):
            self.local.close()
