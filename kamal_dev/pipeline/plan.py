"""The story of `dev deploy --dry-run`: the deploy itself, on paper. Changes nothing.

What only looks is really run, here and on the hosts that exist; what would change
something is written down as `host$ command` and answered as if it had gone well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from kamal_dev.commands import refusal
from kamal_dev.commands.features import PROGRAMS
from kamal_dev.errors import DevError, SomeHostsFailed
from kamal_dev.model import Host, Result, Step
from kamal_dev.output import Event, Output
from kamal_dev.pipeline.deploy import DeployOptions, deploy
from kamal_dev.pipeline.images.engine import last_line, why
from kamal_dev.pipeline.run.run import Run
from kamal_dev.providers import Agree, Capacity, Provider
from kamal_dev.shell import OnLine, Shell

LOOKS = (
    *((*program, "--version") for program in PROGRAMS),
    ("git", "config", "--get"),
    ("docker", "version"),
    ("docker", "buildx", "version"),
    ("docker", "image", "inspect"),
    ("docker", "buildx", "imagetools", "inspect"),
)
DIGEST = "sha256:" + "0" * 64


@dataclass(frozen=True)
class Plan:
    """Hold the lines that `dev deploy` would run, this machine's first, then each host's in order.

    `failed` are the stacks that it would fail for, as far as that is known before.
    """

    lines: tuple[str, ...]
    failed: tuple[str, ...] = ()

    def error(self) -> DevError | None:
        """Return why this plan cannot go well, or None."""
        if not self.failed:
            return None
        return SomeHostsFailed(
            f"`dev deploy` would fail for {', '.join(self.failed)}", left_behind="nothing was changed"
        )

    def as_json(self) -> dict[str, Any]:
        """Return the plan for `--json`."""
        return {"lines": list(self.lines), "failed": list(self.failed)}


def plan(run: Run, order: DeployOptions) -> Plan:
    """Return what `dev deploy` would run. Asks nothing: nothing is made."""
    paper = PaperRun(run)
    try:
        report = deploy(paper, replace(order, agree=lambda question: True, consent=lambda question: True))
    finally:
        paper.close()
    for said in dict.fromkeys(paper.silent):
        run.output.warn(f"the registry could not be asked what it has, so the plan pushes everything: {said}")
    for outcome in report.failed:
        if outcome.error:
            run.output.fail("deploying", outcome.error, outcome.stack)
    return Plan(tuple(paper.transcript()), tuple(outcome.stack for outcome in report.failed))


class PaperRun(Run):
    """Be a run whose shells and provider write down what would change something."""

    is_paper = True

    def __init__(self, run: Run) -> None:
        self._real = run
        self._local = PaperLocal(run.local)
        output = Output(self._pass_on, redaction=run.output.redaction)
        super().__init__(run.project, self._local, output, lock_wait=run.lock_wait)
        self._hosts: dict[str, PaperHost] = {}
        self._provider = PaperProvider(run.provider)

    def _pass_on(self, event: Event) -> None:
        """Say what is to be known of the project; what is done on paper is in the transcript."""
        if event.status == "warning":
            self._real.output.warn(event.message)

    @property
    def provider(self) -> Provider:
        """The provider that makes no host."""
        return self._provider

    def remote(self, host: Host) -> Shell:
        """Return a host on paper; one that exists is asked what it is."""
        with self._lock:
            real = self._real.remote(host) if host.address else None
            return self._hosts.setdefault(host.name, PaperHost(host.name, real))

    @property
    def silent(self) -> tuple[str, ...]:
        """Why registries did not answer."""
        return tuple(self._local.silent)

    def transcript(self) -> list[str]:
        """Return everything written down."""
        hosts = (line for name in sorted(self._hosts) for line in self._hosts[name].lines)
        made = (f"$ make host {name}" for name in self._provider.missing)
        return [*self._local.lines, *made, *hosts]


class PaperLocal:
    """Look for real, write down the rest, and find what was built and pushed on paper."""

    def __init__(self, real: Shell) -> None:
        self._real = real
        self._built: set[str] = set()
        self._pushed: set[str] = set()
        self.silent: list[str] = []
        self.lines: list[str] = []

    def run(
        self,
        step: Step,
        *,
        on_line: OnLine | None = None,
        timeout: float | None = None,
        feed: Iterable[bytes] | None = None,
    ) -> Result:
        """Answer one step."""
        if any(step.argv[: len(look)] == look for look in LOOKS):
            real = self._real.run(step, timeout=timeout)
            self._note(step, real)
            return self._as_pushed(real) if real else self._imagined(step)
        self.lines.append(f"$ {step.text}")
        self._built.update(step.argv)
        if "push" in step.argv or "--push" in step.argv:
            self._pushed.update(step.argv)
        return Result(step, 0, f"digest: {DIGEST}")

    def _as_pushed(self, real: Result) -> Result:
        """Add the digests of pushes on paper to what the engine says of an image that it has."""
        names = sorted(word.rpartition(":")[0] for word in self._pushed if ":" in word)
        if not names or not real.output.startswith('{"id":'):
            return real
        said = json.loads(real.output)
        digests = [*(said["digests"] or ()), *(f"{name}@{DIGEST}" for name in names)]
        return replace(real, output=json.dumps({**said, "digests": digests}))

    def _note(self, step: Step, real: Result) -> None:
        """Remember why a registry gave no answer; without a login, which is only on paper, it often gives none."""
        if real or step.argv[1] != "buildx" or step.argv[-1] in self._pushed:
            return
        said = last_line(why(real))
        # The registry here is started when it is needed, which is on paper too.
        is_expected = refusal.cause(said) == "denied" or step.argv[-1].startswith(("localhost:", "127.0.0.1:"))
        if not refusal.is_absent(real.errors, step.argv[-1]) and not is_expected:
            self.silent.append(said)

    def _imagined(self, step: Step) -> Result:
        """Answer as the engine, or else the registry, would after what is written down."""
        reference = step.argv[-1]
        name = reference.rpartition(":")[0]
        if step.argv[1] == "buildx":
            is_pushed = reference in self._pushed
            return Result(step, int(not is_pushed), json.dumps({"digest": DIGEST}), f"{reference}: not found")
        names = {pushed.rpartition(":")[0] for pushed in self._pushed} if reference == DIGEST else {name}
        known = {"id": DIGEST, "digests": [f"{name}@{DIGEST}" for name in names]}
        is_here = reference == DIGEST or reference in self._built
        return Result(step, int(not is_here), json.dumps(known), "No such image")


class PaperHost:
    """Ask a host that exists for its facts, and write the rest down."""

    def __init__(self, name: str, real: Shell | None) -> None:
        self._name = name
        self._real = real
        self.lines: list[str] = []

    def run(
        self,
        step: Step,
        *,
        on_line: OnLine | None = None,
        timeout: float | None = None,
        feed: Iterable[bytes] | None = None,
    ) -> Result:
        """Answer one step."""
        self.lines.append(f"{self._name}$ {step.text}")
        verb = step.text.split(" ", 1)[0]
        if verb == "facts" and self._real:
            return self._real.run(step, timeout=timeout)
        words = step.text.split(" ")[1:]
        told = {"facts": self._facts(), "pull": [{"type": "image", "image": image, "ok": True} for image in words]}
        events = [*told.get(verb, []), {"type": "result", "ok": True, "state": "new"}]
        return Result(step, 0, "\n".join(map(json.dumps, events)))

    def _facts(self) -> list[dict[str, Any]]:
        """Return what a new host says: it has nothing, and runs Docker once it is bootstrapped."""
        ready = any(line.endswith("$ bootstrap") for line in self.lines)
        return [{"type": "facts", "daemon": ready, "compose": "2.40"}]


class PaperProvider:
    """Find hosts, and make none."""

    def __init__(self, real: Provider) -> None:
        self._real = real
        self.missing: list[str] = []

    def check(self, names: tuple[str, ...]) -> None:
        """Refuse what the real provider would refuse."""
        self._real.check(names)

    def capacity(self) -> Capacity | None:
        """Return what the real provider can give."""
        return self._real.capacity()

    def make_room(self, count: int, agree: Agree) -> None:
        """Refuse what the real provider would refuse; nothing is changed for it."""
        self._real.make_room(count, lambda question: False)

    def ensure(self, names: tuple[str, ...]) -> tuple[Host, ...]:
        """Return the hosts that exist, and names for the others."""
        found = dict(self._real.stacks())
        self.missing = [name for name in names if name not in found]
        return tuple(found.get(name) or Host(name, "") for name in names)

    def stacks(self) -> tuple[tuple[str, Host], ...]:
        """Return the hosts that exist."""
        return self._real.stacks()

    def list(self) -> tuple[Host, ...]:
        """Return the hosts that exist."""
        return self._real.list()

    def destroy(self, names: tuple[str, ...]) -> None:
        """Destroy nothing."""
