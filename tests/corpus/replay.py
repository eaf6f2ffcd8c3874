"""Everything that is known of one case after `dev config` and `dev render`; the checks judge it."""

from __future__ import annotations

import json
import posixpath
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.corpus import command
from tests.corpus.case import Case, Checkout
from tests.corpus.command import Answer

# What wrote `expected-compose.json`.
STORED = (2, 26, 1)
_PLACE = re.compile(r"^(error: |  )\S+:\d+(:\d+)?: ", re.MULTILINE)
_COLUMN = re.compile(r"^(error: |  )\S+:\d+:\d+: ", re.MULTILINE)


@dataclass(frozen=True)
class Verdict:
    """Say how a case did in one check: `problems` none is good; `note` is why it does not count."""

    problems: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Replay:
    """Run the commands of a case, each once and when first needed."""

    checkout: Checkout
    version: tuple[int, ...]

    @property
    def case(self) -> Case:
        return self.checkout.case

    @cached_property
    def configured(self) -> Answer:
        """What `dev config` says."""
        words = ("config", "--devcontainer", self.checkout.config, "--json")
        return command.dev(*words, cwd=self.checkout.root)

    @cached_property
    def rendered(self) -> Answer:
        """What `dev render` says; its files are in `there`."""
        words = ("render", str(self.there), "--devcontainer", self.checkout.config, "--json", "--explain")
        return command.dev(*words, cwd=self.checkout.root)

    @property
    def there(self) -> Path:
        """The folder of the release."""
        return self.checkout.there

    @property
    def configuration(self) -> dict[str, Any]:
        """The devcontainer.json as the reference implementation reads it."""
        found: dict[str, Any] = self.checkout.expected("read-configuration")["configuration"]
        return found

    @property
    def is_compose(self) -> bool:
        build = self.configuration.get("build") or {}
        return "dockerComposeFile" in self.configuration and "dockerfile" not in build

    @property
    def has_features(self) -> bool:
        return bool(self.configuration.get("features"))

    @property
    def main(self) -> str:
        """The service that people work in."""
        return str(self.configuration["service"]) if self.is_compose else "devcontainer"

    @property
    def stack(self) -> str:
        return str(self.rendered.json["stack"])

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The compose files that devcontainer.json names, absolute."""
        named = self.configuration["dockerComposeFile"]
        folder = (self.checkout.root / self.checkout.config).parent
        found = [Path(posixpath.normpath(folder / name)) for name in ([named] if isinstance(named, str) else named)]
        return tuple(found) or _defaults(self.checkout.root)

    @cached_property
    def before(self) -> Answer:
        """What Compose makes of the original, under the stack's name."""
        if self.version == STORED and not self.names_itself:
            for name in ("compose-all-profiles", "compose"):
                if stored := self.checkout.expected(name):
                    return Answer(0, json.dumps(renamed(stored, self.stack)), "")
        flags = [word for file in self.files for word in ("-f", str(file))]
        name = {"COMPOSE_PROJECT_NAME": self.stack}
        return command.compose(self.checkout.root, *flags, "--profile", "*", environment=name)

    @property
    def names_itself(self) -> bool:
        """Whether a file asks for the project's name, which is another one on a host."""
        return any(b"COMPOSE_PROJECT_NAME" in file.read_bytes() for file in self.files)

    @cached_property
    def after(self) -> Answer:
        """What Compose makes of the release, told nothing."""
        return command.compose(self.there, *(("--profile", "*") if self.is_compose else ()))

    @property
    def places(self) -> tuple[tuple[str, str], ...]:
        """Folders of the release and of a host, and what they are here."""
        workspace = f"{command.HOME}/.kamal-dev/{self.stack}/workspace"
        repository = self.checkout.repository
        return ((str(self.there), str(repository)), (workspace, str(repository.parent)))

    def here(self, value: Any) -> Any:
        """Return a value with the paths of the release as they are here."""
        text = json.dumps(value)
        for there, here in self.places:
            text = text.replace(there, here)
        return json.loads(text)

    def says_where(self, answer: Answer, *, column: bool = False) -> bool:
        """Whether a command refused the input with its place, and nothing else happened."""
        return answer.exit_code == 2 and bool((_COLUMN if column else _PLACE).search(answer.errors))


def renamed(config: Any, name: str) -> Any:
    """Return a project as Compose prints it under another name."""
    before = config["name"]
    for key in ("networks", "volumes", "configs", "secrets"):
        for short, item in config.get(key, {}).items():
            if item.get("name") == f"{before}_{short}":
                item["name"] = f"{name}_{short}"
    return {**config, "name": name}


def _defaults(root: Path) -> tuple[Path, ...]:
    names = ["docker-compose.yml", "docker-compose.override.yml"]
    env = root / ".env"
    if env.exists() and (said := re.search(r"^COMPOSE_FILE=(.+)$", env.read_text(), re.MULTILINE)):
        names = said[1].split(":")
    return tuple(root / name for name in names if (root / name).exists())
