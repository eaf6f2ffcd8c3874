import pytest

from kamal_dev.errors import ComposeError
from tests.compose.support import load, overlay_of, render, text_of


def _mark(project) -> str:
    return next(line for line in overlay_of(render(project)).splitlines() if "kamal-dev.files" in line)


def test_a_changed_file_changes_the_mark_of_its_service_alone() -> None:
    text = "services:\n  app: {image: x, volumes: ['./a:/a']}\n  db: {image: y, volumes: ['./b:/b']}\n"
    before = overlay_of(render(load(text, files={".devcontainer/a": "1", ".devcontainer/b": "1"})))
    after = overlay_of(render(load(text, files={".devcontainer/a": "2", ".devcontainer/b": "1"})))
    changed = [line for line in after.splitlines() if line not in before.splitlines()]
    assert len(changed) == 1
    assert "kamal-dev.files" in changed[0]


def test_missing_config_and_secret_files_stop_a_deployment() -> None:
    project = load(
        """
services:
  app: {image: x, configs: [a], secrets: [{source: b}, outside]}
  idle: {image: x, profiles: [p], configs: [idle]}
configs: {a: {file: ./a}, idle: {file: ./idle}}
secrets: {b: {file: ./b}, outside: {file: /etc/passwd}}
""",
        files={"/etc/passwd": "root"},
    )
    assert [str(problem) for problem in project.problems] == [
        ".devcontainer/compose.yaml:5:21: configs: `.devcontainer/a` does not exist, and `app` needs it",
        ".devcontainer/compose.yaml:6:21: secrets: `.devcontainer/b` does not exist, and `app` needs it",
        ".devcontainer/compose.yaml:6:43: secrets: `/etc/passwd` is outside the repository:"
        " only files in the repository are sent to hosts, unless `--allow-outside` is set",
    ]


def test_a_missing_env_file_says_what_to_do() -> None:
    with pytest.raises(ComposeError) as caught:
        load("services: {app: {image: x, env_file: [{path: a.env, required: true}]}}\n")
    assert caught.value.hint.startswith("create `.devcontainer/a.env`, or write")


def test_an_env_file_may_be_missing_where_it_is_not_needed() -> None:
    project = load("services:\n  app: {image: x, env_file: [{path: a.env, required: false}]}\n")
    assert project.travels == ()


def test_label_files_travel() -> None:
    project = load("services: {app: {image: x, label_file: ./l.env}}\n", files={".devcontainer/l.env": "a=$ZONE\n"})
    assert [travel.role for travel in project.travels] == ["label_file"]
    assert project.variables == ("ZONE",)


def test_one_file_in_two_roles_is_readable_for_both() -> None:
    project = load(
        "services: {app: {image: x, env_file: f, volumes: ['./f:/f']}, b: {image: y, env_file: f}}\n",
        files={".devcontainer/f": "A=1\n"},
    )
    release = render(project)
    assert [(file.path, file.mode) for file in release.files if file.path.endswith("/f")] == [
        (".devcontainer/f", 0o644)
    ]
    assert text_of(release, ".devcontainer/f") == "A=1\n"
    assert project.travels[0].services == ("app", "b")
    assert _mark(project)
