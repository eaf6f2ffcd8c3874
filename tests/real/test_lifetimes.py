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


def is_over(repository: Repository, stack: str) -> bool:
    """Whether a limit is reached; nobody may have carried that out yet."""
    return bool(listed(repository)[stack]["lifetime"]["ttl_left"] <= 0)


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
    # Work in a stopped stack can be pulled, and is removed if somebody wants that.
    blog.dev("pull", worked_in)
    shown = blog.dev("reap", "--dry-run").stdout
    assert f"{worked_in}  unchanged (uncommitted changes in the workspace)" in shown
    reaped = blog.dev("reap", "--yes", "--json").stacks
    assert {name: stack["state"] for name, stack in reaped.items()} == {worked_in: "kept"}
    assert host.containers(worked_in)
    blog.dev("reap", worked_in, "--force", "--yes")
    assert not host.containers(worked_in)
    assert blog.dev("list", "--json").json == []


def test_reaping_ends_stacks_on_a_host_without_a_watcher(lab: Lab, host: Host) -> None:
    blog = small(lab, host, "reaped")
    blog.deploy("--count", "3", "--ttl", "1h", "--yes")
    clean, worked_in, lasting = (blog.stack(number) for number in (1, 2, 3))
    host.run(NEWER.format(stack=worked_in, folder=blog.root.name))
    unit = host.run("basename /etc/systemd/system/kamal-dev-*.service").strip()
    host.run(f"systemctl stop {unit}")
    try:
        for stack in (clean, worked_in):
            assert "has no watcher" in blog.dev("extend", stack, "1s").stderr
        wait_for("they are over", lambda: all(is_over(blog, stack) for stack in (clean, worked_in)))
        assert listed(blog)[clean]["state"] == "up"
        blog.dev("reap", "--yes")
        assert {stack: item["state"] for stack, item in listed(blog).items()} == {worked_in: "stopped", lasting: "up"}
        assert "not removed" not in str(alerts(host, worked_in))
        # Nothing is left to do for the next one.
        assert "Nothing to remove" in blog.dev("reap", "--yes").stderr
        assert {stack: item["state"] for stack, item in listed(blog).items()} == {worked_in: "stopped", lasting: "up"}
    finally:
        host.run(f"systemctl start {unit}")
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
