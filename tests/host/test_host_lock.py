"""The lock of a stack and its record: who has it, who may take it over, and what is written down."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from kamal_dev.commands import answers, events, host
from kamal_dev.commands.facts import Lock
from kamal_dev.model import Step
from tests.host.lab import Answer, Lab, release, service, token

pytestmark = pytest.mark.real

ANN, BOB = "ann@laptop", 'bob "b" o\'hare@désk'


def apply(lab: Lab, scripts: Mapping[str, str], stack: str, version: str = "v1", **options: Any) -> Answer:
    # Too short to be a keep-alive, so that an apply takes its whole window.
    wanted = release(
        stack, version, app=service('["/bin/busybox", "sleep", "600"]', labels=f'{{version: "{version}"}}')
    )
    return lab.run(host.apply(scripts, token(), wanted, **{"window": 0, "performer": ANN, **options}))


def lock(lab: Lab, scripts: Mapping[str, str], stack: str) -> Lock | None:
    (found,) = answers.stacks(lab.run(host.unlock(scripts, stack)).output)
    return found.lock


def records(lab: Lab, scripts: Mapping[str, str], stack: str) -> list[tuple[str, str, str]]:
    told = answers.records(lab.run(host.records(scripts, stack, 100)).output)
    return [(record["type"], record["state"], record["by"]) for record in told]


@contextmanager
def applying(lab: Lab, scripts: Mapping[str, str], stack: str) -> Iterator[list[Answer]]:
    """Have an apply under way that has time; its answer is there at the end."""
    told: list[Answer] = []
    slow = threading.Thread(target=lambda: told.append(apply(lab, scripts, stack, window=60, timeout=90)))
    slow.start()
    lab.sh(f"until [ -L ~/.kamal-dev/{stack}/current ]; do sleep 0.1; done")
    yield told
    slow.join(60)
    assert told, "it goes on"


def test_a_living_owner_is_left_alone_and_ended_only_when_told_to(
    lab: Lab, scripts: Mapping[str, str], stack: str
) -> None:
    with applying(lab, scripts, stack) as told:
        found = lock(lab, scripts, stack)
        assert found
        assert (found.word, found.by, found.version, found.state, found.age < 10) == ("apply", ANN, "v1", "held", True)
        assert found.release.startswith("v1-")
        facts = lab.run(host.facts(scripts, stack)).facts
        assert facts.lock
        assert facts.lock.token == found.token != ""
        for refused in (apply(lab, scripts, stack, "v2"), lab.run(host.remove(scripts, stack))):
            assert (refused.outcome.ok, refused.outcome.phase, refused.outcome.state) == (False, "lock", "untouched")
            assert (
                f"stack is locked by {ANN} (`apply` since {found.since}, process {found.pid})" in refused.outcome.reason
            )
        wrong = lab.run(host.unlock(scripts, stack, 1)).outcome
        assert (wrong.ok, "now held by" in wrong.reason) == (False, True)

        # Stopped, and for longer than the heartbeat allows: not taken silently, either.
        lab.sh(f"kill -STOP {found.pid}; echo 1 >~/.kamal-dev/{stack}/lock/beat")
        stale = lock(lab, scripts, stack)
        assert stale
        assert (stale.state, stale.age > 60) == ("stale", True)
        refused = apply(lab, scripts, stack, "v2")
        assert "without progress for" in refused.outcome.reason

        ended = lab.run(host.unlock(scripts, stack, found.pid, performer=BOB)).outcome
        assert (ended.ok, ended.code, ended.state) == (True, "ended", "interrupted"), ended
    assert (told[0].code, told[0].outcome.state) == (143, "interrupted"), told
    # Whether the containers were up by then depends on the machine.
    assert told[0].outcome.phase in ("up", "observe")
    assert lock(lab, scripts, stack) is None
    assert lab.sh(f"ps -e -o args | grep '[.]run/{found.token}'", check=False) == "", "nothing of it runs on"
    assert apply(lab, scripts, stack, "v2").outcome.state == "new"
    assert records(lab, scripts, stack) == [
        ("apply", "interrupted", ANN),
        ("lock", "released", BOB),
        ("apply", "new", ANN),
    ]


def test_the_lock_of_one_who_died_is_taken_over_and_said_so(lab: Lab, scripts: Mapping[str, str], stack: str) -> None:
    with applying(lab, scripts, stack):
        found = lock(lab, scripts, stack)
        assert found
        lab.sh(f"kill -9 {found.pid}")
    dead = lock(lab, scripts, stack)
    assert dead
    assert (dead.state, dead.is_alive) == ("dead", False)
    answer = apply(lab, scripts, stack, performer=BOB)
    assert answer.outcome.state == "new"
    assert f"removed the stale lock of {ANN} (`apply`" in "\n".join(
        event.text for event in map(answers.event, answer.output.splitlines()) if isinstance(event, events.Log)
    )
    assert records(lab, scripts, stack) == [("lock", "taken over", BOB), ("apply", "new", BOB)]


@pytest.mark.parametrize("change", ["s/.*/12345/;2", "s/.*/11111111-1111-1111-1111-111111111111/;3"])
def test_a_process_of_that_number_is_the_owner_only_with_the_same_start_and_boot(
    lab: Lab, scripts: Mapping[str, str], stack: str, change: str
) -> None:
    command, _, line = change.partition(";")
    process = "1; cut -d' ' -f22 /proc/1/stat; cat /proc/sys/kernel/random/boot_id"
    owner = f"{process}; date; echo apply; echo; echo ann; echo; echo"
    folder = f"~/.kamal-dev/{stack}/lock"
    lab.sh(f"mkdir -p {folder}; {{ echo {owner}; }} >{folder}/owner")
    assert apply(lab, scripts, stack).outcome.phase == "lock", "process 1 lives"
    lab.sh(f"sed -i '{line}{command}' {folder}/owner")
    dead = lock(lab, scripts, stack)
    assert dead
    assert dead.state == "dead"
    assert (lab.run(host.unlock(scripts, stack, 1)).outcome.code, lock(lab, scripts, stack)) == ("dead", None)


def test_the_record_outlives_the_stack_and_is_no_stack(lab: Lab, scripts: Mapping[str, str], stack: str) -> None:
    assert lab.run(host.records(scripts, stack, 5)).outcome.ok, "none is there yet"
    apply(lab, scripts, stack)
    assert lab.run(host.remove(scripts, stack, performer=BOB)).outcome.removed
    assert not lab.run(host.remove(scripts, stack, performer=BOB)).outcome.removed
    assert lab.sh(f"ls -A ~/.kamal-dev/{stack}; stat -c %a ~/.kamal-dev/{stack}/audit.log") == "audit.log\n600"
    assert stack not in [item.stack for item in answers.stacks(lab.run(host.status(scripts)).output)]
    assert records(lab, scripts, stack) == [("apply", "new", ANN), ("remove", "removed", BOB)]
    first = json.loads(lab.sh(f"head -n 1 ~/.kamal-dev/{stack}/audit.log"))
    assert (first["version"], first["ok"], first["reason"], first["seconds"] >= 0) == ("v1", True, "", True)


HOLDERS = """
lock_stack test
stdout=$(readlink "/proc/$$/fd/1")
for beating in $(pgrep --parent 1 --full the-test); do
  echo beating
  ls -l "/proc/$beating/fd" | grep -F "$stdout"
done
unlock_stack
"""


def test_the_heartbeat_holds_nothing_that_a_caller_waits_for(lab: Lab, scripts: Mapping[str, str], stack: str) -> None:
    names = ("lib.sh", "engine.sh", "engine_tasks.sh", "stack.sh", "audit.sh", "lock.sh")
    texts = (re.sub(r'^\. "\$here/engine\w*\.sh"$', "", scripts[name], flags=re.MULTILINE) for name in names)
    script = "\n".join(("here=/tmp", *texts, f"use_stack {stack}", HOLDERS))
    told = lab.run(Step(("sh", "-c", script, "the-test"), label="locking"))
    # A shell keeps a copy of what it redirects for one command, and sshd waits for whoever has it.
    assert told.output == "beating\n", told
