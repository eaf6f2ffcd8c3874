"""Whatever happens to `dev`, its link or its script, nothing stays stuck, and a plain deploy goes on from there."""

from __future__ import annotations

import json
import re
import shutil
from subprocess import Popen

from tests.real.lab import COMPOSE, Host, Lab, Repository, docker, wait_for
from tests.real.test_interrupts import started

# Healthy once it is told to be, so that a test decides how long an apply takes.
WAITING = """\
    volumes: ["/srv/GO:/go:ro"]
    healthcheck: {test: ["CMD", "test", "-e", "/go/now"], interval: 1s, retries: 100}
"""


def waiting(name: str) -> str:
    return COMPOSE + WAITING.replace("GO", name)


def kill(repository: Repository, process: Popen[str]) -> None:
    """Kill `dev` as nothing can be killed more; what it has then not put away here is not what a test looks for."""
    process.kill()
    process.wait()
    for path in repository.temporary.iterdir():
        # What watches over ssh deletes its own folder at the same time.
        shutil.rmtree(path, ignore_errors=True)


def go(host: Host, name: str, *, is_on: bool = True) -> None:
    host.run(f"mkdir -p /srv/{name}; {'touch' if is_on else 'rm -f'} /srv/{name}/now")


def owner(host: Host, stack: str) -> str:
    """Return the process that has the lock of a stack, empty where nobody has it."""
    return host.run(f"head -n 1 ~/.kamal-dev/{stack}/lock/owner 2>/dev/null || true").strip()


def lock_of(repository: Repository) -> dict[str, str]:
    (found,) = repository.dev("lock", "status", "--json").json
    return {"state": found["state"], **(found["lock"] or {})}


def results(repository: Repository, *words: str) -> list[tuple[str, str, str]]:
    entries = repository.dev("audit", "--json", *words).json
    return [(entry["where"], entry["what"], entry["state"]) for entry in entries]


def test_two_deploys_at_once_both_end_well(lab: Lab, host: Host) -> None:
    repository = lab.small("twice", [host])
    with started(repository, "deploy") as (first, told), started(repository, "deploy") as (second, heard):
        assert (first.wait(120), second.wait(120)) == (0, 0), told.text + heard.text
    assert host.states(repository.stack()) == {"app": "running"}
    assert owner(host, repository.stack()) == ""
    assert repository.deploy().stacks[repository.stack()]["state"] == "unchanged"


def test_a_killed_dev_or_script_leaves_nothing_stuck_and_all_of_it_is_on_record(lab: Lab, host: Host) -> None:
    repository = lab.small("killed", [host], compose=waiting("killed"))
    stack = repository.stack()
    go(host, "killed", is_on=False)
    with started(repository, "deploy") as (process, _):
        wait_for("containers", lambda: host.states(stack) != {}, 90)
        kill(repository, process)
    assert lock_of(repository)["word"] == "apply", "the host goes on"
    told = repository.attempt("status").stdout
    assert re.search(rf"{stack}: being changed by \S+@\S+ \(`apply` since ", told), told
    go(host, "killed")
    ended = repository.dev("deploy")
    assert re.search(r"Waiting for \S+@", ended.stderr) or "unchanged" in ended.stdout, str(ended)
    assert host.states(stack) == {"app": "running healthy"}

    go(host, "killed", is_on=False)
    repository.commit({".devcontainer/message": "second\n"})
    with started(repository, "deploy") as (process, reader):
        wait_for("the second apply", lambda: "Starting containers" in reader.text, 90)
        host.run(f"kill -9 {owner(host, stack)}")
        assert process.wait(60) == 1, reader.text
    assert lock_of(repository)["state"] == "dead"
    go(host, "killed")
    ended = repository.dev("deploy")
    assert "removed the stale lock of " in ended.stderr, str(ended)
    assert lock_of(repository) == {"state": "free"}

    what = results(repository)
    assert [entry for entry in what if entry[0] == "local"][-2:] == [
        ("local", "deploy", "unknown"),
        ("local", "deploy", "deployed"),
    ]
    assert [entry[1:] for entry in what if entry[0] != "local"] == [
        ("apply", "new"),
        ("lock", "taken over"),
        ("apply", "new"),
    ]
    assert len(results(repository, "-n", "2", stack)) == 2
    assert stack in repository.dev("audit").stdout


