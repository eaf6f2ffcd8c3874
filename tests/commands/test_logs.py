"""The lines of many logs: read as a host prints them, in the order of time, and read on after a lost connection."""

from __future__ import annotations

import json
import random
import re
import time

import pytest

from kamal_dev.commands.log_merge import LogMerge
from kamal_dev.commands.logs import CHUNK, LogQuery, LogReader
from kamal_dev.errors import UsageError
from kamal_dev.model import Secret
from kamal_dev.output.log_view import LogView
from kamal_dev.output.redaction import Redaction

A, B = b"a" * 12, b"b" * 12
BEGAN = b"000000000000=2026-01-31T11:00:00.000000000Z\n"
LISTED = b"000000000000.\n"


def source(identity: bytes, service: bytes, number: bytes = b"1") -> bytes:
    return identity + b"=blog-1 " + service + b" " + number + b" blog-1-" + service + b"-" + number + b"\n"


def stamp(seconds: float) -> bytes:
    return f"2026-01-31T12:00:{seconds:012.9f}Z".encode()


def line(identity: bytes, seconds: float, text: bytes, sign: bytes = b" ") -> bytes:
    return identity + sign + stamp(seconds) + b" " + text + b"\n"


def texts(found: list[object]) -> list[bytes]:
    return [item.text for item in found]  # type: ignore[attr-defined]


def test_lines_are_read_whatever_the_pieces_they_come_in() -> None:
    data = BEGAN + source(A, b"app") + line(A, 1, b"one") + line(A, 2, b"two \xff") + LISTED
    for size in (1, 7, len(data)):
        reader = LogReader()
        found = [item for at in range(0, len(data), size) for item in reader.read(data[at : at + size])]
        assert texts(found) == [b"one", b"two \xff"]
        assert reader.is_listed
        assert found[0].source.name == "blog-1-app-1"


def test_a_long_line_is_put_together_also_where_others_come_between() -> None:
    long = b"x" * CHUNK + stamp(1) + b" " + b"y" * 10
    first, rest = long[:3000], long[3000:]
    reader = LogReader()
    found = reader.read(
        source(A, b"app")
        + source(B, b"db")
        + line(A, 1, first, b">")
        + line(B, 2, b"between")
        + A
        + b" "
        + rest
        + b"\n"
    )
    assert texts(found) == [b"between", b"x" * CHUNK + b"y" * 10]


def test_what_was_read_is_where_the_next_run_begins() -> None:
    reader = LogReader()
    reader.read(
        BEGAN + source(A, b"app") + source(B, b"db") + line(A, 1, b"one") + line(A, 2, b"two") + line(A, 2, b"2")
    )
    reader.read(A + b" 2026-01-31T12:00:03.0")
    reader.restart()
    assert list(reader.resume()) == [
        f"{A.decode()} 2026-01-31T12:00:02.000000000Z 2",
        f"{B.decode()} 2026-01-31T11:00:00.000000000Z 0",
    ]
    assert texts(reader.read(line(A, 3, b"three"))) == [b"three"]


def test_lines_of_the_past_are_in_the_order_of_time_across_hosts() -> None:
    first, second = LogReader(), LogReader()
    merge = LogMerge((first, second))
    found = first.read(source(A, b"app") + LISTED + line(A, 1, b"1") + line(A, 3, b"3") + line(A, 5, b"5"))
    assert merge.due(found) == [], "the other host has not said what it has"
    found = second.read(source(B, b"db") + LISTED + line(B, 2, b"2") + line(B, 4, b"4"))
    assert texts(merge.due(found)) == [b"1", b"2", b"3", b"4"]
    assert texts(merge.due(second.read(B + b".\n"))) == [b"5"]


def test_a_silent_container_holds_nothing_up_where_logs_are_followed() -> None:
    readers = LogReader(), LogReader()
    merge = LogMerge(readers)
    for reader, identity in zip(readers, (A, B), strict=True):
        reader.read(source(identity, b"app") + LISTED + identity + b".\n")
    assert merge.due(readers[0].read(line(A, 2, b"2"))) == []
    assert texts(merge.due(readers[1].read(line(B, 1, b"1")))) == [b"1", b"2"]
    assert merge.due(readers[0].read(line(A, 3, b"3"))) == []
    assert texts(merge.due([])) == [b"3"]


