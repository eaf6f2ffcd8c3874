"""The schema of config/dev.yml, and the values that the rest of the program gets. Does no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from kamal_dev.config.distribution import PlacementConfig
from kamal_dev.config.images import BuildConfig, ImageSettings, Registry
from kamal_dev.config.kinds import Amount, Boolean, Choice, Many, Name, Number, Text, Whole
from kamal_dev.config.lifetime_section import LifetimeConfig
from kamal_dev.config.notify import Notify
from kamal_dev.config.options import Old, option, section
from kamal_dev.config.port_range import PortRange
from kamal_dev.config.provider import CPUS, JUMP, KEY, MEMORY, PORT, USER, ProviderConfig, ProviderSection
from kamal_dev.model import Location, Notice
from kamal_dev.model.stack_engine import COMPOSE, ENGINES
from kamal_dev.values import dataclass

MAX_COUNT = 1000

SERVICE = Text(
    r"[a-z0-9]+((_|__|-+)[a-z0-9]+)*",
    "must be lower-case letters and digits, joined by `-` or `_`",
    "a name",
)


@dataclass(frozen=True)
class Ssh:
    """Describe SSH connections to hosts; `~/.ssh/config` supplies what is not set here."""

    user: str = option(USER, "SSH user.", default="", example="deploy", otherwise="from `~/.ssh/config`")
    port: int = option(PORT, "SSH port.", default=0, example="22", otherwise="from `~/.ssh/config`, or 22")
    keys: tuple[str, ...] = option(
        Many(KEY, or_one=True),
        """Private keys to offer. Keys with a passphrase must be in the agent; a `.pub` file selects a key that
        exists only in the agent. `~` is your home directory; other paths are relative to the repository root.""",
        default=(),
        example="[~/.ssh/id_ed25519]",
        otherwise="keys of the agent and of `~/.ssh/config`",
    )
    proxy_jump: str = option(
        JUMP,
        "Jump host, as `user@address:port`; several are separated by commas, in order; `none` disables it.",
        default="",
        example="jump@bastion.example.com",
        otherwise="from `~/.ssh/config`",
    )
    known_hosts: str = option(
        Choice(("accept-new", "strict", "off")),
        """How to check host keys. `accept-new`: record the key of a new host in a file of this project. `strict`:
        refuse hosts that are not in known_hosts. Both refuse a changed key. `off`: accept any key, without
        protection against someone who impersonates the host.""",
        default="accept-new",
    )
    config: bool = option(Boolean(), "Whether to use `~/.ssh/config`.", default=True)
    max_connections: int = option(Whole(1, 500), "Maximum number of concurrent connections.", default=30)
    connect_timeout: int = option(Whole(1, 3600), "Seconds to wait for a new connection.", default=10)
    control_persist: int = option(
        Whole(0, 3600),
        """Seconds for which a connection is kept for the next run, as in `ControlPersist` of OpenSSH. `0` closes it at
        the end of each run, as it is where the environment variable `CI` is set.""",
        default=60,
    )


@dataclass(frozen=True)
class Limits:
    """Limit the resources of the main service; empty means no limit."""

    cpus: str = option(CPUS, "CPU limit of the main service.", default="", example="2", otherwise="no limit")
    memory: str = option(MEMORY, "Memory limit of the main service.", default="", example="4g", otherwise="no limit")
    memory_swap: str = option(
        Amount(f"-1|{MEMORY.pattern}", f"{MEMORY.rule}, or -1 for no limit"),
        "Limit of memory and swap together for the main service; -1 means no limit.",
        default="",
        example="6g",
        otherwise="the default of the engine",
    )


@dataclass(frozen=True)
class Deploy:
    """Hold when a release counts as up, and what happens if it does not come up."""

    timeout: int = option(Whole(1, 86_400), "Seconds to wait for a release to come up on a host.", default=300)
    window: float = option(
        Number(1, 3600),
        """Seconds that a service must run without a restart if it has no health check, does not listen on its ports and
        does more than keep itself alive.""",
        default=5.0,
    )
    restarts: int = option(
        Whole(1, 1000),
        """Restarts after which a service without a health check counts as failed. Raise it for a service that restarts
        until its database is ready.""",
        default=3,
    )
    lock_wait: int = option(
        Whole(0, 86_400),
        """Seconds to wait for a locked stack; 0 fails at once. `--lock-wait` overrides it.""",
        default=900,
    )
    lifecycle_timeout: int = option(
        Whole(1, 86_400),
        "Seconds to wait for all lifecycle commands of the devcontainer on a host (`postCreateCommand` …).",
        default=3600,
    )
    rollback: str = option(
        Choice(("host", "all", "never")),
        """What to do when a release does not come up. `host`: roll that host back to its last good release. `all`: also
        roll back the hosts where it came up. `never`: leave the failed release in place.""",
        default="host",
    )
    confirm: str = option(
        Choice(("always", "careful", "never")),
        """When `dev deploy` asks for confirmation on a terminal. `careful`: before it creates hosts, or recreates a
        container that somebody is using. `always`: before any change. `never`: not at all. `--yes` skips the
        question; without a terminal, creating hosts needs `--yes` or `never`.""",
        default="careful",
    )
    batch: str = option(
        Amount(
            r"[1-9][0-9]{0,3}|([1-9][0-9]?|100)%",
            "must be a whole number from 1, or a percentage such as `25%`",
            "a number of stacks, or a percentage",
        ),
        """How many stacks to deploy first, as a number or a percentage. The others follow together if no more than
        `deploy.max_failures` of the first batch failed; otherwise they are skipped.""",
        default="",
        example="25%",
        otherwise="all at once",
    )
    max_failures: int = option(
        Whole(0, MAX_COUNT), "How many stacks of the first batch may fail before the others are skipped.", default=0
    )


@dataclass(frozen=True)
class WorkspaceConfig:
    """Hold where the source of the workspace comes from."""

    source: str = option(
        Choice(("git", "sync", "image", "none")),
        """Source of the workspace on a host. `git`: a clone with history, your branch and your uncommitted changes;
        later deploys update it unless it has been changed on the host. `sync`: only the files, sent once. `image`:
        the files in the image; the repository is not mounted. `none`: no files are sent.""",
        default="",
        example="git",
        otherwise="`git` in a git repository, otherwise `sync`",
    )


@dataclass(frozen=True)
class Config:
    """Hold the checked contents of config/dev.yml, with defaults filled in.

    `path` is as shown to the user, empty if there is no file; `local_path` is the file that overrides it on this
    machine; `where` maps dotted keys to their lines; `notices` name unused keys.
    """

    service: str = option(
        SERVICE,
        "Name of the project. Images, stacks and hosts are named after it.",
        example="guestbook",
    )
    image: ImageSettings = section(
        ImageSettings,
        "What to build. A plain string is the image name, or the path to devcontainer.json if it ends in `.json`.",
        shorthand="name",
    )
    registry: Registry = section(Registry, "Registry to push images to.")
    build: BuildConfig = section(BuildConfig, "How images are built.")
    provider: ProviderConfig = option(
        ProviderSection(),
        "Where hosts come from.",
        default=ProviderConfig(),
        otherwise="`type: docker`",
    )
    engine: str = option(
        Choice(ENGINES),
        """What runs stacks on hosts. `compose`: Docker Compose. `swarm-stack`: `docker stack deploy`, which spreads the
        services of a stack over nodes; only with `provider.type: swarm`. Most devcontainers need `compose`.""",
        default=COMPOSE.name,
    )
    placement: PlacementConfig = section(PlacementConfig, "How stacks are distributed over hosts.")
    ports: PortRange = section(PortRange, "Ports of a host for the published ports of stacks that share it.")
    secrets: tuple[str, ...] = option(
        Many(Name()),
        """Variables passed to the main service, read from the environment or the secrets file. They are sent in a file
        that only the SSH user can read, never in an image, a compose file or an argument.""",
        default=(),
        example="[DATABASE_PASSWORD]",
    )
    expose: bool = option(
        Boolean(),
        """Whether published ports are reachable from the networks of the host. By default they are bound to 127.0.0.1
        of the host, where `dev forward` and SSH reach them; a port with its own address (`0.0.0.0:8080:80`) is kept
        as written.""",
        default=False,
    )
    restart: str = option(
        Choice(("unless-stopped", "no")),
        """Restart policy of services that set none in the compose file. `unless-stopped`: a service that
        came up is restarted after a crash and when the host boots. `no`: it is not restarted. A service that others
        wait for with `service_completed_successfully` gets no policy, nor does one that ended with exit code 0.""",
        default="unless-stopped",
    )
    home_mounts: str = option(
        Choice(("omit", "host")),
        """What to do with mounts from the home directory of this machine (`${localEnv:HOME}/.ssh`, `~/.aws`) or of an
        agent socket. `omit`: skip them with a notice. `host`: mount the same path of the host.""",
        default="omit",
    )
    host_requirements: str = option(
        Choice(("refuse", "warn")),
        """What to do when a host does not meet `hostRequirements` of the devcontainer. `refuse`: skip the host. `warn`:
        print a warning and deploy anyway. Put a value for one machine only in `config/dev.local.yml`.""",
        default="",
        example="warn",
        otherwise="`warn` for hosts that are containers on this machine, otherwise `refuse`",
    )
    secrets_file: str = option(
        Text(title="a path"),
        "Path to the secrets file, relative to the repository root.",
        default=".kamal/secrets",
    )
    ssh: Ssh = section(Ssh, "SSH connections to hosts.")
    limits: Limits = section(Limits, "Resource limits of the main service.", key="defaults")
    count: int = option(
        Whole(1, MAX_COUNT), "How many stacks `dev deploy` runs; `--count` overrides it.", default=1, key="vms.count"
    )
    naming: str = option(
        Text(title="a pattern"),
        "Pattern of stack names: `{service}`, and `{index}` counting from 1; `{index:03}` pads it to three digits.",
        default="{service}-{index}",
        key="naming.pattern",
    )
    retain: int = option(
        Whole(1, 1000),
        """How many releases to keep on each host, with their images, for `dev rollback` without a network. The current
        release and the last two good releases are always kept.""",
        default=5,
    )
    deploy: Deploy = section(Deploy, "When a release counts as up, and what to do with one that does not come up.")
    lifetime: LifetimeConfig = section(LifetimeConfig, "When stacks end by themselves.")
    notify: Notify = section(Notify, "Where alerts are sent when a service is not up or a disk is full.")
    workspace: WorkspaceConfig = section(WorkspaceConfig, "Source of the workspace on a host.")
    path: str = ""
    local_path: str = ""
    notices: tuple[Notice, ...] = ()
    where: Mapping[str, Location] = field(default_factory=dict, compare=False, repr=False)


# The keys that only kamal-dev 0.3 knows, and what becomes of each.
_CLONE = "the source is not cloned when the container starts, so hosts need no token"
_DOCKERFILE = "builds are defined by the devcontainer or its compose file"

OLD = (
    Old("registry.username", into="registry.username_env"),
    Old("registry.password", into="registry.password_env"),
    Old("build.devcontainer", into="image.devcontainer"),
    Old("build.dockerfile", reason=_DOCKERFILE),
    Old("build.context", reason=_DOCKERFILE),
    Old("ssh.key_path", into="ssh.keys", suffix=".pub"),
    Old("git.repository", reason=_CLONE),
    Old("git.branch", reason=_CLONE),
    Old("git.workspace_folder", reason="use `workspaceFolder` in devcontainer.json"),
    Old("git.token", reason=_CLONE),
    Old("vms.spread", reason="use `placement`"),
)
