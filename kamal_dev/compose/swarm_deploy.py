"""The `deploy` section of one service in a stack of Swarm: restarts, limits, replicas and the node that it runs on."""

from __future__ import annotations

from typing import Any

from kamal_dev.compose import swarm_keys
from kamal_dev.compose.swarm_findings import StackText, SwarmFindings
from kamal_dev.compose.value import Value
from kamal_dev.values import dataclass

# What the host exports when it deploys the stack: the id of the stack's node.
NODE = "${KAMAL_DEV_NODE}"
_LIMITS = (
    ("cpus", "limits", "cpus"),
    ("mem_limit", "limits", "memory"),
    ("pids_limit", "limits", "pids"),
    ("mem_reservation", "reservations", "memory"),
)
_CONDITIONS = {"always": "any", "unless-stopped": "any", "on-failure": "on-failure", "no": "none", "": "none"}


@dataclass(frozen=True)
class DeploySection:
    """Translate what concerns the tasks of the service `name`. With `is_pinned`, they run on the stack's node."""

    name: str
    service: Value
    wording: StackText
    findings: SwarmFindings
    is_pinned: bool

    def entries(self) -> dict[str, Any]:
        """Return the section."""
        own = self.service.at("deploy")
        written = dict(own.items) if own is not None else {}
        for key in [key for key in written if key not in swarm_keys.OF_DEPLOY]:
            self._lost(f"deploy.{key}", written.pop(key), swarm_keys.UNKNOWN)
        self._report_endpoint(written.pop("endpoint_mode", None))
        resources, placement = written.pop("resources", None), written.pop("placement", None)
        section: dict[str, Any] = {key: self.wording.plain(value) for key, value in written.items()}
        if "labels" in written:
            section["labels"] = self.wording.pairs(written["labels"])
        section["endpoint_mode"] = "dnsrr"
        section.setdefault("restart_policy", self._restarts())
        self._scale(section)
        section |= self._resources(resources)
        return section | self._placement(placement)

    def _report_endpoint(self, value: Value | None) -> None:
        if value is not None and value.text != "dnsrr":
            self._changed(
                "deploy.endpoint_mode", value, "`dnsrr`: names resolve to containers, not to a virtual address"
            )

    def _restarts(self) -> dict[str, Any]:
        written = self.service.at("restart")
        if written is None:
            # The policy of config/dev.yml: a service that ends with 0 has completed.
            lasting = self.service.at("x-restart")
            return {"condition": "on-failure" if lasting is not None else "none"}
        policy, _, attempts = self.wording.meaning(written).partition(":")
        condition = _CONDITIONS.get(policy, "none")
        self._changed("restart", written, f"`deploy.restart_policy.condition: {condition}`")
        return {"condition": condition, **({"max_attempts": int(attempts)} if attempts.isdecimal() else {})}

    def _scale(self, section: dict[str, Any]) -> None:
        scale = self.service.at("scale")
        if scale is not None and self.wording.meaning(scale).isdecimal():
            self._changed("scale", scale, "`deploy.replicas`")
            section["replicas"] = int(self.wording.meaning(scale))

    def _resources(self, written: Value | None) -> dict[str, Any]:
        result: dict[str, dict[str, Any]] = {}
        for kind, section in written.items.items() if written is not None else ():
            for key, value in section.items.items():
                if key == "devices":
                    self._lost(f"deploy.resources.{kind}.devices", value, swarm_keys.LOST["devices"])
                else:
                    result.setdefault(kind, {})[key] = self._amount(key, value)
        for key, kind, name in _LIMITS:
            limit = self.service.at(key)
            if limit is not None and name not in result.get(kind, {}) and self._is_limit(limit):
                self._changed(key, limit, f"`deploy.resources.{kind}.{name}`")
                result.setdefault(kind, {})[name] = self._amount(name, limit)
        return {"resources": result} if result else {}

    def _is_limit(self, value: Value) -> bool:
        # Compose takes 0 and -1 for no limit, Swarm for an error.
        return self.wording.meaning(value) not in ("", "0", "-1")

    def _amount(self, key: str, value: Value) -> Any:
        text = self.wording.text(value)
        if key == "pids":
            return int(text) if text.isdecimal() else text
        return text if key in ("cpus", "memory") else self.wording.plain(value)

    def _placement(self, written: Value | None) -> dict[str, Any]:
        placement = self.wording.plain(written) if written is not None else {}
        result: dict[str, Any] = placement if isinstance(placement, dict) else {}
        if not self.is_pinned:
            return {"placement": result} if result else {}
        if written is not None:
            self._changed("deploy.placement", written, "the stack's node, where its folders, volumes or image are")
        return {"placement": {"constraints": [f"node.id == {NODE}"]}}

    def _changed(self, key: str, value: Value, text: str) -> None:
        self.findings.changed(f"services.{self.name}.{key}", value, text)

    def _lost(self, key: str, value: Value, why: str) -> None:
        self.findings.lost(f"services.{self.name}.{key}", value, why)
