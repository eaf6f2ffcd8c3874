"""What people write for a repository: a URL, an address of SSH, a path; with a reference; with credentials."""

from __future__ import annotations

from pathlib import Path

import pytest

from kamal_dev.errors import UsageError
from kamal_dev.project.repository_url import is_url, name_of, parse, submodule_url


@pytest.mark.parametrize(
    ("word", "url", "ref", "name"),
    [
        ("https://example.org/ann/blog", "https://example.org/ann/blog", "", "blog"),
        ("https://example.org/ann/blog.git@main", "https://example.org/ann/blog.git", "main", "blog"),
        ("https://example.org/ann/blog@feature/x", "https://example.org/ann/blog", "feature/x", "blog"),
        ("https://example.org/ann/blog@pr/7", "https://example.org/ann/blog", "pr/7", "blog"),
        ("https://example.org/ann/blog/pull/7", "https://example.org/ann/blog", "pr/7", "blog"),
        ("https://example.org/g/blog/-/merge_requests/7", "https://example.org/g/blog", "pr/7", "blog"),
        ("example.org/ann/blog@v1.4", "https://example.org/ann/blog", "v1.4", "blog"),
        ("git@example.org:ann/blog.git", "git@example.org:ann/blog.git", "", "blog"),
        ("git@example.org:ann/blog.git@user@x", "git@example.org:ann/blog.git", "user@x", "blog"),
        ("ssh://git@example.org:2222/ann/blog@main", "ssh://git@example.org:2222/ann/blog", "main", "blog"),
        ("ssh://git:pw@example.org/ann/blog", "ssh://git@example.org/ann/blog", "", "blog"),
        ("file:///srv/a@b/blog.git@main", "file:///srv/a@b/blog.git", "main", "blog"),
    ],
)
def test_a_repository_and_its_reference(tmp_path: Path, word: str, url: str, ref: str, name: str) -> None:
    assert is_url(word)
    found = parse(word, tmp_path)
    assert (found.url, found.ref, found.name) == (url, ref, name)


def test_a_path_is_relative_to_where_dev_runs(tmp_path: Path) -> None:
    (tmp_path / "blog").mkdir()
    found = parse("./blog@main", tmp_path)
    assert (found.url, found.ref) == (str(tmp_path / "blog"), "main")


@pytest.mark.parametrize("word", ["guestbook-1", "fix-42", "db", "*-1", "4b1c9a2", "guestbook-1:/tmp", "a.txt"])
def test_a_stack_is_no_repository(word: str) -> None:
    assert not is_url(word)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("ext::sh -c touch% /tmp/x://a", "is not a transport"),
        ("javascript://a/b", "is not a transport"),
        ("https://example.org/ann/blog@", "is not a repository"),
        ("https://example.org/", "is not a repository"),
        ("/nowhere/at/all", "there is no repository at /nowhere/at/all"),
        ("https://ann:a%0Ab@example.org/blog", "a line break"),
    ],
)
def test_what_is_no_repository_is_an_error(tmp_path: Path, word: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse(word, tmp_path)
    assert caught.value.hint


def test_credentials_are_given_to_git_alone(tmp_path: Path) -> None:
    found = parse("https://ann:s3%40cret@example.org:8443/ann/blog@main", tmp_path)
    assert (found.url, found.ref) == ("https://example.org:8443/ann/blog", "main")
    assert "s3" not in repr(found)
    given = found.environment({"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "a.b", "GIT_CONFIG_VALUE_0": "c"})
    assert given["KAMAL_DEV_GIT_PASSWORD"] == "s3@cret"
    assert given["GIT_CONFIG_KEY_0"] == "a.b"
    assert given["GIT_CONFIG_KEY_2"] == "credential.https://example.org:8443.helper"
    assert not any("s3@" in value for name, value in given.items() if name.startswith("GIT_CONFIG"))
    assert parse("https://example.org/a/b", tmp_path).environment({"A": "b"}) == {"A": "b"}


def test_one_repository_has_one_key(tmp_path: Path) -> None:
    words = ("https://example.org/ann/blog", "https://ann:pw@example.org/ann/blog.git@v1", "example.org/ann/blog/")
    assert len({parse(word, tmp_path).key for word in words}) == 1


@pytest.mark.parametrize(
    ("ref", "name"),
    [("feature/x", "feature-x"), ("pr/7", "pr-7"), ("v1.4", "v1-4"), ("a" * 40, "a" * 12), ("Ünï", "n"), ("...", "")],
)
def test_the_name_of_a_stack_for_a_reference(ref: str, name: str) -> None:
    assert name_of(ref) == name


@pytest.mark.parametrize(
    ("url", "outer", "full"),
    [
        ("https://example.org/lib", "https://example.org/ann/blog", "https://example.org/lib"),
        ("../lib.git", "https://example.org/ann/blog.git", "https://example.org/ann/lib.git"),
        ("../../bob/lib", "https://example.org/ann/blog/", "https://example.org/bob/lib"),
        ("../lib", "git@example.org:ann/blog.git", "git@example.org:ann/lib"),
        ("../lib", "git@example.org:blog.git", "git@example.org:lib"),
        ("./lib", "/srv/blog", "/srv/blog/lib"),
        ("../lib", "/srv/blog", "/srv/lib"),
    ],
)
def test_the_url_of_a_submodule(url: str, outer: str, full: str) -> None:
    assert submodule_url(url, outer) == full
