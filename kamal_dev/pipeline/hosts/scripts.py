"""Run the scripts on a host: show their events, and reconnect to a run after a lost connection."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from typing import TypeVar

from kamal_dev.commands import answers, events, host
from kamal_dev.commands.events import Replace
from kamal_dev.errors import HostError, HostTimeout, HostUnreachable, LinkDropped, NoAnswer
from kamal_dev.model import Host, Image, Result, Step
from kamal_dev.output import Output
from kamal_dev.output.event import Phase
from kamal_dev.pipeline.images.engine import last_line
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.shell import OnLine
from kamal_dev.values import dataclass

ATTEMPTS = 5
PAUSE = 2.0
LATER = "check with `dev status`, then run the command again"

ASKED = "it needs a POSIX shell, tar, gzip and a writable /tmp and home folder"
UNKNOWN = "its state is unknown; `dev doctor` checks all hosts"


@dataclass(frozen=True)
class ServiceNames:
    """Name the services of a host's events, from what the events carry: an image or a lifecycle command."""

    main: str = ""
    of_images: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, images: Iterable[tuple[str, Image]], main: str) -> ServiceNames:
        """Return the names for the images of a release; an image that several services share names none of them."""
        used = [(str(image), name) for name, image in images]
        uses = Counter(image for image, _ in used)
        return cls(main, {image: name for image, name in used if uses[image] == 1})


Detached = Callable[[str], Step]
Value = TypeVar("Value")


def ask(
    connections: HostConnections, target: Host, step: Step, *, timeout: float, on_line: OnLine | None = None
) -> Result:
    """Run a script that is safe to run twice; it is run again if the connection is lost.

    Raises NoAnswer if it did not reach its end: something that it did not report may exist.
    """
    remaining = within(connections, target, timeout)
    result = again(
        connections, target.name, lambda: connections.remote(target).run(step, timeout=remaining, on_line=on_line)
    )
    if not answers.has_ended(result.output):
        raise NoAnswer(
            target.name,
            f"the script `{step.text}` ended early on the host (exit code {result.exit_code}): "
            f"{last_line(result.errors)}",
            hint=ASKED,
        )
    return result


def output_of(connections: HostConnections, target: Host, step: Step, *, timeout: float) -> str:
    """Return the output of a read-only script. Raises NoAnswer if it reports that it could not read."""
    output = ask(connections, target, step, timeout=timeout).output
    if not (outcome := answers.outcome(output)):
        raise NoAnswer(target.name, outcome.reason, hint=UNKNOWN)
    return output


def again(connections: HostConnections, name: str, attempt: Callable[[], Value]) -> Value:
    """Run something that is safe to run twice on the host `name`; run it again if the connection is lost."""
    try:
        return attempt()
    except LinkDropped:
        if connections.is_closing():
            raise
        connections.output.info("Connection lost; trying again", name, phase="connecting")
        time.sleep(PAUSE)
        return attempt()


def follow(
    connections: HostConnections, target: Host, step: Detached, *, timeout: float, services: ServiceNames | None = None
) -> events.ScriptResult:
    """Start a script that runs detached from the connection, and follow it to its end, naming services in its events.

    After a lost connection the same token follows the same run. Raises HostTimeout after `timeout` seconds, or if the
    host cannot be reached again; the state on the host is then unknown, not failed.
    """
    token = secrets.token_hex(8)
    deadline = time.monotonic() + within(connections, target, timeout)
    printer = EventPrinter(connections.output, target, services)
    output = ""
    current = step(token)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            output += (
                connections.remote(target).run(current, on_line=printer, timeout=deadline - time.monotonic()).output
                + "\n"
            )
            if answers.has_ended(output) or attempt == ATTEMPTS:
                return answers.outcome(output)
            connections.output.info(
                "Connection closed by the host; reconnecting to the running command", target, phase="connecting"
            )
        except HostTimeout as error:
            raise _still_at_work(target, printer) from error
        except LinkDropped as error:
            if attempt == ATTEMPTS or connections.is_closing():
                raise _unknown(target, error) from error
            connections.output.info("Connection lost; the host continues, reconnecting", target, phase="connecting")
        except HostUnreachable as error:
            if attempt == 1 or connections.is_closing():
                raise
            if attempt == ATTEMPTS:
                raise _unknown(target, error) from error
        time.sleep(PAUSE * attempt)
        output = printer.text
        current = host.attach(connections.scripts, token, printer.count) if printer.count else step(token)
    raise AssertionError("unreachable")


def within(connections: HostConnections, target: Host, seconds: float) -> float:
    """Return the seconds that a step may take. Raises HostTimeout if `--timeout` is used up."""
    seconds_left = connections.budget.remaining(target.name, seconds)
    if seconds_left <= 0:
        raise HostTimeout(target.name, "`--timeout` expired before it was done", hint=LATER)
    return seconds_left


def watch(connections: HostConnections, target: Host, token: str, *, timeout: float) -> None:
    """Follow a run that somebody else started until it ends; its owner reports how it ended."""
    connections.remote(target).run(
        host.attach(connections.scripts, token), on_line=EventPrinter(connections.output, target), timeout=timeout
    )


