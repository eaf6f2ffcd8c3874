"""What `dev logs` does when a host fails, or does not answer, while others are read."""

from __future__ import annotations

import _thread
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import pytest

from kamal_dev.commands.logs import LogLine, LogQuery
from kamal_dev.errors import HostUnreachable, LinkDropped, ProviderError
from kamal_dev.model import Host, Result, Step
from kamal_dev.output import Event, Output
from kamal_dev.pipeline import logs
from kamal_dev.pipeline.hosts import log_reading
from kamal_dev.pipeline.logs import LogPrinter
from kamal_dev.pipeline.run.connections import HostConnections
from tests.hosts import scripts

END = b'{"type":"result","ok":true,"phase":"logs"}\n'
Reading = Callable[[], Iterable[bytes]]


def begin(identity: str) -> bytes:
    """What `logs.sh` prints until every container is listed."""
    return (
        f"000000000000=2026-01-31T11:00:00.000000000Z\n{identity * 12}=blog app 1 blog-app-1\n000000000000.\n".encode()
    )


def line(identity: str, seconds: int) -> bytes:
    return f"{identity * 12} 2026-01-31T12:00:{seconds:02}.000000000Z {identity}{seconds}\n".encode()


def complete(identity: str) -> bytes:
    return f"{identity * 12}.\n".encode()


class Reported:
    """Hosts whose answers are scripts of this test, and what `dev logs` printed and reported meanwhile."""

    def __init__(self, **readings: Reading) -> None:
        self.printed: list[str] = []
        self.events: list[Event] = []
        self.hosts: Callable[[], Mapping[str, Host]] = lambda: self.targets
        self.targets = {name: Host(name, name) for name in readings}
        self._readings = readings

    def print(self, **query: Any) -> list[str]:
        way: Any = None
        output = Output(self.events.append)
        connections = HostConnections(self._shell, way, lambda: False, scripts(), output, "ann@desk", 10)
        printer = LogPrinter(connections, self._show, LogQuery(**query), lambda: dict(self.hosts()))
        return printer.print({name: host} for name, host in self.targets.items())

    def is_reported(self, message: str) -> bool:
        return any(message in event.message for event in self.events)

    def _show(self, lines: list[LogLine]) -> None:
        self.printed += [line.text.decode() for line in lines]

    def _shell(self, target: Host) -> Any:
        reading = self._readings[target.name]

        class Shell:
            def run(self, step: Step, **_: Any) -> Result:
                raise NotImplementedError

            def receive(self, step: Step, take: Callable[[bytes], object], **_: Any) -> Result:
                for data in reading():
                    take(data)
                return Result(step, 0, "")

        return Shell()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reading, "PAUSES", (0.01,))
    monkeypatch.setattr(logs, "TICK", 0.01)


def test_a_host_that_fails_is_reported_while_the_others_are_followed() -> None:
    def unreachable() -> Iterator[bytes]:
        raise HostUnreachable("blog-2", "no SSH at blog-2: no route to host")
        yield

    def following() -> Iterator[bytes]:
        yield begin("a") + complete("a")
        until(lambda: reported.is_reported("no route to host"))
        yield line("a", 1)
        until(lambda: reported.printed == ["a1"])
        yield END

    reported = Reported(good=following, bad=unreachable)
    assert reported.print(follow=True) == ["bad"]
    (failure,) = (event for event in reported.events if event.status == "failed")
    assert (failure.stack, failure.category) == ("bad", "network")


def test_a_provider_that_fails_for_a_moment_ends_no_followed_log() -> None:
    asked: list[int] = []
    runs = iter((1, 2, 3))

    def hosts() -> Mapping[str, Host]:
        asked.append(1)
        if len(asked) < 6:
            raise ProviderError("the API of the cloud answered 503")
        return reported.targets

    def rebooted() -> Iterator[bytes]:
        run = next(runs)
        if run == 1:
            yield begin("a") + complete("a") + line("a", 1)
            raise LinkDropped("blog-1", "the connection was lost")
        if run == 2:
            # sshd is up before the engine.
            yield b'{"type":"result","ok":false,"phase":"logs","reason":"the engine does not answer"}\n'
            return
        yield begin("a") + line("a", 2) + END

    reported = Reported(blog=rebooted)
    reported.hosts = hosts
    assert reported.print(follow=True) == []
    assert reported.printed == ["a1", "a2"]
    assert [event.message for event in reported.events] == ["the connection was lost; reconnecting", "Reconnected"]


def test_a_host_without_an_answer_does_not_hold_the_others_back_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "PATIENCE", 0.2)

    def silent() -> Iterator[bytes]:
        until(lambda: reported.printed == ["a1"])
        yield begin("b") + line("b", 0) + complete("b") + END

    reported = Reported(blog=lambda: (begin("a") + line("a", 1) + complete("a"), END), other=silent)
    assert reported.print(follow=True) == []
    assert reported.printed == ["a1", "b0"]
    assert [event.message for event in reported.events] == ["no answer yet; continuing with the other hosts"]


def test_logs_that_are_not_followed_wait_for_the_slowest_host() -> None:
    def slow() -> Iterator[bytes]:
        time.sleep(0.3)
        yield begin("b")
        time.sleep(0.3)
        yield line("b", 0) + line("b", 2) + complete("b") + END

    reported = Reported(blog=lambda: (begin("a") + line("a", 1) + line("a", 3), complete("a") + END), other=slow)
    assert reported.print() == []
    assert (reported.printed, reported.events) == (["b0", "a1", "b2", "a3"], [])


def test_an_interrupt_loses_no_line_between_those_that_are_printed(request: pytest.FixtureRequest) -> None:
    # A shell starts what runs in its background with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(partial(signal.signal, signal.SIGINT, before))

    def following() -> Iterator[bytes]:
        yield begin("a") + complete("a")
        for second in range(1, 50):
            yield line("a", second)
            time.sleep(0.005)
        until(lambda: is_interrupted)
        yield END

    is_interrupted: list[bool] = []
    reported = Reported(blog=following)
    show = reported._show

    def interrupted(lines: list[LogLine]) -> None:
        if lines and not is_interrupted:
            is_interrupted.append(True)
            _thread.interrupt_main()
            time.sleep(0.2)
        show(lines)

    reported._show = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        reported.print(follow=True)
    assert reported.printed
    assert reported.printed == [f"a{number}" for number in range(1, len(reported.printed) + 1)]


def test_a_defect_in_a_reading_thread_is_not_hidden() -> None:
    def broken() -> Iterator[bytes]:
        raise RuntimeError("a defect")
        yield

    with pytest.raises(RuntimeError, match="a defect"):
        Reported(blog=broken).print()
    assert not [thread for thread in threading.enumerate() if thread.name == "logs of blog" and thread.is_alive()]
