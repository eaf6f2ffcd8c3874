"""Builds with Features on paper: what the devcontainer CLI is run with, and what is left of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kamal_dev.errors import BuildFailed, ConfigError, EngineError
from kamal_dev.model import Result, Secret, Step
from kamal_dev.output.sentences import sentence
from kamal_dev.pipeline.build import build
from kamal_dev.pipeline.images.building import build_all, require_buildable
from kamal_dev.pipeline.images.recipe import BuildOptions
from kamal_dev.pipeline.render import render
from kamal_dev.pipeline.run.devcontainer_cli import find
from tests.transcripts.paper import Machine, RecordedRun, load

SETTINGS = """\
service: site
registry: {server: ghcr.io, username_env: REGISTRY_USER, password_env: REGISTRY_TOKEN}
provider: {type: static, hosts: [root@10.0.0.1]}
build: {secrets: [BUILD_TOKEN]}
"""
ENVIRONMENT = {"REGISTRY_USER": "acme", "REGISTRY_TOKEN": "rt-5a4b3c2d1e0f", "BUILD_TOKEN": "bt-a0b1c2d3e4f5"}
PUBLIC = "ghcr.io/devcontainers/features/node:1"
Start = Callable[..., RecordedRun]


class Equipped(Machine):
    """A machine that has a devcontainer CLI where `cli` says: its first words."""

    def __init__(self, cli: str = "devcontainer") -> None:
        super().__init__()
        self.cli = cli
        self.shown: dict[str, str] = {}
        self.folder = Path()

    def answer(self, step: Step) -> Result:
        if step.argv[-1] == "--version":
            return Result(step, 0 if step.text == f"{self.cli} --version" else 127, "0.89.0\n")
        if "--workspace-folder" in step.argv:
            assert step.cwd
            self.folder = step.cwd
            self.shown = {
                str(path.relative_to(step.cwd)): path.read_text() for path in step.cwd.rglob("*") if path.is_file()
            }
            image = step.argv[step.argv.index("--image-name") + 1]
            (self._pushed if "--push" in step.argv else self._built).add(image)
            return Result(step, 0, 'as it builds\n{"outcome":"success"}\n')
        return super().answer(step)

    @property
    def built(self) -> Step:
        """The last step of the CLI that built."""
        return [step for step in self.steps if "--workspace-folder" in step.argv][-1]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that writes a repository and opens a run in it."""

    def make(said: dict[str, object], machine: Equipped | None = None, **files: str) -> RecordedRun:
        written = {
            "config/dev.yml": SETTINGS,
            ".devcontainer/devcontainer.json": json.dumps({"features": {PUBLIC: {}}, **said}),
            ".devcontainer/Dockerfile": "FROM debian:12\n",
            **files,
        }
        for name, text in written.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            # Outside git the version is the time of the newest file.
            os.utime(path, (1_700_000_000, 1_700_000_000))
        runs.append(RecordedRun.of(load(tmp_path, ENVIRONMENT), machine or Equipped(), {}))
        return runs[-1]

    runs: list[RecordedRun] = []
    yield make
    for run in runs:
        run.close()


def test_secrets_and_the_login_reach_the_cli_in_its_environment_alone(start: Start) -> None:
    machine = Equipped()
    run = start({"build": {"dockerfile": "Dockerfile"}}, machine)
    build_all(run.project, run.tools, BuildOptions(config="/somewhere"))
    given = dict(machine.built.environment)
    assert given["DOCKER_CONFIG"] == "/somewhere"
    assert given["BUILD_TOKEN"] == Secret(ENVIRONMENT["BUILD_TOKEN"])
    told = json.loads(machine.shown[".devcontainer/devcontainer.json"])
    assert told["build"]["options"][-2:] == ["--secret", "id=BUILD_TOKEN,env=BUILD_TOKEN"]
    assert not [text for text in (machine.built.text, *machine.shown.values()) if ENVIRONMENT["BUILD_TOKEN"] in text]


def test_nothing_is_left_of_the_folder_that_the_cli_is_shown(start: Start) -> None:
    machine = Equipped()
    run = start({"image": "debian:12"}, machine)
    build_all(run.project, run.tools, BuildOptions())
    assert machine.shown[".kamal-dev/Dockerfile"] == "FROM debian:12\n"
    assert machine.folder != Path()
    assert not machine.folder.exists()


def test_an_image_for_several_platforms_is_pushed_by_the_cli(start: Start) -> None:
    machine = Equipped()
    run = start({"image": "debian:12"}, machine)
    options = BuildOptions(platform=("linux/amd64", "linux/arm64"), may_push=True, no_cache=True)
    build_all(run.project, run.tools, options)
    assert machine.built.text.endswith("--platform linux/amd64,linux/arm64 --push --no-cache")


