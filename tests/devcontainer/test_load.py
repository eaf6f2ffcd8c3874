from pathlib import Path

import pytest

from kamal_dev import devcontainer
from kamal_dev.devcontainer import jsonc
from kamal_dev.errors import DevcontainerError
from kamal_dev.model import Location
from kamal_dev.syntax.text import decode

from .conftest import FILE, ROOT

ONE_OF = "one of `image`, `build.dockerfile` and `dockerComposeFile` is required"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (
            {"name": "x"},
            f"1:1: has nothing to run: {ONE_OF}",
        ),
        (
            '{\n "build": {}}',
            f"2:2: build: `build` has no `dockerfile`: {ONE_OF}",
        ),
        (
            '{\n "dockerComposeFile": "c.yaml"}',
            "2:2: dockerComposeFile: requires `service`, the name of the main service",
        ),
        ({"image": ""}, "1:2: image: is empty"),
        ({"image": 1}, "1:2: image: must be a string, not a number"),
        (
            {"image": None},
            f"1:1: has nothing to run: {ONE_OF}",
        ),
        (
            {"build": []},
            f"1:2: build: `build` has no `dockerfile`: {ONE_OF}",
        ),
        ({"build": {"dockerfile": ["a"]}}, "1:12: build.dockerfile: must be a string, not a list"),
        ({"build": {"dockerfile": ""}}, "1:12: build.dockerfile: is empty"),
        ({"build": {"dockerfile": "D", "args": {"A": []}}}, "1:40: build.args.A: must be a string, not a list"),
        ({"build": {"dockerfile": "D", "args": ["A"]}}, "1:31: build.args: must be an object, not a list"),
        ({"build": {"dockerfile": "D", "cacheFrom": [1]}}, "1:45: build.cacheFrom.0: must be a string, not a number"),
        ({"build": {"dockerfile": "D", "options": "--x"}}, "1:31: build.options: must be a list, not a string"),
        (
            {"dockerComposeFile": {"a": 1}, "service": "app"},
            "1:2: dockerComposeFile.0: must be a string, not an object",
        ),
        ({"image": "i", "containerEnv": {"A": {}}}, "1:33: containerEnv.A: must be a string, not an object"),
        ({"image": "i", "init": "yes"}, "1:16: init: must be true or false, not a string"),
        ({"image": "i", "capAdd": "ALL"}, "1:16: capAdd: must be a list, not a string"),
        ({"image": "i", "runArgs": ["--cpus", 2]}, "1:38: runArgs.1: must be a string, not a number"),
        ({"image": "i", "appPort": [True]}, "1:28: appPort.0: must be a port or `host:container`, not true or false"),
        ({"image": "i", "forwardPorts": [3000, None]}, "1:39: forwardPorts.1: must be a port or `host:port`, not null"),
        ({"image": "i", "mounts": ["type=bind,target=/a"]}, "1:27: mounts.0: is of type bind and has no `source`"),
        ({"image": "i", "mounts": [1]}, "1:27: mounts.0: must be a string or an object"),
        ({"image": "i", "workspaceMount": "source=/a"}, "1:16: workspaceMount: has no `target`"),
        (
            {"image": "i", "postCreateCommand": 1},
            "1:16: postCreateCommand: must be a string, a list of strings or an object of these",
        ),
        (
            {"image": "i", "postCreateCommand": {"a": [1]}},
            "1:38: postCreateCommand.a: must be a string, a list of strings or an object of these",
        ),
        ({"image": "i", "features": ["node"]}, "1:16: features: must be an object, not a list"),
        ({"image": "i", "remoteEnv": {"A": "${localEnv}"}}, "1:30: remoteEnv.A: `${localEnv}` names no variable"),
        ("[1]", "1:1: must be a JSON object"),
        ('"text"', "1:1: must be a JSON object"),
        ("null", "1:1: must be a JSON object"),
    ],
)
def test_wrong_values_are_refused_with_line_column_and_key(written, message, refusal):
    assert refusal(written) == [f"devcontainer.json:{message}"]


