"""The lifecycle of a devcontainer as shell text, tried in the shells that are here."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from kamal_dev.devcontainer import lifecycle, requirements
from tests.shells import SHELLS

NASTY = ["", "plain", "it's", 'a "b" `c` $d $(e)', "two\nlines", "~", "a:~/b", "  spaces  ", "*", "☃", "\\n", "${HOME}"]


@pytest.fixture(params=SHELLS)
def shell(request):
    """Return a function that runs a script in one shell, with an environment of its own."""
    name, *words = request.param.split()
    argv = [str(shutil.which(name)), *words]

    def run(script: str, **environment: str) -> str:
        path = {"PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            argv, input=script, env={**path, **environment}, capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
        return done.stdout

    return run


def at(files, path: str) -> str:
    (found,) = [file for file in files if file.path == path]
    assert found.mode == 0o600
    return found.content.decode()


@pytest.mark.parametrize("text", NASTY)
def test_a_text_is_one_word_of_a_shell(shell, text: str) -> None:
    assert shell(f'word={lifecycle.word(text)}; printf %s "$word"') == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<${containerEnv:SET}>", "<a  *'\"b>"),
        ("${containerEnv:EMPTY:default}", ""),
        ("${containerEnv:MISSING:it's a} default}", "it's a default}"),
        ("${containerEnv:MISSING:a:b}|${containerEnv:MISSING}|", "a||"),
        ("${containerEnv:no.shell.name:x}", "x"),
        ("${containerEnv}${SET}", "${containerEnv}${SET}"),
    ],
)
def test_a_variable_of_the_container_is_looked_up_there(shell, text: str, expected: str) -> None:
    script = f'word={lifecycle.word(text)}; printf %s "$word"'
    assert shell(script, SET="a  *'\"b", EMPTY="") == expected


def test_each_form_of_a_command_becomes_what_is_executed(load) -> None:
    found = load(
        {
            "image": "i",
            "initializeCommand": {"a": "make env", "b": ["./x", "y z"]},
            "postCreateCommand": ["npm", "ci"],
            "onCreateCommand": "a && b",
            "updateContentCommand": {"none": "", "words": []},
            "postAttachCommand": "never",
        }
    )
    assert [
        (stage.name, [(one.name, one.argv, one.text) for one in stage.commands]) for stage in lifecycle.stages(found)
    ] == [
        ("onCreateCommand", [("", ("/bin/sh", "-c", "a && b"), "a && b")]),
        ("postCreateCommand", [("", ("npm", "ci"), "npm ci")]),
    ]
    (hook,) = lifecycle.initialize(found)
    assert [command.text for command in hook.commands] == ["make env", "./x 'y z'"]


def test_no_command_is_no_file(load) -> None:
    assert lifecycle.files(load({"image": "i", "remoteEnv": {"A": "b"}, "postAttachCommand": "x"}), 60) == ()


def test_commands_are_files_in_the_order_in_which_they_run(load, shell) -> None:
    found = load({"image": "i", "postStartCommand": {"a/b&": ["printf", "%s|", "c d"]}, "onCreateCommand": "x"})
    files = lifecycle.files(found, 60)
    assert [file.path for file in files if file.path.endswith(".run")] == [
        "lifecycle/00-onCreateCommand/00.run",
        "lifecycle/01-postStartCommand/00.run",
    ]
    assert at(files, "lifecycle/timeout") == "60\n"
    assert at(files, "lifecycle/01-postStartCommand/00.name") == "a_b_\n"
    assert at(files, "lifecycle/01-postStartCommand/00.text") == "printf %s| 'c d'\n".replace("%s|", "'%s|'")
    assert shell(at(files, "lifecycle/01-postStartCommand/00.run") + 'exec "$@"') == "c d|"


def test_a_session_has_the_remote_environment_and_its_folder(load, shell) -> None:
    remote = {"A": "${containerEnv:B}!", "B": None, "UID": "7", "PATH": "${containerEnv:PATH}:/more"}
    files = lifecycle.session(load({"image": "i", "remoteEnv": remote, "workspaceFolder": "/tmp"}))
    # What a shell of the user says comes between: it must not change what is taken from the container.
    script = at(files, "exec/before") + "B=probed; export B\n" + at(files, "exec/after")
    assert shell(script + 'echo "$A ${B-gone} $PATH $PWD"', B="b") == "b! gone /usr/bin:/bin:/more /tmp\n"


@pytest.mark.parametrize(
    ("said", "flags"),
    [
        ("none", ""),
        ("loginShell", "-lc"),
        ("interactiveShell", "-ic"),
        ("loginInteractiveShell", "-lic"),
        (None, "-lic"),
    ],
)
def test_the_users_shell_is_probed_as_it_is_said(load, said: str | None, flags: str) -> None:
    assert at(lifecycle.session(load({"image": "i", "userEnvProbe": said})), "exec/probe") == f"{flags}\n"


def test_a_variable_that_no_shell_can_name_is_said_to_be_left_out(load) -> None:
    found = load({"image": "i", "remoteEnv": {"A-B": "x", "C": "y"}})
    (notice,) = found.notices
    assert notice.message == "`A-B` is not a valid shell variable name: lifecycle commands do not get it"
    assert at(lifecycle.session(found), "exec/before") == "kamal_dev_env_0=y\n"


def test_sizes_that_are_none_are_refused_with_their_place(refusal) -> None:
    asked = {"cpus": "4", "memory": "big", "storage": "32gb"}
    lines = refusal({"image": "i", "hostRequirements": asked})
    assert [line.split(": ", 1)[1] for line in lines if "hostRequirements" in line] == [
        "hostRequirements.cpus: must be a number",
        "hostRequirements.memory: must be a size, such as `4gb`",
    ]


@pytest.mark.parametrize(
    ("asked", "missing"),
    [
        ({}, ()),
        ({"cpus": 2, "memory": "8gb", "storage": "32gb", "gpu": "optional"}, ()),
        ({"cpus": 4, "memory": "16gb"}, ("2 of 4 CPUs", "7.8 GB of 16 GB memory")),
        ({"storage": str(64 << 30)}, ("29.4 GB of 64 GB storage",)),
        ({"gpu": True}, ("no GPU",)),
        ({"gpu": {"cores": 1000}}, ("no GPU",)),
        ({"gpu": False}, ()),
    ],
)
def test_a_host_is_held_against_what_is_asked(asked, missing: tuple[str, ...]) -> None:
    memory, disk = int(7.8 * (1 << 30)), int(29.4 * (1 << 30))
    assert requirements.lacking(asked, cpus=2, memory=memory, disk=disk, gpu=False) == missing


def test_a_provider_gets_the_sizes_that_are_asked_for() -> None:
    assert requirements.sizes({"cpus": 2, "memory": "4gb", "storage": "1tb"}) == {"cpus": "2", "memory": str(4 << 30)}
    assert requirements.sizes({}) == {}
