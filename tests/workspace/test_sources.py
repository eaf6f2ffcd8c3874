"""What `workspace.source` makes of a workspace, besides a clone."""

from __future__ import annotations

import shutil

import pytest

from kamal_dev.errors import ConfigError, Declined, UsageError
from tests.workspace.lab import CONFIG, Lab, git, tree


def choose(lab: Lab, source: str) -> None:
    lab.write({"config/dev.yml": CONFIG.replace("source: git", f"source: {source}")})


def test_git_is_the_default_in_a_repository_and_sync_outside(lab: Lab) -> None:
    lab.write({"config/dev.yml": "service: blog\n"})
    assert lab.run().project.workspace_source == "git"
    shutil.rmtree(lab.root / ".git")
    assert lab.run().project.workspace_source == "sync"


def test_git_outside_a_repository_is_an_error_with_its_line(lab: Lab) -> None:
    shutil.rmtree(lab.root / ".git")
    with pytest.raises(ConfigError) as raised:
        lab.run()
    (problem,) = raised.value.problems
    assert (problem.path, problem.line, problem.key) == ("config/dev.yml", 2, "workspace.source")


def test_sync_sends_the_files_once_and_replaces_them_by_force(lab: Lab) -> None:
    choose(lab, "sync")
    lab.write({"ignored.log": "stays\n", ".kamal/secrets": "A=xyzzy\n", "ü \n.txt": "odd\n"})
    (lab.root / "outside").symlink_to("/etc/passwd")
    assert lab.bring() == "new"
    here = tree(lab.root)
    here.pop("ignored.log")
    assert tree(lab.clone) == here
    assert not (lab.clone / ".git").exists() and not (lab.clone / ".kamal/secrets").exists()
    (lab.clone / "mine.txt").write_text("mine\n")
    lab.write({"a.txt": "newer\n"})
    assert (lab.bring(), lab.home.steps) == ("skipped", [])
    held = lab.sync()
    assert (held.states, str(held.error())) == (("skipped",), "the workspace of blog-1 was not updated")
    assert lab.said == ["blog-1  unchanged (workspace has files; `dev sync blog-1 --force` replaces them)"]
    assert "would not be updated" in str(lab.sync(dry_run=True).error())
    assert lab.bring(force=True) == "new"
    assert (lab.clone / "a.txt").read_text() == "newer\n" and not (lab.clone / "mine.txt").exists()
    assert [path.read_text() for path in lab.home.path.rglob("backups/*/mine.txt")] == ["mine\n"]


def test_sync_sends_a_list_of_files_that_is_longer_than_an_output(lab: Lab) -> None:
    choose(lab, "sync")
    lab.write({f"{'folder' * 10}/{number:05}{'x' * 100}": "" for number in range(1500)})
    assert lab.bring() == "new"
    assert tree(lab.clone) == tree(lab.root)
    assert [words for words in lab.said if "the source" in words] == ["Sending the source", "Sent the source"]


@pytest.mark.parametrize("source", ["none", "image"])
def test_none_and_image_send_nothing(lab: Lab, source: str) -> None:
    choose(lab, source)
    assert (lab.bring(), lab.home.steps) == ("", [])
    with pytest.raises(UsageError):
        lab.pull()


def test_a_workspace_of_files_becomes_a_clone_by_force_alone(lab: Lab) -> None:
    choose(lab, "sync")
    lab.bring()
    choose(lab, "git")
    assert lab.bring() == "skipped"
    assert lab.bring(force=True) == "new"
    assert git(lab.clone, "log", "--oneline") == git(lab.root, "log", "--oneline")
    assert lab.bring() == "same"


def test_sync_does_for_one_stack_what_a_deploy_does(lab: Lab) -> None:
    with pytest.raises(UsageError, match="not deployed yet"):
        lab.sync()
    lab.bring()
    lab.commit({"a.txt": "newer\n"})
    planned = lab.sync(dry_run=True)
    assert (str(planned), planned.error()) == ("blog-1  send source to `blog` (host compares the source)", None)
    moved = lab.sync()
    assert (moved.states, moved.error(), str(moved)) == (("moved",), None, "")
    assert str(planned) in lab.said
    (lab.clone / "a.txt").write_text("mine\n")
    assert (lab.sync().states, lab.sync().error()) == (("skipped",), None), "it has this very source"
    lab.commit({"a.txt": "newest\n"})
    for _ in range(2):
        held = lab.sync()
        assert (held.states, str(held.error())) == (("skipped",), "the workspace of blog-1 was not updated")
        assert (held.result().ok, held.result().exit_code, held.result().stacks[0].ok) == (False, 1, False)
        assert "`dev sync blog-1 --force` discards them" in lab.said[-1]
    with pytest.raises(Declined):
        lab.sync(force=True, agree=lambda question: False)
    assert (lab.clone / "a.txt").read_text() == "mine\n"
    assert lab.sync(force=True).states == ("moved",)
    assert tree(lab.clone) == tree(lab.root)
    with pytest.raises(UsageError, match="there is no stack"):
        lab.sync("blog-7")


@pytest.mark.parametrize("source", ["git", "sync"])
def test_a_clone_in_a_folder_of_another_name_is_told_where_the_workspace_is(lab: Lab, source: str) -> None:
    lab.commit({"config/dev.yml": f"service: blog\nworkspace: {{source: {source}}}\n"})
    lab.bring()
    assert not any("no longer see" in said for said in lab.said)
    (lab.clone / "mine.txt").write_text("mine\n")
    lab.root = lab.root.rename(lab.root.with_name("blog2"))
    lab.commit({"a.txt": "newer\n"})
    assert lab.bring() == "new"
    (warning,) = (said for said in lab.said if "no longer see" in said)
    assert "blog-1: the workspace of blog-1 there is in `blog`; the local folder is called `blog2`" in warning
    assert "Nothing was removed: deploy from a folder called `blog`" in warning
    lab.bring()
    assert not any("no longer see" in said for said in lab.said)
    assert (lab.clone.with_name("blog") / "mine.txt").exists()
    lab.root = lab.root.rename(lab.root.with_name("blog"))
    assert ("`dev pull blog-1`" in warning) == (source == "git")
    if source == "git":
        assert lab.bring(ask=True) == "skipped"
        (pulled,) = lab.pull()
        assert git(lab.root, "show", f"{pulled.branch}:mine.txt") == "mine"


def test_a_folder_of_the_workspace_that_the_release_uses_is_not_told_of(lab: Lab) -> None:
    lab.commit(
        {
            ".devcontainer/devcontainer.json": '{"dockerComposeFile": "compose.yaml", "service": "app"}\n',
            ".devcontainer/compose.yaml": "services: {app: {image: debian:12, volumes: ['..:/w', '../../lib:/l']}}\n",
        }
    )
    (lab.home.workspace / "lib").mkdir(parents=True)
    (lab.home.workspace / "lib/a.txt").write_text("of the other one\n")
    assert lab.bring() == "new"
    assert not any("warning" in said for said in lab.said)