def test_a_lock_is_waited_for_as_long_as_one_likes_and_released_when_one_says_so(lab: Lab, host: Host) -> None:
    repository = lab.small("held", [host])
    stack = repository.stack()
    pid = host.run("setsid sleep 600 >/dev/null 2>&1 & echo $!").strip()
    host.run(f"""
        mkdir -p -m 700 ~/.kamal-dev/{stack}/lock && cd ~/.kamal-dev/{stack}/lock && cut -d. -f1 /proc/uptime >beat
        {{ echo {pid}; cut -d' ' -f22 /proc/{pid}/stat; cat /proc/sys/kernel/random/boot_id; echo 2026-01-01T00:00:00Z
        echo remove; echo; echo ann@laptop; echo; echo; }} >owner
    """)
    ended = repository.dev("deploy", "--lock-wait", "1", code=1)
    assert "stack is locked by ann@laptop (`remove` since 2026-01-01T00:00:00Z" in ended.stderr, str(ended)
    assert "nothing was changed on the host" in ended.stderr
    assert f"dev lock release {stack}" in ended.stderr
    assert host.states(stack) == {}
    host.run(f"mkdir -p ~/.kamal-dev/{stack}/releases/.new.1")
    pruned = repository.dev("prune", "--yes", "--lock-wait", "1", code=1)
    assert "Waiting for ann@laptop (`remove`" in pruned.stderr, str(pruned)
    assert "stack is locked by ann@laptop (`remove`" in pruned.stderr, str(pruned)
    host.run(f"echo 1 >~/.kamal-dev/{stack}/lock/beat")
    assert "without progress for" in repository.dev("remove", "--yes", code=1).stderr, "a stopped one is not waited for"
    table = repository.dev("lock", "status").stdout.splitlines()
    assert table[0].split() == ["STACK", "HOST", "LOCK", "BY", "SINCE", "HEARTBEAT"]
    assert "remove (stale)  ann@laptop" in table[1]
    assert "--yes" in repository.dev("lock", "release", code=2).stderr
    assert "Released the lock of ann@laptop (`remove`" in repository.dev("lock", "release", "--yes").stderr
    assert not host.says(f"kill -0 {pid}")
    assert repository.deploy("--retry-failed").stacks[stack]["state"] == "deployed"
    assert "Nothing to retry" in repository.dev("deploy", "--retry-failed").stderr
    assert "--retry-failed" in repository.dev("deploy", "--retry-failed", stack, code=2).stderr


def test_a_lost_link_is_picked_up_and_an_impatient_dev_says_unknown(lab: Lab, host: Host) -> None:
    repository = lab.small("link", [host], compose=waiting("link"))
    stack = repository.stack()
    go(host, "link", is_on=False)
    with started(repository, "deploy") as (process, reader):
        wait_for("the apply", lambda: "Starting containers" in reader.text, 90)
        # The process of sshd that this one channel belongs to, and so its connection.
        follower = host.run(f"pgrep -o -f 'detach[.]sh [0-9a-f]* apply[.]sh {stack} '").strip()
        host.run(f"kill -9 $(ps -o ppid= -p {follower})")
        wait_for("it is noticed", lambda: "Connection lost" in reader.text, 30)
        go(host, "link")
        assert process.wait(60) == 0, reader.text
    assert host.states(stack) == {"app": "running healthy"}

    go(host, "link", is_on=False)
    repository.commit({".devcontainer/message": "second\n"})
    ended = repository.deploy("--timeout", "8", code=1)
    assert ended.stacks[stack]["state"] == "unknown", str(ended)
    assert "still running after --timeout" in ended.stacks[stack]["error"]["message"], str(ended)
    assert lock_of(repository)["state"] == "held", "the host goes on"
    go(host, "link")
    assert repository.deploy("--retry-failed").stacks[stack]["state"] in ("unchanged", "deployed")
    assert host.states(stack) == {"app": "running healthy"}
    assert host.images(stack)["app"].startswith(repository.image())


def test_a_host_that_is_listed_no_longer_is_not_forgotten(lab: Lab, host: Host, hosts: tuple[Host, ...]) -> None:
    repository = lab.small("left", hosts[:2])
    repository.dev("deploy")
    text = (repository.root / "config/dev.yml").read_text()
    only = text.replace(f', "root@127.0.0.1:{hosts[1].port}"', "").replace("count: 2", "count: 1")
    repository.commit({"config/dev.yml": only})
    state = repository.root / ".kamal/local/state.json"
    ended = repository.dev("list")
    assert f"is no longer in `provider.hosts`, but still has {repository.stack(2)}" in ended.stderr, str(ended)
    assert f"{repository.stack(2)}@127.0.0.1" in ended.stdout
    repository.dev("remove", "--yes", repository.stack(2))
    assert hosts[1].states(repository.stack(2)) == {}
    assert repository.dev("list").stderr == ""
    # A damaged file is said with its path, and costs at most what its backup does not have.
    state.write_bytes(state.read_bytes()[:20])
    ended = repository.dev("list")
    assert f"{state}: is damaged" in ended.stderr, str(ended)
    assert repository.dev("list").stderr == ""
    # Gone, it is made again of what the hosts say.
    state.unlink()
    repository.dev("list")
    assert [known["stack"] for known in json.loads(state.read_text())["hosts"]] == [repository.stack()]


def test_a_host_that_was_being_made_when_dev_died_is_found_again(lab: Lab) -> None:
    files = {
        "config/dev.yml": "service: SERVICE\nregistry: {server: localhost:5999}\nvms: {count: 1}\n",
        ".devcontainer/devcontainer.json": '{"image": "debian:12"}\n',
        ".gitignore": ".kamal/\n",
    }
    repository = lab.repository("orphan-host", files)
    repository.commit({"config/dev.yml": files["config/dev.yml"].replace("SERVICE", repository.service)})
    label = f"label=kamal-dev.service={repository.service}"
    with started(repository, "deploy", "--yes", "--count", "2", "--host", repository.stack(2)) as (process, _):
        wait_for("the host", lambda: docker("ps", "--all", "--quiet", "--filter", label).strip() != "", 600)
        kill(repository, process)
    ended = repository.dev("list")
    assert repository.stack(2) in ended.stdout, "seen, though it is beyond vms.count"
    assert f"creation of the host for {repository.stack(2)} did not finish (started" in ended.stderr, str(ended)
    repository.dev("remove", "--yes")
    assert docker("ps", "--all", "--quiet", "--filter", label).strip() == ""
    assert repository.dev("list").stderr == ""