def test_all_problems_are_told_at_once_in_the_order_of_the_file(refusal):
    assert refusal('{\n"init": 1,\n"image": 2,\n"mounts": "x"\n}') == [
        "devcontainer.json:2:1: init: must be true or false, not a number",
        "devcontainer.json:3:1: image: must be a string, not a number",
        "devcontainer.json:4:1: mounts: must be a list, not a string",
    ]


def test_leniently_read_values_leave_their_problems_behind(load):
    found = load({"init": "yes"}, strict=False)
    assert found.kind == "none"
    assert found.init is None
    assert found.configuration["init"] == "yes"
    assert [problem.key for problem in found.problems] == ["", "init"]
    with pytest.raises(DevcontainerError, match="has no `image` and no `build"):
        devcontainer.as_compose(found)


def test_broken_syntax_is_refused_leniently_too(load):
    with pytest.raises(DevcontainerError, match="the property name `image` has no quotes"):
        load("{image: 1}", strict=False)


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ({"image": "i"}, "image"),
        ({"image": "i", "build": {"args": {}}}, "image"),
        ({"image": "i", "build": {"dockerfile": "D"}}, "dockerfile"),
        ({"dockerFile": "D"}, "dockerfile"),
        ({"dockerComposeFile": "c", "service": "a"}, "compose"),
        ({"dockerComposeFile": "c", "service": "a", "image": "i"}, "compose"),
        ({"dockerComposeFile": [], "service": "a", "build": {"dockerfile": "D"}}, "dockerfile"),
    ],
)
def test_a_dockerfile_decides_before_compose_files_before_an_image(written, kind, load):
    assert load(written).kind == kind


@pytest.mark.parametrize(
    ("build", "dockerfile", "context"),
    [
        ({"build": {"dockerfile": "Dockerfile"}}, ".devcontainer/Dockerfile", ".devcontainer"),
        ({"build": {"dockerfile": "../Dockerfile"}}, "Dockerfile", "."),
        ({"build": {"dockerfile": "Dockerfile", "context": ".."}}, ".devcontainer/Dockerfile", "."),
        ({"build": {"dockerfile": "Dockerfile"}, "context": ".."}, ".devcontainer/Dockerfile", ".devcontainer"),
        ({"dockerFile": "Dockerfile", "context": "../"}, ".devcontainer/Dockerfile", "."),
        ({"dockerFile": "Dockerfile", "build": {"context": ".."}}, ".devcontainer/Dockerfile", ".devcontainer"),
        ({"build": {"dockerfile": "${localWorkspaceFolder}/D", "context": "/abs/./x/.."}}, "D", "/abs"),
    ],
)
def test_the_context_is_the_dockerfiles_folder_unless_said(build, dockerfile, context, load):
    made = devcontainer.build(load(build))
    assert made is not None
    assert (made.dockerfile, made.context) == (str(ROOT / dockerfile), str(ROOT / context))


def test_a_dockerfile_becomes_one_build(load):
    text = """{ "build": {
        "dockerfile": "D", "target": "dev", "args": {"A": "1", "B": ""},
        "cacheFrom": "c", "options": ["--add-host", "a:b"]
    } }"""
    made = devcontainer.build(load(text))
    assert made is not None
    assert made.services == (devcontainer.SERVICE,)
    assert (made.target, made.args, made.cache_from) == ("dev", (("A", "1"), ("B", "")), ("c",))
    assert made.options == ("--add-host", "a:b")
    assert made.where == Location("devcontainer.json", 2, 9)


def test_the_older_dockerfile_knows_its_place(load):
    made = devcontainer.build(load('{\n  "dockerFile": "D" }'))
    assert made is not None
    assert made.where == Location("devcontainer.json", 2, 3)


def test_an_image_and_compose_files_build_nothing_here(load):
    assert devcontainer.build(load({"image": "i"})) is None
    assert devcontainer.build(load({"dockerComposeFile": "c", "service": "a"})) is None


