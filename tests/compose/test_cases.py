"""Cases as files: `before.yaml` (and `tree/`) in; `after.yaml`, `after/`, overlay, builds and notices out.

A case lives in the repository /src/shop, `before.yaml` as .devcontainer/compose.yaml
or as the first file that `case.json` names; environment, additions and secrets are
there too.
`UPDATE_CASES=1` writes what comes out, to be read before it is committed.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kamal_dev import compose, devcontainer
from kamal_dev.compose import Additions, ComposeProject
from kamal_dev.model import Build, Location, Release, Secret
from kamal_dev.project.tree import WorkingTree
from tests.compose import oracle, support

CASES = sorted(path for path in (Path(__file__).parent / "cases").iterdir() if path.is_dir())
UPDATES = bool(os.environ.get("UPDATE_CASES"))


@dataclass(frozen=True)
class Case:
    folder: Path
    settings: dict[str, Any]

    @property
    def files(self) -> dict[str, bytes]:
        tree = self.folder / "tree"
        found = {path.relative_to(tree).as_posix(): path.read_bytes() for path in tree.rglob("*") if path.is_file()}
        return {self.names[0]: (self.folder / "before.yaml").read_bytes(), **found}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.settings.get("files", [support.DEFAULT]))

    @property
    def environment(self) -> dict[str, str]:
        return self.settings.get("environment", {})

    def project(self, repository: Path = support.REPOSITORY, tree: Any = None, **options: Any) -> ComposeProject:
        if tree is None:
            tree = support.tree({".devcontainer/Dockerfile": "FROM scratch\n", **self.files})
        paths = tuple(repository / name for name in self.names)
        options["home_mounts"] = self.settings.get("home_mounts", False)
        return compose.load(paths, tree=tree, repository=repository, environment=self.environment, **options)

    def additions(self, repository: Path = support.REPOSITORY) -> Additions:
        said = dict(self.settings.get("additions", {}))
        mounts = [text.replace("/src/shop", str(repository)) for text in said.pop("mounts", [])]
        parsed = tuple(devcontainer.mount_options.parse(text, Location("devcontainer.json", 7))[0] for text in mounts)
        fields = {key: _tuples(value) for key, value in said.items()}
        return Additions(service="shop", main="app", mounts=parsed, **fields)

    def render(self, project: ComposeProject, additions: Additions, **options: Any) -> Release:
        secrets = {key: Secret(value) for key, value in self.settings.get("variables", {}).items()}
        return support.render(project, extra=additions, variables=secrets, **options)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _builds(builds: tuple[Build, ...]) -> str:
    lines = []
    for build in builds:
        lines.append(f"{', '.join(build.services)}: {build.context} {build.dockerfile or '(inline)'}")
        fields = {"target": build.target, "args": build.args, "contexts": build.contexts, "options": build.options}
        lines += [f"  {name}: {value}" for name, value in fields.items() if value]
    return "".join(f"{line}\n" for line in lines)


def _check(path: Path, text: str) -> None:
    if UPDATES and (text or path.exists()):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode()) if text else path.unlink()
    assert text == (path.read_bytes().decode() if path.exists() else "")


@pytest.fixture(params=CASES, ids=lambda path: path.name)
def case(request: pytest.FixtureRequest) -> Case:
    settings = request.param / "case.json"
    return Case(request.param, json.loads(settings.read_text()) if settings.exists() else {})


def test_a_case_renders_to_its_files(case: Case) -> None:
    project, additions = case.project(), case.additions()
    release = case.render(project, additions)
    _check(case.folder / "after.yaml", support.text_of(release, case.names[0]))
    _check(case.folder / "overlay.yaml", support.overlay_of(release))
    _check(case.folder / "env", support.text_of(release, ".env"))
    _check(case.folder / "builds", _builds(project.builds))
    _check(case.folder / "notices", "".join(f"{notice}\n" for notice in compose.notices(project, additions)))
    _check(case.folder / "problems", "".join(f"{problem}\n" for problem in compose.problems(project, additions)))
    _check(case.folder / "files", "".join(f"{file.mode:o} {file.path}\n" for file in release.files))
    for file in project.top_files[1:]:
        name = file.path.relative_to(support.REPOSITORY).as_posix()
        _check(case.folder / "after" / name, support.text_of(release, name))


def test_compose_makes_the_same_of_a_release(case: Case, tmp_path: Path) -> None:
    repository = tmp_path / "here" / "shop"
    for name, content in {".devcontainer/Dockerfile": b"FROM scratch\n", **case.files}.items():
        path = repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    project = case.project(repository, WorkingTree(), compose_version=oracle.version())
    release = case.render(project, Additions("shop", "app"))
    before, after = oracle.compare(project, release, tmp_path / "there", case.environment)
    assert after == before
