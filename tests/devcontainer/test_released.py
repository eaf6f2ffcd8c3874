"""What a release describes of its devcontainer, and what is made of it elsewhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kamal_dev.devcontainer import forwarding, released

WRITTEN = {
    "dockerComposeFile": "compose.yaml",
    "service": "web",
    "workspaceFolder": "/code",
    "remoteUser": "vscode",
    "remoteEnv": {"A": "1", "B": None, "TOKEN": "${localEnv:TOKEN}", "AT": "${localWorkspaceFolder}/x"},
    "forwardPorts": [3000, "db:5432"],
    "portsAttributes": {"3000": {"label": "app"}},
}
HERE = {"image": "base:1", "remoteUser": "root", "remoteEnv": {"TOKEN": "mine", "C": "2"}, "appPort": [80]}


def there(written: Any) -> Any:
    """Return it as a host sends it: lists are tuples."""
    return json.loads(json.dumps(written), object_hook=lambda data: {k: _sent(v) for k, v in data.items()})


def _sent(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def test_a_release_describes_how_its_containers_are_entered(load: Any) -> None:
    entry = released.entry(load(WRITTEN, environment={"TOKEN": "of-the-deployer"}))
    assert "of-the-deployer" not in json.dumps(entry)
    found = released.described(load(HERE), there(entry), "devcontainer.json of feature/x")
    assert (found.kind, found.service, found.workspace_folder, found.remote_user) == (
        "compose",
        "web",
        "/code",
        "vscode",
    )
    assert dict(found.remote_env) == {"A": "1", "B": None, "TOKEN": "mine"}
    assert [(port.shown, port.label) for port in forwarding.forwarded(found)] == [("3000", "app"), ("db:5432", "")]


def test_what_a_release_does_not_have_is_not_taken_from_here(load: Any) -> None:
    found = released.described(load(HERE), there(released.entry(load({"image": "base:2"}))), "other")
    assert (found.remote_user, found.remote_env, forwarding.forwarded(found)) == ("", (), ())


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"kind": "x", "service": 7, "workspaceFolder": "\x1b[1m", "remoteUser": ["a"], "forwardPorts": {"a": 1}},
        {"appPort": [True, {}], "portsAttributes": 3, "remoteEnv": {"A": 1}, "localEnv": "PATH"},
    ],
)
def test_values_of_another_type_are_left_out(load: Any, entry: Any) -> None:
    own = load(HERE)
    found = released.described(own, there(entry), "other")
    assert (found.kind, found.service, found.workspace_folder) == (own.kind, own.service, own.workspace_folder)
    assert (found.remote_user, found.remote_env, forwarding.forwarded(found)) == ("", (), ())


def test_a_host_cannot_ask_for_the_environment_here(load: Any) -> None:
    entry = {"remoteEnv": {"STOLEN": "${localEnv:SECRET}"}, "workspaceFolder": "${localEnv:SECRET}"}
    found = released.described(load(HERE, environment={"SECRET": "hidden"}), entry, "other")
    assert "hidden" not in repr(found)
