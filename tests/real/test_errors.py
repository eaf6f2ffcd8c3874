"""Mistakes of every kind: one clear message, the right exit code, no traceback. Needs no host."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.real.lab import COMPOSE, Ended, Lab, Repository

NOWHERE = ["root@127.0.0.1:1"]


def lines(ended: Ended) -> list[str]:
    """The message: what stands on stderr, without the hint."""
    return [line for line in ended.stderr.splitlines() if line and not line.startswith(("hint: ", "left behind: "))]


def path_without(tmp_path: Path, *missing: str) -> str:
    """A PATH with what `dev` calls, but for some."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in {"docker", "git", "sh", "ssh"} - set(missing):
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    return str(folder)


@pytest.fixture(scope="module")
def plain(lab: Lab) -> Repository:
    return lab.small("plain", NOWHERE)


@pytest.mark.parametrize("verb", ["build", "push", "deploy"])
def test_without_docker_each_verb_says_where_to_get_it(plain: Repository, tmp_path: Path, verb: str) -> None:
    ended = plain.dev(verb, code=1, PATH=path_without(tmp_path, "docker"))
    assert "error: docker is not installed" in ended.stderr
    assert "https://docs.docker.com/engine/install/" in ended.stderr


@pytest.mark.parametrize("verb", ["build", "push", "deploy"])
def test_without_an_engine_each_verb_says_how_to_start_it(plain: Repository, tmp_path: Path, verb: str) -> None:
    ended = plain.dev(verb, code=1, DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert "error: no Docker Engine answers" in ended.stderr
    assert "systemctl start docker" in ended.stderr


def test_without_buildx_the_build_says_so(plain: Repository, tmp_path: Path) -> None:
    folder = path_without(tmp_path, "docker")
    stub = Path(folder, "docker")
    refusal = '[ "$1" != buildx ] || { echo "docker: unknown command: docker buildx" >&2; exit 1; }'
    stub.write_text(f'#!/bin/sh\n{refusal}\nexec {shutil.which("docker")} "$@"\n')
    stub.chmod(0o755)
    ended = plain.dev("build", code=1, PATH=folder)
    assert "error: docker buildx is not installed" in ended.stderr


def test_without_git_the_version_is_a_timestamp_or_the_lack_is_told(plain: Repository, tmp_path: Path) -> None:
    ended = plain.attempt("config", PATH=path_without(tmp_path, "git"))
    assert "Traceback" not in ended.text
    assert ended.code in (0, 1, 2)


def test_all_problems_of_dev_yml_are_told_at_once_with_their_lines(lab: Lab) -> None:
    repository = lab.small("badconfig", NOWHERE)
    wrong = "service: badconfig\nregistry:\n  sever: ghcr.io\nvms: {count: many}\n"
    repository.commit({"config/dev.yml": wrong})
    ended = repository.dev("deploy", code=2)
    assert "config/dev.yml:3" in ended.stderr
    assert "did you mean `server`" in ended.stderr.lower()
    assert "config/dev.yml:4" in ended.stderr


def test_a_missing_secret_is_named_with_the_file_it_should_be_in(lab: Lab) -> None:
    repository = lab.small("nosecret", NOWHERE, settings="secrets: [DATABASE_PASSWORD]\n")
    assert "DATABASE_PASSWORD" not in os.environ
    ended = repository.dev("deploy", code=2)
    assert re.search(r"error: \.kamal/secrets: `?DATABASE_PASSWORD`? is not set", ended.stderr), str(ended)


def test_a_repository_without_a_devcontainer_says_so(lab: Lab) -> None:
    repository = lab.repository("empty", {"README": "nothing\n"})
    ended = repository.dev("deploy", code=2)
    assert "there is no devcontainer.json" in ended.stderr


def test_an_unknown_command_or_flag_is_an_error_with_a_suggestion(plain: Repository) -> None:
    assert "Did you mean `deploy`?" in plain.dev("deplyo", code=2).stderr
    assert "--skip-build" in plain.dev("deploy", "--skip-biuld", code=2).stderr


def test_an_unknown_stack_is_an_error_with_a_suggestion(plain: Repository) -> None:
    ended = plain.dev("deploy", "plain", code=2)
    assert plain.stack() in ended.stderr


def test_a_message_is_told_once_and_on_stderr_alone(plain: Repository) -> None:
    ended = plain.dev("deploy", "--version", "no/tag", code=2)
    assert ended.stdout == ""
    assert len(lines(ended)) == 1, str(ended)


def test_doctor_names_what_is_missing_and_what_to_do(plain: Repository, tmp_path: Path) -> None:
    ended = plain.dev("doctor", code=1, DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert "✗ engine" in ended.stdout
    assert "hint: " in ended.stdout


def test_config_and_render_need_no_engine(plain: Repository, tmp_path: Path) -> None:
    path = path_without(tmp_path, "docker", "ssh")
    assert plain.dev("config", "--json", PATH=path).json["service"] == plain.service
    rendered = plain.dev("render", str(tmp_path / "out"), "--json", PATH=path).json
    assert rendered["services"]["app"]["image"] == plain.image()
    assert (tmp_path / "out/.devcontainer/compose.yaml").read_text() == COMPOSE.replace(
        "build: .", f"image: {plain.image()}"
    )
