from __future__ import annotations

import base64
import threading
from urllib.parse import quote

import pytest

from kamal_dev.errors import HostUnreachable
from kamal_dev.model import Host, Secret
from kamal_dev.output import Event, Output
from kamal_dev.output.redaction import Redaction
from kamal_dev.output.table import table
from kamal_dev.output.units import amount, clock, duration, long_duration, size

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


def test_no_renderer_sees_a_secret() -> None:
    events: list[Event] = []
    output = Output(events.append, verbose=True)
    output.redaction.add(Secret(SECRET))
    output.line("hook", f"token={SECRET}", "host-1")
    output.step(f"$ curl {SECRET}")
    output.fail("deploying", HostUnreachable("host-1", f"no {SECRET}", hint=f"set {SECRET}"), log=[f"last {SECRET}"])
    assert [event.message for event in events] == ["token=[redacted]", "$ curl [redacted]", "no [redacted]"]
    assert (events[-1].hint, events[-1].log) == ("set [redacted]", ("last [redacted]",))


def test_steps_show_with_verbose_only_and_quiet_keeps_what_went_wrong() -> None:
    events: list[Event] = []
    Output(events.append).step("$ true")
    quiet = Output(events.append, quiet=True)
    quiet.done("building", "app:1")
    quiet.warn("careful")
    quiet.fail("deploying", HostUnreachable("host-1", "broken"), "host-1")
    assert [event.status for event in events] == ["warning", "failed"]


def test_an_event_says_which_stack_it_is_about_and_where_that_is() -> None:
    events: list[Event] = []
    Output(events.append).start("pulling", "postgres:15", Host("blog-1", "10.0.0.1"))
    (event,) = events
    assert (event.stack, event.host, event.subject) == ("blog-1", "10.0.0.1", "postgres:15")
    assert event.time.endswith("Z")


def test_an_error_carries_its_kind_and_what_to_do() -> None:
    events: list[Event] = []
    Output(events.append).fail("connecting", HostUnreachable("blog-1", "no SSH", hint="start it"), "blog-1")
    (event,) = events
    assert (event.category, event.retryable, event.hint) == ("network", True, "start it")


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
    other = threading.Thread(target=output.info, args=("the connection was lost", "blog-1"))
    other.start()
    other.join()
    output.warn("the audit log could not be written")
    assert [event.message for event in events] == ["the audit log could not be written"]


@pytest.mark.parametrize(("seconds", "text"), [(7, "0:07"), (751, "12:31"), (3723, "1:02:03")])
def test_a_running_time_reads_as_a_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_sizes_are_decimal_and_a_part_has_the_unit_of_the_whole() -> None:
    assert [size(count) for count in (0, 999, 1234, 34_200_000, 1_200_000_000)] == [
        "0 B",
        "999 B",
        "1.2 kB",
        "34.2 MB",
        "1.2 GB",
    ]
    assert amount(34_200_000, 120_000_000) == "34.2/120 MB"
    assert amount(500, None) == "500 B"