def test_compose_files_are_relative_to_the_devcontainer(load):
    found = load({"dockerComposeFile": ["../a.yaml", "b.yaml", "/c.yaml"], "service": "app"})
    assert found.docker_compose_files == (ROOT / "a.yaml", ROOT / ".devcontainer/b.yaml", Path("/c.yaml"))
    assert load({"dockerComposeFile": "c.yaml", "service": "app"}).docker_compose_files == (
        ROOT / ".devcontainer/c.yaml",
    )


def test_compose_defaults_differ_from_those_of_a_single_container(load):
    compose = load({"dockerComposeFile": "c.yaml", "service": "app"})
    assert (compose.workspace_folder, compose.workspace_mount, compose.override_command) == ("/", None, False)
    assert (compose.service, compose.workspace) == ("app", None)
    image = load({"image": "i"})
    assert (image.workspace_folder, image.override_command) == ("/workspaces/site", True)
    assert image.workspace_mount == "type=bind,source=/home/me/site,target=/workspaces/site"
    assert image.service == devcontainer.SERVICE


def test_the_whole_repository_is_mounted_around_a_devcontainer_in_a_folder(load):
    root = ROOT / "apps/web"
    path = root / ".devcontainer/devcontainer.json"
    found = load({"image": "${localWorkspaceFolderBasename}"}, path, root=root, repository=ROOT)
    assert found.image == "web"
    assert found.workspace_folder == "/workspaces/site/apps/web"
    assert found.workspace_mount == "type=bind,source=/home/me/site,target=/workspaces/site"
    assert "source: ../../..\n" in devcontainer.as_compose(found)


def test_a_comma_in_the_path_is_quoted_as_the_engine_wants(load):
    root = Path("/home/a,b")
    found = load({"image": "i"}, root / ".devcontainer.json", root=root)
    assert found.workspace_mount == 'type=bind,"source=/home/a,b","target=/workspaces/a,b"'
    assert found.workspace is not None
    assert (found.workspace.source, found.workspace.target) == ("/home/a,b", "/workspaces/a,b")


def test_the_id_is_replaced_in_fields_and_kept_in_the_configuration(load):
    found = load({"image": "i", "mounts": ["source=v-${devcontainerId},target=/v"]})
    assert found.mounts[0].source == "v-id0"
    assert found.configuration["mounts"] == ["source=v-${devcontainerId},target=/v"]


def test_without_an_id_it_comes_from_the_two_paths(load):
    found = load({"image": "${devcontainerId}"}, devcontainer_id="")
    assert found.image == devcontainer.devcontainer_id(
        {"devcontainer.local_folder": str(ROOT), "devcontainer.config_file": str(FILE)}
    )


@pytest.mark.parametrize(
    ("path", "scheme"),
    [
        (".devcontainer/devcontainer.json", "vscode-fileHost"),
        (".devcontainer.json", "vscode-fileHost"),
        (".devcontainer/api/devcontainer.json", "file"),
        ("devcontainer.json", "file"),
    ],
)
def test_the_configuration_names_its_file_as_the_reference_does(path, scheme, load):
    found = load({"image": "i"}, ROOT / path)
    assert found.configuration == {
        "image": "i",
        "configFilePath": {"$mid": 1, "fsPath": f"{ROOT}/{path}", "path": f"{ROOT}/{path}", "scheme": scheme},
    }


