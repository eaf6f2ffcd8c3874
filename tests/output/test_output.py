from __future__ import annotations

import base64
import io
import json
import threading
from urllib.parse import quote

import pytest
from rich.console import Console

from kamal_dev.model import Secret
from kamal_dev.output import Event, Output
from kamal_dev.output.ndjson import Ndjson
from kamal_dev.output.plain import Plain, duration, long_duration, render
from kamal_dev.output.redaction import Redaction
from kamal_dev.output.table import table
from kamal_dev.output.terminal import Terminal

SECRET = "p@ss word/ünd+more"


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        quote(SECRET),
        quote(SECRET, safe=""),
    ],
)
def test_a_secret_is_removed_in_every_form_it_travels_in(form: str) -> None:
    redaction = Redaction()
    redaction.add(Secret(SECRET))
    assert redaction(f"before {form} after") == "before [redacted] after"


def test_each_line_of_a_long_secret_is_one() -> None:
    redaction = Redaction()
    redaction.add(Secret("first-line\nsecond-line"))
    assert redaction("x second-line y") == "x [redacted] y"


def test_short_values_would_blank_out_ordinary_words() -> None:
    redaction = Redaction()
    redaction.add(Secret("yes"))
    assert redaction("yes, it is") == "yes, it is"


def test_no_renderer_sees_a_secret() -> None:
    events: list[Event] = []
    output = Output(events.append, verbose=True)
    output.redaction.add(Secret(SECRET))
    output.line(f"token={SECRET}", "host-1")
    output.step(f"$ curl {SECRET}")
    assert [event.text for event in events] == ["token=[redacted]", "$ curl [redacted]"]


def test_steps_show_with_verbose_only_and_quiet_keeps_what_went_wrong() -> None:
    events: list[Event] = []
    Output(events.append).step("$ true")
    quiet = Output(events.append, quiet=True)
    quiet.done("Built")
    quiet.warn("careful")
    quiet.failed("broken", "host-1")
    assert [event.kind for event in events] == ["warning", "failed"]


def test_lines_read_the_same_without_colour() -> None:
    assert render(Event("done", "Built", seconds=31.2)) == "✓ Built in 31s"
    assert render(Event("failed", "no SSH", "blog-2")) == "✗ blog-2: no SSH"
    assert render(Event("hint", "try again")) == "hint: try again"


def test_a_stream_without_symbols_gets_ascii() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Plain(stream)(Event("done", "Built…"))
    assert stream.buffer.getvalue() == b"+ Built...\n"  # type: ignore[attr-defined]


def test_programs_get_one_object_a_line() -> None:
    stream = io.StringIO()
    Ndjson(stream)(Event("done", "Built", "blog-1", 1.5))
    assert json.loads(stream.getvalue()) == {"kind": "done", "text": "Built", "host": "blog-1", "seconds": 1.5}


def test_a_terminal_shows_lines_and_leaves_nothing_moving_behind() -> None:
    stream = io.StringIO()
    terminal = Terminal(Console(file=stream, force_terminal=True, width=80))
    terminal(Event("start", "Pulling images", "blog-1"))
    terminal(Event("start", "Pulling images", "blog-2"))
    terminal(Event("done", "Deployed", "blog-1", 2.0))
    terminal(Event("failed", "no SSH", "blog-2"))
    terminal.close()
    assert "✓ blog-1: Deployed in 2.0s" in stream.getvalue()
    assert "✗ blog-2: no SSH" in stream.getvalue()
    assert terminal._live is None


@pytest.mark.parametrize(("seconds", "text"), [(0.44, "0.4s"), (9.96, "10.0s"), (12.4, "12s"), (125, "2m 05s")])
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(42, "42s"), (300, "5m"), (11_520, "3h 12m"), (187_200, "2d 4h"), (3600, "1h 0m")]
)
def test_uptimes_have_their_two_largest_units(seconds: float, text: str) -> None:
    assert long_duration(seconds) == text


def test_columns_are_aligned_without_trailing_blanks() -> None:
    assert table(("A", "LONG"), [("value", "x"), ("y", "")]) == "A      LONG\nvalue  x\ny"


def test_once_closed_only_the_thread_that_closed_it_is_heard() -> None:
    events: list[Event] = []
    output = Output(events.append)
    output.close()
    other = threading.Thread(target=output.failed, args=("the connection was lost", "blog-1"))
    other.start()
    other.join()
    output.warn("the audit log could not be written")
    assert [event.text for event in events] == ["the audit log could not be written"]
