"""Settings that give users of a container control over the host or its keys. Forbids nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath

from kamal_dev.compose.binds import Bind
from kamal_dev.compose.value import Value
from kamal_dev.model import Notice

_SOCKETS = frozenset(("docker.sock", "containerd.sock", "podman.sock", "crio.sock", "dockershim.sock"))
_WHOLE = {
    *("/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/opt", "/proc", "/root", "/run", "/sbin", "/sys", "/usr"),
    *("/var", "/var/lib", "/var/lib/docker", "/var/run", "/run/containerd", "~", "/Users"),
}
_KEYS = {
    *(".ssh", ".gnupg", ".aws", ".azure", ".docker", ".kube", ".netrc", ".npmrc", ".git-credentials", "gcloud"),
    *(".password-store", ".vault-token", ".kamal-dev"),
}
_HOMES = frozenset(("/home", "/Users"))


def notices(binds: Iterable[Bind], services: Mapping[str, Value]) -> Iterator[Notice]:
    """Return warnings about mounts and privileges."""
    for bind in binds:
        if bind.kind == "host" and (why := _why(bind.source)):
            yield Notice(bind.where, f"`{bind.source}` is mounted: {why}", is_warning=True)
    for name, service in services.items():
        privileged = service.at("privileged")
        if privileged is not None and privileged.is_on:
            yield Notice(privileged.where, f"services.{name}.privileged: {POWER}", is_warning=True)


POWER = "anyone in the container has root access to the host"
_POWERFUL = ("cap_add", "devices", "device_cgroup_rules", "security_opt")
_NAMESPACES = ("pid", "ipc", "userns_mode", "cgroup", "uts", "network_mode")


def privileges(services: Mapping[str, Value]) -> Iterator[Notice]:
    """Return every setting by which a container is less separated from its host than others."""
    for name, service in services.items():
        for key in _POWERFUL:
            value = service.at(key)
            if value is not None and value.list:
                yield Notice(value.where, f"services.{name}.{key} weakens the isolation of the container")
        for key in _NAMESPACES:
            value = service.at(key)
            if value is not None and value.text == "host":
                yield Notice(value.where, f"services.{name}.{key}: host weakens the isolation of the container")


def _why(source: PurePath) -> str:
    if source.name in _SOCKETS:
        return POWER
    if source.as_posix() in _WHOLE or source.parent.as_posix() in _HOMES:
        return "anyone in the container has access to these files of the host"
    if _KEYS & set(source.parts):
        return "anyone in the container has access to the keys of the host"
    return ""
