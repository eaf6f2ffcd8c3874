"""A recorded deploy: the real pipeline, with recorders in place of the engine here and of every host."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from kamal_dev import compose
from kamal_dev import project as projects
from kamal_dev.commands.hooks import FOLDER
from kamal_dev.errors import DevError
from kamal_dev.model import Host, Image, Release, Result, Step, short
from kamal_dev.output import Event, Output
from kamal_dev.output.redaction import Redaction
from kamal_dev.pipeline.hosts.rendering import render_release
from kamal_dev.pipeline.images.parallel import THREAD
from kamal_dev.pipeline.run.run import Run
from kamal_dev.project import Project
from kamal_dev.shell import OnLine
from kamal_dev.shell.local import Local
from kamal_dev.shell.recorder import Recorder
from kamal_dev.values import dataclass

DIGEST = f"sha256:{'d' * 64}"


class Answering(Recorder):
    """Write each step down, and let `answer` say how it ended."""

    def answer(self, step: Step) -> Result:
        """Answer one step."""
        raise NotImplementedError

    def run(
        self,
        step: Step,
        *,
        on_line: OnLine | None = None,
        timeout: float | None = None,
        feed: Iterable[bytes] | None = None,
    ) -> Result:
        """Note the step, and return what the answer is."""
        super().run(step, feed=feed)
        result = self.answer(step)
        for line in result.output.splitlines():
            if on_line:
                on_line(line)
        return result


class RecordedHost(Answering):
    """Say what a host says: its facts, and how a release ends there; what is left out went well."""

    def __init__(self, name: str, state: HostState, image: Image, release: Release) -> None:
        super().__init__(name)
        self._facts = {"daemon": True, "engine": "28.0", "compose": "2.40.0", "privilege": "root", **state.facts}
        held = [["postgres:15"]] if state.has_database else []
        if state.has_image:
            held.append([image.reference, f"{image.name}@{DIGEST}"])
        self._facts["images"] = [{"names": names, "platform": state.platform} for names in held]
        if state.is_current:
            self._facts |= {"intact": True, "release": {"id": release.id, "digest": release.digest}}
        self._outcome = state.outcome
        self._pulls = state.pulls
        self.early_logins = 0
        self.is_kept = True

    def connect(self) -> None:
        """Count that a run logs in before its first step."""
        self.early_logins += 1

    def end_with_run(self) -> None:
        """Remember that the next run has to log in."""
        self.is_kept = False

    def answer(self, step: Step) -> Result:
        """Answer one step."""
        verb, *words = step.text.split()
        if verb == "facts":
            return Result(step, 0, lines({"type": "facts", **self._facts}, {"type": "result", "ok": True}))
        if verb == "pull":
            images = [{"type": "image", "image": word, "ok": self._pulls, "reason": "no route"} for word in words]
            return Result(step, int(not self._pulls), lines(*images, {"type": "result", "ok": self._pulls}))
        if verb == "bootstrap":
            self._facts.update(daemon=True, engine="28.0", compose="2.40.0")
            return Result(step, 0, lines({"type": "facts", **self._facts}, {"type": "result", "ok": True}))
        if verb == "apply" and self._outcome:
            return Result(step, int(not self._outcome[-1]["ok"]), lines(*self._outcome))
        if verb == "stop":
            return Result(step, 0, lines({"type": "result", "ok": True, "state": "stopped"}))
        return Result(step, 0, lines({"type": "result", "ok": True, "state": "new"}))


@dataclass(frozen=True)
class HostState:
    """Describe a host.

    `facts` is what it says of itself, `outcome` what an apply prints when it fails;
    `has_image` and `has_database` whether these images are there, `pulls` whether it reaches a registry,
    `is_current` whether it runs the very release that is deployed, `platform` what its images are made for.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    outcome: tuple[dict[str, Any], ...] = ()
    has_image: bool = False
    has_database: bool = True
    pulls: bool = True
    is_current: bool = False
    platform: str = ""


def lines(*events: dict[str, Any]) -> str:
    """Return events as a host prints them."""
    return "".join(f"{json.dumps(event)}\n" for event in events)


class Machine(Answering, Local):
    """Answer for the engine of this machine, which builds and pushes, and knows what it has built; git is real."""

    def __init__(self, images: Iterable[str] = ()) -> None:
        Answering.__init__(self)
        self.real = Local()
        self._built = set(images)
        self._pushed: set[str] = set()
        self.failing_hook = ""
        self._noting = threading.Lock()
        self.meanwhile: list[str] = []

    def run(self, step: Step, **options: Any) -> Result:
        """Note the step; those that hosts ask for in the meantime stand apart, because their moment is not fixed."""
        if step.argv[0] == "git":
            return self.real.run(step, **options)
        with self._noting:
            result = super().run(step, **options)
            if threading.current_thread().name not in ("MainThread", THREAD):
                self.meanwhile.append(self.transcript.pop())
        return result

    def stream(self, step: Step) -> Iterator[bytes]:
        """Stream from git; of an image there is nothing to stream."""
        if step.argv[0] == "git":
            yield from self.real.stream(step)
            return
        with self._noting:
            self.meanwhile.append(f"$ {step.text}")

    def close(self) -> None:
        """Close what is real."""
        self.real.close()

    def interrupt(self, thread: str = "") -> None:
        """End nothing: every step has ended."""

    def answer(self, step: Step) -> Result:
        """Answer one step, remembering what it makes."""
        words = step.argv[1:]
        if step.text.startswith(FOLDER):
            fails = bool(self.failing_hook) and step.text.endswith(self.failing_hook)
            return Result(step, int(fails), errors="not today" if fails else "")
        if words[:2] == ("image", "inspect"):
            return self._inspect(step)
        if words[:3] == ("buildx", "imagetools", "inspect"):
            return (
                Result(step, 0, json.dumps({"digest": DIGEST}))
                if words[-1] in self._pushed
                else Result(step, 1, errors=f"{words[-1]}: not found")
            )
        if words[:2] == ("buildx", "build"):
            self._built.add(words[words.index("-t") + 1])
        if words[0] == "tag":
            self._built.add(words[-1])
        if words[0] == "push":
            self._pushed.add(words[-1])
            return Result(step, 0, f"{words[1]}: digest: {DIGEST} size: 1")
        return Result(step, 0, "26.1.5 linux/amd64" if words[0] == "version" else "")

    def forget(self) -> None:
        """Begin a new transcript; what was made stays."""
        for noted in (self.transcript, self.meanwhile, self.steps):
            noted.clear()

    def _inspect(self, step: Step) -> Result:
        reference = step.argv[-1]
        if reference not in {*self._built, DIGEST}:
            return Result(step, 1, errors="No such image")
        names = self._pushed & ({reference} if reference != DIGEST else self._pushed)
        digests = [f"{name.rpartition(':')[0]}@{DIGEST}" for name in sorted(names)]
        known = {"id": DIGEST, "digests": digests, "platform": "linux/amd64"}
        return Result(step, 0, json.dumps(known))


