"""A build that is begun before it is known whether anybody takes it: stopped at once, or pushed by nobody."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kamal_dev.errors import BuildFailed, UsageError
from kamal_dev.output import Event, Output
from kamal_dev.pipeline.build import build
from kamal_dev.pipeline.deploy import deploy
from kamal_dev.pipeline.images import making as making_
from kamal_dev.pipeline.images.making import ImageMaking
from kamal_dev.pipeline.images.recipe import BuildOptions
from kamal_dev.pipeline.plan import DeployOptions
from kamal_dev.pipeline.run.run import Run

# It answers as Docker does to what is asked first, and builds for a minute.
DOCKER = """\
#!/bin/sh
echo "$*" >>"$MARK"
case "$1 $2" in "buildx build") exec sleep 60 ;; esac
"""
PUSHING = f"""\
#!/bin/sh
echo "$*" >>"$MARK"
digest=sha256:{"d" * 64}
case $1 in
  image) echo '{{"id":"sha256:1","digests":["NAME@'$digest'"],"platform":"linux/amd64"}}' ;;
  push) echo "v1: digest: $digest size: 1" ;;
esac
"""
CONFIG = "service: blog\nregistry: {server: localhost:5999}\nprovider: {type: static, hosts: [10.0.0.1]}\n"


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """The file that the builder notes its calls in."""
    return tmp_path / "calls"


def opened(
    folder: Path,
    mark: Path,
    monkeypatch: pytest.MonkeyPatch,
    build: str = "{context: .}",
    show: Callable[[Event], None] = lambda event: None,
) -> Run:
    docker = folder / "bin/docker"
    for path, text in {
        ".devcontainer/devcontainer.json": '{"dockerComposeFile": "compose.yaml", "service": "app"}\n',
        ".devcontainer/compose.yaml": f"services:\n  app:\n    build: {build}\n",
        ".devcontainer/Dockerfile": "FROM debian:12\n",
        "config/dev.yml": CONFIG,
        "bin/docker": DOCKER,
    }.items():
        (folder / path).parent.mkdir(exist_ok=True, parents=True)
        (folder / path).write_text(text)
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{docker.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("MARK", str(mark))
    return Run.open(folder, Output(show))


def builds(mark: Path) -> int:
    return mark.read_text().count("buildx build") if mark.exists() else 0


def test_a_build_that_nobody_wants_any_more_is_ended_at_once(
    tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Event] = []
    run = opened(tmp_path / "blog", mark, monkeypatch, show=events.append)
    making = ImageMaking(run.project, run.tools, skip_build=False, skip_push=True)
    making.begin(push=False)
    deadline = time.monotonic() + 20
    while not builds(mark) and time.monotonic() < deadline:
        time.sleep(0.01)
    started = time.monotonic()
    making.stop()
    assert builds(mark) == 1
    assert time.monotonic() - started < 10
    assert "docker push" not in mark.read_text()
    assert [event.status for event in events if event.phase == "building"] == ["started"], "nothing failed"
    run.close()


@pytest.mark.parametrize(
    ("build", "skip_build"), [("{context: ., platforms: [linux/amd64, linux/arm64]}", False), ("{context: .}", True)]
)
def test_nothing_is_begun_that_is_pushed_as_it_is_built_or_not_built_at_all(
    build: str, skip_build: bool, tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = opened(tmp_path / "blog", mark, monkeypatch, build)
    making = ImageMaking(run.project, run.tools, skip_build=skip_build, skip_push=False)
    making.begin(push=False)
    time.sleep(0.3)
    making.stop()
    assert builds(mark) == 0
    run.close()


def test_what_was_begun_is_pushed_once_it_is_wanted(
    tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = opened(tmp_path / "blog", mark, monkeypatch)
    (tmp_path / "blog/bin/docker").write_text(PUSHING.replace("NAME", run.project.image("app").name))
    monkeypatch.setattr(making_.local_registry, "ensure", lambda *_: None)
    monkeypatch.setattr(making_.registry, "stored", lambda *_: None)
    making = ImageMaking(run.project, run.tools, skip_build=True, skip_push=False)
    making.begin(push=True)
    time.sleep(0.3)
    assert not mark.exists() or "push " not in mark.read_text(), "no host may take it"
    assert making.made(lambda: pytest.fail("the push was begun")).images["app"].digest == f"sha256:{'d' * 64}"
    run.close()


def test_a_failed_build_says_which_other_images_were_pushed(
    tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = opened(tmp_path / "blog", mark, monkeypatch, "{context: .}\n  web:\n    build: {context: ., target: web}")
    script = PUSHING.replace("NAME", run.project.image("app").name)
    failing = 'case "$*" in *"--target web"*) echo no such stage >&2; exit 1 ;; esac\ncase $1 in'
    (tmp_path / "blog/bin/docker").write_text(script.replace("case $1 in", failing))
    monkeypatch.setattr(making_.local_registry, "ensure", lambda *_: None)
    monkeypatch.setattr(making_.registry, "stored", lambda *_: None)
    making = ImageMaking(run.project, run.tools, skip_build=False, skip_push=False)
    making.begin(push=True)
    with pytest.raises(BuildFailed) as failure:
        making.made(lambda: None)
    assert failure.value.left_behind == f"`{run.project.image('app')}` was pushed; no container was changed"
    run.close()


@pytest.mark.parametrize("verb", ["build", "deploy"])
def test_an_image_that_docker_cannot_store_is_refused_before_any_build(
    verb: str, tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = "{context: .}\n  web:\n    build: {context: ., platforms: [linux/amd64, linux/arm64]}"
    run = opened(tmp_path / "blog", mark, monkeypatch, both)
    with pytest.raises(UsageError, match="several platforms"):
        if verb == "build":
            build(run, BuildOptions())
        else:
            deploy(run, DeployOptions(skip_push=True))
    run.close()
    assert builds(mark) == 0
