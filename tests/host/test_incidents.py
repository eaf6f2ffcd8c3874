"""When people are told about a problem, under both shells: functions of host/incidents.sh and host/notify.sh."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

HOST = Path(__file__).parents[2] / "kamal_dev/host"
SHELLS = (("dash",), ("busybox", "ash"))
CALM, REPEAT = 60, 1800


class Stack:
    """A stack as the watcher sees it: its problems at some second, and what is told then."""

    def __init__(self, folder: Path, shell: tuple[str, ...]) -> None:
        self.state = folder / "incidents"
        self.shell = shell

    def at(self, second: int, *problems: str) -> list[str]:
        """Return the lines that are told."""
        script = f'. "{HOST}/incidents.sh"; debounce "$@"'
        words = (str(self.state), str(1_000_000 + second), str(CALM), str(REPEAT), "recover")
        text = "".join(f"{problem}\n" for problem in problems)
        ended = subprocess.run(
            (*self.shell, "-c", script, "x", *words), input=text, capture_output=True, text=True, check=True
        )
        assert ended.stderr == ""
        return ended.stdout.splitlines()


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[-1])
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Stack:
    return Stack(tmp_path, request.param)


def test_a_problem_is_told_once_and_its_end_once(stack: Stack) -> None:
    assert stack.at(0, "db|unhealthy|1|its health check fails | really") == [
        "db|unhealthy|1|1000000|its health check fails | really"
    ]
    assert stack.at(15, "db|unhealthy|0|its health check fails") == []
    assert stack.at(30) == []
    assert stack.at(76) == ["db|recovered|1|1000000|"]
    assert stack.at(200) == []


def test_a_service_that_flaps_is_one_message_with_a_count_in_the_next(stack: Stack) -> None:
    told = []
    for second in range(0, 1790, 10):
        is_up = second // 10 % 2
        told += stack.at(second, *([] if is_up else ["web|restarted|3|restarted 1 s ago"]))
    assert told == ["web|restarted|3|1000000|restarted 1 s ago"]
    assert stack.at(1800, "web|crash loop|3|crash loop") == [f"web|crash loop|{3 * 91}|1000000|crash loop"]
    assert stack.at(1859) == []
    assert stack.at(1860) == [f"web|recovered|{3 * 91}|1000000|"]


def test_one_that_comes_back_has_to_be_calm_for_longer_each_time(stack: Stack) -> None:
    second, messages = 0, 0
    while second < 3600:
        messages += len(stack.at(second, "web|restarted|1|again"))
        messages += sum(len(stack.at(second + wait)) for wait in (30, 60, 90))
        second += 100
    assert messages <= 8


def test_services_are_told_apart_and_a_clock_that_is_set_back_silences_nothing(stack: Stack) -> None:
    both = ("db|unhealthy|1|x", "web|exited 3|1|y")
    assert [line.split("|")[0] for line in stack.at(5000, *both)] == ["db", "web"]
    assert stack.at(10, *both) == []
    assert len(stack.at(10 + REPEAT, *both)) == 2


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[-1])
def test_an_alert_is_json_whatever_it_says_and_its_log_is_bounded(tmp_path: Path, shell: tuple[str, ...]) -> None:
    script = f"""here={HOST}; . "$here/lib.sh"; . "$here/notify.sh"
home={tmp_path} stack=shop-1 alerts_limit=2000 alerts_kept=3
alert "$1" "$2" 1 2026-01-01T00:00:00Z "$3"; tail -n 1 "$home/alerts.log"
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do alert unhealthy app 1 x y; done"""
    reason = 'a "quoted" $(touch x) \\ line\nand another'
    ended = subprocess.run(
        (*shell, "-c", script, "x", "exited 3", "db", reason), capture_output=True, text=True, check=True
    )
    alert = json.loads(ended.stdout)
    assert (alert["type"], alert["stack"], alert["service"], alert["reason"]) == ("alert", "shop-1", "db", reason)
    assert len((tmp_path / "alerts.log").read_text().splitlines()) < 12
