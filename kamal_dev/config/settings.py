"""The schema of config/dev.yml, and at once what the rest of the program gets. Reads nothing."""

# ruff: noqa: RUF009 - option() and section() make dataclass fields
from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from kamal_dev.config.cache import Cache, CacheKind
from kamal_dev.config.kinds import Amount, Boolean, Choice, Many, Name, Number, Pairs, Text, Whole
from kamal_dev.config.options import option, section
from kamal_dev.config.provider import CPUS, JUMP, KEY, MEMORY, PORT, USER, ProviderConfig, ProviderSection
from kamal_dev.model import Location, Notice

MAX_COUNT = 1000
PLACEHOLDER_SERVER = "registry.example"

SERVICE = Text(
    r"[a-z0-9]+((_|__|-+)[a-z0-9]+)*",
    "must be lower-case letters and digits, joined by `-` or `_`",
    "a name",
)
SERVER = Text(
    r"(localhost|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:))(:[0-9]{1,5})?",
    "must be the address of a registry: `ghcr.io`, `docker.io`, `registry.example.com:5000`, `localhost:5555`; "
    "no scheme, no path",
    "the address of a registry",
)
RELATIVE = Text(
    r"(?!/|~|.*[\x00-\x1f\x7f])(?!(.*/)?\.\.(/|$)).+",
    "must be a path inside the repository, relative to its top",
    "a path",
)
PLATFORM = Text(r"[a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?", "must be like `linux/amd64`", "a platform")


@dataclass(frozen=True)
class ImageSettings:
    """Say what is built, and where it goes in the registry; both empty where nothing is set."""

    name: str = option(
        Text(r"[^\s\x00-\x1f\x7f]+", "must be the name of an image", "the name of an image"),
        """Name of the image, without a tag, in place of `SERVER/USER/SERVICE-dev`: `acme/guestbook` goes to
        `registry.server`; with a server in front (`ghcr.io/acme/guestbook`) it is complete. Images of further
        services get `-SERVICE` appended.""",
        default="",
        example="acme/guestbook",
        otherwise="`SERVER/USER/SERVICE-dev`",
    )
    devcontainer: str = option(
        RELATIVE,
        "Path of the devcontainer.json, from the top of the repository.",
        default="",
        example=".devcontainer/devcontainer.json",
        otherwise="the first place of the specification that has one",
    )


@dataclass(frozen=True)
class Registry:
    """Say where images go. `username` is the value of the variable `username_env`, empty while unknown."""

    server: str = option(
        SERVER,
        """Address of the registry. `localhost:PORT` needs no account: a registry is started on this machine, and
        hosts reach it through SSH. All others do: for `ghcr.io` (GitHub) the user is your account or organisation
        and the password a token that may write packages; `docker.io` is Docker Hub.""",
        default="ghcr.io",
    )
    username_env: str = option(
        Name(may_be_empty=True),
        """Variable that holds the user name, looked up in the environment, then in the secrets file. Empty text
        stands for a registry that asks for no account.""",
        default="REGISTRY_USERNAME",
    )
    password_env: str = option(
        Name(may_be_empty=True),
        "Variable that holds the password or access token, looked up in the same places.",
        default="REGISTRY_PASSWORD",
    )
    username: str = ""

    @property
    def is_local(self) -> bool:
        """Whether it is one that runs on this machine."""
        return re.fullmatch(r"(localhost|127\.0\.0\.1)(:\d+)?", self.server) is not None

    @property
    def is_placeholder(self) -> bool:
        """Whether nothing was configured, so that nothing can be pushed."""
        return self.server == PLACEHOLDER_SERVER

    @property
    def port(self) -> int:
        """The port in `server`, 0 where there is none."""
        return int(self.server.rpartition(":")[2]) if ":" in self.server else 0

    @property
    def needs_login(self) -> bool:
        """Whether it asks for an account."""
        return not self.is_local and not self.is_placeholder and bool(self.username_env or self.password_env)


