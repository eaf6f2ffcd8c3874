"""A workspace that is set up by the commands of its devcontainer, through `dev deploy`, on a host that is there."""

from __future__ import annotations

import json
from typing import Any

from tests.real.lab import DOCKERFILE, Host, Lab

COMPOSE = """\
services:
  app:
    build: .
    volumes: ["..:/workspace"]
    env_file: generated.env
"""
WITH_ANN = DOCKERFILE.replace("STOPSIGNAL", "RUN useradd --create-home --shell /bin/bash ann\nSTOPSIGNAL")


def devcontainer(**properties: Any) -> str:
    said = {"dockerComposeFile": "compose.yaml", "service": "app", "workspaceFolder": "/workspace"}
    return json.dumps({**said, **properties}, indent=2)


def test_a_workspace_is_set_up_once_and_a_failed_command_is_run_again(lab: Lab, host: Host) -> None:
    hooks = {
        "initializeCommand": 'echo "MADE=here" >.devcontainer/generated.env',
        "remoteUser": "ann",
        "remoteEnv": {"TOKEN": "${localEnv:HOOK_TOKEN}", "MADE_TOO": "${containerEnv:MADE}!"},
        "onCreateCommand": "id -un >who; echo $MADE $MADE_TOO ${#TOKEN}",
        "postCreateCommand": {"bad": "test -e /tmp/mended || { echo no mender; exit 7; }", "good": ["echo", "fine"]},
        "postStartCommand": "echo started",
    }
    files = {
        ".gitignore": ".kamal/\ngenerated.env\n",
        ".devcontainer/devcontainer.json": devcontainer(**hooks),
        ".devcontainer/Dockerfile": WITH_ANN,
    }
    token = "ht-0123456789"
    repository = lab.small("hooked", [host], files, compose=COMPOSE, HOOK_TOKEN=token)
    stack = repository.stack()

    failed = repository.deploy("--verbose", code=1)
    assert "Running `initializeCommand` on this machine (echo" in failed.stderr
    assert f"here here! {len(token)}" in failed.stderr
    assert token not in failed.text
    report = failed.stacks[stack]
    assert (report["state"], report["running"]) == ("failed", repository.sha)
    assert [(one["name"], one["exit_code"], one["log"]) for one in report["lifecycle"]] == [("bad", 7, "no mender")]
    assert report["error"]["message"].startswith("postCreateCommand (bad): `test -e /tmp/mended ||")
    assert "the containers run this version" in report["error"]["left_behind"]
    assert host.states(stack) == {"app": "running"}
    assert host.run(f"cat ~/.kamal-dev/{stack}/workspace/*/who") == "ann\n"
    started = host.started(stack)

    again = repository.dev("deploy", code=1)
    assert "onCreateCommand" not in again.stderr
    assert again.stderr.count("postCreateCommand (bad): `test -e /tmp/mended || { echo no mender; exit 7; }`") == 1
    assert again.stderr.count("[bad] no mender") == 1, str(again)
    host.run(f"docker exec {stack}-app-1 touch /tmp/mended")
    mended = repository.deploy()
    assert mended.stacks[stack]["state"] == "deployed"
    assert [name for name in mended.stacks[stack]["phases"] if name.endswith("Command")] == [
        "postCreateCommand",
        "postStartCommand",
    ]
    assert host.started(stack) == started
    assert repository.deploy().stacks[stack]["state"] == "unchanged"
    # A release that comes back needs it again: it is there alone, for its user to read.
    (kept,) = host.run(f"grep -rl {token} ~/.kamal-dev/{stack} ~/.kamal-dev/.run").split()
    assert kept.endswith("/.kamal-dev/exec/before")
    assert host.run(f"stat -c %a {kept} $(readlink -f ~/.kamal-dev/{stack}/current)").split() == ["600", "700"]


def test_a_deploy_goes_on_without_initialize_command_where_that_is_asked_for(lab: Lab, host: Host) -> None:
    said = devcontainer(initializeCommand="echo no vault; exit 4")
    compose = COMPOSE.replace("    env_file: generated.env\n", "")
    repository = lab.small("uninitialized", [host], {".devcontainer/devcontainer.json": said}, compose=compose)
    failed = repository.dev("build", code=1)
    assert "initializeCommand exited with code 4 (.devcontainer/devcontainer.json:5)" in failed.stderr
    assert "no vault" in failed.stderr
    repository.dev("deploy", "--skip-initialize")
    assert host.states(repository.stack()) == {"app": "running"}


def test_a_host_that_has_less_than_is_required_is_left_alone(lab: Lab, host: Host) -> None:
    said = devcontainer(hostRequirements={"cpus": 4000, "gpu": "optional"})
    compose = COMPOSE.replace("    env_file: generated.env\n", "")
    repository = lab.small("required", [host], {".devcontainer/devcontainer.json": said}, compose=compose)
    error = repository.deploy(code=1).stacks[repository.stack()]["error"]
    assert "of 4000 CPUs that `hostRequirements` asks for (.devcontainer/devcontainer.json:5)" in error["message"]
    assert not host.says(f"test -e ~/.kamal-dev/{repository.stack()}")