def test_what_is_applied_elsewhere_is_held_typed(load):
    found = load(
        {
            "image": "i",
            "name": "Site",
            "remoteUser": "dev",
            "remoteEnv": {"A": "${containerEnv:A}", "B": None},
            "forwardPorts": [3000, "db:5432"],
            "portsAttributes": {"3000": {"label": "web"}},
            "initializeCommand": "make env",
            "postStartCommand": {"a": "b"},
            "postCreateCommand": ["c", "d"],
            "waitFor": "postCreateCommand",
            "userEnvProbe": "none",
            "features": {"ghcr.io/x/y:1": {}},
            "overrideFeatureInstallOrder": ["ghcr.io/x/y"],
            "hostRequirements": {"gpu": "optional"},
            "secrets": {"TOKEN": {"description": "for the API"}},
            "customizations": {"vscode": {}},
        }
    )
    assert (found.name, found.remote_user) == ("Site", "dev")
    assert found.remote_env == (("A", "${containerEnv:A}"), ("B", None))
    assert found.forward_ports == (3000, "db:5432")
    assert found.ports_attributes == {"3000": {"label": "web"}}
    assert found.lifecycle == (
        ("initializeCommand", "make env"),
        ("postCreateCommand", ["c", "d"]),
        ("postStartCommand", {"a": "b"}),
    )
    assert (found.wait_for, found.user_env_probe) == ("postCreateCommand", "none")
    assert found.features == {"ghcr.io/x/y:1": {}}
    assert found.feature_order == ("ghcr.io/x/y",)
    assert found.host_requirements == {"gpu": "optional"}
    assert found.secrets == {"TOKEN": {"description": "for the API"}}
    assert found.customizations == {"vscode": {}}


def test_run_args_turn_init_and_privileged_on(load):
    found = load({"image": "i", "init": False, "runArgs": ["--init", "--privileged"]})
    assert (found.init, found.privileged) == (True, True)
    assert load({"image": "i", "init": False}).init is False
    assert load({"image": "i"}).privileged is None


def test_a_place_falls_back_to_the_nearest_key_above(load):
    found = load('{\n  "image": "i",\n  "features": {\n    "ghcr.io/a/b:1": {} }\n}')
    assert found.where("features", "ghcr.io/a/b:1") == Location("devcontainer.json", 4, 5)
    assert found.where("features", "ghcr.io/a/b:1", "version").line == 4
    assert found.where("nothing") == Location("devcontainer.json", 1, 1)


def test_the_older_context_is_named_where_it_has_no_effect(load):
    found = load('{"build": {"dockerfile": "D"},\n "context": ".."}')
    assert [str(notice) for notice in found.notices] == [
        "devcontainer.json:2: `context` is ignored: it only applies to `dockerFile`: use `build.context`"
    ]


def test_compose_files_are_not_made_into_a_compose_file(load):
    with pytest.raises(DevcontainerError) as caught:
        devcontainer.as_compose(load({"dockerComposeFile": "c", "service": "a"}))
    assert caught.value.problems[0].line == 1
    assert caught.value.hint == "a devcontainer with `dockerComposeFile` is its own compose project"


def test_a_leading_bom_and_windows_line_ends_are_read():
    text = decode('\ufeff// x\r\n{"image": "i"}\r\n'.encode(), "devcontainer.json", DevcontainerError)
    assert jsonc.parse(text, "devcontainer.json").value == {"image": "i"}


def test_a_file_that_is_not_utf_8_is_refused_with_its_place():
    with pytest.raises(DevcontainerError) as caught:
        decode('{\n"name": "Café"}'.encode("latin-1"), "devcontainer.json", DevcontainerError)
    assert str(caught.value) == "devcontainer.json:2:13: byte 0xe9 is not UTF-8"
    assert caught.value.hint == "save the file as UTF-8"


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ({"extensions": []}, {"customizations": {"vscode": {"extensions": []}}}),
        ({"settings": {}}, {"customizations": {"vscode": {"settings": {}}}}),
        ({"extensions": None}, {"extensions": None}),
        ({"devPort": 1}, {"customizations": {"vscode": {"devPort": 1}}}),
        (
            {"devPort": 1, "customizations": {"vscode": {"devPort": 2}}},
            {"devPort": 1, "customizations": {"vscode": {"devPort": 2}}},
        ),
        (
            {"extensions": "a", "customizations": {"x": 1, "vscode": {"extensions": "b"}}},
            {"customizations": {"x": 1, "vscode": {"extensions": ["b", "a"]}}},
        ),
    ],
)
def test_older_properties_of_editors_move(older, newer, load):
    configuration = load({"image": "i", **older}, strict=False).configuration
    del configuration["configFilePath"]
    assert configuration == {"image": "i", **newer}