@dataclass(frozen=True)
class BuildConfig:
    """Say how images are built."""

    cache: Cache | None = option(
        CacheKind(),
        """Where layers are kept between builds. `true`: inside the image, which is then also pushed as
        `…:buildcache`. A mapping: a buildx cache of that `type`, its further keys being that type's options:
        `inline` (as `true`), `registry` (`ref` is the image's own name with the tag `buildcache` unless given),
        `local` (`dest` is a folder), `gha` (GitHub Actions).""",
        default=None,
        example="{type: registry, ref: ghcr.io/acme/guestbook:cache, mode: max}",
        otherwise="`false`",
    )
    args: tuple[tuple[str, str], ...] = option(
        Pairs(),
        """Build arguments for every build, over those of the devcontainer and the compose file. They stay visible
        in the image: what is secret belongs to `build.secrets`.""",
        default=(),
        example="{RUBY_VERSION: 3.3}",
    )
    secrets: tuple[str, ...] = option(
        Many(Name()),
        "Secrets handed to every build as `--secret id=NAME`, never as arguments; the Dockerfile mounts them.",
        default=(),
        example="[GEM_TOKEN]",
    )
    platform: tuple[str, ...] = option(
        Many(PLATFORM, or_one=True),
        "Platforms to build for.",
        default=(),
        example="linux/amd64",
        otherwise="the engine's own",
    )
    builder: str = option(
        Text(r"[A-Za-z0-9][A-Za-z0-9._-]*", "must be the name of a buildx builder", "the name of a buildx builder"),
        "The buildx builder to use, as `docker buildx ls` names it.",
        default="",
        example="remote",
        otherwise="the one in use",
    )


@dataclass(frozen=True)
class Ssh:
    """Say how hosts are reached; `~/.ssh/config` fills in what is not set here."""

    user: str = option(USER, "User to log in as.", default="", example="deploy", otherwise="as `~/.ssh/config` says")
    port: int = option(
        PORT, "Port of the SSH servers.", default=0, example="22", otherwise="as `~/.ssh/config` says, or 22"
    )
    keys: tuple[str, ...] = option(
        Many(KEY, or_one=True),
        """Private keys to offer. Those that the agent has may have a passphrase; a `.pub` file names a key
        that only the agent has. `~` is your home; other paths start at the top of the repository.""",
        default=(),
        example="[~/.ssh/id_ed25519]",
        otherwise="the agent's, and those of `~/.ssh/config`",
    )
    proxy_jump: str = option(
        JUMP,
        "Host to go through, as `user@address:port`; several with commas, in their order; `none` for none.",
        default="",
        example="jump@bastion.example.com",
        otherwise="as `~/.ssh/config` says",
    )
    known_hosts: str = option(
        Choice(("accept-new", "strict", "off")),
        """What to do with a host whose key is not known: `accept-new` records it in a file of this project,
        `strict` refuses it. A key that changed is refused by both. `off` accepts any key, so anyone between here
        and the host can be the host.""",
        default="accept-new",
    )
    config: bool = option(Boolean(), "Whether `~/.ssh/config` is honoured.", default=True)
    max_connections: int = option(Whole(1, 500), "How many connections may be opened at once.", default=30)
    connect_timeout: int = option(Whole(1, 3600), "Seconds that a host has to answer a new connection.", default=10)


@dataclass(frozen=True)
class Limits:
    """Limit what the main service may use; empty means no limit."""

    cpus: str = option(CPUS, "CPUs that the main service may use.", default="", example="2", otherwise="no limit")
    memory: str = option(
        MEMORY, "Memory that the main service may use.", default="", example="4g", otherwise="no limit"
    )
    memory_swap: str = option(
        Amount(f"-1|{MEMORY.pattern}", f"{MEMORY.rule}, or -1 for no limit"),
        "Memory and swap together that the main service may use; -1 means no limit.",
        default="",
        example="6g",
        otherwise="as the engine decides",
    )


@dataclass(frozen=True)
class Deploy:
    """Say when a release counts as up, and what becomes of one that does not."""

    timeout: int = option(Whole(1, 86_400), "Seconds that a release has to come up on a host.", default=300)
    window: float = option(
        Number(1, 3600), "Seconds that a service without a health check must run without a restart.", default=5.0
    )
    restarts: int = option(
        Whole(1, 1000),
        """Restarts after which a service without a health check counts as failed. Raise it for one that waits for its
        database by restarting.""",
        default=3,
    )
    lock_wait: int = option(
        Whole(0, 86_400),
        """Seconds to wait for a stack that somebody else is changing; 0 gives up at once. `--lock-wait`
        overrides it.""",
        default=900,
    )
    lifecycle_timeout: int = option(
        Whole(1, 86_400),
        "Seconds that all lifecycle commands of the devcontainer together have on a host (`postCreateCommand` …).",
        default=3600,
    )
    rollback: str = option(
        Choice(("host", "all", "never")),
        """What happens where a release does not come up. `host`: that host goes back to its last good release. `all`:
        so do those where it came up. `never`: it is left as it is.""",
        default="host",
    )
    confirm: str = option(
        Choice(("always", "careful", "never")),
        """When `dev deploy` asks on a terminal before it changes anything. `careful`: where hosts are made, or a
        container is recreated that somebody is inside of. `always`: whenever something changes. `never`: not at all.
        `--yes` answers beforehand; without a terminal, hosts are made with `--yes` or `never` alone.""",
        default="careful",
    )
    batch: str = option(
        Amount(
            r"[1-9][0-9]{0,3}|([1-9][0-9]?|100)%",
            "must be a whole number from 1, or a percentage such as `25%`",
            "a number of stacks, or a percentage",
        ),
        """How many stacks get a release first, as a number or a percentage of those that are deployed. The others
        follow together, if no more than `deploy.max_failures` of the first failed; else they keep what they run.""",
        default="",
        example="25%",
        otherwise="all at once",
    )
    max_failures: int = option(
        Whole(0, MAX_COUNT), "How many stacks of the first batch may fail without stopping the rest.", default=0
    )


