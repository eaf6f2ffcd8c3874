"""Stacks that end by themselves on a host with the watcher: stopped, started again, removed, kept because of work."""

from __future__ import annotations

import json
from typing import Any

from tests.real.lab import COMPOSE, Host, Lab, Repository, wait_for

IN_WORKSPACE = COMPOSE + "    volumes: ['..:/workspace']\n"
NEWER = "printf work >>~/.kamal-dev/{stack}/workspace/{folder}/.devcontainer/message"
PATIENCE = 120


def small(lab: Lab, host: Host, name: str, settings: str = "") -> Repository:
    text = f"placement: {{per_host: 100}}\n{settings}"
    return lab.small(name, [host], compose=IN_WORKSPACE, settings=text)


def alerts(host: Host, stack: str) -> list[str]:
    text = host.run(f"cat ~/.kamal-dev/{stack}/alerts.log 2>/dev/null || true")
    lines = [json.loads(line) for line in text.splitlines()]
    return [line["reason"] for line in lines if line["state"] == "lifetime"]


def is_told(host: Host, stack: str, words: str) -> bool:
    return any(words in reason for reason in alerts(host, stack))


def listed(repository: Repository) -> dict[str, Any]:
    return {item["stack"]: item for item in repository.dev("list", "--json").json}


def test_a_stack_stops_when_its_ttl_ends_and_an_extended_one_does_not(lab: Lab, host: Host) -> None:
    blog = small(lab, host, "ttl")
    stack = blog.stack(1)
    blog.deploy("--ttl", "1h", "--yes")
    assert listed(blog)[stack]["lifetime"]["ttl"] == 3600
    assert "LEFT" in blog.dev("list").stdout
    blog.dev("extend", stack, "12s")
    wait_for("people are told before", lambda: is_told(host, stack, "its ttl ends in"), PATIENCE)
    wait_for("people are told after", lambda: is_told(host, stack, "stopped: its ttl has ended"), PATIENCE)
    item = listed(blog)[stack]
    assert (item["state"], item["lifetime"]["ended"], item["lifetime"]["watched"]) == ("stopped", "ttl", True)
    assert "stopped (ttl ended " in blog.dev("list").stdout
    # What enters it starts it, and its lifetime begins again.
    assert blog.dev("exec", stack, "--", "cat", "/message").stdout.strip()
    item = listed(blog)[stack]
    assert (item["state"], item["lifetime"]["ended"]) == ("up", "")
    blog.dev("extend", stack, "never")
    assert blog.dev("list", "--json").json[0]["lifetime"]["ttl"] == 0
    # A later deploy keeps what was chosen by hand.
    blog.deploy()
    assert listed(blog)[stack]["lifetime"]["ttl"] == 0
    blog.dev("remove", "--yes")


def test_a_stack_is_removed_at_its_end_unless_its_workspace_has_work(lab: Lab, host: Host) -> None:
    blog = small(lab, host, "fleeting", "lifetime: {ttl: 1h, then: remove}\n")
    blog.deploy("--count", "2", "--yes")
    clean, worked_in = blog.stack(1), blog.stack(2)
    host.run(NEWER.format(stack=worked_in, folder=blog.root.name))
    for stack in (clean, worked_in):
        blog.dev("extend", stack, "3s")
    wait_for("the clean one is removed", lambda: not host.says(f"test -d ~/.kamal-dev/{clean}/releases"), PATIENCE)
    kept = "not removed: uncommitted changes in the workspace"
    wait_for("the other is kept", lambda: is_told(host, worked_in, kept), PATIENCE)
    assert set(host.states(worked_in).values()) == {"exited 137"}
    item = listed(blog)[worked_in]
    assert (item["state"], item["lifetime"]["kept"]) == ("stopped", "uncommitted changes in the workspace")
    # Work in a stopped stack can be pulled.
    blog.dev("pull", worked_in)
    blog.dev("remove", "--yes")


def test_a_stack_stops_when_nobody_uses_it(lab: Lab, host: Host) -> None:
    blog = small(lab, host, "idle")
    stack = blog.stack(1)
    blog.deploy("--idle", "20s", "--yes")
    (container,) = (item["Id"] for item in host.containers(stack).values())
    host.run(f"docker exec --detach {container} sleep 30")
    wait_for("it is stopped", lambda: is_told(host, stack, "stopped: its idle has ended"), PATIENCE)
    ended = host.containers(stack)["app"]["State"]["FinishedAt"]
    assert ended > host.containers(stack)["app"]["State"]["StartedAt"]
    assert "stopped (idle ended " in blog.dev("list").stdout
    blog.dev("remove", "--yes")
