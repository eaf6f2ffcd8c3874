"""The lock of a stack (`host/lock.sh`): when its owner counts as alive, stale or dead. No engine is needed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.hosts import FOLDER
from tests.shells import SHELLS

pytestmark = pytest.mark.parametrize("shell", SHELLS)
STACK = "blog-1"
PRELUDE = """
here=$0
. "$here/lib.sh"; . "$here/stack.sh"; . "$here/audit.sh"; . "$here/lock.sh"
use_stack blog-1
"""


def run(home: Path, shell: str, script: str) -> list[str]:
    """Run a script with the lock's functions in the given shell; returns its lines."""
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "DOCKER_HOST": "unix:///none"}
    argv = (*shell.split(), "-c", PRELUDE + script, str(FOLDER))
    ended = subprocess.run(argv, check=False, capture_output=True, text=True, env=environment, timeout=30)
    assert ended.stderr == ""
    return ended.stdout.splitlines()


@pytest.mark.parametrize(("silent", "state"), [("stale_after - 1", "held"), ("stale_after", "stale")])
def test_an_owner_that_does_not_beat_is_stale_after_a_while(
    tmp_path: Path, shell: str, silent: str, state: str
) -> None:
    # A clock that stands still: a busy machine may take a second between the two looks at it.
    script = f"""
    lock_stack test
    uptime_now() {{ echo 100000; }}
    echo $((100000 - ({silent}))) >"$home/lock/beat"
    read_lock
    echo "$lock_state $((lock_age == {silent}))"
    (lock_stack other) | sed 's/.*"reason":"\\([^"]*\\)".*/\\1/'
    unlock_stack
    read_lock
    echo "$lock_state"
    """
    told, refusal, after = run(tmp_path, shell, script)
    assert (told, after) == (f"{state} 1", "free")
    assert refusal.startswith("stack is locked by")
    assert ("without progress for 60 s" in refusal) == (state == "stale")


def test_several_beats_may_be_late_before_an_owner_is_stale(tmp_path: Path, shell: str) -> None:
    assert run(tmp_path, shell, "echo $((beat_every * 5 <= stale_after))") == ["1"]


def test_an_owner_beats_for_as_long_as_it_has_the_lock(tmp_path: Path, shell: str) -> None:
    script = """
    beat_every=0.1
    lock_stack test
    beaten() {
      echo 1 >"$home/lock/beat"
      for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        sleep 0.1
        read -r beat_seen <"$home/lock/beat"
        [ "$beat_seen" = 1 ] || { echo beaten; return; }
      done
      echo silent
    }
    beaten
    # Somebody took the lock from it: theirs is theirs.
    sed -i '1s/.*/1/' "$home/lock/owner"
    sleep 0.3
    beaten
    """
    assert run(tmp_path, shell, script) == ["beaten", "silent"]


def test_the_lock_of_one_that_died_is_removed_and_said_so(tmp_path: Path, shell: str) -> None:
    script = """
    lock_stack test
    unlock_stack
    mkdir "$home/lock"
    printf '%s\\n' 999999 1 "$boot_id" yesterday apply '' ann >"$home/lock/owner"
    read_lock
    echo "$lock_state"
    lock_stack other | sed 's/.*"text":"\\([^"]*\\)".*/\\1/'
    """
    assert run(tmp_path, shell, script) == [
        "dead",
        "removed the stale lock of ann (`apply` since yesterday, process 999999)",
    ]
