"""What people and programs see of the same events, at fixed widths, as files under `golden/`."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path

import jsonschema
import pytest
from rich.console import Console

from kamal_dev.errors import DevError
from kamal_dev.model import Host
from kamal_dev.output import Event, Output
from kamal_dev.output.failure import KINDS, Failure
from kamal_dev.output.live import LiveView
from kamal_dev.output.live_area import HIDE, SHOW
from kamal_dev.output.ndjson import Ndjson
from kamal_dev.output.plain import Plain
from kamal_dev.output.redaction import Redaction
from kamal_dev.output.summary import ContainerSummary, RunSummary, StackSummary
from tests.output import publish, recorded

GOLDEN = Path(__file__).parent / "golden"


class Clock:
    """Be a clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def matches(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("UPDATE_CASES"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


def pictures(width: int, *, encoding: str = "utf-8", height: int = 24) -> str:
    """Return what a terminal of this width shows: what has scrolled by, and below it the rows, after each part."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    clock = Clock()
    # Not a terminal, so that nothing moves; the rows are drawn by hand.
    console = Console(file=stream, width=width, height=height, color_system=None, force_terminal=False)
    view = LiveView(console, now=clock)
    output = Output(view)
    shown = []
    for part in recorded.PARTS:
        part(output)
        clock.time += 7
        stream.flush()
        lines = stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
        drawn = "\n".join(line.plain for line in view.picture(width, height))
        assert all(len(line) < width for line in drawn.splitlines())
        shown.append(f"== {part.__name__}\n{lines}-- rows\n{drawn}\n")
    view.close()
    return "".join(shown)


@pytest.mark.parametrize("width", [40, 80, 130])
def test_people_see_a_row_for_each_host_below_what_is_done(width: int) -> None:
    matches(f"live-{width}.txt", pictures(width))


def test_a_terminal_without_signs_gets_ascii() -> None:
    text = pictures(80, encoding="ascii")
    assert text.isascii()
    matches("live-ascii.txt", text)


def test_long_names_of_stacks_differ_in_a_narrow_terminal() -> None:
    view = LiveView(Console(file=io.StringIO(), width=40, force_terminal=False))
    for number in (1, 2):
        Output(view).start("pulling", "postgres:15", Host(f"a-long-name-of-a-repository-{number}", "10.0.0.1"))
    rows = [line.plain for line in view.picture(40, 24)]
    assert [" …repository-1  Pull" in rows[0], " …repository-2  Pull" in rows[1]] == [True, True], rows


def test_rows_beyond_the_height_are_counted() -> None:
    assert "and 2 more" in pictures(80, height=4)


@pytest.mark.parametrize(("height", "names"), [(5, "abc"), (4, "a"), (1, "")])
def test_rows_that_just_fit_are_all_shown(height: int, names: str) -> None:
    view = LiveView(Console(file=io.StringIO(), width=80, force_terminal=False))
    output = Output(view)
    for name in "abc":
        output.start("pulling", "", Host(name, "10.0.0.1"))
    rows = [line.plain for line in view.picture(80, height)]
    assert [name for name in "abc" if any(f" {name} " in row for row in rows)] == list(names)
    assert len(rows) <= max(height - 2, 1)
    assert any(f"and {3 - len(names)} more" in row for row in rows) == (names != "abc")
    view.close()


def test_a_log_has_one_line_for_each_change() -> None:
    stream = io.StringIO()
    output = Output(Plain(stream, clock=lambda: "14:02:11"))
    for part in recorded.PARTS:
        part(output)
    matches("plain.txt", stream.getvalue())


def test_verbose_shows_commands_whole_images_and_everything_that_is_printed() -> None:
    stream = io.StringIO()
    output = Output(Plain(stream, verbose=True, clock=lambda: "14:02:11"), verbose=True)
    output.step("$ docker version")
    recorded.building(output)
    recorded.pushing(output)
    matches("verbose.txt", stream.getvalue())


def test_a_long_phase_floods_no_log() -> None:
    stream = io.StringIO()
    output = Output(Plain(stream))
    output.start("transferring", "postgres:15", "blog-1")
    for part in range(1000):
        output.progress("transferring", part, 1000, "bytes", "blog-1")
    assert len(stream.getvalue().splitlines()) == 1


def test_a_log_says_which_image_a_line_is_about_where_several_are_built() -> None:
    stream = io.StringIO()
    output = Output(Plain(stream, clock=lambda: "14:02:11"))
    app, web = "ghcr.io/acme/app:v1", "ghcr.io/acme/web:v1"
    output.start("building", app)
    output.start("building", web)
    output.line("building", "#5 [2/3] RUN make", subject=app)
    output.done("building", app, seconds=3)
    output.line("building", "#5 [2/3] RUN make", subject=web)
    texts = [line.removeprefix("14:02:11 ") for line in stream.getvalue().splitlines()]
    assert (texts[2], texts[4]) == ("  app: [2/3] RUN make", "  [2/3] RUN make")


def test_a_stream_without_signs_gets_ascii() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Plain(stream, clock=lambda: "14:02:11")(Event("building", "done", subject="app…", seconds=3))
    assert stream.buffer.getvalue() == b"14:02:11 + Built `app...` in 3.0s\n"  # type: ignore[attr-defined]


def test_a_reader_that_has_gone_ends_nothing() -> None:
    class Closed(io.StringIO):
        is_tried = False

        def write(self, text: str) -> int:
            self.is_tried = True
            raise BrokenPipeError

    for renderer in (Plain, Ndjson):
        closed = Closed()
        recorded.building(Output(renderer(closed)))
        assert closed.is_tried


def test_a_failure_that_ends_the_command_is_left_to_the_command() -> None:
    stream = io.StringIO()
    for renderer in (Plain(stream), LiveView(Console(file=stream, force_terminal=False))):
        Output(renderer).fail("building", DevError("the build failed", hint="fix it"), subject="app")
    assert stream.getvalue() == ""


def test_a_terminal_is_left_as_it_was() -> None:
    stream = io.StringIO()
    view = LiveView(Console(file=stream, force_terminal=True, width=80))
    for part in (recorded.building, recorded.pushing):
        part(Output(view))
    view.close()
    assert not view._area.is_drawn
    assert stream.getvalue().count(HIDE) == stream.getvalue().count(SHOW) > 0
    assert stream.getvalue().endswith(SHOW)
    assert "blog-1: Installed Docker 28.2.2, Compose 2.40.0 in 41s" in stream.getvalue()
    assert re.search(r"blog-2: Pulling `postgres:15` \(stopped after \d", stream.getvalue())


def lines_of(*parts: object) -> list[dict[str, object]]:
    stream = io.StringIO()
    ndjson = Ndjson(stream)
    output = Output(ndjson)
    for part in parts:
        part(output)  # type: ignore[operator]
    containers = (ContainerSummary("app", "blog-1-app-1", recorded.IMAGE, "running", id="4f5e", health="healthy"),)
    stacks = (StackSummary("blog-1", "10.0.0.1", "deployed", ok=True, containers=containers),)
    ndjson.result(RunSummary("deploy", ok=True, exit_code=0, version=recorded.COMMIT, stacks=stacks), Redaction())
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_programs_get_lines_that_the_published_schema_describes() -> None:
    lines = lines_of(*recorded.PARTS)
    for line in lines:
        publish.validator().validate(line)
    assert {line["schema"] for line in lines} == {1}
    assert [line["type"] for line in lines].count("result") == 1
    assert lines[-1]["type"] == "result"


def test_an_unknown_phase_is_not_valid() -> None:
    line = {"type": "event", "schema": 1, "phase": "dreaming", "status": "done", "time": "2026-01-01T00:00:00Z"}
    with pytest.raises(jsonschema.ValidationError):
        publish.validator().validate(line)


def test_the_published_schema_is_that_of_the_types() -> None:
    assert publish.PATH.read_text() == publish.text(), "run `python -m tests.output.publish`"


def test_every_class_of_the_tree_of_errors_has_its_kind() -> None:
    def below(kind: type[DevError]) -> set[type[DevError]]:
        return {kind}.union(*(below(each) for each in kind.__subclasses__() if each.__module__ == "kamal_dev.errors"))

    assert set(KINDS) == below(DevError)


def test_a_failure_has_what_the_error_says() -> None:
    assert Failure.of(DevError("it failed", hint="try", left_behind="nothing")) == Failure(
        "command", False, "it failed", "try", "nothing"
    )


def test_a_log_has_the_output_of_a_failed_lifecycle_command_once() -> None:
    stream = io.StringIO()
    output, host = Output(Plain(stream)), Host("blog-1", "10.0.0.1")
    output.line("lifecycle", "[bad] no such file", host)
    error = DevError("postCreateCommand (bad): `npm ci`: exited with code 7")
    output.fail("deploying", error, host, log=["[bad] no such file", "app: exited with code 1"])
    assert stream.getvalue().count("[bad] no such file") == 1
    assert "app: exited with code 1" in stream.getvalue()