def _still_at_work(target: Host, printer: EventPrinter) -> HostTimeout:
    what = "still running after --timeout" if printer.count else "no answer in time"
    return HostTimeout(target.name, f"{what}; its state is unknown", hint=LATER)


def _unknown(target: Host, error: HostError) -> HostTimeout:
    return HostTimeout(
        target.name,
        f"{error.message}; could not reconnect, so its state is unknown",
        hint=LATER,
    )


class EventPrinter:
    """Print each event of a script as it arrives, and keep it."""

    def __init__(self, output: Output, target: Host, services: ServiceNames | None = None) -> None:
        self._output = output
        self._target = target
        self._services = services or ServiceNames()
        self._phase: Phase = "connecting"
        self._passed: events.Phase | None = None
        self._arrived = 0
        self._lines: list[str] = []

    def __call__(self, line: str) -> None:
        """Handle one line of the script's output."""
        event = answers.event(line)
        if event is None:
            if line.strip():
                self._output.step(f"{self._target.name}: {line}")
            return
        self._lines.append(line)
        self._show(event)

    @property
    def count(self) -> int:
        """The number of events received."""
        return len(self._lines)

    @property
    def text(self) -> str:
        """The events received, as text."""
        return "".join(f"{line}\n" for line in self._lines)

    def _show(self, event: events.Event) -> None:
        output = self._output
        if isinstance(event, events.Phase):
            self._turn(event)
        elif isinstance(event, events.ScriptResult) and event.ok:
            self._end()
        elif isinstance(event, events.Log) and self._phase == "lifecycle":
            output.line(self._phase, event.text, self._target, service=self._services.main)
        elif isinstance(event, events.Log):
            # Written by one of our scripts, unlike the output of a command: CI logs must show it, too.
            output.info(event.text, self._target, phase=self._phase)
        elif isinstance(event, events.Pulled) and event.ok:
            self._arrived += 1
            service = self._services.of_images.get(event.image, "")
            output.progress(
                "pulling", self._arrived, None, "images", self._target, subject=event.image, service=service
            )
        elif isinstance(event, events.Arrived):
            phase: Phase = "copying" if self._phase == "copying" else "pulling"
            output.progress(phase, event.current, event.total, "bytes", self._target)
        elif isinstance(event, events.Replace):
            output.info(replacing(event), self._target, phase="starting", service=event.service)
            if event.inside:
                output.warn(inside(event), self._target, phase="starting", service=event.service)

    def _turn(self, event: events.Phase) -> None:
        """Show that a phase starts; the previous one is then known to have succeeded."""
        if event.seconds is not None:
            self._passed = event
            return
        if event.name not in AFTER_FAILURE:
            self._end()
        self._passed, (self._phase, subject) = None, _named(event)
        self._output.start(self._phase, subject, self._target, service=self._service(self._phase))

    def _end(self) -> None:
        """Show that the last phase succeeded."""
        if self._passed:
            phase, subject = _named(self._passed)
            seconds = self._passed.seconds
            self._output.done(phase, subject, self._target, seconds=seconds, service=self._service(phase))

    def _service(self, phase: Phase) -> str:
        return self._services.main if phase == "lifecycle" else ""


def _named(event: events.Phase) -> tuple[Phase, str]:
    """Return the phase of an event; any unknown one is a lifecycle command, shown by its stage."""
    phase = PHASES.get(event.name, "lifecycle")
    return phase, event.name if phase == "lifecycle" else SUBJECTS.get(event.name, "")


AFTER_FAILURE = ("stop", "restore", "revert")


PHASES: dict[str, Phase] = {
    "upload": "uploading",
    "pull": "pulling",
    "create": "creating",
    "up": "starting",
    "observe": "observing",
    "stop": "stopping",
    "restart": "restarting",
    "scale": "scaling",
    "restore": "rolling_back",
    "backup": "backing_up",
    "copy": "copying",
    "replace": "restoring",
    "revert": "restoring",
}


SUBJECTS = {"revert": "the old data", "copy": "volumes"}


_MOUNTS = ("volumes", "configs", "secrets", "tmpfs", "volumes_from")


_WORDS = {
    "image": "image changed",
    "ports": "ports changed",
    "files": "a mounted file changed",
    "recreate": "`--recreate`",
    **dict.fromkeys(_MOUNTS, "mounts changed"),
}


def replacing(event: Replace) -> str:
    """Return the sentence about a replaced container; variables are listed by name only."""
    if event.parts == ("removed",):
        return f"removing `{event.service}`: no longer in the compose file"
    return f"replacing `{event.service}`: {', '.join(_reasons(event.parts))}"


def inside(event: Replace) -> str:
    """Return the sentence about what people run in the container."""
    return f"this stops what people run in `{event.service}`: {', '.join(f'`{what}`' for what in event.inside)}"


def _reasons(parts: Iterable[str]) -> list[str]:
    variables = [name for kind, dot, name in (part.partition(".") for part in parts) if kind == "environment" and dot]
    others = [part for part in parts if not part.startswith("environment.")]
    reasons = [_WORDS[part] for part in others if part in _WORDS]
    keys = ", ".join(f"`{part}`" for part in others if part not in _WORDS)
    reasons += [f"environment changed ({', '.join(variables)})"] if variables else []
    reasons += [f"configuration changed ({keys})"] if keys else []
    return list(dict.fromkeys(reasons))
