from __future__ import annotations

from kamal_dev.shell.lines import MAX_KEPT, MAX_LINE, Lines, TerminalLines


def test_lines_come_as_they_are_complete_and_the_last_one_at_the_end() -> None:
    seen: list[str] = []
    lines = Lines(seen.append)
    lines.feed(b"one\ntw")
    assert seen == ["one"]
    lines.feed(b"o\nthree")
    assert seen == ["one", "two"]
    assert lines.end() == "one\ntwo\nthree"
    assert seen == ["one", "two", "three"]


def test_a_character_cut_in_two_by_the_network_is_one_character() -> None:
    lines = Lines()
    lines.feed("schön".encode()[:4])
    lines.feed("schön".encode()[4:])
    assert lines.end() == "schön"


def test_bytes_that_are_no_text_are_replaced() -> None:
    lines = Lines()
    lines.feed(b"\xff\xfe ok\n")
    assert lines.end() == "�� ok"


def test_of_a_line_that_is_redrawn_the_last_state_counts() -> None:
    lines = Lines()
    lines.feed(b"10 %\r50 %\r100 %\r\n")
    assert lines.end() == "100 %"


def test_an_endless_line_is_cut() -> None:
    seen: list[str] = []
    lines = Lines(seen.append)
    lines.feed(b"x" * (MAX_LINE + 10))
    assert [len(line) for line in seen] == [MAX_LINE]
    lines.end()
    assert [len(line) for line in seen] == [MAX_LINE, 10]


def test_only_the_last_megabytes_are_kept() -> None:
    lines = Lines()
    for number in range(200):
        lines.feed(f"{number}".encode() + b"x" * 60_000 + b"\n")
    text = lines.end()
    assert len(text) <= MAX_KEPT
    assert text.splitlines()[-1].startswith("199x")
    assert not text.startswith("0x")


def test_on_a_terminal_each_state_of_a_redrawn_line_is_a_line() -> None:
    seen: list[str] = []
    lines = TerminalLines(seen.append)
    lines.feed(b"Pushing\r\n\r\n\x1b[1A\x1b[2K\rab: 1MB/2MB\r\x1b[1B\x1b[1A\x1b[2K\rab: Pushed \r\x1b[1B")
    assert seen == ["Pushing", "ab: 1MB/2MB", "ab: Pushed"]
    assert lines.end() == "Pushing\nab: 1MB/2MB\nab: Pushed"
