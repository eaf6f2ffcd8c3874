from __future__ import annotations

import threading
import time

import pytest

from kamal_dev.errors import HostUnreachable
from kamal_dev.model import Result, Step
from kamal_dev.shell.fanout import Background, each, once
from kamal_dev.shell.recorder import Recorder


def test_one_failure_stops_no_other_and_order_is_kept() -> None:
    def work(name: str) -> str:
        if name == "b":
            raise HostUnreachable(name, "gone")
        return name.upper()

    first, second, third = each(["a", "b", "c"], work, limit=3)
    assert (first, third) == ("A", "C")
    assert isinstance(second, HostUnreachable)


def test_no_more_than_the_limit_run_at_once() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def work(_: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.05)
        with lock:
            running -= 1

    each(range(12), work, limit=3)
    assert most == 3


def test_a_defect_of_ours_is_raised() -> None:
    def work(_: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        each([1, 2], work, limit=2)


def test_the_first_defect_ends_no_other_item_and_is_raised_after_them() -> None:
    done: list[int] = []

    def work(item: int) -> None:
        if item == 0:
            raise ZeroDivisionError
        time.sleep(0.05)
        done.append(item)

    with pytest.raises(ZeroDivisionError):
        each(range(6), work, limit=2)
    assert sorted(done) == [1, 2, 3, 4, 5]


def test_background_work_raises_where_its_result_is_asked_for() -> None:
    def work() -> int:
        raise HostUnreachable("a", "gone")

    background = Background(work)
    with pytest.raises(HostUnreachable):
        background.result()
    assert Background(lambda: 7).result() == 7


def test_a_recorder_keeps_a_failure_a_failure() -> None:
    recorder = Recorder("host", lambda step: Result(step, 3) if step.argv == ("false",) else None)
    assert recorder.run(Step(("false",))).exit_code == 3
    assert recorder.run(Step(("true", "a b"))).exit_code == 0
    assert recorder.transcript == ["host$ false", "host$ true 'a b'"]


def test_what_several_threads_ask_at_once_is_found_out_by_one() -> None:
    asked: list[str] = []

    @once
    def find(name: str) -> str:
        asked.append(name)
        time.sleep(0.05)
        return name.upper()

    assert each(["a", "a", "b", "a"], find, limit=4) == ["A", "A", "B", "A"]
    assert sorted(asked) == ["a", "b"]
    find.forget()
    find("a")
    assert sorted(asked) == ["a", "a", "b"]


def test_a_failure_is_no_answer_that_is_remembered() -> None:
    answers = iter([HostUnreachable("a", "gone")])

    @once
    def find(name: str) -> str:
        for error in answers:
            raise error
        return name

    with pytest.raises(HostUnreachable):
        find("a")
    assert find("a") == "a"
