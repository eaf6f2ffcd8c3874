from __future__ import annotations

import shlex
import subprocess

import pytest

from kamal_dev.shell import frame
from kamal_dev.shell.frame import Frame, Framed
from kamal_dev.shell.lines import Bytes, Lines

HARD = (
    *("two words", "it's", "!foo!", "$HOME", "`id`", "\\n", "\\\\", "line\nbreak\n", "tab\t", "*?[a]{a,b}"),
    *("# ; & | < > ( ) ^ = @ %s", "schön", "\x01", "", "x" * 30_000),
)


def framed(*chunks: bytes, mark: Frame) -> tuple[Framed, bytes]:
    taken: list[bytes] = []
    found = Framed(mark, Bytes(taken.append))
    for chunk in chunks:
        found.feed(chunk)
    found.end()
    return found, b"".join(taken)


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_words_arrive_as_they_are_whatever_is_in_them(shell: str) -> None:
    text = shlex.join(("printf", "%s|", *HARD))
    done = subprocess.run([shell, "-c", frame.line(text)], capture_output=True, check=True)
    assert done.stdout.decode() == "".join(f"{word}|" for word in HARD)


def test_the_line_has_no_character_that_some_shell_takes_for_its_own_between_single_quotes() -> None:
    words = frame.line(shlex.join(HARD)).partition(" kamal-dev ")[2]
    assert "!" not in words
    assert "\n" not in words
    assert "\\\\" not in words
    assert "\\'" not in words
    assert max(map(len, words.split("' '"))) < 1000


def test_stdin_and_exit_code_are_those_of_the_command() -> None:
    mark = Frame.new()
    line = frame.line(mark.around(("sh", "-c", "cat; echo gone >&2; exit 7")))
    done = subprocess.run(["sh", "-c", line], input=b"stdin", capture_output=True, check=False)
    found, output = framed(done.stdout, mark=mark)
    complained, errors = framed(done.stderr, mark=mark.errors)
    assert (done.returncode, found.code, complained.code) == (7, 7, 7)
    assert (output, errors) == (b"stdin", b"gone\n")


@pytest.mark.parametrize("before", [b"", b"Welcome!\n", b"Welcome! ", b"\x00\xff" * 9000])
@pytest.mark.parametrize("output", [b"", b"one\n", b"\x1f\x8b\x00 a tar", b"x" * 100_000])
def test_what_is_printed_around_a_command_is_no_part_of_it_however_it_is_cut(before: bytes, output: bytes) -> None:
    mark = Frame.new()
    stream = before + mark.begin + output + mark.end + b"12;bye\n"
    for size in (1, 7, 1 << 16) if len(stream) < 10_000 else (1 << 16,):
        chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
        found, taken = framed(*chunks, mark=mark)
        assert taken == output
        assert found.code == 12
        assert found.noise == before[-frame.KEPT :]


def test_output_is_passed_on_as_it_comes() -> None:
    mark, seen = Frame.new(), []
    found = Framed(mark, Lines(seen.append))
    found.feed(b"hello" + mark.begin + b"first\nsec")
    assert seen == ["first"]
    found.feed(b"ond\n")
    assert seen == ["first", "second"]


def test_a_command_line_that_is_printed_back_is_no_frame() -> None:
    mark = Frame.new()
    found, taken = framed(frame.line(mark.around(("true",))).encode(), mark.around(("true",)).encode(), mark=mark)
    assert not found.has_begun
    assert taken == b""


def test_a_stream_that_ends_within_the_frame_has_no_exit_code() -> None:
    mark = Frame.new()
    found, taken = framed(mark.begin + b"half" + mark.end + b"1", mark=mark)
    assert found.has_begun
    assert found.code is None
    assert taken == b"half"


def test_what_answered_is_quoted_short_and_without_control_characters() -> None:
    assert frame.quoted(b"", b"\x1b[31mno\r\nshell\n") == "`[31mno shell`"
    assert frame.quoted(b"", b" ") == "nothing"
    assert len(frame.quoted(b"x" * 5000)) < 220


def test_what_others_say_on_the_stream_is_passed_on_without_the_marks() -> None:
    mark = Frame.new()
    both = mark.first + mark.second
    assert mark.without(f"{both}(") == ""
    assert mark.without(f"{both}(channel 3: open failed") == "channel 3: open failed"
    assert mark.without(f"closed{both})255;") == "closed"


def test_of_what_a_frame_prints_beside_others_nothing_is_shown() -> None:
    mark = Frame.new()
    words = ("sh", "-c", mark.around(("sh", "-c", "echo trouble >&2; exit 3")))
    ended = subprocess.run(words, check=False, capture_output=True)
    lines = [mark.errors.without(line) for line in ended.stderr.decode().splitlines()]
    assert lines == ["trouble", ""]
