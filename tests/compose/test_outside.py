"""What is outside the repository travels only where that is allowed; Compose then finds it where it looks."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from kamal_dev import compose
from kamal_dev.compose import ComposeProject
from kamal_dev.errors import ComposeError
from kamal_dev.project.tree import WorkingTree
from tests.compose import oracle
from tests.compose.support import render

FILES = {
    "outside/a.env": "OUT=1\n",
    "outside/l.env": "label=1\n",
    "outside/token": "secret",
    "outside/app.conf": "conf",
    "outside/Dockerfile": "FROM scratch\n",
    "outside/more.yaml": "services: {more: {image: y, env_file: m.env}}\n",
    "outside/m.env": "M=1\n",
    "shop/.devcontainer/Dockerfile": "FROM scratch\n",
    "shop/own.env": "OWN=1\n",
}
TRAVELLING = {
    "env_file": "services: {app: {image: x, env_file: [../own.env, ../../outside/a.env]}}\n",
    "env_file above all": "services: {app: {image: x, env_file: ../../../../../../../../../../etc/hostname}}\n",
    "env_file behind a link": "services: {app: {image: x, env_file: ../link.env}}\n",
    "label_file": "services: {app: {image: x, label_file: ../../outside/l.env}}\n",
    "secret": "services: {app: {image: x, secrets: [s]}}\nsecrets: {s: {file: ../../outside/token}}\n",
    "config": "services: {app: {image: x, configs: [{source: c, target: /c}]}}\nconfigs: {c: {file: TOP/app.conf}}\n",
    "mounted link": "services: {app: {image: x, volumes: ['../link.conf:/c']}}\n",
    "mounted file": "services: {app: {image: x, volumes: ['../../outside/app.conf:/c']}}\n",
    "extends": "services: {app: {extends: {file: ../../outside/more.yaml, service: more}}}\n",
    "include": "include: [../../outside/more.yaml]\nservices: {app: {image: x}}\n",
    "linked compose file": "include: [../link.yaml]\nservices: {app: {image: x}}\n",
}
BUILT = {
    "context": "services: {app: {build: {context: ../..}}}\n",
    "linked context": "services: {app: {build: {context: ../linked}}}\n",
    "additional context": "services: {app: {build: {context: ., additional_contexts: {o: ../../outside}}}}\n",
    "linked Dockerfile": "services: {app: {build: {context: .., dockerfile: link.Dockerfile}}}\n",
    "Dockerfile": "services: {app: {build: {context: ., dockerfile: ../../outside/Dockerfile}}}\n",
}
Load = Callable[..., ComposeProject]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write the files around a repository `shop`, and return what reads it."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    links = {
        "link.Dockerfile": "Dockerfile",
        "link.env": "a.env",
        "link.conf": "app.conf",
        "link.yaml": "more.yaml",
        "linked": "",
    }
    for link, target in links.items():
        (tmp_path / "shop" / link).symlink_to(tmp_path / "outside" / target)
    (tmp_path / "shop" / "m.env").write_text("M=2\n")

    def read(text: str, *, allowed: bool, names: tuple[str, ...] = (".devcontainer/compose.yaml",)) -> ComposeProject:
        repository = tmp_path / "shop"
        (repository / ".devcontainer/compose.yaml").write_text(text.replace("TOP", f"{tmp_path}/outside"))
        paths = tuple(repository / name for name in names)
        return compose.load(paths, tree=WorkingTree(), repository=repository, environment={}, allow_outside=allowed)

    return read


@pytest.mark.parametrize("what", [*(what for what in TRAVELLING if what != "mounted file"), *BUILT])
def test_what_is_outside_is_refused_with_its_place_and_the_flag(what: str, load: Load) -> None:
    text = {**TRAVELLING, **BUILT}[what]
    try:
        said = [(str(problem), str(problem)) for problem in load(text, allowed=False).problems]
    except ComposeError as error:
        said = [(str(problem), f"{problem} {error.hint}") for problem in error.problems]
    assert len(said) == 1
    assert re.match(r"\.devcontainer/compose\.yaml:[12]:\d+: ", said[0][0])
    assert "outside the repository" in said[0][0] or "out of the repository" in said[0][0]
    assert "--allow-outside" in said[0][1]


def test_a_mounted_file_that_is_outside_says_how_it_could_travel(load: Load) -> None:
    project = load(TRAVELLING["mounted file"], allowed=False)
    assert [notice.message.rpartition("; ")[2] for notice in project.notices] == [
        "use `--allow-outside` to send files outside the repository"
    ]


@pytest.mark.parametrize("what", TRAVELLING)
def test_what_is_outside_travels_where_that_is_allowed(what: str, load: Load, tmp_path: Path) -> None:
    project = load(TRAVELLING[what], allowed=True)
    assert project.problems == ()
    release = render(project)
    assert not [file.path for file in release.files if file.path.startswith("/") or ".." in file.path.split("/")]
    oracle.write(release, there := tmp_path / "there")
    files = tuple(file.path for file in project.top_files)
    before = oracle.configured(project.repository, files, {"COMPOSE_PROJECT_NAME": release.stack})
    after = oracle.configured(there)
    names = {"environment", "labels", "image"}
    for name, service in before["services"].items():
        for key in names & service.keys():
            found = after["services"][name][key]
            assert service[key] == found if key == "image" else service[key].items() <= found.items()
    for key in ("configs", "secrets"):
        for name, item in before.get(key, {}).items():
            assert Path(after[key][name]["file"]).read_bytes() == Path(item["file"]).read_bytes()
    for volume in before["services"]["app"].get("volumes", []):
        found = next(item for item in after["services"]["app"]["volumes"] if item["target"] == volume["target"])
        assert Path(found["source"]).read_bytes() == Path(volume["source"]).read_bytes()
    if what not in ("extends", "include", "linked compose file"):
        assert [notice.is_warning for notice in project.notices if "is sent to hosts" in notice.message] == [True]


@pytest.mark.parametrize("what", BUILT)
def test_what_is_outside_is_built_from_where_that_is_allowed_and_never_known_from_before(what: str, load: Load) -> None:
    project = load(BUILT[what], allowed=True)
    assert project.problems == ()
    assert compose.is_outside(project.builds[0], project.reader)
    inside = load("services: {app: {build: .}}\n", allowed=True)
    assert not compose.is_outside(inside.builds[0], inside.reader)


def test_a_project_whose_first_file_is_above_the_repository_keeps_its_paths(load: Load, tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(
        "services: {app: {image: x, env_file: shop/own.env, configs: [c]}}\nconfigs: {c: {file: outside/app.conf}}\n"
    )
    names = ("../base.yaml", ".devcontainer/compose.yaml")
    with pytest.raises(ComposeError) as caught:
        load("services: {app: {labels: [a=1]}}\n", allowed=False, names=names)
    assert "--allow-outside" in caught.value.hint
    project = load("services: {app: {labels: [a=1]}}\n", allowed=True, names=names)
    release = render(project)
    oracle.write(release, there := tmp_path / "there")
    app = oracle.configured(there)["services"]["app"]
    assert (app["environment"]["OWN"], app["labels"]["a"]) == ("1", "1")
    assert (there / "kamal-dev.files/outside" / str(tmp_path / "outside/app.conf").lstrip("/")).read_text() == "conf"


def test_what_is_inside_is_where_it_was_with_the_flag(load: Load) -> None:
    text = "services: {app: {image: x, env_file: ../own.env}}\n"
    assert render(load(text, allowed=True)).digest == render(load(text, allowed=False)).digest
