"""The table, the metrics and the questions of `dev status`."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kamal_dev.commands.stacks import MountedVolume, Usage
from kamal_dev.model import Container, Host, Result, Step
from kamal_dev.output import Output
from kamal_dev.output.screen import Screen
from kamal_dev.output.table import fitted
from kamal_dev.pipeline.metrics import exposition
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.status import StackStatus, look
from kamal_dev.pipeline.status_table import HEAD, report, rows
from tests.hosts import scripts

HOST = Host("blog-1", "10.0.0.1")
STARTED = "2026-01-31T12:00:00.123456789Z"
APP = Container(
    "app", "blog-1-app-1", "localhost:5555/blog-dev:0123456789ab", "up", "healthy", restarts=2, started=STARTED, id="a"
)
OLD = Container(
    "db", "blog-1-db-1", 'db:"16"\\', "outdated", started=STARTED, id="b", reason="runs the image `x`", drift=True
)
MISSING = Container("jobs", "blog-1-jobs-1", "", "missing", reason="its container is missing", drift=True)
STACK = StackStatus(
    "blog-1",
    HOST,
    "degraded",
    "0123456789ab",
    (OLD, APP, MISSING),
    usage=(Usage("a", 12.5, 7.25, 51_000_000), Usage("b", 0.0, 0.5)),
    volumes=(MountedVolume("data", "b", 2_000_000), MountedVolume("more", "b", 500_000), MountedVolume("new", "a")),
)
DOWN = StackStatus("blog-2", Host("blog-2", "10.0.0.2"), "unreachable", reason="no SSH at 10.0.0.2:22")


def test_a_row_says_what_a_container_is_what_it_uses_and_that_it_differs() -> None:
    app, db, jobs = (dict(zip(HEAD, row, strict=True)) for row in rows(STACK))
    assert (app["STATE"], app["HEALTH"], app["RESTARTS"]) == ("up", "healthy", "2")
    assert (app["CPU"], app["MEMORY"], app["DISK"]) == ("12.5%", "51 MB", "-"), "a volume that was not measured"
    assert (db["STATE"], db["CPU"], db["MEMORY"], db["DISK"]) == ("outdated (drift)", "0.0%", "-", "2.5 MB")
    assert (jobs["STATE"], jobs["RESTARTS"], jobs["CPU"]) == ("missing (drift)", "-", "-")


def test_an_image_that_the_project_built_is_shown_with_its_version() -> None:
    pinned = replace(APP, image="localhost:5555/blog-dev@sha256:00112233445566778899")
    foreign, other = replace(pinned, image="postgres@sha256:0011"), replace(pinned, state="outdated")
    stack = replace(STACK, containers=(pinned, foreign, other), repositories=("localhost:5555/blog-dev",))
    assert [stack.image_of(item) for item in stack.containers] == [
        "localhost:5555/blog-dev:0123456789ab",
        foreign.image,
        other.image,
    ]


def test_a_container_that_does_not_run_has_no_health() -> None:
    stopped = replace(APP, state="stopped", health="unhealthy", started="")
    (row,) = rows(replace(STACK, containers=(stopped,)))
    assert dict(zip(HEAD, row, strict=True))["HEALTH"] == "-"


def test_below_the_table_is_why_a_stack_is_not_known_and_what_differs() -> None:
    lines = report([STACK, DOWN]).splitlines()
    assert lines[4].split() == ["blog-2", "-", "unreachable", *"-------"]
    assert lines[5:] == [
        "blog-1: db: runs the image `x`",
        "blog-1: jobs: its container is missing",
        "hint: `dev deploy blog-1` restores it",
        "blog-2: no SSH at 10.0.0.2:22",
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 130, 200])
def test_the_table_fits_the_terminal(width: int) -> None:
    lines = report([STACK], width).splitlines()[:4]
    assert max(map(len, lines)) <= width
    assert lines[0].split()[:3] == ["STACK", "SERVICE", "STATE"]
    if width >= 80:
        assert {"IMAGE", "UPTIME", "CPU", "MEMORY", "DISK"} <= set(lines[0].split())
        assert "…" in lines[1] or "localhost:5555/blog-dev:0123456789ab" in lines[1]
        assert "456789ab" in lines[1], "the version is the end of an image"
    if width >= 130:
        assert tuple(lines[0].split()) == HEAD


def test_columns_are_left_out_in_order_and_then_lines_are_cut() -> None:
    def fit(width: int) -> list[str]:
        return fitted(("A", "B", "C"), [("aaaaaa", "bbbbbb", "cccccc")], width, shorten="B", without=("C", "B")).split(
            "\n"
        )

    assert fit(22) == ["A       B       C", "aaaaaa  bbbbbb  cccccc"]
    assert fit(14) == ["A       B", "aaaaaa  bbbbbb"]
    assert fit(8) == ["A", "aaaaaa"]
    assert fit(3) == ["A", "aaa"]


def test_the_screen_wraps_long_lines_and_counts_those_that_do_not_fit() -> None:
    screen = Screen(lambda width: ["word " * 20, *map(str, range(9))])
    assert [len(line) for line in screen.picture(80, 24).plain.split("\n")[:3]] == [79, 19, 1]
    assert screen.picture(80, 4).plain.split("\n")[2:] == ["0", "… and 8 more lines"]


def test_json_has_what_a_container_uses_and_null_where_that_is_unknown() -> None:
    data = STACK.measured()
    assert data["drift"] is True
    assert data["volumes"][0] == {"name": "data", "bytes": 2_000_000}
    assert [(item["cpu"], item["memory"], item["drift"]) for item in data["containers"]] == [
        (0.0, None, True),
        (12.5, 51_000_000, False),
        (None, None, True),
    ]
    assert set(STACK.as_json()) <= set(data)


# --- OpenMetrics 1.0, https://prometheus.io/docs/specs/om/open_metrics_spec/: the ABNF, as far as it is used here.
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
ESCAPED = r"(?:[^\n\"\\]|\\[n\"\\])*"
LABEL = rf"[a-zA-Z_][a-zA-Z0-9_]*=\"{ESCAPED}\""
NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?"
DESCRIPTOR = re.compile(rf"# (TYPE|UNIT|HELP) ({NAME}) ({ESCAPED})")
SAMPLE = re.compile(rf"({NAME})\{{({LABEL}(?:,{LABEL})*)?\}} ({NUMBER})")
SUFFIXES = {"counter": "_total", "gauge": ""}


def parsed(text: str) -> dict[str, dict[str, float]]:
    """Return the samples of each family by their labels, as a reader of the format takes them."""
    *lines, end = text.split("\n")
    assert end == "# EOF"
    families: dict[str, dict[str, float]] = {}
    described: dict[str, dict[str, str]] = {}
    name = ""
    for line in lines:
        if match := DESCRIPTOR.fullmatch(line):
            word, name, value = match.groups()
            assert name not in families, "a family is in one piece, its descriptors first"
            assert described.setdefault(name, {}).setdefault(word, value) == value, line
            assert word != "UNIT" or name.endswith(f"_{value}")
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        kind = described[name]["TYPE"]
        assert match[1] == name + SUFFIXES[kind]
        assert not any(name.endswith(suffix) for suffix in SUFFIXES.values() if suffix)
        assert kind != "counter" or float(match[3]) >= 0
        assert match[2] not in families.setdefault(name, {}), "a sample is there once"
        families[name][match[2]] = float(match[3])
    assert set(families) == set(described), "a family has samples"
    return families


def test_metrics_are_in_the_format_that_prometheus_reads() -> None:
    found = parsed(exposition([STACK, DOWN]))
    db = 'stack="blog-1",service="db",container="blog-1-db-1"'
    assert found["kamal_dev_stack_healthy"] == {'stack="blog-1"': 0, 'stack="blog-2"': 0}
    assert found["kamal_dev_container_drift"][db] == 1
    assert found["kamal_dev_container_cpu_seconds"] == {
        db: 0.5,
        'stack="blog-1",service="app",container="blog-1-app-1"': 7.25,
    }
    assert found["kamal_dev_container_start_time_seconds"][db] == 1769860800
    assert found["kamal_dev_volume_size_bytes"] == {
        'stack="blog-1",volume="data"': 2_000_000,
        'stack="blog-1",volume="more"': 500_000,
    }
    assert f'{db},image="db:\\"16\\"\\\\",state="outdated",health="none"' in found["kamal_dev_container_info"]


def test_metrics_of_nothing_are_a_valid_answer() -> None:
    assert parsed(exposition([])) == {}


class Answering:
    """Hosts that answer `status.sh`, and what they were asked."""

    def __init__(self, answer: Callable[[str], str]) -> None:
        self.asked: list[tuple[str, str]] = []
        self._answer = answer
        self._lock = threading.Lock()

    def connections(self) -> HostConnections:
        way: Any = None
        return HostConnections(self._of, way, lambda: False, scripts(), Output(lambda event: None), "ann@desk", 10)

    def _of(self, target: Host) -> Any:
        asked, lock, answer = self.asked, self._lock, self._answer

        class Shell:
            def run(self, step: Step, **_: Any) -> Result:
                with lock:
                    asked.append((target.address, step.label))
                return Result(step, 0, "".join(answer(name) for name in step.label.split()[1:]) + END)

        return Shell()


END = '{"type":"result","ok":true,"phase":"status"}\n'


def answer(stack: str) -> str:
    events = (
        {"type": "stack", "stack": stack, "state": "up"},
        {"type": "container", "stack": stack, "service": "app", "name": f"{stack}-app-1", "image": "i", "state": "up"}
        | {"id": f"id-{stack}"},
        {"type": "usage", "stack": stack, "id": f"id-{stack}", "cpu": 1.5, "cpu_seconds": 3, "memory": 7},
        {"type": "volume", "stack": stack, "container": f"id-{stack}", "name": f"{stack}_data", "bytes": None},
    )
    return "".join(f"{json.dumps(event)}\n" for event in events)


def test_all_stacks_of_a_host_are_asked_for_at_once() -> None:
    hosts = Answering(answer)
    targets = [("blog-1", Host("blog-1", "h1")), ("blog-2", Host("blog-2", "h2")), ("blog-3", Host("blog-3", "h1"))]
    found = look(hosts.connections(), targets, is_measured=True)
    assert sorted(hosts.asked) == [("h1", "status blog-1 blog-3"), ("h2", "status blog-2")]
    assert [(stack.name, stack.host.address, stack.state) for stack in found] == [
        ("blog-1", "h1", "up"),
        ("blog-2", "h2", "up"),
        ("blog-3", "h1", "up"),
    ]
    assert [stack.usage_of(stack.containers[0]) for stack in found] == [
        Usage(f"id-{stack.name}", 1.5, 3, 7) for stack in found
    ]
    assert found[2].disk == {"blog-3_data": None}


def test_a_stack_that_its_host_does_not_have_is_absent_and_the_others_are_known() -> None:
    hosts = Answering(lambda name: "" if name == "blog-2" else answer(name))
    targets = [("blog-1", Host("blog-1", "h1")), ("blog-2", Host("blog-2", "h1")), ("blog-3", Host("blog-3", ""))]
    assert [stack.state for stack in look(hosts.connections(), targets)] == ["up", "absent", "off"]
