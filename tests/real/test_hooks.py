"""Hooks and first batches, around deploys to real hosts."""

from __future__ import annotations

from tests.real.lab import COMPOSE, Host, Lab, Repository

CRASH = (
    COMPOSE
    + "    restart: always\n    command: [sh, -c, 'test -e /ok || { echo not here >&2; exit 7; }; sleep infinity']\n"
)


def hook(repository: Repository, name: str, script: str) -> None:
    path = repository.root / ".kamal/hooks" / name
    repository.write({f".kamal/hooks/{name}": f"#!/bin/sh\n{script}\n"})
    path.chmod(0o755)


def test_hooks_run_around_a_deploy_and_one_that_fails_leaves_what_ran(lab: Lab, hosts: tuple[Host, ...]) -> None:
    settings = "secrets: [API_TOKEN]\n"
    repository = lab.small("hooks", hosts[:2], settings=settings, API_TOKEN=lab.token)
    for name in ("pre-connect", "pre-build", "post-build", "pre-deploy", "post-deploy"):
        hook(repository, name, f'echo "{name} $KAMAL_VERSION $KAMAL_HOSTS $DEV_STACKS ${{API_TOKEN:-none}}" >>"$OUT"')
    out = lab.folder / "hooks.out"
    first = repository.sha
    ended = repository.deploy("--verbose", OUT=str(out))
    where = f"{first} 127.0.0.1,127.0.0.1 {repository.stack(1)},{repository.stack(2)}"
    assert out.read_text().splitlines() == [
        f"pre-connect {where} none",
        f"pre-build {where} none",
        f"post-build {where} none",
        f"pre-deploy {where} {lab.token}",
        f"post-deploy {where} {lab.token}",
    ]
    assert "Ran hook `post-deploy`" in ended.stderr
    assert lab.token not in ended.text
    started = [host.started(repository.stack(index)) for index, host in enumerate(hosts[:2], 1)]

    hook(repository, "pre-deploy", "echo the moon is full >&2; exit 3")
    second = repository.commit({".devcontainer/message": "second\n"})
    ended = repository.dev("deploy", code=1)
    assert "error: hook `pre-deploy` ended with exit code 3\n  the moon is full\n" in ended.stderr
    assert "every stack runs what it ran before" in ended.stderr
    assert [host.started(repository.stack(index)) for index, host in enumerate(hosts[:2], 1)] == started
    workspace = f"git -C ~/.kamal-dev/{repository.stack()}/workspace/hooks rev-parse HEAD"
    assert hosts[0].run(workspace).strip() == first

    hook(repository, "post-deploy", "exit 4")
    ended = repository.deploy("--skip-hooks")
    assert [stack["running"] for stack in ended.stacks.values()] == [second, second]
    assert hosts[0].run(workspace).strip() == second
    hook(repository, "pre-deploy", "exit 0")
    ended = repository.deploy(code=1)
    assert [stack["state"] for stack in ended.stacks.values()] == ["unchanged", "unchanged"]
    assert ended.json["hook"]["message"] == "hook `post-deploy` ended with exit code 4"


def test_a_first_batch_that_fails_leaves_the_others_as_they_are(lab: Lab, hosts: tuple[Host, ...]) -> None:
    repository = lab.small("canary", hosts)
    text = (repository.root / "config/dev.yml").read_text()
    first = repository.commit({"config/dev.yml": text.replace("window: 1,", "window: 1, batch: 34%,")})
    repository.deploy()
    started = [host.started(repository.stack(index)) for index, host in enumerate(hosts, 1)]
    repository.commit({".devcontainer/compose.yaml": CRASH})
    ended = repository.deploy(code=1)
    states = {name: stack["state"] for name, stack in ended.stacks.items()}
    names = [repository.stack(index) for index in (1, 2, 3)]
    assert states == dict(zip(names, ["failed", "skipped", "skipped"], strict=True)), str(ended)
    assert [stack["running"] for stack in ended.stacks.values()] == [first] * 3
    assert f"failed: {names[0]}; not begun: {names[1]}, {names[2]}" in ended.stderr
    assert [host.started(repository.stack(index)) for index, host in enumerate(hosts, 1)][1:] == started[1:]
