"""How much of a push is done, from the lines of Docker."""

from __future__ import annotations

from kamal_dev.model import Image
from kamal_dev.output import Event, Output
from kamal_dev.pipeline.images.pushing import PushProgress

SENDING = (
    "The push refers to repository [ghcr.io/acme/blog]",
    "ab28bf26dbed: Preparing",
    "ab28bf26dbed: Pushing  1MB/90MB",
    "ab28bf26dbed: Pushing  2MB/90MB",
    "ab28bf26dbed: Pushed",
)


def shown(*lines: str) -> list[tuple[str, int | None, int | None, str]]:
    events: list[Event] = []
    progress = PushProgress(Output(events.append), Image("ghcr.io", "acme/blog", "v1"))
    for line in lines:
        progress(line)
    assert {event.subject for event in events} == {"ghcr.io/acme/blog:v1"}
    return [(event.message or "-", event.current, event.total, event.unit) for event in events]


def test_bytes_are_progress_and_no_flood_of_lines() -> None:
    assert shown(*SENDING) == [
        (SENDING[0], None, None, ""),
        (SENDING[1], None, None, ""),
        ("-", 1_000_000, 90_000_000, "bytes"),
        (SENDING[4], None, None, ""),
        ("-", 90_000_000, 90_000_000, "bytes"),
    ]


def test_where_nothing_has_to_be_sent_layers_are_counted() -> None:
    there = "ab28bf26dbed: Layer already exists"
    assert shown(there) == [(there, None, None, ""), ("-", 1, 1, "layers")]
