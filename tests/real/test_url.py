"""A repository that is not checked out, behind a password: deployed by its URL, entered, deployed again, removed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.gitserver import served
from tests.real.lab import Host, Lab
from tests.workspace.lab import git

SETTINGS = "placement: {per_host: 100}\n"
DEVCONTAINER = (
    '{"dockerComposeFile": "compose.yaml", "service": "app", "initializeCommand": "echo by-ann >initialized", '
    '"remoteEnv": {"FROM_ANN": "${localEnv:OF_ANN}"}}\n'
)


def test_a_repository_that_is_not_checked_out(
    lab: Lab, hosts: tuple[Host, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CACHE", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setenv("OF_ANN", "of-ann")
    host = hosts[0]
    compose = "services:\n  app:\n    build: .\n    volumes: ['..:/workspace']\n"
    files = {".devcontainer/devcontainer.json": DEVCONTAINER, ".gitignore": ".kamal/local\ninitialized\n"}
    blog = lab.small("url", [host], files, compose=compose, settings=SETTINGS)
    hook = blog.root / ".kamal/hooks/pre-connect"
    hook.parent.mkdir(parents=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hook-ran\n")
    hook.chmod(0o755)
    first = blog.commit()
    git(blog.root, "switch", "--quiet", "--create", "feature/x")
    second = blog.commit({".devcontainer/message": "of the branch\n"})
    git(blog.root, "switch", "--quiet", "main")
    git(blog.root, "update-ref", "refs/pull/7/head", second)
    empty = replace(blog, root=tmp_path / "empty")
    empty.root.mkdir()
    login = f"ann:{lab.password}"
    with served(blog.root.parent, login) as address:
        plain = f"{address}/{blog.root.name}"
        url = plain.replace("//", f"//{login}@")
        deployed = empty.dev("deploy", url, "--yes", "--verbose")
        again = empty.deploy(f"{url}@feature/x", "--yes")
        pulled = empty.dev("deploy", f"{url}@pr/7", "--yes")
        branch = f"{blog.service}-feature-x"
        listed = {
            stack["stack"]: (stack["ref"], stack["version"])
            for stack in empty.dev("list", "--repo", url, "--json").json
        }
        assert listed == {
            blog.stack(): ("", first),
            branch: ("feature/x", second),
            f"{blog.service}-pr-7": ("pr/7", second),
        }
        folder = f"~/.kamal-dev/{branch}/workspace/{blog.root.name}"
        assert host.run(f"cat {folder}/.devcontainer/message; git -C {folder} remote get-url origin").split("\n") == [
            "of the branch",
            plain,
            "",
        ]
        # Nothing of a repository that is not trusted ran here or saw the environment, and nothing has the password.
        assert not list(tmp_path.rglob("initialized"))
        assert not (tmp_path / "hook-ran").exists()
        assert "the repository is not trusted" in deployed.text + again.text
        shown = empty.dev("exec", f"{url}@feature/x", "--", "sh", "-c", "echo from=$FROM_ANN; cat /message").stdout
        assert shown.split() == ["from=", "of", "the", "branch"]
        assert not host.says(f"grep -r -q -F {lab.password} ~/.kamal-dev")
        assert lab.password not in deployed.text + again.text + pulled.text
        kept = (path for folder in ("cache", "state") for path in (tmp_path / folder).rglob("*") if path.is_file())
        assert [path for path in kept if lab.password.encode() in path.read_bytes()] == []
        # Trusted, and with a newer commit.
        third = blog.commit({"newer": ""})
        empty.dev("deploy", url, "--yes", "--trust")
        assert (tmp_path / "hook-ran").exists()
        assert [path.read_text() for path in tmp_path.rglob("initialized")] == ["by-ann\n"]
        assert {stack["version"] for stack in empty.dev("list", "--repo", url, "--json").json} == {second, third}
        shown = empty.dev("ssh", "--repo", url, blog.stack(), "--", "printenv", "FROM_ANN").stdout
        assert shown.strip() == "of-ann"
        empty.dev("remove", f"{url}@feature/x", "--yes")
        assert [bool(host.states(name)) for name in (branch, blog.stack())] == [False, True]
        empty.dev("remove", "--repo", url, "--yes")
    assert not host.states(blog.stack())
    assert list(empty.root.iterdir()) == []