@dataclass(frozen=True)
class WorkspaceConfig:
    """Say what people find in the workspace on a host."""

    source: str = option(
        Choice(("git", "sync", "image", "none")),
        """Where the workspace on a host gets its source from. `git`: it is a clone, with history, your branch and your
        uncommitted changes; a later deploy moves it forward as long as nobody has changed it there. `sync`: the files
        alone, sent once. `image`: what is in the image; mounts of the repository are left out. `none`: nothing is
        sent.""",
        default="",
        example="git",
        otherwise="`git` in a git repository, else `sync`",
    )


@dataclass(frozen=True)
class Config:
    """Hold all that config/dev.yml says, checked, defaults filled in.

    `path` is as shown to the user, empty where there is no file; `local_path` that of what is
    laid over it on this machine; `where` maps
    dotted keys to their lines; `notices` name the keys that are not used.
    """

    service: str = option(
        SERVICE,
        "Name of what is deployed. Images, stacks and hosts are named after it.",
        example="guestbook",
    )
    image: ImageSettings = section(
        ImageSettings,
        "What is built. A text alone is the image's name; one that ends in `.json`, the devcontainer's path.",
        shorthand="name",
    )
    registry: Registry = section(Registry, "Where images go.")
    build: BuildConfig = section(BuildConfig, "How images are built.")
    provider: ProviderConfig = option(
        ProviderSection(),
        "Who makes the hosts, one for each stack.",
        default=ProviderConfig(),
        otherwise="`type: docker`",
    )
    secrets: tuple[str, ...] = option(
        Many(Name()),
        """Variables handed to the main service, each looked up in the environment, then in the secrets file. They
        travel in a file that only the user on the host can read, never in an image, a compose file or an argument.""",
        default=(),
        example="[DATABASE_PASSWORD]",
    )
    expose: bool = option(
        Boolean(),
        """Whether the ports that services publish are open to the networks that a host is in. Without it they are
        bound to 127.0.0.1 of the host, where `dev forward` and SSH reach them; a port that names an address
        itself (`0.0.0.0:8080:80`) is left as it is written.""",
        default=False,
    )
    home_mounts: str = option(
        Choice(("omit", "host")),
        """What becomes of mounts whose source is in the home folder of this machine (`${localEnv:HOME}/.ssh`, `~/.aws`)
        or the socket of an agent here. `omit`: they are left out, with a notice. `host`: the container gets what the
        host has under that path.""",
        default="omit",
    )
    host_requirements: str = option(
        Choice(("refuse", "warn")),
        """What happens where a host has less than `hostRequirements` of the devcontainer asks for. `refuse`: nothing is
        deployed there. `warn`: a warning, and the deploy continues. What holds for one machine alone belongs in
        `config/dev.local.yml`.""",
        default="",
        example="warn",
        otherwise="`warn` for hosts that are containers on this machine, else `refuse`",
    )
    secrets_file: str = option(
        Text(title="a path"),
        "The file that secrets are read from, from the top of the repository.",
        default=".kamal/secrets",
    )
    ssh: Ssh = section(Ssh, "How hosts are reached.")
    limits: Limits = section(Limits, "What the main service may use on its host.", key="defaults")
    count: int = option(
        Whole(1, MAX_COUNT), "How many stacks `dev deploy` runs; `--count` overrides it.", default=1, key="vms.count"
    )
    naming: str = option(
        Text(title="a pattern"),
        "How stacks are named: `{service}`, and `{index}` counting from 1; `{index:03}` pads it to three digits.",
        default="{service}-{index}",
        key="naming.pattern",
    )
    retain: int = option(
        Whole(1, 1000),
        """How many releases of a stack stay on its host, with their images, so that `dev rollback` needs no network.
        The current one, the last good one and the good one before stay in any case.""",
        default=5,
    )
    deploy: Deploy = section(Deploy, "When a release counts as up, and what becomes of one that does not.")
    workspace: WorkspaceConfig = section(WorkspaceConfig, "What people find in the workspace on a host.")
    path: str = ""
    local_path: str = ""
    notices: tuple[Notice, ...] = ()
    where: Mapping[str, Location] = field(default_factory=dict, compare=False, repr=False)
