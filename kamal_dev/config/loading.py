"""Turn the text of config/dev.yml into a Config, reporting all problems at once. Opens no file."""

from __future__ import annotations

import dataclasses
import re
import string
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from kamal_dev.config.document import ConfigValue, over, parse
from kamal_dev.config.images import PLACEHOLDER_SERVER, Registry
from kamal_dev.config.options import Group, build, shape
from kamal_dev.config.problems import Reading, described, show
from kamal_dev.config.provider import PROVIDERS, ProviderConfig
from kamal_dev.config.reference import server_of, split
from kamal_dev.config.settings import OLD, Config
from kamal_dev.config.walk import Walk
from kamal_dev.model import Notice, stack_name
from kamal_dev.model.stack_engine import SWARM_STACK
from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

# Names of cloud credentials, which can create machines that cost money.
_CREDENTIALS = pattern(
    r"(UPCLOUD_(USERNAME|PASSWORD|TOKEN)|HCLOUD_TOKEN|HETZNER_(API_)?TOKEN|(DIGITALOCEAN|DO)_(ACCESS_|API_)?TOKEN"
    r"|LINODE_(API_)?TOKEN|VULTR_API_KEY|SCW_(ACCESS|SECRET)_KEY|EXOSCALE_API_(KEY|SECRET)|OVH_APPLICATION_SECRET"
    r"|AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN)|AZURE_CLIENT_SECRET|ARM_CLIENT_SECRET"
    r"|GOOGLE_(APPLICATION_)?CREDENTIALS|KAMAL_REGISTRY_PASSWORD)"
)
# What the configuration of a reference does not decide.
HOME = ("service", "provider", "engine", "placement", "registry", "ssh", "naming", "secrets_file")
STACK_NAME = pattern(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True)
class Defaults:
    """Hold what is known before config/dev.yml is read; `service` makes that key optional."""

    service: str = ""


def layout() -> Group:
    """Return every key that config/dev.yml may have."""
    return shape(Config, "", OLD)


def load(
    text: str,
    path: str,
    *,
    environment: Mapping[str, str],
    defaults: Defaults | None = None,
    local: tuple[str, str] | None = None,
) -> Config:
    """Read config/dev.yml, shown as `path`; `local` is the file that overrides it, text and path.

    From the environment, only the registry's user name is looked up. Raises ConfigError with all problems.
    """
    document, problems = parse(text, path)
    if local:
        laid, more = parse(*local)
        document, problems = over(document, laid), (*problems, *more)
    reading = Reading(path, problems)
    if defaults and defaults.service:
        reading.values["service"] = defaults.service
    _walk(document, reading)
    _check(reading)
    reading.finish()
    return dataclasses.replace(_config(reading, environment), local_path=local[1] if local else "")


def default(service: str) -> Config:
    """Return the configuration of a repository without config/dev.yml: nothing can be pushed with it."""
    registry = Registry(PLACEHOLDER_SERVER, username_env="", password_env="")
    return Config(service_name(service), registry=registry)


def of_home(settings: Config, home: Config) -> Config:
    """Return the configuration of a reference with what only the configuration where `dev` runs decides.

    That is who has hosts, how they are reached, what stacks are called, and where images and secrets are.
    """
    keys = tuple(f"{name}." for name in HOME)
    where = {key: place for key, place in settings.where.items() if not f"{key}.".startswith(keys)}
    where |= {key: place for key, place in home.where.items() if f"{key}.".startswith(keys)}
    kept = {name: getattr(home, name) for name in HOME if name in Config.__dataclass_fields__}
    return dataclasses.replace(settings, **kept, where=MappingProxyType(where))


def service_name(folder: str) -> str:
    """Turn a folder's name into a valid `service`."""
    words = re.findall(r"[a-z0-9]+", folder.lower())
    return "-".join(words)[:40].strip("-") or "devcontainer"


def _walk(document: ConfigValue | None, reading: Reading) -> None:
    if document is None or document.kind == "empty":
        document = ConfigValue("mapping", line=0)
    if document.kind == "mapping":
        Walk(reading, layout()).read(document)
    else:
        reading.refuse(document, "", f"must be a mapping of options, not {described(document)}")


def _config(reading: Reading, environment: Mapping[str, str]) -> Config:
    config: Config = build(Config, reading.values)
    registry = config.registry
    registry = dataclasses.replace(
        registry,
        server=server_of(registry.server),
        username="" if registry.is_local else environment.get(registry.username_env, ""),
    )
    return dataclasses.replace(
        config,
        registry=registry,
        path=reading.path,
        notices=tuple(reading.notices),
        where=MappingProxyType(reading.where),
    )


def _check(reading: Reading) -> None:
    """Reject what is only wrong in combination."""
    _check_image(reading)
    _check_server(reading)
    _check_build(reading)
    _check_naming(reading)
    _check_limits(reading)
    _check_deploy(reading)
    _check_engine(reading)
    _warn_of_credentials(reading)


def _warn_of_credentials(reading: Reading) -> None:
    """Warn about secrets of the main service that are keys of a provider or the registry."""
    names = [name for name in reading.values.get("secrets", ()) if _CREDENTIALS.fullmatch(name)]
    registry = reading.values.get("registry.password_env", "")
    names += [registry] if registry and registry in reading.values.get("secrets", ()) and registry not in names else []
    if names:
        shown = ", ".join(f"`{name}`" for name in names)
        message = f"secrets: {shown}: anyone in the workspace can read this credential; "
        advice = "`dev` itself finds it in the environment or in the secrets file, without `secrets`"
        reading.notices.append(Notice(reading.where["secrets"], message + advice, is_warning=True))


