"""Ctrl-C and SIGTERM leave nothing half-done, and a plain deploy goes on from there."""

from __future__ import annotations

import secrets
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from subprocess import Popen

from tests.real.lab import COMPOSE, DOCKERFILE, Host, Lab, Repository, has_image, run, wait_for

SLOW_START = """\
    command: [sh, -c, "sleep 4; touch /ready; exec sleep infinity"]
    healthcheck: {test: ["CMD", "test", "-e", "/ready"], interval: 1s, retries: 30}
"""


class Reader(threading.Thread):
    """Collect what a process says on stderr."""

    def __init__(self, process: Popen[str]) -> None:
        super().__init__(daemon=True)
        self._process = process
        self.text = ""

    def run(self) -> None:
        for line in self._process.stderr or ():
            self.text += line


@contextmanager
def started(repository: Repository, *words: str) -> Iterator[tuple[Popen[str], Reader]]:
    with repository.start(*words) as process:
        reader = Reader(process)
        reader.start()
        try:
            yield process, reader
        finally:
            process.kill()
            reader.join()


def stop(repository: Repository, number: signal.Signals, moment: Callable[[str], bool], verb: str = "deploy") -> str:
    """Run a verb, send it a signal once the moment has come, and return what it said."""
    with started(repository, verb, "--verbose") as (process, reader):
        wait_for("the moment", lambda: moment(reader.text) or process.poll() is not None, 60)
        assert process.poll() is None, reader.text
        process.send_signal(number)
        code = process.wait(30)
        reader.join()
    assert code == 130, reader.text
    assert "Traceback" not in reader.text
    assert "connection was lost" not in reader.text
    assert repository.leftovers == []
    return reader.text


def test_an_interrupt_during_the_build_leaves_no_image_and_no_process(lab: Lab, host: Host) -> None:
    # Never the same twice: a layer that an earlier run has made would not be built again.
    marker = f": {secrets.token_hex(8)} && sleep 6"
    dockerfile = f"{DOCKERFILE}RUN {marker}\n"
    repository = lab.small("stop-build", [host], {".devcontainer/Dockerfile": dockerfile})
    stop(repository, signal.SIGINT, lambda text: f"RUN {marker}" in text)
    assert str(repository.root) not in run("ps", "-eo", "args")
    assert not has_image(repository.image())
    assert host.states(repository.stack()) == {}
    repository.dev("deploy")
    assert host.states(repository.stack()) == {"app": "running"}


def test_a_sigterm_during_the_deploy_leaves_no_lock_and_the_next_one_converges(lab: Lab, host: Host) -> None:
    repository = lab.small("stop-deploy", [host], compose=COMPOSE + SLOW_START)
    stack = repository.stack()
    stop(repository, signal.SIGTERM, lambda _: host.states(stack) != {})
    wait_for("the lock is gone", lambda: not host.says(f"test -e ~/.kamal-dev/{stack}/lock"))
    assert host.run("ls -d /tmp/kamal-dev* 2>/dev/null || true") == ""
    repository.dev("deploy")
    assert host.states(stack) == {"app": "running healthy"}


def test_a_deploy_right_after_an_interrupted_one_succeeds(lab: Lab, host: Host) -> None:
    repository = lab.small("stop-again", [host], compose=COMPOSE + SLOW_START)
    stop(repository, signal.SIGINT, lambda _: host.states(repository.stack()) != {})
    repository.dev("deploy")
    assert host.states(repository.stack()) == {"app": "running healthy"}
