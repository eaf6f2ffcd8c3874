"""Large files of a first source are sent as git has stored them, without anything else; damaged ones are not used."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kamal_dev.errors import DevError, HostError
from kamal_dev.model import Result, Step
from kamal_dev.project import stored
from tests.workspace.lab import Home, Lab, git, tree


@pytest.fixture(autouse=True)
def large(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commit a loose file and one that git puts into a pack, and leave one uncommitted."""
    monkeypatch.setattr(stored, "LARGE", 50_000)
    monkeypatch.setattr(stored, "MUCH", 50_000)
    lab.commit({"loose": os.urandom(100_000)})
    lab.write({"packed": os.urandom(200_000)})
    git(lab.root, "-c", "core.bigFileThreshold=150k", "add", "packed")
    git(lab.root, "commit", "--quiet", "--message", "Packed")
    lab.write({"open": os.urandom(100_000)})


class Closing(Home):
    """A home that gets what could be read, as over SSH."""

    def run(self, step: Step, *, feed: Iterator[bytes] | None = None, **options: Any) -> Result:
        """Run one step to its end."""

        def readable() -> Iterator[bytes]:
            with suppress(OSError):
                yield from feed or (step.stdin or b"",)

        return super().run(step, feed=readable(), **options)


def loose(lab: Lab, name: str = "HEAD:loose") -> Path:
    """Return the file of a loose object."""
    commit = git(lab.root, "rev-parse", name)
    return lab.root / ".git/objects" / commit[:2] / commit[2:]


def sent(lab: Lab) -> tuple[list[str], list[str]]:
    """Return the loose objects and the packs of the clone."""
    objects = lab.clone / ".git/objects"
    return [file.parent.name + file.name for file in objects.glob("??/*")], [
        file.stem for file in objects.glob("pack/*.idx")
    ]


def test_they_arrive_with_the_rest_and_later_changes_follow(lab: Lab) -> None:
    assert lab.bring() == "new"
    assert tree(lab.clone) == tree(lab.root)
    assert git(lab.clone, "status", "--porcelain") == "?? open"
    names = [git(lab.root, "rev-parse", "HEAD:loose"), git(lab.root, "hash-object", "open")]
    assert (set(sent(lab)[0]), len(sent(lab)[1])) == (set(names), 2)
    assert "missing" not in git(lab.clone, "fsck", "--strict", "--no-dangling")
    assert not list(lab.home.path.glob(".kamal-dev/.incoming*"))
    lab.commit({"packed": os.urandom(200_000), "a.txt": "newer\n"})
    assert lab.bring() == "moved"
    assert tree(lab.clone) == tree(lab.root)


def test_what_no_sent_commit_contains_stays_here(lab: Lab) -> None:
    lab.commit({"private": os.urandom(100_000)})
    private = git(lab.root, "rev-parse", "HEAD:private")
    git(lab.root, "reset", "--quiet", "--hard", "HEAD~1")
    assert loose(lab, private).exists()
    assert lab.bring() == "new"
    assert private not in sent(lab)[0]


def test_a_damaged_object_is_not_used_and_the_next_try_succeeds(lab: Lab) -> None:
    file = loose(lab)
    content = file.read_bytes()
    file.chmod(0o644)
    for damaged in (content[:60_000], content[:50_000] + b"damage" + content[50_006:]):
        file.write_bytes(damaged)
        with pytest.raises(HostError, match="could not create the clone") as error:
            lab.bring()
        assert error.value.left_behind == "the workspace was not changed"
        assert not lab.clone.exists()
    file.write_bytes(content)
    assert lab.bring() == "new"
    assert tree(lab.clone) == tree(lab.root)


@pytest.mark.parametrize("part", [0.4, 0.7, 0.99])
def test_what_comes_only_in_part_is_sent_again(lab: Lab, part: float) -> None:
    class Torn(Home):
        def _run(self, step: Step, data: bytes) -> subprocess.CompletedProcess[bytes]:
            return super()._run(step, data[: int(len(data) * part)] if step.text.startswith("workspace") else data)

    whole = lab.home
    lab.home = Torn(whole.path)
    with pytest.raises(HostError, match="did not arrive"):
        lab.bring()
    assert not lab.clone.exists()
    assert not list(whole.path.glob(".kamal-dev/.incoming*"))
    lab.home = whole
    assert lab.bring() == "new"
    assert tree(lab.clone) == tree(lab.root)


def test_an_object_that_disappears_meanwhile_is_named(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def disappear(*stores: Path) -> dict[str, stored.StoredObject]:
        objects = stored.large_objects(*stores)
        return {name: replace(one, file=one.file.with_name("none")) for name, one in objects.items()}

    whole = lab.home
    lab.home = Closing(whole.path)
    with monkeypatch.context() as patch, pytest.raises(DevError, match=r"git could not pack the source: .*none"):
        patch.setattr("kamal_dev.pipeline.hosts.clone.large_objects", disappear)
        lab.bring()
    assert not lab.clone.exists()
    lab.home = whole
    assert lab.bring() == "new"
    assert tree(lab.clone) == tree(lab.root)


@pytest.mark.parametrize("kind", ["link", "empty", "files"])
def test_a_place_that_is_taken_is_not_moved_over(lab: Lab, kind: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    lab.home.workspace.mkdir(parents=True)
    if kind == "link":
        lab.clone.symlink_to(victim)
    else:
        lab.clone.mkdir()
    folder = lab.clone.stat().st_ino
    if kind == "files":
        (lab.clone / "mine").write_text("mine\n")
    assert lab.bring(ask=True) == ("new" if kind == "empty" else "skipped")
    assert not list(victim.iterdir())
    if kind == "empty":
        # A container that has mounted it sees the clone.
        assert lab.clone.stat().st_ino == folder
    assert lab.bring(ask=True, force=True) in ("new", "moved")
    assert tree(lab.clone) == tree(lab.root)
    assert not list(victim.iterdir())


def test_a_tampered_clone_gets_objects_only_inside_of_it(lab: Lab, tmp_path: Path) -> None:
    assert lab.bring() == "new"
    victim = tmp_path / "victim"
    victim.mkdir()
    for name in ("pack", git(lab.root, "rev-parse", "HEAD:loose")[:2]):
        (lab.clone / ".git/objects" / name).rename(lab.clone / ".git/objects" / f"{name}.kept")
        (lab.clone / ".git/objects" / name).symlink_to(victim)
    lab.commit({"a.txt": "newer\n"})
    assert lab.bring(ask=True) == "skipped"
    assert lab.bring(ask=True, force=True) == "new"
    assert tree(lab.clone) == tree(lab.root)
    assert not list(victim.iterdir())