def test_the_cli_is_looked_for_on_the_path_then_through_npx_and_found_once(start: Start) -> None:
    machine = Equipped("npx --yes --prefer-offline @devcontainers/cli")
    run = start({"image": "debian:12"}, machine)
    build_all(run.project, run.tools, BuildOptions())
    assert machine.built.text.startswith("npx --yes --prefer-offline @devcontainers/cli build --workspace-folder .")
    assert [step.argv[0] for step in machine.steps if step.argv[-1] == "--version"] == ["devcontainer", "npx"]
    assert find(Equipped("other")) is None


def test_without_the_cli_nothing_is_run_but_the_search_for_it(start: Start) -> None:
    machine = Equipped("none")
    run = start({"image": "debian:12"}, machine)
    with pytest.raises(EngineError) as caught:
        require_buildable(run.project, run.tools, BuildOptions())
    assert str(caught.value).startswith(".devcontainer/devcontainer.json:1: `features` needs the devcontainer CLI")
    assert PUBLIC in caught.value.message
    assert {step.argv[-1] for step in machine.steps} == {"--version"}


def test_a_context_that_is_a_url_is_refused_with_its_place(start: Start) -> None:
    compose = "services:\n  app:\n    build: https://git.example/acme/site.git\n"
    run = start({"dockerComposeFile": "c.yaml", "service": "app"}, **{".devcontainer/c.yaml": compose})
    with pytest.raises(ConfigError) as caught:
        require_buildable(run.project, run.tools, BuildOptions())
    assert str(caught.value).startswith(".devcontainer/c.yaml:3: Features need a build context on this machine")


def test_a_dockerignore_that_is_not_read_is_told_of(start: Start) -> None:
    run = start({"build": {"dockerfile": "Dockerfile"}}, **{".devcontainer/Dockerfile.dockerignore": "a\n"})
    build_all(run.project, run.tools, BuildOptions())
    (warning,) = [sentence(event) for event in run.events if event.status == "warning"]
    assert warning.endswith("`Dockerfile.dockerignore` is not used with Features: use `.dockerignore`")


@pytest.mark.parametrize(("feature", "logins"), [(PUBLIC, 0), ("ghcr.io/acme/tools/ours:1", 1)])
def test_a_build_logs_in_for_features_beside_the_image_alone(start: Start, feature: str, logins: int) -> None:
    machine = Equipped()
    build(start({"image": "debian:12", "features": {feature: {}}}, machine), BuildOptions())
    assert [step.argv[1] for step in machine.steps].count("login") == logins
    assert ("DOCKER_CONFIG" in dict(machine.built.environment)) == bool(logins)


def test_what_the_cli_says_to_programs_is_not_shown(start: Start) -> None:
    run = start({"image": "debian:12"})
    build_all(run.project, run.tools, BuildOptions())
    assert [sentence(event) for event in run.events if event.status == "output"] == ["as it builds"]


def test_rendering_looks_for_no_cli_and_shows_what_it_would_be_run_with(start: Start) -> None:
    machine = Equipped()
    rendered = render(start({"image": "debian:12"}, machine), None)
    assert machine.steps == []
    assert rendered.builds == ()
    (shown,) = rendered.features
    assert shown["argv"][:2] == ["devcontainer", "build"]
    assert shown["configuration"]["features"] == {PUBLIC: {}}
    assert shown["dockerfile"] == "FROM debian:12\n"


def test_a_dockerfile_with_features_is_a_build_of_its_own_too(start: Start) -> None:
    rendered = render(start({"build": {"dockerfile": "Dockerfile"}}), None)
    assert [build["argv"][:3] for build in rendered.builds] == [["docker", "buildx", "build"]]
    assert [made["image"] for made in rendered.features] == [build["image"] for build in rendered.builds]


@pytest.mark.parametrize(
    ("said", "is_told"),
    [
        ("Resolving Feature dependencies for 'x'...\nError: getaddrinfo ENOTFOUND ghcr.io", True),
        ("ERR: Feature 'x' could not be processed.  You may not have permission to access this Feature", True),
        ("Resolving Feature dependencies for 'x'...\nERROR: Feature \"x\" failed to install!", False),
    ],
)
def test_where_a_feature_cannot_be_fetched_the_hint_says_how_to_go_on(said: str, is_told: bool, start: Start) -> None:
    class Offline(Equipped):
        def answer(self, step: Step) -> Result:
            return Result(step, 1, errors=said) if "--workspace-folder" in step.argv else super().answer(step)

    run = start({"image": "debian:12"}, Offline())
    with pytest.raises(BuildFailed) as failed:
        build_all(run.project, run.tools, BuildOptions())
    assert ("--ignore-features" in failed.value.hint) == is_told
