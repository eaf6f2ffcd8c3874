"""Services are stopped, started, restarted and scaled (`host/operate.sh`). The engine is a stub that keeps rows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.hosts import FOLDER
from tests.shells import SHELLS

STUB = r'''#!/usr/bin/python3 -IS
"""Answer as `docker` does, from a file of containers."""
import json, os, sys
path = os.environ["HOME"] + "/engine.json"
state = json.load(open(path))
words = sys.argv[1:]
containers = state["containers"]
names = words[words.index("--") + 1:] if "--" in words else []

NEW = {"state": "", "code": 0, "started": ""}

def row(item):
    main = "true" if item["service"] == "app" else ""
    facts = [item["id"], item["service"], item["state"], "", item["code"], 0, "no", item["started"], main, "blog-1"]
    more = ["blog-1-" + item["id"], "net,", "blog:1", item.get("pid", 0), "", "SIGKILL", "", ""]
    return "|".join(map(str, facts + more))

def start(item):
    if item["state"] != "running":
        state["clock"] += 1
        item.update(state="running", started="2020-01-01T00:00:%02dZ" % state["clock"])

def compose(verb):
    for name in names:
        if name not in state["services"]:
            sys.exit("no such service: " + name)
    chosen = set(words[words.index(verb) + 1:] if verb == "config" else names)
    if verb in ("up", "config"):
        while more := {d for s in chosen for d in state["depends"].get(s, [])} - chosen:
            chosen |= more
    if verb == "config":
        print("services:", *("  %s:" % name for name in sorted(chosen or state["services"])), sep="\n")
    scales = dict(word.split("=") for flag, word in zip(words, words[1:]) if flag == "--scale")
    assert set(scales) <= (chosen or set(state["services"])), "no such service"
    for service in sorted(chosen):
        mine = [item for item in containers if item["service"] == service]
        if verb == "up":
            count = int(scales.get(service, 1))
            for item in mine[count:]:
                containers.remove(item)
            for number in range(len(mine) + 1, count + 1):
                mine.append({**NEW, "id": "%s-%s" % (service, number), "service": service})
                containers.append(mine[-1])
            for item in mine[:count]:
                start(item)
        if verb in ("stop", "restart"):
            if verb == "restart" and not mine:
                sys.exit("no such service: " + service)
            for item in mine:
                if service in state["stubborn"]:
                    sys.exit("cannot stop " + service)
                item.update(state="exited", code=0 if item["state"] == "exited" and not item["code"] else 137)
                if verb == "restart":
                    start(item)
    for service in state["restarted_too"] if verb == "restart" else []:
        for item in containers:
            if item["service"] == service:
                item["state"] = "exited"
                start(item)

if words[0] == "ps" and "--quiet" in words:
    print(*(item["id"] for item in containers), sep="\n")
elif words[0] == "ps":
    for item in containers:
        folder = os.environ["HOME"] + "/.kamal-dev/blog-1/current"
        print("|".join((item["id"], "False", "blog-1", "blog-1-" + item["id"], "", "blog:1", folder)))
if words[0] == "inspect" and "OOMKilled" not in " ".join(words):
    for item in containers:
        if item["id"] in names:
            shown = dict(type="container", stack="blog-1", service=item["service"], id=item["id"], state=item["state"])
            print(row(item) + json.dumps(shown, separators=(",", ":")))
if words[0] == "stop":
    for item in containers:
        if item["id"] in names:
            item.update(state="exited", code=137)
if words[0] == "compose":
    state["calls"].append(" ".join(words[words.index("blog-1") + 1:]))
if words[0] == "exec":
    print(state.get("prints", ""))
    state["calls"].append("exec in " + " ".join(word for word in words if "-" in word and word[0] != "-"))
try:
    if words[0] == "compose":
        compose(words[words.index("blog-1") + 1])
finally:
    json.dump(state, open(path, "w"))
'''
SERVICES = ("app", "db", "worker", "migrate")


class OperatedStack:
    """A stack on an engine that is a stub: app and worker depend on db; migrate has completed."""

    def __init__(self, folder: Path, shell: str) -> None:
        self.folder, self.shell, self.home = folder, shell, folder / ".kamal-dev/blog-1"
        programs = folder / "programs"
        programs.mkdir()
        if shell.startswith("busybox"):
            subprocess.run(("busybox", "--install", "-s", programs), check=False, capture_output=True)
        (programs / "docker").write_text(STUB)
        (programs / "docker").chmod(0o755)
        shutil.copytree(FOLDER, folder / "run/scripts")
        self.release = self.home / "releases/v1/.kamal-dev"
        self.release.mkdir(parents=True)
        (self.home / "current").symlink_to("releases/v1")
        self.note("started", *(f"{name}|||" for name in SERVICES))
        self.note(
            "good",
            "app up blog-1-app-1",
            "db up blog-1-db-1",
            "migrate done blog-1-migrate-1",
            "worker up blog-1-worker-1",
        )
        containers = [self._container(name) for name in SERVICES]
        containers[-1].update(state="exited")
        self.engine: dict[str, Any] = {"containers": containers, "services": SERVICES, "clock": 10, "calls": []}
        self.printed: list[str] = []
        self.engine.update(depends={"app": ["db"], "worker": ["db"]}, stubborn=[], restarted_too=[])

    @staticmethod
    def _container(service: str) -> dict[str, Any]:
        return {
            "id": f"{service}-1",
            "service": service,
            "state": "running",
            "code": 0,
            "started": "2020-01-01T00:00:00Z",
        }

    def note(self, name: str, *lines: str) -> None:
        """Write what is known of the release."""
        (self.release / name).write_text("".join(f"{line}\n" for line in lines))

    def has_command(self, stage: str) -> None:
        """Give the release a lifecycle command."""
        folder = self.release / "lifecycle" / stage
        folder.mkdir(parents=True)
        (folder.parent / "timeout").write_text("10\n")
        for name, text in {"run": "true\n", "name": "", "text": "true"}.items():
            (folder / f"0.{name}").write_text(text)
        (self.release / "exec").mkdir()
        for name in ("probe", "before", "after"):
            (self.release / "exec" / name).write_text("")

    def set(self, identity: str, **values: Any) -> None:
        """Change a container."""
        next(item for item in self.engine["containers"] if item["id"] == identity).update(values)

    def operate(self, verb: str, *services: str) -> dict[str, Any]:
        """Run operate.sh, and return its result."""
        return self.run("operate.sh", verb, "5000", "0", *services)

    def run(self, script: str, *words: str) -> dict[str, Any]:
        """Run a script about the stack, and return its result."""
        (self.folder / "engine.json").write_text(json.dumps({**self.engine, "calls": []}))
        argv = (*self.shell.split(), self.folder / "run/scripts" / script, "blog-1", *words)
        path = f"{self.folder / 'programs'}:{os.environ['PATH']}"
        environment = {
            "HOME": str(self.folder),
            "PATH": path,
            "DOCKER_HOST": "unix:///none",
            "KAMAL_DEV_TOKEN": "token",
        }
        ended = subprocess.run(argv, check=False, capture_output=True, text=True, env=environment, timeout=60)
        assert ended.stderr == "", ended
        self.printed = ended.stdout.splitlines()
        self.engine = json.loads((self.folder / "engine.json").read_text())
        result: dict[str, Any] = json.loads(self.printed[-1])
        return result

    @property
    def stopped(self) -> list[str]:
        """The services that were stopped on purpose."""
        path = self.home / "stopped"
        return path.read_text().split() if path.exists() else []

    @property
    def running(self) -> list[str]:
        """The containers that run."""
        return sorted(item["id"] for item in self.engine["containers"] if item["state"] == "running")


@pytest.fixture
def stack(tmp_path: Path) -> OperatedStack:
    return OperatedStack(tmp_path, "sh")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_stop_leaves_out_what_has_completed(tmp_path: Path, shell: str) -> None:
    stack = OperatedStack(tmp_path, shell)
    assert stack.operate("stop")["state"] == "stopped"
    assert (stack.running, stack.stopped) == ([], ["app", "db", "worker"])
    assert stack.operate("start")["state"] == "started"
    assert (stack.running, stack.stopped) == (["app-1", "db-1", "worker-1"], [])


def test_a_stop_of_all_services_also_stops_a_container_of_a_service_that_the_release_does_not_have(
    stack: OperatedStack,
) -> None:
    stack.engine["containers"].append(stack._container("old"))
    assert stack.operate("stop")["ok"]
    assert stack.running == []
    assert "old" in stack.stopped


def test_what_could_not_be_stopped_is_not_recorded_as_stopped(stack: OperatedStack) -> None:
    stack.engine["stubborn"] = ["worker"]
    result = stack.operate("stop")
    assert (result["state"], result["reason"]) == ("broken", "cannot stop worker")
    assert stack.running == ["worker-1"]
    assert stack.stopped == ["app", "db"]


def test_a_start_starts_what_crashed_but_no_completed_one_shot(stack: OperatedStack) -> None:
    stack.set("worker-1", state="exited", code=3)
    assert stack.operate("start")["state"] == "started"
    assert stack.running == ["app-1", "db-1", "worker-1"]
    stack.engine["containers"] = [item for item in stack.engine["containers"] if item["service"] == "migrate"]
    assert stack.operate("start")["state"] == "started", "removed containers are created"
    assert stack.running == ["app-1", "db-1", "worker-1"]


def test_a_start_keeps_the_numbers_of_a_scale(stack: OperatedStack) -> None:
    assert stack.operate("scale", "worker=3")["state"] == "scaled"
    good = (stack.release / "good").read_text()
    assert good.count("worker up") == 3
    assert stack.operate("stop")["ok"]
    assert stack.operate("start")["ok"]
    assert stack.running == ["app-1", "db-1", "worker-1", "worker-2", "worker-3"]
    assert stack.operate("scale", "worker=0")["ok"]
    assert stack.operate("stop")["ok"]
    assert stack.operate("start")["ok"]
    assert stack.running == ["app-1", "db-1"]
    assert stack.operate("scale", "worker=1")["ok"]
    assert (stack.release / "scaled").read_text() == "worker=1\n"


def test_a_start_of_one_service_keeps_the_number_of_another_that_it_depends_on(stack: OperatedStack) -> None:
    assert stack.operate("scale", "db=2", "worker=2")["ok"]
    assert stack.operate("start", "app")["ok"]
    (call,) = [call for call in stack.engine["calls"] if call.startswith("up")]
    assert "--scale db=2" in call
    assert "worker" not in call, "Compose refuses the number of a service that it does not start"


def test_a_service_that_was_not_named_and_was_not_up_is_no_failure(stack: OperatedStack) -> None:
    stack.set("worker-1", state="exited", code=3)
    assert stack.operate("restart", "db")["state"] == "restarted"
    result = stack.operate("restart")
    assert result["ok"]
    assert stack.running == ["app-1", "db-1", "worker-1"]
    stack.engine["containers"] = [item for item in stack.engine["containers"] if item["service"] != "worker"]
    assert stack.operate("restart")["state"] == "restarted", "a removed container is created"
    assert stack.running == ["app-1", "db-1", "worker-1"]


def test_a_restart_of_another_service_keeps_pending_lifecycle_commands(stack: OperatedStack) -> None:
    kept = stack.home / "lifecycle/app-1/onCreateCommand"
    kept.parent.mkdir(parents=True)
    kept.write_text("2020-01-01T00:00:00Z\n")
    (stack.release / "unfinished").touch()
    stack.has_command("0-postCreateCommand")
    assert stack.operate("restart", "db")["state"] == "restarted"
    assert stack.operate("scale", "worker=2")["state"] == "scaled"
    assert (stack.release / "unfinished").exists()
    assert kept.exists()
    assert not [call for call in stack.engine["calls"] if call.startswith("exec")]


@pytest.mark.parametrize("shell", SHELLS)
def test_lifecycle_commands_follow_a_main_container_that_compose_restarted_too(tmp_path: Path, shell: str) -> None:
    stack = OperatedStack(tmp_path, shell)
    (stack.home / "lifecycle").mkdir()
    (stack.home / "lifecycle/finished").write_text("app-1 2020-01-01T00:00:00Z\n")
    stack.has_command("3-postStartCommand")
    stack.engine["restarted_too"] = ["app"]
    stack.engine["prints"] = 'say "hello"\t\x1b[1m'
    assert stack.operate("restart", "db")["state"] == "restarted"
    assert [call for call in stack.engine["calls"] if call.startswith("exec in app-1")]
    assert json.loads(next(line for line in stack.printed if '"log"' in line))["text"].startswith('say "hello"\t')
    assert (stack.home / "lifecycle/finished").read_text() == "app-1 2020-01-01T00:00:12Z\n"


def test_what_listens_is_not_guessed_for_an_engine_on_another_machine(stack: OperatedStack) -> None:
    late = stack.run("wait.sh", "port=5432", "200", "db")
    assert (late["state"], late["phase"]) == ("late", "wait")
    stack.set("db-1", pid=os.getpid())
    refused = stack.run("wait.sh", "port=5432", "200", "db")
    assert "the engine runs on another machine" in refused["reason"]
