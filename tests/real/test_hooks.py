"""Hooks and first batches, around deploys to real hosts."""

from __future__ import annotations

from tests.real.lab import COMPOSE, PREFIX, Ended, Host, Lab, Repository

PICKY = """\
    command: [sh, -c, 'test ! -e /marks/bad || { echo not here >&2; exit 7; }; exec sleep infinity']
"""


def hook(repository: Repository, name: str, script: str) -> None:
    path = repository.root / ".kamal/hooks" / name
    repository.write({f".kamal/hooks/{name}": f"#!/bin/sh\n{script}\n"})
    path.chmod(0o755)


def state_of(ended: Ended) -> dict[str, str]:
    return {name: stack["state"] for name, stack in ended.stacks.items()}


def test_hooks_run_around_a_deploy_and_one_that_fails_leaves_what_ran(lab: Lab, hosts: tuple[Host, ...]) -> None:
    out = lab.folder / "hooks.out"
    compose = f"{COMPOSE}    volumes: [..:/workspace]\n"
    repository = lab.small("hooks", hosts[:2], compose=compose, settings="secrets: [API_TOKEN]\n", OUT=str(out))
    repository.write({".kamal/secrets": f"API_TOKEN={lab.token}\n"})
    for name in ("pre-connect", "pre-build", "post-build", "pre-deploy", "post-deploy"):
        hook(repository, name, f'echo "{name} $KAMAL_VERSION $KAMAL_HOSTS $DEV_STACKS ${{API_TOKEN:-none}}" >>"$OUT"')
    first = repository.sha
    ended = repository.deploy("--verbose")
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
    assert "error: hook `pre-deploy` exited with code 3\n  the moon is full\n" in ended.stderr
    assert "no stack was changed" in ended.stderr
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
    assert ended.json["hook"]["message"] == "hook `post-deploy` exited with code 4"


def test_where_one_fails_all_go_back_and_a_first_batch_that_fails_is_the_last(
    lab: Lab, hosts: tuple[Host, ...]
) -> None:
    marks = f"/srv/{PREFIX}-marks"
    for host in hosts:
        host.run(f"mkdir {marks}")
    compose = f"{COMPOSE}    volumes: ['{marks}:/marks:ro']\n"
    repository = lab.small("together", hosts, compose=compose)
    names = [repository.stack(index) for index in (1, 2, 3)]
    settings = (repository.root / "config/dev.yml").read_text()
    both = settings.replace("window: 1,", "window: 1, rollback: all,")
    first = repository.commit({"config/dev.yml": both})
    repository.deploy("--count", "2")

    # The second host is bad for the new version, and the third has none to go back to.
    hosts[1].run(f"touch {marks}/bad")
    hook(repository, "post-rollback", 'echo "went: $DEV_STACKS $DEV_RESULT $KAMAL_VERSION $KAMAL_COMMAND"; exit 5')
    repository.commit({".devcontainer/compose.yaml": f"{compose}{PICKY}"})
    ended = repository.deploy(code=1)
    assert state_of(ended) == dict(zip(names, ["rolled back", "failed", "stopped"], strict=True)), str(ended)
    assert [stack["running"] for stack in ended.stacks.values()] == [first, first, ""]
    assert f"went: {names[0]},{names[2]} rolled back {first} deploy" in ended.stderr
    assert ended.json["hook"]["message"].startswith("hook `post-rollback` exited with code 5")
    assert f"rolled back, because {names[1]} failed" in ended.stacks[names[0]]["error"]["message"]
    for host, name in zip(hosts[:2], names, strict=False):
        assert host.states(name) == {"app": "running"}
        assert host.images(name)["app"].startswith(repository.image(first))
    assert set(hosts[2].states(names[2]).values()) == {"exited 137"}

    # The same with a first batch: it fails on the second host alone, and the third is skipped.
    repository.commit({"config/dev.yml": settings.replace("window: 1,", "window: 1, batch: 67%,")})
    started = hosts[2].started(names[2])
    ended = repository.deploy("--skip-hooks", code=1)
    assert state_of(ended) == dict(zip(names, ["deployed", "failed", "skipped"], strict=True)), str(ended)
    assert f"failed: {names[1]}; skipped: {names[2]}" in ended.stderr
    assert hosts[2].started(names[2]) == started


def test_a_stack_whose_health_hook_fails_is_not_healthy(lab: Lab, hosts: tuple[Host, ...]) -> None:
    repository = lab.small("healthy", hosts[:2])
    second = repository.stack(2)
    hook(repository, "health", f'echo "$DEV_COMMAND $DEV_STACKS"; test ! -e sick || test "$DEV_STACKS" != {second}')
    assert set(state_of(repository.deploy()).values()) == {"deployed"}
    assert repository.dev("status").code == 0
    repository.write({"sick": ""})
    status = repository.dev("status", "--json", code=1)
    states = {stack["stack"]: (stack["state"], stack["reason"]) for stack in status.json}
    assert states[repository.stack(1)] == ("up", "")
    assert states[second] == ("degraded", f"hook `health` exited with code 1, status {second}")
    assert repository.dev("status", "--skip-hooks").code == 0
    assert repository.dev("wait", repository.stack(1)).code == 0
    assert "hook `health` exited with code 1" in repository.dev("wait", second, "--timeout", "1", code=1).stderr
    assert repository.dev("wait", second, "--skip-hooks").code == 0
    sha = repository.commit({".devcontainer/message": "second\n"})
    ended = repository.deploy(code=1)
    assert state_of(ended) == {repository.stack(1): "deployed", second: "failed"}
    assert ended.stacks[second]["error"]["left_behind"] == "the containers run this version"
    assert ended.stacks[second]["running"] == sha
    for words, fine in ((("restart", "--yes"), "restarted"), (("rollback", "--yes"), "rolled back")):
        ended = repository.dev(*words, "--json", code=1)
        assert state_of(ended) == {repository.stack(1): fine, second: "failed"}
        assert ended.stacks[second]["error"]["message"].startswith("hook `health` exited with code 1")
    assert repository.dev("stop", second).code == 0
    assert "failed: hook" not in repository.dev("start", second, "--skip-hooks").stderr
