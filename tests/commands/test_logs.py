"""The lines of many logs: read as a host prints them, in the order of time, and read on after a lost connection."""

from __future__ import annotations

import json
import re
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamal_dev.commands.log_merge import LINE, LogMerge
from kamal_dev.commands.logs import CHUNK, LONGEST, LogLine, LogQuery, LogReader
from kamal_dev.errors import UsageError
from kamal_dev.model import Secret
from kamal_dev.output.log_view import LogView
from kamal_dev.output.redaction import Redaction
from kamal_dev.pipeline.hosts.log_reading import LogBuffer
from kamal_dev.shell.fanout import Background

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


@pytest.mark.parametrize("read", [0, 150])
def test_a_line_without_an_end_is_returned_in_parts_that_fit_the_memory_and_not_again_after_a_cut(read: int) -> None:
    reader = LogReader()
    reader.read(source(A, b"app"))
    record = b"".join(stamp(1) + b" " + b"%05d" % n + b"x" * (CHUNK - 5) for n in range(200))
    parts: list[LogLine] = []
    for at in range(0, read * CHUNK, 3000):
        parts += reader.read(A + b">" + record[at : at + 3000] + b"\n")
    reader.restart()
    parts += reader.read(line(A, 0.5, b"error"))
    assert parts.pop().text == b"error"
    for at in range(0, len(record), 3000):
        parts += reader.read(A + b">" + record[at : at + 3000] + b"\n")
        assert sum(map(len, reader._pieces.values())) <= LONGEST + 3100
    parts += reader.read(A + b" end\n" + line(A, 2, b"next"))
    assert (
        b"".join(part.text for part in parts[:-1])
        == b"".join(b"%05d" % n + b"x" * (CHUNK - 5) for n in range(200)) + b"end"
    )
    assert (len(parts), parts[-1].text) == (5, b"next")


def test_a_clock_that_goes_back_changes_neither_order_nor_where_reading_resumes() -> None:
    reader = LogReader()
    merge = LogMerge((reader,))
    merge.read(reader, BEGAN + source(A, b"app") + LISTED + line(A, 2, b"1") + line(A, 1, b"2") + line(A, 3, b"3"))
    merge.read(reader, line(A, 2.5, b"4") + A + b".\n")
    assert texts(merge.due() + merge.due()) == [b"1", b"2", b"3", b"4"]
    assert list(reader.resume()) == [f"{A.decode()} 2026-01-31T12:00:03.000000000Z 1"]


def test_lines_of_the_past_are_in_the_order_of_time_across_hosts() -> None:
    first, second = LogReader(), LogReader()
    merge = LogMerge((first, second))
    merge.read(first, source(A, b"app") + LISTED + line(A, 1, b"1") + line(A, 3, b"3") + line(A, 5, b"5"))
    assert merge.due() == [], "the other host has not said what it has"
    merge.read(second, source(B, b"db") + LISTED + line(B, 2, b"2") + line(B, 4, b"4"))
    assert texts(merge.due()) == [b"1", b"2", b"3", b"4"]
    merge.read(second, B + b".\n")
    assert texts(merge.due()) == [b"5"]


def test_a_silent_container_holds_nothing_up_where_logs_are_followed() -> None:
    readers = LogReader(), LogReader()
    merge = LogMerge(readers)
    for reader, identity in zip(readers, (A, B), strict=True):
        merge.read(reader, source(identity, b"app") + LISTED + identity + b".\n")
    merge.read(readers[0], line(A, 2, b"2"))
    assert merge.due() == []
    merge.read(readers[1], line(B, 1, b"1"))
    assert texts(merge.due()) == [b"1", b"2"]
    merge.read(readers[0], line(A, 3, b"3"))
    assert merge.due() == []
    assert texts(merge.due()) == [b"3"]


def test_a_host_that_is_gone_is_not_waited_for() -> None:
    first, second = LogReader(), LogReader()
    merge = LogMerge((first, second))
    merge.read(first, source(A, b"app") + LISTED + line(A, 1, b"1") + A + b".\n")
    assert merge.due() == []
    assert texts(merge.due(absent=(second,))) == [b"1"]