def test_a_host_that_is_gone_is_not_waited_for() -> None:
    first, second = LogReader(), LogReader()
    merge = LogMerge((first, second))
    assert merge.due(first.read(source(A, b"app") + LISTED + line(A, 1, b"1") + A + b".\n")) == []
    assert texts(merge.due([], ended=(second,))) == [b"1"]


def test_any_order_of_arrival_gives_the_order_of_time() -> None:
    numbers = random.Random(7)  # the same in every run
    reader = LogReader()
    merge = LogMerge((reader,))
    reader.read(source(A, b"app") + source(B, b"db") + LISTED)
    queues = {
        identity: [line(identity, n / 100, str(n).encode()) for n in range(start, 5000, 2)]
        for identity, start in ((A, 0), (B, 1))
    }
    found = []
    while any(queues.values()):
        identity = numbers.choice([identity for identity, queue in queues.items() if queue])
        count = numbers.randrange(1, 60)
        found += merge.due(reader.read(b"".join(queues[identity][:count])))
        del queues[identity][:count]
    found += merge.rest()
    assert texts(found) == [str(n).encode() for n in range(5000)]


def shown(data: bytes, **options: object) -> list[str]:
    redaction = Redaction()
    redaction.add(Secret("hunter22"))
    written: list[str] = []
    reader = LogReader()
    lines = reader.read(source(A, b"app") + source(B, b"db", b"2") + data)
    LogView(written.append, redaction, **options)(lines)  # type: ignore[arg-type]
    return "".join(written).splitlines()


def test_lines_have_the_stack_and_the_service_before_them() -> None:
    data = line(A, 1, b"one") + line(B, 2, b"two") + line(A, 3, b"three")
    assert shown(data) == ["blog-1 app | one", "blog-1 db-2 | two", "blog-1 app  | three"]
    assert shown(data, has_prefix=False) == ["one", "two", "three"]
    assert shown(data, pattern=re.compile("^t")) == ["blog-1 db-2 | two", "blog-1 app  | three"]
    assert shown(data, has_colours=True)[0] == "\x1b[36mblog-1 app | \x1b[0mone"


def test_what_containers_write_is_harmless_and_without_secrets() -> None:
    hostile = line(A, 1, b"\x1b]0;title\x07\x1b[2J10%\r20%\r\n"[:-1]) + line(B, 2, b"password hunter22 \xff\x9b31m")
    assert shown(hostile) == ["blog-1 app | 20%", "blog-1 db-2 | password [redacted] \ufffd\ufffd31m"]
    (first, _) = map(json.loads, shown(hostile, as_json=True))
    assert first == {
        "time": "2026-01-31T12:00:01.000000000Z",
        "stack": "blog-1",
        "service": "app",
        "container": "blog-1-app-1",
        "text": "20%",
    }


def test_ten_thousand_lines_take_a_fraction_of_a_second() -> None:
    reader = LogReader()
    merge = LogMerge((reader,))
    reader.read(source(A, b"app") + LISTED + A + b".\n")
    data = b"".join(
        line(A, n / 1000, b"GET /index.html 200 in 12 ms, a line of ordinary length %d" % n) for n in range(10_000)
    )
    redaction = Redaction()
    redaction.add(Secret("hunter22"))
    view = LogView(lambda text: None, redaction)
    began = time.process_time()
    for at in range(0, len(data), 32768):
        view(merge.due(reader.read(data[at : at + 32768])))
    view(merge.rest())
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("since", ["10m", "1h30m", "2026-01-31", "2026-01-31T12:00:00Z", "1767225600"])
def test_times_are_those_of_docker(since: str) -> None:
    assert LogQuery(since=since, until=since).since == since


@pytest.mark.parametrize("since", ["yesterday", "10", "$(id)", "-1h"])
def test_other_times_are_refused(since: str) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        LogQuery(since=since)
