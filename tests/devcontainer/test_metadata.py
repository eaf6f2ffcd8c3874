import json

import pytest

from kamal_dev import devcontainer
from kamal_dev.errors import DevcontainerError

IMAGE = "acme/base:1"
BASE = {"id": "common", "remoteUser": "vscode", "postCreateCommand": "base", "capAdd": ["A"], "init": True}
DIND = {
    "id": "docker-in-docker",
    "privileged": True,
    "entrypoint": "/usr/local/share/docker-init.sh",
    "mounts": [{"type": "volume", "source": "dind-${devcontainerId}", "target": "/var/lib/docker"}],
}


@pytest.fixture
def merge(load):
    """Return a function that lays a devcontainer.json over the entries of a label."""

    def merged(own: dict, *entries: dict, environment: dict | None = None):
        found = devcontainer.entries(json.dumps(entries), IMAGE)
        return devcontainer.merged(load({"image": IMAGE, **own}), found, IMAGE, environment or {})

    return merged


def test_an_image_without_a_label_adds_nothing(load) -> None:
    own = load({"image": IMAGE, "containerEnv": {"A": "1"}})
    assert devcontainer.merged(own, devcontainer.entries("", IMAGE), IMAGE, {}) is own


def test_one_object_is_a_list_of_one() -> None:
    assert devcontainer.entries('{"init": true}', IMAGE) == ({"init": True},)


@pytest.mark.parametrize("label", ["{", "[1]", '"text"', "5"])
def test_a_label_that_is_no_list_of_objects_is_refused_with_the_image(label: str) -> None:
    with pytest.raises(DevcontainerError, match=IMAGE) as caught:
        devcontainer.entries(label, IMAGE)
    assert caught.value.hint


def test_a_wrong_type_in_a_label_is_refused_with_the_image(merge) -> None:
    with pytest.raises(DevcontainerError, match=r"acme/base:1 \(devcontainer.metadata\).*capAdd"):
        merge({}, {"capAdd": "ALL"})


def test_what_features_ask_of_the_container_is_merged(merge) -> None:
    found = merge({"capAdd": ["B"]}, BASE, DIND)
    assert (found.privileged, found.init, found.cap_add) == (True, True, ("A", "B"))
    assert found.entrypoints == ("/usr/local/share/docker-init.sh",)
    assert [(mount.type, mount.source, mount.target) for mount in found.mounts] == [
        ("volume", "dind-id0", "/var/lib/docker")
    ]


def test_the_last_one_that_says_who_works_there_decides(merge) -> None:
    assert merge({}, BASE).remote_user == "vscode"
    assert merge({}, BASE, {"remoteUser": "node"}).remote_user == "node"
    assert merge({"remoteUser": "me"}, BASE).remote_user == "me"


def test_what_nobody_says_keeps_its_default(merge) -> None:
    found = merge({}, {"customizations": {}})
    assert (found.wait_for, found.user_env_probe) == ("updateContentCommand", "loginInteractiveShell")
    assert (found.override_command, found.container_user, found.init) == (True, "", None)
    assert merge({}, {"overrideCommand": False, "waitFor": "postCreateCommand"}).wait_for == "postCreateCommand"
    assert not merge({}, {"overrideCommand": False}).override_command
    assert merge({"overrideCommand": True}, {"overrideCommand": False}).override_command


def test_a_mount_of_the_same_target_is_replaced(merge) -> None:
    found = merge({"mounts": ["type=volume,source=mine,target=/var/lib/docker"]}, DIND)
    assert [(mount.source, mount.target) for mount in found.mounts] == [("mine", "/var/lib/docker")]


def test_environments_are_merged_by_name_with_variables_of_this_machine(merge) -> None:
    found = merge(
        {"containerEnv": {"B": "mine"}, "remoteEnv": {"C": None}},
        {
            "containerEnv": {"A": "${localEnv:USER}", "B": "theirs"},
            "remoteEnv": {"C": "c", "D": "${containerEnv:PATH}"},
        },
        environment={"USER": "me"},
    )
    assert dict(found.container_env) == {"A": "me", "B": "mine"}
    assert dict(found.remote_env) == {"C": None, "D": "${containerEnv:PATH}"}


def test_commands_of_the_image_come_first_hook_by_hook(merge) -> None:
    found = merge(
        {"initializeCommand": "here", "postCreateCommand": "mine", "onCreateCommand": ["own"]},
        BASE,
        {"postCreateCommand": {"a": "x"}, "postStartCommand": "start", "initializeCommand": "never"},
    )
    assert found.lifecycle == (
        ("initializeCommand", "here"),
        ("onCreateCommand", ["own"]),
        ("postCreateCommand", "base"),
        ("postCreateCommand", {"a": "x"}),
        ("postCreateCommand", "mine"),
        ("postStartCommand", "start"),
    )


def test_a_command_that_the_image_and_the_file_have_runs_once(merge) -> None:
    assert merge({"postCreateCommand": "base"}, BASE).lifecycle == (("postCreateCommand", "base"),)


def test_an_image_built_from_this_very_file_adds_what_is_below_it_alone(merge) -> None:
    own = {"postCreateCommand": "mine", "forwardPorts": [3000], "remoteUser": "me"}
    found = merge(own, BASE, own)
    assert found.lifecycle == (("postCreateCommand", "base"), ("postCreateCommand", "mine"))
    assert found.forward_ports == (3000,)


def test_ports_are_united_and_requirements_are_the_highest(merge) -> None:
    found = merge(
        {"forwardPorts": [3000, "db:5432"], "hostRequirements": {"cpus": 2, "memory": "8gb", "gpu": "optional"}},
        {
            "forwardPorts": [80, 3000],
            "hostRequirements": {"cpus": 4, "memory": "4096mb", "storage": "32gb", "gpu": True},
        },
    )
    assert found.forward_ports == (80, 3000, "db:5432")
    assert found.host_requirements == {"cpus": 4, "memory": "8gb", "storage": "32gb", "gpu": True}


def test_what_runs_as_somebody_by_runargs_stays_so(merge) -> None:
    assert merge({"runArgs": ["-u", "root"]}, {"containerUser": "node"}).container_user == "root"
    assert merge({}, {"containerUser": "node"}).container_user == "node"
