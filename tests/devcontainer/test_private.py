"""A secret that devcontainer.json names must not reach what others can read: images, arguments, compose files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kamal_dev import devcontainer
from kamal_dev.compose import additions
from kamal_dev.devcontainer import Devcontainer, Private
from kamal_dev.errors import DevcontainerError
from kamal_dev.output import Output
from kamal_dev.pipeline.hosts.rendering import render_release
from kamal_dev.pipeline.run.run import Run

VALUE = "s3cr3t-value-0123"
HERE = Path("/src/blog/.devcontainer/devcontainer.json")
HIDDEN = Private({"TOKEN", "LISTED"}, {"LISTED"})
ENVIRONMENT = {"TOKEN": VALUE, "LISTED": VALUE, "OTHER": "plain"}


def load(**properties: Any) -> Devcontainer:
    text = json.dumps({"image": "debian:12", **properties})
    return devcontainer.load(
        text, HERE, root=HERE.parents[1], environment=ENVIRONMENT, display="devcontainer.json", private=HIDDEN
    )


@pytest.mark.parametrize(
    "properties",
    [
        {"build": {"dockerfile": "Dockerfile", "args": {"TOOL": "${localEnv:TOKEN}"}}},
        {"build": {"dockerfile": "Dockerfile", "options": ["--label=x=${env:TOKEN}"]}},
        {"runArgs": ["--label", "x=a${localEnv:LISTED:none}b"]},
        {"containerEnv": {"A": "${localEnv:LISTED}"}},
        {"containerEnv": {"TOKEN": "${localEnv:TOKEN}"}},
        {"containerEnv": {"LISTED": "x${localEnv:LISTED}"}},
        {"features": {"ghcr.io/acme/tool:1": {"token": "${localEnv:TOKEN}"}}},
        {"postCreateCommand": "login ${localEnv:TOKEN}"},
        {"mounts": [{"type": "volume", "source": "x${localEnv:TOKEN}", "target": "/x"}]},
    ],
    ids=lambda properties: str(*properties),
)
def test_a_secret_where_others_could_read_it_is_refused_with_its_place(properties: dict[str, Any]) -> None:
    with pytest.raises(DevcontainerError) as refused:
        load(**properties)
    (problem,) = refused.value.problems
    assert (problem.path, problem.key.startswith(next(iter(properties))), problem.line) == (
        "devcontainer.json",
        True,
        1,
    )
    assert "refers to the secret" in problem.message
    assert VALUE not in str(refused.value)


def test_a_secret_under_its_own_name_or_in_remote_env_is_fine() -> None:
    found = load(
        containerEnv={"LISTED": "${localEnv:LISTED}", "PLAIN": "${localEnv:OTHER}"},
        remoteEnv={"ANY": "Bearer ${localEnv:TOKEN}"},
        customizations={"editor": {"token": "${localEnv:TOKEN}"}},
    )
    assert found.remote_env == (("ANY", f"Bearer {VALUE}"),)
    assert dict(found.container_env)["PLAIN"] == "plain"


def test_an_argument_that_takes_a_variable_along_takes_no_secret() -> None:
    found = load(runArgs=["-e", "LISTED", "--env=OTHER", "-e", "TOKEN"])
    assert dict(found.container_env) == {"LISTED": "", "OTHER": "plain"}


def test_the_label_of_an_image_learns_no_secret() -> None:
    label = json.dumps([{"remoteEnv": {"A": "${localEnv:TOKEN}", "B": "${localEnv:OTHER}"}}])
    laid = devcontainer.merged(load(), devcontainer.entries(label, "acme/tools:1"), "acme/tools:1", ENVIRONMENT, HIDDEN)
    assert dict(laid.remote_env) == {"A": "", "B": "plain"}


def test_a_release_has_the_value_in_its_env_file_alone(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/dev.yml").write_text("service: blog\nsecrets: [LISTED]\n")
    (tmp_path / ".devcontainer.json").write_text(
        '{"image": "debian:12", "containerEnv": {"LISTED": "${localEnv:LISTED}"}, "runArgs": ["-e", "LISTED"]}'
    )
    run = Run.open(tmp_path, Output(lambda event: None), environment=ENVIRONMENT)
    files = {file.path: file.content.decode() for file in render_release(run.project, "blog-1").files}
    assert [path for path, text in files.items() if VALUE in text] == [".env"]
    assert "LISTED:" in files["kamal-dev.overlay.yaml"]
    assert additions(run.project.devcontainer, run.project.config, run.project.main).secrets == ("LISTED",)
