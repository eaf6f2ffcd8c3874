"""A folder to build from has another name once a file changed in a way that BuildKit would not notice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kamal_dev.project.context import forget_missing, named


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = tmp_path / "context"
    (made / "sub").mkdir(parents=True)
    (made / "sub/file").write_text("one")
    return made


def set_back(path: Path, text: str) -> None:
    path.write_text(text)
    os.utime(path, (1, 1))


def test_a_folder_whose_files_have_the_dates_of_their_changes_is_built_from_as_it_is(folder: Path) -> None:
    assert named(folder) == folder
    set_back_git = folder / ".git"
    set_back_git.mkdir()
    set_back(set_back_git / "index", "")
    assert named(folder) == folder


def test_a_date_that_was_set_back_gives_a_name_that_stays_until_the_next_change(folder: Path) -> None:
    set_back(folder / "sub/file", "two")
    first = named(folder)
    assert first != folder
    assert (first / "sub/file").read_text() == "two"
    assert named(folder) == first
    set_back(folder / "sub/file", "six")
    second = named(folder)
    assert second not in (first, folder)
    # What is not built from again is not kept.
    assert [path.name for path in second.parent.iterdir()] == [second.name]


def test_a_dockerfile_beside_the_folder_counts(folder: Path, tmp_path: Path) -> None:
    dockerfile = tmp_path / "Dockerfile"
    set_back(dockerfile, "FROM a")
    assert named(folder) == folder
    assert named(folder, [dockerfile]) != folder


def test_where_no_link_can_be_made_the_folder_is_built_from_as_it_is(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    set_back(folder / "sub/file", "two")
    assert named(folder) == folder


def test_a_name_that_leads_elsewhere_is_not_followed(folder: Path, tmp_path: Path) -> None:
    set_back(folder / "sub/file", "two")
    link = named(folder)
    link.unlink()
    link.symlink_to(tmp_path)
    assert named(folder) == folder


def test_the_names_of_folders_that_are_gone_are_deleted(folder: Path, tmp_path: Path) -> None:
    old, other = tmp_path / "old", tmp_path / "other"
    for path in (old, other, folder):
        path.mkdir(exist_ok=True)
        set_back(path / "file", "two")
    gone, kept = named(old), named(other)
    (old / "file").unlink()
    old.rmdir()
    last = named(folder)
    assert not gone.is_symlink()
    assert sorted(last.parent.iterdir()) == sorted([kept, last])


def test_checkouts_have_names_of_their_own(folder: Path, tmp_path: Path) -> None:
    checkouts = [tmp_path / f"cache/kamal-dev/blog-{name}/blog/.devcontainer" for name in ("x", "y")]
    for checkout in checkouts:
        checkout.mkdir(parents=True)
    first, second = map(named, checkouts)
    assert first.name != second.name
    assert [named(checkout) for checkout in checkouts] == [first, second]
    checkouts[0].rmdir()
    forget_missing()
    assert [*first.parent.iterdir()] == [second]
    checkouts[1].rmdir()
    forget_missing()
    assert not first.parent.exists()
