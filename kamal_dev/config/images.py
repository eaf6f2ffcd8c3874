"""The image settings of config/dev.yml: what is built, how, and the registry."""

from __future__ import annotations

import re

from kamal_dev.config.build_cache import Cache, CacheKind
from kamal_dev.config.kinds import Many, Name, Pairs, Text
from kamal_dev.config.options import option
from kamal_dev.values import dataclass

PLACEHOLDER_SERVER = "registry.example"

SERVER = Text(
    r"(localhost|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:))(:[0-9]{1,5})?",
    "must be a registry address: `ghcr.io`, `docker.io`, `registry.example.com:5000`, `localhost:5555`; "
    "no scheme, no path",
    "a registry address",
)
RELATIVE = Text(
    r"(?!/|~|.*[\x00-\x1f\x7f])(?!(.*/)?\.\.(/|$)).+",
    "must be a path inside the repository, relative to its top",
    "a path",
)
PLATFORM = Text(r"[a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?", "must be like `linux/amd64`", "a platform")


@dataclass(frozen=True)
class ImageSettings:
    """Name the image and the devcontainer to build it from; both may be empty."""

    name: str = option(
        Text(r"[^\s\x00-\x1f\x7f]+", "must be an image name", "an image name"),
        """Image name without a tag. `acme/guestbook` is pushed to `registry.server`; a name that starts with a
        registry address (`ghcr.io/acme/guestbook`) is used as is. Images of other services get `-SERVICE` appended.""",
        default="",
        example="acme/guestbook",
        otherwise="`SERVER/USER/SERVICE-dev`",
    )
    devcontainer: str = option(
        RELATIVE,
        "Path to devcontainer.json, relative to the repository root.",
        default="",
        example=".devcontainer/devcontainer.json",
        otherwise="the first devcontainer.json in the standard locations",
    )


@dataclass(frozen=True)
class Registry:
    """Hold where images are pushed. `username` is the value of the variable `username_env`, empty while unknown."""

    server: str = option(
        SERVER,
        """Registry address. `localhost:PORT` needs no account: `dev` starts a registry on this machine, and hosts
        reach it through SSH. For `ghcr.io` (GitHub) the user is your account or organisation and the password a
        token with the scope `write:packages`; `docker.io` is Docker Hub.""",
        default="ghcr.io",
    )
    username_env: str = option(
        Name(may_be_empty=True),
        """Variable with the user name, read from the environment or the secrets file. Leave it empty for a
        registry without login.""",
        default="REGISTRY_USERNAME",
    )
    password_env: str = option(
        Name(may_be_empty=True),
        "Variable with the password or access token, read from the same places.",
        default="REGISTRY_PASSWORD",
    )
    username: str = ""

    @property
    def is_local(self) -> bool:
        """Whether it runs on this machine."""
        return re.fullmatch(r"(localhost|127\.0\.0\.1)(:\d+)?", self.server) is not None

    @property
    def is_placeholder(self) -> bool:
        """Whether nothing was configured, so that nothing can be pushed."""
        return self.server == PLACEHOLDER_SERVER

    @property
    def port(self) -> int:
        """The port in `server`, 0 if there is none."""
        return int(self.server.rpartition(":")[2]) if ":" in self.server else 0

    @property
    def needs_login(self) -> bool:
        """Whether it requires an account."""
        return not self.is_local and not self.is_placeholder and bool(self.username_env or self.password_env)


@dataclass(frozen=True)
class BuildConfig:
    """Say how images are built."""

    cache: Cache | None = option(
        CacheKind(),
        """Build cache. `true`: inline, with the image also pushed as `…:buildcache`. A mapping: a buildx cache with
        its `type` and the options of that type: `inline` (same as `true`), `registry` (`ref` defaults to the image
        name with the tag `buildcache`), `local` (`dest` is a folder), `gha` (GitHub Actions).""",
        default=None,
        example="{type: registry, ref: ghcr.io/acme/guestbook:cache, mode: max}",
        otherwise="`false`",
    )
    args: tuple[tuple[str, str], ...] = option(
        Pairs(),
        """Build arguments for all builds. They override those of the devcontainer and the compose files, and stay
        visible in the image: use `build.secrets` for secrets.""",
        default=(),
        example="{RUBY_VERSION: 3.3}",
    )
    secrets: tuple[str, ...] = option(
        Many(Name()),
        "Build secrets, passed to all builds as `--secret id=NAME`, never as arguments; the Dockerfile mounts them.",
        default=(),
        example="[GEM_TOKEN]",
    )
    platform: tuple[str, ...] = option(
        Many(PLATFORM, or_one=True),
        "Platforms to build for.",
        default=(),
        example="linux/amd64",
        otherwise="the platform of the engine",
    )
    builder: str = option(
        Text(r"[A-Za-z0-9][A-Za-z0-9._-]*", "must be a buildx builder name", "a buildx builder name"),
        "buildx builder to use, from `docker buildx ls`.",
        default="",
        example="remote",
        otherwise="the current builder",
    )
