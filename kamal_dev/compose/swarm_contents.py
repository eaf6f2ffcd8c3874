"""The configs and secrets of a stack of Swarm, each a file of the release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from kamal_dev.compose import marks, place, secret_text
from kamal_dev.compose.additions import Additions
from kamal_dev.compose.compose_project import ComposeProject
from kamal_dev.compose.swarm_findings import StackText, SwarmFindings
from kamal_dev.compose.swarm_mounts import ReleasePaths
from kamal_dev.compose.travels import Travel
from kamal_dev.compose.value import Value
from kamal_dev.model import REDACTED, File, Secret
from kamal_dev.values import dataclass

OWN_FILES = "kamal-dev.swarm"


@dataclass(frozen=True)
class SwarmInputs:
    """Hold what a stack is made of: the project, the compose files with images (`model`), and what is added to them.

    `variables` are those of the stack; secrets among them are marked. `values` are those of `.env`, for configs and
    secrets that come from a variable.
    """

    project: ComposeProject
    stack: str
    model: Value
    additions: Additions
    travels: tuple[Travel, ...]
    variables: Mapping[str, str] = field(repr=False)
    values: Mapping[str, str | Secret] = field(repr=False, default_factory=dict)
    mask: bool = False


@dataclass(frozen=True)
class SwarmContents:
    """Translate the configs and secrets that `model` defines; `own_files` gets the files that are made for them."""

    inputs: SwarmInputs
    model: Value
    wording: StackText
    paths: ReleasePaths
    findings: SwarmFindings
    own_files: list[File]

    def all(self, kind: str, used: tuple[str, ...]) -> dict[str, Any]:
        """Return configs or secrets, each named after its content: Swarm cannot change one."""
        result: dict[str, Any] = {}
        for name in used:
            item = self.model.at(kind, name)
            if item is None:
                continue
            if is_external(item):
                result[name] = external(self.wording, item)
            elif (source := item.at("file")) is not None:
                path = place.absolute(source.base, source.text)
                content = next((travel.content for travel in self.inputs.travels if travel.path == path), b"")
                result[name] = {"name": self._named(kind, name, content), "file": f"./{self.paths.inside(path)}"}
            else:
                result[name] = self._own(kind, name, item)
        return result

    def _own(self, kind: str, name: str, item: Value) -> dict[str, Any]:
        """Return a config or secret from the compose file or a variable, as a file of the release."""
        content = item.at("content")
        inline = self.wording.meaning(content) if content is not None else ""
        variable = item.string("environment")
        if content is not None:
            filled = secret_text.filled(inline, self.inputs.values)
            self.findings.changed(f"{kind}.{name}.content", content, "a file of the release")
        else:
            filled = self.inputs.values.get(variable, "")
            if (named := item.at("environment")) is not None:
                self.findings.changed(f"{kind}.{name}.environment", named, "a file of the release")
        path = f"{OWN_FILES}/{kind}/{name}"
        text = marks.plain(filled)
        shown = REDACTED if isinstance(filled, Secret) and self.inputs.mask else text
        self.own_files.append(File(path, shown.encode(), 0o600))
        return {"name": self._named(kind, name, text.encode()), "file": f"./{path}"}

    def _named(self, kind: str, name: str, content: bytes) -> str:
        mark = marks.private(self.inputs.additions.service, [(f"{kind}.{name}", content)])[:12]
        return f"{self.inputs.stack}_{name}_{mark}"


def is_external(item: Value) -> bool:
    """Return whether a definition exists outside the project."""
    external = item.at("external")
    return external is not None and (external.is_on or bool(external.items))


def external(wording: StackText, item: Value) -> dict[str, Any]:
    """Return the definition of what exists outside the project."""
    name = item.at("name")
    return {"external": True, **({"name": wording.text(name)} if name is not None else {})}
