"""One service in the dialect of `docker stack deploy`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kamal_dev.compose import ports, secret_text, swarm_keys
from kamal_dev.compose.swarm_deploy import NODE, DeploySection
from kamal_dev.compose.swarm_findings import StackText, SwarmFindings
from kamal_dev.compose.swarm_mounts import ReleasePaths, ServiceMounts
from kamal_dev.compose.value import Value
from kamal_dev.values import dataclass

_ADDRESSES = ("", ports.EVERYWHERE, "::")


@dataclass(frozen=True)
class SwarmService:
    """Translate a service: `value` as the release has it, `from_files` what its `env_file` and `label_file` set.

    With `is_main`, people work in it;
    with `is_built`, only the stack's node has its image. `is_exposed` is `expose` of config/dev.yml.
    """

    name: str
    value: Value
    wording: StackText
    paths: ReleasePaths
    findings: SwarmFindings
    from_files: Mapping[str, Mapping[str, str]]
    is_main: bool = False
    is_built: bool = False
    is_exposed: bool = False

    def entries(self) -> dict[str, Any]:
        """Return the service. Every key is either kept, translated, or reported."""
        mounts = ServiceMounts(self.name, self.value, self.wording, self.paths, self.findings)
        is_pinned = self.is_main or self.is_built or mounts.are_of_node
        result: dict[str, Any] = {}
        for key, value in self.value.items.items():
            if value.data is not None or key == "entrypoint":
                result |= self._kept(key, value)
                self._report(key, value)
        result |= dict(self._translated())
        if mounted := mounts.all():
            result["volumes"] = mounted
        result["deploy"] = DeploySection(self.name, self.value, self.wording, self.findings, is_pinned).entries()
        return result

    def _kept(self, key: str, value: Value) -> dict[str, Any]:
        words = self.wording
        if key in swarm_keys.LISTS:
            return {key: words.texts(value)}
        if key in swarm_keys.BOOLEANS:
            return {key: words.meaning(value).lower() in ("true", "yes", "y", "on")}
        if key in swarm_keys.PAIRS:
            return {key: words.pairs(value)}
        if key in swarm_keys.TEXTS:
            return {key: words.text(value)}
        return {key: words.plain(value)} if key in swarm_keys.PLAIN else {}

    def _report(self, key: str, value: Value) -> None:
        """Report what a service loses."""
        kept = (*swarm_keys.LISTS, *swarm_keys.BOOLEANS, *swarm_keys.PAIRS, *swarm_keys.TEXTS, *swarm_keys.PLAIN)
        if key in kept or key in swarm_keys.TRANSLATED or key in swarm_keys.SILENT or key.startswith("x-"):
            return
        if key in swarm_keys.DROPPED:
            self._changed(key, value, swarm_keys.DROPPED[key])
        elif not _is_off(value):
            self._lost(key, value, swarm_keys.LOST.get(key, swarm_keys.UNKNOWN))

    def _translated(self) -> Iterator[tuple[str, Any]]:
        for key in ("command", "entrypoint"):
            value = self.value.at(key)
            if value is not None and value.data is not None:
                yield key, self.wording.texts(value) if isinstance(value.data, list) else self.wording.text(value)
        if environment := self._pairs("environment"):
            yield "environment", {name: self.wording.templated(text) for name, text in environment.items()}
        yield "labels", {**self._pairs("labels"), **self._own_labels()}
        if (hostname := self.value.at("hostname")) is not None:
            yield "hostname", self.wording.templated(self.wording.text(hostname))
        for key in ("healthcheck", "configs", "secrets"):
            value = self.value.at(key)
            if value is not None and (value.items or value.list):
                yield key, self.wording.plain(value)
        if hosts := list(self._extra_hosts()):
            yield "extra_hosts", hosts
        if networks := self._networks():
            yield "networks", networks
        if published := list(self._ports()):
            yield "ports", published
        self._dependencies()

    def _own_labels(self) -> dict[str, str]:
        """Return the labels by which host/engine.sh finds containers, those of Compose, and the stack's node."""
        compose = {"project": self.paths.stack, "service": self.name, "oneoff": "False", "container-number": "1"}
        return {**{f"com.docker.compose.{key}": text for key, text in compose.items()}, "kamal-dev.node": NODE}

    def _pairs(self, key: str) -> dict[str, str]:
        """Return the environment or the labels: those of files first, as in Compose."""
        written = self.value.at(key)
        file_key = {"environment": "env_file", "labels": "label_file"}[key]
        if (listed := self.value.at(file_key)) is not None and listed.list:
            self._changed(file_key, listed, f"its content is in `{key}`")
        result = {name: secret_text.written(text) for name, text in self.from_files[file_key].items()}
        for name, value in written.items.items() if written is not None else ():
            if value.data is not None or key == "labels":
                result[secret_text.written(name)] = self.wording.text(value)
            elif name in self.wording.variables:
                result[name] = secret_text.written(self.wording.variables[name])
        return result

    def _extra_hosts(self) -> Iterator[str]:
        listed = self.value.at("extra_hosts")
        if listed is None:
            return
        pairs = [(name, value, self.wording.meaning(value)) for name, value in listed.items.items()]
        for item in listed.list:
            text = self.wording.meaning(item)
            name, _, address = text.partition("=" if "=" in text else ":")
            pairs.append((name, item, address))
        for name, item, address in pairs:
            if address == "host-gateway":
                self._lost("extra_hosts", item, "Swarm has no `host-gateway`")
            else:
                yield f"{name}:{address.strip('[]')}"

    def _networks(self) -> dict[str, Any]:
        listed = self.value.at("networks")
        result: dict[str, Any] = {}
        for name, settings in listed.items.items() if listed is not None else ():
            result[name] = {}
            for key, value in settings.items.items():
                if key == "aliases":
                    result[name][key] = self.wording.texts(value)
                elif key not in ("priority", "gw_priority"):
                    self._lost(f"networks.{name}.{key}", value, "Swarm chooses the addresses of containers")
        return result

    def _ports(self) -> Iterator[dict[str, Any]]:
        listed = self.value.at("ports")
        for item in listed.list if listed is not None else ():
            address, outside, inside, protocol = ports.taken(item, self.wording.variables)
            if not self.is_exposed and address in ("", ports.LOOPBACK, "::1"):
                self._changed("ports", item, f"{inside} is not published: `dev forward` reaches it")
            elif address not in _ADDRESSES:
                self._lost("ports", item, f"Swarm would publish {inside} on all addresses, not only on {address}")
            else:
                self._changed("ports", item, f"{inside} is published on the node of the service, with `mode: host`")
                yield from _published(outside, inside, protocol)

    def _dependencies(self) -> None:
        depends = self.value.at("depends_on")
        for name, item in depends.items.items() if depends is not None else ():
            condition = item.string("condition")
            if condition in ("", "service_started"):
                self._changed(f"depends_on.{name}", item, "Swarm starts all services at once")
            else:
                self._lost(f"depends_on.{name}.condition", item, f"Swarm does not wait for `{condition}`")
        links = self.value.at("links")
        for item in links.list if links is not None else ():
            service, _, alias = self.wording.meaning(item).partition(":")
            if alias not in ("", service):
                self._lost("links", item, f"Swarm does not know the name `{alias}`; use `aliases` of a network")

    def _changed(self, key: str, value: Value, text: str) -> None:
        self.findings.changed(f"services.{self.name}.{key}", value, text)

    def _lost(self, key: str, value: Value, why: str) -> None:
        self.findings.lost(f"services.{self.name}.{key}", value, why)


def _is_off(value: Value) -> bool:
    """Return whether a setting only says that there is none: `privileged: false`, `devices: []`."""
    return value.text in ("false", "no") or value.data in ([], {}, False)


def _published(outside: str, inside: str, protocol: str) -> Iterator[dict[str, Any]]:
    targets = ports.each(inside, inside)
    published = ports.each(outside, inside) or (0,) * len(targets)
    for target, port in zip(targets, published, strict=False):
        yield {"target": target, **({"published": port} if port else {}), "protocol": protocol, "mode": "host"}
