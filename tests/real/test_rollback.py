"""Going back with real parts: what `dev versions` lists, and what `dev rollback` brings back."""

from __future__ import annotations

import json
import re
from contextlib import closing
from dataclasses import replace

from kamal_dev.commands.facts import Facts
from kamal_dev.output import Output
from kamal_dev.pipeline.images.layers import ENOUGH, Layers
from kamal_dev.pipeline.run.run import Run
from tests.real.lab import COMPOSE, Host, Lab, docker

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
    assert "1 missing" in table
    assert "current, last good" in table

    unknown = repository.dev("rollback", "never-was", code=2)
    assert two[:12] in unknown.stderr
    assert one[:12] in unknown.stderr
    assert [host.images(name)["app"] for host, name in zip(hosts, names, strict=False)] == [repository.image(two)] * 2

    ended = repository.dev("rollback", "--json", "--yes")
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
    again = repository.dev("rollback", names[1], two, "--json", "--yes")
    assert again.stacks[names[1]]["state"] == "unchanged"


def test_the_layers_that_a_host_would_pull_are_those_of_the_image_and_what_is_left_over_is_pruned(
    lab: Lab, host: Host
) -> None:
    repository = lab.small("prune", [host])
    repository.deploy()
    with closing(Run.open(repository.root, Output(lambda event: None))) as run:
        image = run.project.image(run.project.main)
        known = Facts(arch=docker("version", "--format", "{{.Server.Arch}}").strip(), disk_free=1)
        layers = Layers(run.local, is_local=run.project.config.registry.is_local)
        found = layers.to_pull([image], known)
        assert layers.to_pull([image], replace(known, disk_free=ENOUGH)) == (), "nobody asks"
    here = json.loads(docker("image", "inspect", "--format", "{{json .RootFS.Layers}}", image.reference))
    assert [digest for digest, _ in found] == here
    assert all(size > 0 for _, size in found)

    stray, others = f"{image.name}:stray", "other/project:1"
    host.run(f"docker tag {image.reference} {stray} && docker tag {image.reference} {others}")
    before = host.run("docker ps --all --quiet; docker volume ls --quiet")
    # Docker forgets the digest that the release runs by with the last tag, whatever that tag is called.
    host.run(f"docker image rm --no-prune {image.reference}")
    (look,) = repository.dev("prune", "--dry-run", "--json").json["stacks"]
    assert look["leftovers"] == []
    host.run(f"docker tag {stray} {image.reference}")
    (look,) = repository.dev("prune", "--dry-run", "--json").json["stacks"]
    assert [(item["kind"], item["name"]) for item in look["leftovers"]] == [("image", stray)]
    shown = repository.dev("prune", "--dry-run").stdout
    assert re.search(rf"{repository.stack()}  prune image {re.escape(stray)} \([0-9.]+ [kMG]?B\)\n", shown), shown
    refused = repository.dev("prune", code=2)
    assert stray in refused.stderr
    assert "add `--yes`" in refused.stderr
    ended = repository.dev("prune", "--yes")
    assert re.search(rf"{repository.stack()}: Pruned 1 piece", ended.stderr), str(ended)
    assert "Removed 1 piece, " in ended.stdout
    assert host.run("docker ps --all --quiet; docker volume ls --quiet") == before
    assert host.run(f"docker image ls --quiet {others}").strip()
    assert repository.dev("prune", "--yes").stdout.strip() == "Nothing to remove"
    assert "prune" in repository.dev("audit").stdout
    host.run(f"docker image rm {others}")