def _refuse(reading: Reading, key: str, message: str) -> None:
    where = reading.where.get(key)
    reading.refuse(where, key, message)


def _check_image(reading: Reading) -> None:
    values: dict[str, Any] = reading.values
    name = values.get("image.name", "")
    if name.endswith(".json"):  # the old form of kamal-dev had the devcontainer's path in `image`
        if values.get("image.devcontainer", name) != name:
            _refuse(
                reading, "image.devcontainer", f"is not the devcontainer that `image` names, {show(name)}; keep one"
            )
        values["image.devcontainer"] = values.pop("image.name")
    elif name:
        try:
            _take_server(reading, split(name)[0])
        except ValueError as error:
            _refuse(reading, "image.name", str(error))


def _take_server(reading: Reading, server: str) -> None:
    """Use the image's server for the login; two different ones are refused."""
    configured = reading.values.get("registry.server", "")
    if server and configured and server_of(configured) != server:
        _refuse(
            reading,
            "image.name",
            f"is on {show(server)}, but `registry.server` is {show(configured)}; use one server in both",
        )
    elif server and not reading.has_problem("registry.server"):
        reading.values["registry.server"] = server


def _check_server(reading: Reading) -> None:
    server = reading.values.get("registry.server", "")
    port = server.partition(":")[2]
    if port and not 1 <= int(port) <= 65535:
        _refuse(reading, "registry.server", f"the port must be from 1 to 65535, not `{port}`")
    elif server.lower() in ("localhost", "127.0.0.1"):
        _refuse(reading, "registry.server", f"needs a port: `{server}:5555`")
    empty = [name for name in ("username_env", "password_env") if reading.values.get(f"registry.{name}") == ""]
    if len(empty) == 1:
        _refuse(reading, f"registry.{empty[0]}", "is empty; leave both names empty for a registry without login")


def _check_build(reading: Reading) -> None:
    args, secrets = (reading.values.get(f"build.{name}", ()) for name in ("args", "secrets"))
    for name in (name for name, _ in args if name in secrets):
        message = "is also in `build.secrets`; as an argument it would stay readable in the image: remove it here"
        _refuse(reading, f"build.args.{name}", message)


def _check_naming(reading: Reading) -> None:
    pattern = reading.values.get("naming.pattern", "{service}-{index}")
    service, count = reading.values.get("service", ""), reading.values.get("vms.count", 1)
    key = "naming.pattern" if "naming.pattern" in reading.where else "service"
    problem = _pattern_problem(pattern)
    if problem:
        _refuse(reading, "naming.pattern", problem)
    elif service and not STACK_NAME.fullmatch(name := stack_name(service, count, pattern)):
        rule = "a stack's name is at most 63 lower-case letters, digits, `-` and `_`"
        _refuse(reading, key, f"makes the name {show(name)}; {rule}")


def _pattern_problem(pattern: str) -> str:
    """Return what is wrong with a naming pattern; only plain fields, because others could read attributes."""
    try:
        fields = [
            (name, spec, conversion)
            for _, name, spec, conversion in string.Formatter().parse(pattern)
            if name is not None
        ]
    except ValueError as error:
        return f"{show(pattern)} is not a valid pattern: {error}"
    names = [name for name, _, _ in fields]
    if "index" not in names:
        return "must have `{index}`, so that stack names are unique"
    for name, spec, conversion in fields:
        padded = name == "index" and re.fullmatch(r"(0[1-9])?", spec or "")
        if conversion or not (padded or (name == "service" and not spec)):
            return f"{show(pattern)} is not a valid pattern: use only `{{service}}`, `{{index}}` and `{{index:03}}`"
    return ""


def _check_limits(reading: Reading) -> None:
    """Reject what the engine would reject on every host: a swap limit without a memory limit."""
    swap = reading.values.get("defaults.memory_swap", "")
    if swap not in ("", "-1") and "defaults.memory" not in reading.values and not reading.has_problem("defaults"):
        _refuse(reading, "defaults.memory_swap", "requires `defaults.memory`")


def _check_engine(reading: Reading) -> None:
    provider = reading.values.get("provider", ProviderConfig()).type
    has_failed = reading.has_problem("provider") or reading.has_problem("engine")
    if reading.values.get("engine") != SWARM_STACK or has_failed:
        return
    for key in ("lifetime.ttl", "lifetime.idle"):
        if reading.values.get(key):
            _refuse(reading, key, f"does not work with `engine: {SWARM_STACK}`")
    if not PROVIDERS[provider].runs_stacks:
        able = ", ".join(f"`{name}`" for name, row in PROVIDERS.items() if row.runs_stacks)
        _refuse(reading, "engine", f"`{SWARM_STACK}` requires `provider.type` {able}, not `{provider}`")


def _check_deploy(reading: Reading) -> None:
    timeout, window = (
        reading.values.get(f"deploy.{name}", value) for name, value in (("timeout", 300), ("window", 5.0))
    )
    if window >= timeout:
        key = "deploy.window" if "deploy.window" in reading.where else "deploy.timeout"
        _refuse(reading, key, f"`window` ({window:g} s) must be shorter than `timeout` ({timeout} s)")
