"""What scripts on a host tell becomes typed events; a phase is done only where what follows says so."""

from __future__ import annotations

import json
from typing import Any

from kamal_dev.model import Host, Image
from kamal_dev.output import Event, Output
from kamal_dev.pipeline.hosts.scripts import EventPrinter, ServiceNames

UP = {"type": "phase", "name": "up"}
OBSERVE = {"type": "phase", "name": "observe"}
CREATE = {"type": "phase", "name": "postCreateCommand"}


def printed(*lines: dict[str, Any]) -> list[tuple[str, str, str]]:
    events: list[Event] = []
    printer = EventPrinter(Output(events.append), Host("blog-1", "10.0.0.1"))
    for line in lines:
        printer(json.dumps(line))
    assert {(event.stack, event.host) for event in events} == {("blog-1", "10.0.0.1")}
    return [(event.phase, event.status, event.subject) for event in events]


def test_a_phase_is_done_once_the_next_one_begins_or_all_went_well() -> None:
    assert printed(UP, {**UP, "seconds": 1.5}, CREATE, {**CREATE, "seconds": 2.0}, {"type": "result", "ok": True}) == [
        ("starting", "started", ""),
        ("starting", "done", ""),
        ("lifecycle", "started", "postCreateCommand"),
        ("lifecycle", "done", "postCreateCommand"),
    ]


def test_a_phase_that_is_over_because_it_failed_is_not_done() -> None:
    restore = {"type": "phase", "name": "restore"}
    failed = {"type": "result", "ok": False, "state": "restored"}
    assert printed(OBSERVE, {**OBSERVE, "seconds": 3.0}, restore, {**restore, "seconds": 1.0}, failed) == [
        ("observing", "started", ""),
        ("rolling_back", "started", ""),
    ]


def test_what_a_lifecycle_command_prints_is_output_of_its_phase() -> None:
    assert printed(CREATE, {"type": "log", "text": "Bundle complete!"})[-1] == ("lifecycle", "output", "")


def test_images_are_counted_as_they_arrive() -> None:
    pulled = {"type": "image", "image": "postgres:15", "ok": True}
    assert printed({"type": "phase", "name": "pull"}, pulled)[-1] == ("pulling", "progress", "postgres:15")


def test_bytes_that_arrived_are_progress_of_the_pull() -> None:
    events: list[Event] = []
    printer = EventPrinter(Output(events.append), Host("blog-1", "10.0.0.1"))
    for line in ('{"type":"arrived","current":5}', '{"type":"arrived","current":6,"total":9}'):
        printer(line)
    known = [(event.phase, event.status, event.current, event.total, event.unit) for event in events]
    assert known == [("pulling", "progress", 5, None, "bytes"), ("pulling", "progress", 6, 9, "bytes")]


def test_events_name_their_service_where_it_is_known() -> None:
    events: list[Event] = []
    services = ServiceNames("app", {"postgres:15": "db"})
    printer = EventPrinter(Output(events.append), Host("blog-1", "10.0.0.1"), services)
    for line in (
        {"type": "image", "image": "postgres:15", "ok": True},
        {"type": "replace", "service": "db", "parts": ["image"], "inside": ["psql"]},
        {"type": "phase", "name": "postCreateCommand"},
    ):
        printer(json.dumps(line))
    assert [(event.phase, event.service) for event in events] == [
        ("pulling", "db"),
        ("starting", "db"),
        ("starting", "db"),
        ("lifecycle", "app"),
    ]


def test_an_image_of_several_services_is_of_none_of_them() -> None:
    images = (
        ("a", Image("r.example", "one", "v1")),
        ("b", Image("r.example", "one", "v1")),
        ("c", Image("r.example", "two", "v1")),
    )
    assert list(ServiceNames.of(images, "a").of_images.values()) == ["c"]
