"""The keys of a `build` section that become flags of buildx or notices. Reads no paths, except those of SSH keys."""

from __future__ import annotations

from kamal_dev.compose import place
from kamal_dev.compose.value import Value
from kamal_dev.model import Notice

_SINGLE = {"network": "--network", "shm_size": "--shm-size", "provenance": "--provenance", "sbom": "--sbom"}
_SWITCHES = {
    "pull": ("--pull",),
    "no_cache": ("--no-cache",),
    "privileged": ("--allow", "security.insecure"),
}
_LISTED = {"entitlements": "--allow", "no_cache_filter": "--no-cache-filter"}
_WITHOUT_EFFECT = {
    "isolation": "is for Windows containers and has no effect in buildx",
    "tags": "are ignored: the image is only tagged with its version",
}
_EXTENSION = "is ignored: images are built by `docker buildx build`"

# Each key with its flag, as people read it.
FLAGS = {
    **{key: f"`{flag}`" for key, flag in (_SINGLE | _LISTED).items()},
    **{key: f"`{' '.join(words)}`" for key, words in _SWITCHES.items()},
    **{"extra_hosts": "`--add-host`", "labels": "`--label`", "ulimits": "`--ulimit`"},
}
KEYS = {*FLAGS, *_WITHOUT_EFFECT}


def flags(section: Value) -> tuple[str, ...]:
    """Return the argv words of every key that is a flag, in a fixed order."""
    words: list[str] = []
    for key, flag in _SINGLE.items():
        text = section.string(key)
        words += [flag, text] if text else []
    for key, switch in _SWITCHES.items():
        value = section.at(key)
        words += switch if value is not None and value.is_on else ()
    for key, flag in _LISTED.items():
        listed = section.at(key)
        words += [word for item in (listed.list if listed is not None else ()) for word in (flag, item.text)]
    return (*words, *_labels(section), *_hosts(section), *_ulimits(section))


def ssh(section: Value) -> tuple[str, ...]:
    """Return the values of `--ssh`: `default`, or `id=path` with an absolute path."""
    value = section.at("ssh")
    if value is None:
        return ()
    if value.items:
        return tuple(_key(name, item) for name, item in value.items.items())
    agents = []
    for item in value.list or [value]:
        name, equals, path = item.text.partition("=")
        agents.append(f"{name}={place.absolute(item.base, path)}" if equals else name)
    return tuple(agents)


def notices(name: str, section: Value) -> tuple[Notice, ...]:
    """Return notices about keys of a service's build that have no effect."""
    return tuple(
        Notice(value.where, f"services.{name}.build.{key}: {_WITHOUT_EFFECT.get(key, _EXTENSION)}")
        for key, value in section.items.items()
        if key in _WITHOUT_EFFECT or key.startswith("x-")
    )


def _key(name: str, item: Value) -> str:
    return f"{name}={place.absolute(item.base, item.text)}" if item.text else name


def _labels(section: Value) -> list[str]:
    labels = section.at("labels")
    pairs = labels.items.items() if labels is not None else ()
    return [word for key, value in pairs for word in ("--label", f"{key}={value.text}")]


def _hosts(section: Value) -> list[str]:
    hosts = section.at("extra_hosts")
    if hosts is None:
        return []
    pairs = [(host, item.text) for host, item in hosts.items.items()]
    for item in hosts.list:
        host, _, address = item.text.partition("=" if "=" in item.text else ":")
        pairs.append((host, address))
    return [word for host, address in pairs for word in ("--add-host", f"{host}:{address}")]


def _ulimits(section: Value) -> list[str]:
    ulimits = section.at("ulimits")
    words = []
    for name, value in (ulimits.items if ulimits else {}).items():
        limit = f"{value.string('soft')}:{value.string('hard')}" if value.items else value.text
        words += ["--ulimit", f"{name}={limit}"]
    return words