def test_a_host_that_is_ahead_waits_for_the_slowest_one() -> None:
    fast, slow = LogReader(), LogReader()
    merge = LogMerge((fast, slow), most=10_000)
    merge.read(fast, source(A, b"app") + LISTED + b"".join(line(A, n / 100, b"x" * 100) for n in range(50)))
    assert (merge.due(), merge.has_room(fast), merge.has_room(slow)) == ([], False, True)
    merge.read(slow, source(B, b"db") + LISTED + line(B, 0.4, b"slow"))
    assert len(merge.due()) == 42
    assert merge.has_room(fast)


def test_a_container_that_is_far_behind_does_not_fill_the_memory() -> None:
    reader = LogReader()
    merge = LogMerge((reader,), most=10_000)
    merge.read(reader, source(A, b"app") + source(B, b"db") + LISTED)
    printed: list[LogLine] = []
    for n in range(500):
        assert merge.has_room(reader), "nobody else can end this"
        merge.read(reader, line(A, n / 100, str(n).encode()))
        printed += merge.due()
        assert (n + 1 - len(printed)) * LINE <= 20_000
    merge.read(reader, line(B, 9, b"last") + A + b".\n" + B + b".\n")
    assert texts(printed + merge.due() + merge.due()) == [*(str(n).encode() for n in range(500)), b"last"]


def written(containers: list[list[int]], host: int) -> bytes:
    """Return what a host prints: the lines of its containers at some hundredths of a second, in any mixture."""
    identities = [b"a%05d%06d" % (host, number) for number in range(len(containers))]
    listed = b"".join(source(identity, b"app", b"%d" % n) for n, identity in enumerate(identities, 1)) + LISTED
    queues = [
        [line(identity, when / 100, identity + b"#%d" % n) for n, when in enumerate(sorted(times))]
        + [identity + b".\n"]
        for identity, times in zip(identities, containers, strict=True)
    ]
    # The longest queue first: a container is as far ahead of the others as it can be.
    return BEGAN + listed + b"".join(chain(*sorted(queues, key=len, reverse=True)))


TIMES = st.lists(st.lists(st.integers(0, 5900), max_size=12), min_size=1, max_size=3)


@settings(max_examples=50)
@given(st.lists(TIMES, min_size=1, max_size=4), st.data())
def test_any_order_of_arrival_gives_the_order_of_time(hosts: list[list[list[int]]], data: st.DataObject) -> None:
    readers = [LogReader() for _ in hosts]
    merge = LogMerge(readers)
    rest = {n: written(containers, n) for n, containers in enumerate(hosts)}
    printed: list[LogLine] = []
    while rest:
        if data.draw(st.booleans(), "print"):
            printed += merge.due()
        number = data.draw(st.sampled_from(sorted(rest)), "host")
        size = data.draw(st.integers(1, 400), "bytes")
        merge.read(readers[number], rest[number][:size])
        rest[number] = rest[number][size:]
        if not rest[number]:
            del rest[number]
    printed += merge.due() + merge.due()
    assert merge.rest() == []
    assert [each.time for each in printed] == sorted(each.time for each in printed)
    expected = [(n, m, len(times)) for n, containers in enumerate(hosts) for m, times in enumerate(containers)]
    for host, number, count in expected:
        mine = [text for text in texts(printed) if text.startswith(b"a%05d%06d#" % (host, number))]
        assert mine == [b"a%05d%06d#%d" % (host, number, n) for n in range(count)]
    assert len(printed) == sum(count for _, _, count in expected)


def test_threads_that_read_hosts_keep_the_order_of_time() -> None:
    buffer = LogBuffer(LogMerge(most=40_000))
    readers = [LogReader() for _ in range(3)]
    for reader in readers:
        buffer.add(reader)

    def read(number: int) -> None:
        text = written([list(range(number, 5900, 3))], number)
        for at in range(0, len(text), 1500):
            buffer.take(readers[number], text[at : at + 1500], lambda: False)

    work = [Background(lambda number=number: read(number)) for number in range(3)]
    printed: list[LogLine] = []
    while not all(each.is_done for each in work):
        printed += buffer.due(())
    printed += buffer.due(()) + buffer.due(())
    assert [each.time for each in printed] == [stamp(n / 100) for n in range(5900)]


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


@pytest.mark.parametrize("since", ["10m", "1h30m", "2026-01-31", "2026-01-31T12:00:00Z", "1767225600"])
def test_times_are_those_of_docker(since: str) -> None:
    assert LogQuery(since=since, until=since).since == since


@pytest.mark.parametrize("since", ["yesterday", "10", "$(id)", "-1h"])
def test_other_times_are_refused(since: str) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        LogQuery(since=since)
