"""Two people and one stack: ann deploys a branch, bob works in it, its time ends, and nothing of his work is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.real.lab import COMPOSE, Host, Lab, Repository, docker, wait_for
from tests.workspace.lab import git

ANN_AGAIN = "of ann, again\n"
BOB = ("-c", "user.name=Bob", "-c", "user.email=bob@example.com")
PATIENCE = 120


def cloned(origin: Path, owner: Repository, name: str) -> Repository:
    """Return the clone of another person, with a folder of their own for temporary files."""
    root, temporary = origin.parent / name / owner.root.name, origin.parent / f"{name}.tmp"
    temporary.mkdir()
    git(origin, "clone", "--quiet", str(origin), str(root))
    return replace(owner, root=root, temporary=temporary)


def state(repository: Repository) -> str:
    (item,) = repository.dev("list", "--json").json
    return str(item["state"])


def test_the_work_of_a_colleague_outlives_deploys_and_the_end_of_the_stack(
    lab: Lab, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    text = COMPOSE + "    volumes: ['..:/workspace']\n"
    made = lab.small("team", [host], {"notes": "of ann\n"}, compose=text, settings="placement: {per_host: 100}\n")
    git(made.root, "branch", "feature/x")
    origin = tmp_path / "origin.git"
    git(made.root, "clone", "--quiet", "--bare", str(made.root), str(origin))
    ann, bob = cloned(origin, made, "ann"), cloned(origin, made, "bob")
    stack, folder = f"{made.service}-fix-42", f"~/.kamal-dev/{made.service}-fix-42/workspace/{made.root.name}"

    # Ann deploys a branch, bob works in it.
    ann.dev("deploy", "fix-42", "--ref", "feature/x", "--ttl", "1h", "--yes")
    assert state(bob) == "up"
    bob.dev("exec", "fix-42", "--", "sh", "-c", "echo of bob >>/workspace/notes")
    # Ann deploys a newer commit, then only for a short time.
    git(ann.root, "switch", "--quiet", "feature/x")
    ann.commit({".devcontainer/message": ANN_AGAIN})
    git(ann.root, "push", "--quiet")
    ann.dev("deploy", "fix-42")
    (container,) = (item["Id"] for item in host.containers(stack).values())
    assert host.run(f"cat {folder}/notes") == "of ann\nof bob\n"
    assert host.run(f"docker exec {container} cat /message") == ANN_AGAIN
    ann.dev("deploy", "fix-42", "--ttl", "3s")
    wait_for("it is stopped", lambda: state(ann) == "stopped", PATIENCE)
    assert host.run(f"docker inspect --format '{{{{.State.Running}}}}' {container}") == "false\n"

    # Bob fetches his work from the stopped stack, which nobody removes while it is only there.
    git(bob.root, "fetch", "--quiet")
    bob.dev("pull", "fix-42")
    assert git(bob.root, "show", f"kamal-dev/{stack}:notes") == "of ann\nof bob"
    kept = ann.dev("reap", "--yes").stderr
    assert f"{stack} is kept: uncommitted changes in the workspace" in kept
    assert f"`dev pull {stack}` fetches the work" in kept
    assert state(ann) == "stopped"

    # He commits there; only what he has pushed is safe.
    host.run(f"mkdir -p {origin.parent}")
    docker("cp", "--quiet", str(origin), f"{host.container}:{origin}")
    host.run(f"cd {folder} && git {' '.join(BOB)} commit -qam Notes")
    assert f"{stack} is kept: unpushed commits in the workspace" in bob.dev("reap", "--yes").stderr
    host.run(f"cd {folder} && git push --quiet origin HEAD:refs/heads/bob")
    ann.dev("reap", "--yes")
    assert host.containers(stack) == {}
    assert bob.dev("list", "--json").json == []
    assert not list((tmp_path / "cache/kamal-dev").iterdir())
