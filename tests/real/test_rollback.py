"""Going back with real parts: what `dev versions` lists, and what `dev rollback` brings back."""

from __future__ import annotations

from tests.real.lab import COMPOSE, Host, Lab

STATEFUL = COMPOSE + "    volumes: ['data:/data', '..:/workspace']\nvolumes: {data: {}}\n"
CREATED = """\
{"dockerComposeFile": "compose.yaml", "service": "app", "workspaceFolder": "/workspace",
 "postCreateCommand": "cat /message >>/data/created"}
"""


def test_stacks_go_back_whole_with_images_that_were_gone_and_with_their_own_commands(
    lab: Lab, hosts: tuple[Host, ...]
) -> None:
    files = {".devcontainer/devcontainer.json": CREATED, ".devcontainer/message": "one\n"}
    repository = lab.small("back", hosts[:2], files, compose=STATEFUL)
    names = [repository.stack(index) for index in (1, 2)]
    one = repository.sha
    repository.deploy()
    two = repository.commit({".devcontainer/message": "two\n"})
    repository.deploy()
    hosts[0].run(f"docker image rm {repository.image(one)}")
    made = hosts[0].run(f"cd ~/.kamal-dev/{names[0]}/workspace/* && echo mine >note && pwd").strip()

    listed = {stack["stack"]: stack["releases"] for stack in repository.dev("versions", "--json").json}
    assert [(item["version"], item["commit"], item["result"]) for item in listed[names[0]]] == [
        (two, two, "good"),
        (one, one, "good"),
    ]
    assert [item["is_current"] for item in listed[names[0]]] == [True, False]
    assert [bool(listed[name][1]["missing"]) for name in names] == [True, False]
    table = repository.dev("versions", names[0]).stdout
    assert "1 gone" in table
    assert "current, last good" in table

    unknown = repository.dev("rollback", "never-was", code=2)
    assert two in unknown.stderr
    assert one in unknown.stderr
    assert [host.images(name)["app"] for host, name in zip(hosts, names, strict=False)] == [repository.image(two)] * 2

    ended = repository.dev("rollback", "--json")
    assert [stack["state"] for stack in ended.json["stacks"]] == ["rolled back"] * 2, str(ended)
    for host, name in zip(hosts, names, strict=False):
        assert host.images(name)["app"] == repository.image(one)
        assert host.run(f"docker exec {name}-app-1 cat /data/created").split() == ["one", "two", "one"]
    assert hosts[0].run(f"cat {made}/note") == "mine\n"
    assert {stack["version"] for stack in repository.dev("list", "--json").json} == {one}

    forward = repository.dev("rollback", two[:9], "--host", names[1], "--yes")
    assert f"✓ up with {two[:12]} again" in forward.stdout, str(forward)
    running = [host.images(name)["app"] for host, name in zip(hosts, names, strict=False)]
    assert running == [repository.image(one), repository.image(two)]
    again = repository.dev("rollback", names[1], two, "--json")
    assert again.stacks[names[1]]["state"] == "unchanged"
