"""Ctrl-C while hosts work: their connections are closed under them, and that is no failure of theirs."""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kamal_dev.errors import LinkDropped
from kamal_dev.model import Result, Step
from kamal_dev.pipeline.deploy import deploy
from kamal_dev.pipeline.plan import DeployOptions
from kamal_dev.pipeline.remove import remove
from kamal_dev.pipeline.rollback import RollbackOptions as Back
from kamal_dev.pipeline.rollback import rollback
from kamal_dev.pipeline.run.run import Run
from kamal_dev.project import Project
from tests.transcripts.paper import HostState, RecordedRun
from tests.transcripts.test_rollback import Remembering, history
from tests.transcripts.test_transcripts import CASES, FIRST, SECOND, UP, prepared, project, root

__all__ = ["project", "root"]


class Working(Remembering):
    """A host that is still at a verb when the connections are closed."""

    def __init__(self, name: str, verb: str, is_closed: threading.Event, arrived: Callable[[], Any]) -> None:
        super().__init__(name, UP, history(name))
        self._verb = verb
        self._is_closed = is_closed
        self._arrived = arrived

    def answer(self, step: Step) -> Result:
        """Answer one step."""
        if step.text.split()[0] != self._verb:
            return super().answer(step)
        self._arrived()
        assert self._is_closed.wait(30)
        raise LinkDropped(self.name, "the connection was lost: the connection closed")


VERBS: dict[str, Callable[[Run], Any]] = {
    "facts": lambda run: deploy(run, DeployOptions()),
    "apply": lambda run: deploy(run, DeployOptions()),
    "releases": lambda run: rollback(run, Back()),
    "rollback": lambda run: rollback(run, Back()),
    "remove": lambda run: remove(run, (), keep_volumes=False, agree=lambda _: True),
}


@pytest.fixture
def _heard() -> Iterator[None]:
    """Let Ctrl-C be heard, also where the tests run in the background, whose processes ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_heard")
@pytest.mark.parametrize("verb", VERBS)
def test_nothing_is_said_of_connections_that_an_interrupt_closes(verb: str, project: Project) -> None:
    before = set(threading.enumerate())
    run = RecordedRun.of(project, prepared(project, CASES["one_stack"]), {FIRST: HostState(), SECOND: HostState()})
    is_closed, both = threading.Event(), threading.Barrier(2, action=_thread.interrupt_main)
    run.hosts.update({name: Working(name, verb, is_closed, lambda: both.wait(30)) for name in (FIRST, SECOND)})
    run.resources.callback(is_closed.set)
    with pytest.raises(KeyboardInterrupt):
        VERBS[verb](run)
    said = list(run.events)
    run.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(30)
    assert run.hosts[FIRST].transcript[-1].startswith(f"{FIRST}$ {verb}")
    assert run.events == said
