"""What a clone on a host is told of the project's remote."""

from __future__ import annotations

import pytest

from kamal_dev.commands import origin


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.org/a.git", "https://example.org/a.git"),
        ("https://ann@example.org/a.git", "https://example.org/a.git"),
        ("https://ghp_token@example.org:8443/a.git", "https://example.org:8443/a.git"),
        ("https://ann:p%40ss@example.org/a.git", "https://example.org/a.git"),
        ("http://ann:a@b@example.org/a.git", "http://example.org/a.git"),
        ("ssh://git@example.org:2222/a.git", "ssh://git@example.org:2222/a.git"),
        ("ssh://git:secret@example.org/a.git", "ssh://git@example.org/a.git"),
        ("git@example.org:acme/a.git", "git@example.org:acme/a.git"),
        ("git:secret@example.org:acme/a.git", "git@example.org:acme/a.git"),
        ("/srv/git/a@b.git", "/srv/git/a@b.git"),
        ("../other", "../other"),
    ],
)
def test_a_url_keeps_its_address_and_loses_its_credentials(url: str, expected: str) -> None:
    assert origin.without_credentials(url) == expected


def test_the_project_s_remote_is_origin_or_that_of_the_branch_or_the_first() -> None:
    urls = {"remote.first.url": "a", "remote.own.url": "b", "branch.main.remote": "own"}
    assert origin.of({**urls, "remote.origin.url": "c"}, "main") == "origin"
    assert (origin.of(urls, "main"), origin.of(urls, "other"), origin.of({}, "main")) == ("own", "first", "")


def test_only_what_a_clone_needs_is_in_its_configuration() -> None:
    settings = {
        "remote.own.url": "https://t@example.org/a.git",
        'branch.fix "1".remote': "own",
        'branch.fix "1".merge': "refs/heads/fix",
        "user.name": 'Ann "A" \\ Lee',
        "user.signingkey": "xyzzy",
        "submodule.lib/one.url": "https://t@example.org/lib.git",
        "http.extraheader": "xyzzy",
    }
    assert origin.config(settings, 'fix "1"', "own") == (
        '[remote "origin"]\n\turl = "https://example.org/a.git"\n\tfetch = "+refs/heads/*:refs/remotes/origin/*"\n'
        '[branch "fix \\"1\\""]\n\tremote = "origin"\n\tmerge = "refs/heads/fix"\n'
        '[user]\n\tname = "Ann \\"A\\" \\\\ Lee"\n'
        '[submodule "lib/one"]\n\turl = "https://example.org/lib.git"\n'
    )
