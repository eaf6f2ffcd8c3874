"""Two branches as two stacks: each with its own version and source, deployed again by name, removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real.lab import COMPOSE, Host, Lab
from tests.workspace.lab import git


def test_two_branches_are_two_stacks_with_their_own_source(
    lab: Lab, hosts: tuple[Host, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    host = hosts[0]
    blog = lab.small(
        "named", [host], compose=COMPOSE + "    volumes: ['..:/workspace']\n", settings="placement: {per_host: 100}\n"
    )
    first = git(blog.root, "rev-parse", "HEAD")
    git(blog.root, "switch", "--quiet", "--create", "feature/x")
    second = blog.commit({".devcontainer/message": "of the branch\n"})
    git(blog.root, "switch", "--quiet", "-")
    main = git(blog.root, "branch", "--show-current")
    before = git(blog.root, "for-each-ref")
    names = [f"{blog.service}-{name}" for name in ("old", "fix-42")]
    blog.dev("deploy", "fix-42", "--ref", "feature/x", "--yes")
    blog.dev("deploy", "old", "--ref", main, "--yes")

    def found(stack: str) -> tuple[str, str, str]:
        folder = f"~/.kamal-dev/{stack}/workspace/{blog.root.name}"
        (container,) = (item["Id"] for item in host.containers(stack).values())
        words = (
            f"cat {folder}/.devcontainer/message",
            f"sed s,.*heads/,, {folder}/.git/HEAD",
            f"docker exec {container} cat /message",
        )
        return tuple(host.run(word).strip() for word in words)  # type: ignore[return-value]

    message = (blog.root / ".devcontainer/message").read_text().strip()
    assert [found(stack) for stack in names] == [
        (message, main, message),
        ("of the branch", "feature/x", "of the branch"),
    ]
    listed = {stack["stack"]: (stack["ref"], stack["version"]) for stack in blog.dev("list", "--json").json}
    assert listed == {names[0]: (main, first), names[1]: ("feature/x", second)}
    # A new commit of the branch, and changes in the working tree that are none of its business.
    git(blog.root, "switch", "--quiet", "feature/x")
    third = blog.commit({".devcontainer/message": "newer\n"})
    git(blog.root, "switch", "--quiet", main)
    (blog.root / ".devcontainer/message").write_text("changed here\n")
    started = host.started(names[0])
    blog.dev("deploy", "fix-42")
    assert found(names[1]) == ("newer", "feature/x", "newer")
    assert {stack["version"] for stack in blog.dev("list", "--json").json} == {first, third}
    again = blog.deploy("old", names[1])
    assert {stack["state"] for stack in again.stacks.values()} == {"unchanged"}, str(again)
    assert host.started(names[0]) == started
    git(blog.root, "checkout", "--quiet", "--", ".devcontainer/message")
    assert git(blog.root, "for-each-ref", "--format=%(refname)").split() == [
        line.split()[2] for line in before.splitlines()
    ]
    assert git(blog.root, "status", "--porcelain") == ""
    blog.dev("remove", "fix-42", "old", "--yes")
    assert [host.states(stack) for stack in names] == [{}, {}]
    assert not list((tmp_path / "cache/kamal-dev").iterdir())
