"""One case of a corpus: a repository as published, and what the reference implementation answers for it.

The form of a corpus is described in its README.md.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"


@dataclass(frozen=True)
class Case:
    """Name a case; `folder` is the one that it is in."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @cached_property
    def about(self) -> dict[str, Any]:
        return json.loads((self.folder / "case.json").read_text())

    @property
    def kind(self) -> str:
        """The class that the table has it under."""
        return self.about.get("class", "own")


def cases(corpus: Path, names: tuple[str, ...] = ()) -> list[Case]:
    """Return the cases whose name holds one of `names`; all where there is none."""
    found = [Case(path.parent) for path in sorted(corpus.glob("*/case.json"))]
    return [case for case in found if not names or any(name in case.name for name in names)]


@dataclass(frozen=True)
class Checkout:
    """Hold a copy of a case's repository; `there` is an empty folder for what is rendered."""

    case: Case
    top: Path
    there: Path

    @property
    def root(self) -> Path:
        """The workspace folder, where the commands run."""
        return self.top / self.case.about["root"]

    @property
    def repository(self) -> Path:
        """What travels: the top of a git repository, or the workspace folder outside one."""
        return self.top if self.case.about.get("git") else self.root

    @property
    def config(self) -> str:
        """The devcontainer.json, relative to `root`."""
        path = self.root / self.case.about["config"]
        return str((path if path.exists() else self.top / self.case.about["config"]).relative_to(self.root))

    def expected(self, name: str) -> Any:
        """Return what `expected-<name>.json` says of this copy; None where there is no such file."""
        path = self.case.folder / f"expected-{name}.json"
        if not path.exists():
            return None
        text = path.read_text().replace("{{CHECKOUT}}", str(self.top))
        return json.loads(text.replace("{{CHECKOUT_PARENT}}", str(self.top.parent)))


@contextmanager
def checkout(case: Case) -> Iterator[Checkout]:
    """Copy a case's repository to a temporary folder; it becomes a git repository where `git` in case.json says so."""
    with TemporaryDirectory(prefix="kamal-dev-corpus-") as folder:
        above = Path(folder).resolve() / "here"
        top = above / case.about["checkout_dirname"]
        shutil.copytree(case.folder / "tree", top, symlinks=True)
        if case.about.get("git"):
            subprocess.run(["git", "init", "-q", str(top)], check=True)
        yield Checkout(case, top, above.parent / "there")