class Listed:
    """Hosts that are simply there."""

    def __init__(self, names: Iterable[str]) -> None:
        self._hosts = {name: Host(name, f"10.0.0.{number}", "root") for number, name in enumerate(names, 1)}

    def check(self, names: tuple[str, ...]) -> None:
        """Refuse nothing."""

    def ensure(self, names: tuple[str, ...]) -> Mapping[str, Host | DevError]:
        """Return the hosts."""
        return {name: self._hosts[name] for name in names}

    def stacks(self) -> tuple[tuple[str, Host], ...]:
        """Return them all."""
        return tuple(self._hosts.items())

    def machines(self) -> tuple[Host, ...]:
        """Return none: each stack has its own host."""
        return ()

    def capacity(self) -> None:
        """Leave it to the hosts."""

    def make_room(self, count: int, agree: object) -> None:
        """Make none."""

    def destroy(self, names: tuple[str, ...]) -> None:
        """Destroy nothing."""


@dataclass(frozen=True, eq=False)
class RecordedRun(Run):
    """A run whose every command is written down."""

    machine: Machine = field(default_factory=Machine)
    events: list[Event] = field(default_factory=list)
    releases: dict[str, Release] = field(default_factory=dict)
    hosts: dict[str, RecordedHost] = field(default_factory=dict)
    listed: Any = field(default_factory=lambda: Listed(()))

    @classmethod
    def of(cls, project: Project, machine: Machine, states: Mapping[str, HostState]) -> RecordedRun:
        """Return a run on this machine, with a host in each of these states."""
        events: list[Event] = []
        image, listed = project.image(project.main), Listed(states)
        pushed = {service: replace(image, digest=DIGEST) for service, image in project.images().items()}
        ready = compose.rewritten(project.compose, pushed)
        releases = {
            name: render_release(project, name, address=host.address, ready=ready) for name, host in listed.stacks()
        }
        hosts = {name: RecordedHost(name, state, image, releases[name]) for name, state in states.items()}
        output = Output(events.append)
        return cls(
            project, machine, output, machine=machine, events=events, releases=releases, hosts=hosts, listed=listed
        )

    @property
    def provider(self) -> Any:  # type: ignore[override]
        """The hosts that are simply there."""
        return self.listed

    def remote(self, host: Host) -> Recorder:
        """Return the recorder of a host."""
        return self.hosts[host.name]

    @property
    def recorders(self) -> tuple[Recorder, ...]:
        """This machine first, then the hosts in order."""
        return (self.machine, *(self.hosts[name] for name in sorted(self.hosts)))


def load(root: Path, environment: dict[str, str]) -> Project:
    """Read a repository for real: git and files are no part of what is on paper."""
    return projects.load(root, shell=Local(), environment=environment, redaction=Redaction())


def transcript(run: RecordedRun, end: str) -> str:
    """Return all that was run, a paragraph for each machine, and the end, in words that stay the same.

    Where nothing was deployed, how far the hosts had come meanwhile is left to chance, and out.
    """
    hosts = [] if end.startswith("error") else [ordered(run.hosts[name].transcript) for name in sorted(run.hosts)]
    told = (run.machine.transcript, sorted(run.machine.meanwhile) if hosts else [], *hosts, [end])
    return normal("\n\n".join("\n".join(lines) for lines in told if lines), run.project) + "\n"


def ordered(lines: list[str]) -> list[str]:
    """Return lines with the source right before the release: it is sent while images are pulled."""
    sent = [line for line in lines if "$ workspace " in line]
    others = [line for line in lines if "$ workspace " not in line]
    at = next((at for at, line in enumerate(others) if "$ apply " in line), len(others))
    return [*others[:at], *sent, *others[at:]]


def normal(text: str, project: Project) -> str:
    """Put words in place of hashes and folders."""
    places = (
        (r"'\{\"id\":[^']*'", "FIELDS"),
        (r"\S*/report\.json", "REPORT"),
        (r"\S*/kamal-dev/contexts/[0-9a-f]+", "REPOSITORY"),
        (re.escape(str(project.root)), "REPOSITORY"),
        (re.escape(str(project.version)), "VERSION"),
        (re.escape(short(str(project.version))), "VERSION"),
        (r"VERSION-[0-9a-f]{8}\b", "VERSION-DIGEST"),
        (DIGEST, "sha256:DIGEST"),
    )
    for pattern, word in places:
        text = re.sub(pattern, word, text)
    return text
