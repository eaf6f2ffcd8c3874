"""A real repository, brought by the real scripts to a folder that stands for the home of a host."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from kamal_dev.commands import answers
from kamal_dev.commands import workspace as commands
from kamal_dev.commands.facts import Facts
from kamal_dev.commands.host import facts
from kamal_dev.commands.payload import SCRIPTS
from kamal_dev.model import Host, Release, Result, Step, Version
from kamal_dev.output import Output
from kamal_dev.output.sentences import sentence
from kamal_dev.pipeline.hosts.workspace import Workspace
from kamal_dev.pipeline.pull import PulledBranch, pull
from kamal_dev.pipeline.run.run import Run
from kamal_dev.pipeline.sync import SyncReport, sync
from kamal_dev.plan.deploy import stack_plan
from kamal_dev.plan.observation import Observation
from kamal_dev.plan.operation import SendSource
from kamal_dev.plan.request import Candidate, DeployRequest
from kamal_dev.shell import OnLine
from kamal_dev.values import dataclass

QUIET = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
WHO = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false")
STACK = "blog-1"
HOST = Host("blog-1", "10.0.0.1")
# With a `docker` that fails: nothing here is about containers, and to ask an engine takes long.
WITHOUT_ENGINE = f"{Path(__file__).parent / 'programs'}:{os.environ['PATH']}"
CONFIG = "service: blog\nworkspace: {source: git}\n"


def git(folder: Path, *words: str, check: bool = True) -> str:
    """Run git as a person does."""
    allowed = ("-c", "protocol.file.allow=always", "-c", "advice.addEmbeddedRepo=false")
    done = subprocess.run(
        ["git", "-C", str(folder), *WHO, *allowed, *words],
        check=False,
        capture_output=True,
        env=os.environ | QUIET,
    )
    assert not check or done.returncode == 0, (words, done.stderr.decode())
    return done.stdout.decode(errors="surrogateescape").rstrip("\n")


@dataclass
class Home:
    """A folder that stands for the home of a host; steps run in it as they do over SSH."""

    path: Path
    steps: list[str] = field(default_factory=list)
    sent: int = 0
    programs: str = os.environ["PATH"]

    def run(
        self,
        step: Step,
        *,
        on_line: OnLine | None = None,
        timeout: float | None = None,
        feed: Iterator[bytes] | None = None,
    ) -> Result:
        """Run one step to its end."""
        self.steps.append(step.text)
        data = b"".join(feed or (step.stdin or b"",))
        self.sent = len(data)
        done = self._run(step, data)
        return Result(step, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def receive(
        self, step: Step, take: Callable[[bytes], object], *, feed: Iterator[bytes], timeout: float | None = None
    ) -> Result:
        """Run one step whose stdout is no text."""
        self.steps.append(step.text)
        done = self._run(step, b"".join(feed))
        take(done.stdout)
        return Result(step, done.returncode, "", done.stderr.decode(errors="replace"))

    def _run(self, step: Step, data: bytes) -> subprocess.CompletedProcess[bytes]:
        variables = {"HOME": str(self.path), "PATH": self.programs}
        return subprocess.run(step.argv, check=False, input=data, capture_output=True, env=variables)

    @property
    def workspace(self) -> Path:
        """The stack's workspace."""
        return self.path / ".kamal-dev" / STACK / "workspace"


@dataclass(frozen=True, eq=False)
class OneHost(Run):
    """A run whose only host is a folder of this machine."""

    home: Home | None = None

    def remote(self, host: Host) -> Home:
        """Return the folder."""
        assert self.home
        return self.home


@dataclass
class Lab:
    """A repository with a devcontainer, and the home of a host."""

    root: Path
    home: Home
    said: list[str] = field(default_factory=list)

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Write files of the repository."""
        write(self.root, files)

    def commit(self, files: Mapping[str, str | bytes] | None = None, message: str = "Change") -> str:
        """Write files and commit everything; returns the commit."""
        self.write(files or {})
        git(self.root, "add", "--all")
        git(self.root, "commit", "--quiet", "--allow-empty", "--message", message)
        return git(self.root, "rev-parse", "HEAD")

    @property
    def clone(self) -> Path:
        """The workspace on the host."""
        return self.home.workspace / self.root.name

    def facts(self) -> Facts:
        """Ask the host."""
        home = replace(self.home, programs=WITHOUT_ENGINE)
        found = answers.facts(home.run(facts(self.scripts, STACK)).output)
        assert found
        return found

    @property
    def scripts(self) -> Mapping[str, str]:
        """The scripts of this package."""
        folder = Path(commands.__file__).parents[1] / "host"
        return {name: (folder / name).read_text() for name in SCRIPTS}

    def run(self) -> Run:
        """Read the project anew, as every verb does."""
        output = Output(lambda event: self.said.append(sentence(event)), verbose=False, quiet=False)
        environment = {"HOME": str(self.home.path), "PATH": os.environ["PATH"], **QUIET}
        return replace(OneHost.open(self.root, output, environment=environment), home=self.home)

    def bring(self, *, force: bool = False, ask: bool = False) -> str:
        """Do what a deploy does for the workspace; `steps` are then those of this time."""
        run = self.run()
        found = self.facts()
        self.home.steps.clear()
        self.said.clear()
        try:
            return self._sent(Workspace(run.project, run.tools, run.connections), found, force=force, ask=ask)
        finally:
            run.close()

    def _sent(self, workspace: Workspace, facts: Facts, *, force: bool, ask: bool) -> str:
        """Send what a plan says; `same` or `left` where that is nothing."""
        if force or ask:
            return workspace.send(HOST, STACK, facts, force=force)
        source = workspace._project.workspace_source
        release = Release("1-2", STACK, Version("1"), "d", (), workspace=(workspace.folder,))
        is_sent, is_offered = workspace.was_sent(facts.source), workspace.was_sent(facts.offered)
        candidate = Candidate(release, is_sent=is_sent, is_offered=is_offered)
        request = DeployRequest(source=source, folder=workspace.folder)
        found = stack_plan(Observation(STACK, HOST, replace(facts, daemon=True, compose="2.40")), candidate, request)
        if found.first(SendSource):
            return workspace.send(HOST, STACK, facts)
        self.said.extend(found.notes)
        return "" if source not in ("git", "sync") else "same" if is_sent else "skipped"

    def pull(self) -> tuple[PulledBranch, ...]:
        """Do what `dev pull` does."""
        run = self.run()
        run.__dict__["provider"] = Only()
        try:
            return pull(run, STACK)
        finally:
            run.close()

    def sync(self, name: str = STACK, **options: Any) -> SyncReport:
        """Do what `dev sync` does."""
        run = self.run()
        run.__dict__["provider"] = Only()
        try:
            return sync(run, (name,), **{"force": False, **options})
        finally:
            run.close()


class Only:
    """A provider that has the one host."""

    def machines(self) -> tuple[Host, ...]:
        """Return none: each stack has its own host."""
        return ()

    def stacks(self) -> tuple[tuple[str, Host], ...]:
        """Return it."""
        return ((STACK, HOST),)


def write(root: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files below a folder."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def tree(root: Path) -> dict[str, tuple[int, bytes]]:
    """Return every file and link below a folder, but for git's own folder and what is private to `dev`."""
    found = {}
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in (".git", ".kamal")]
        for name in (*names, *(name for name in folders if Path(folder, name).is_symlink())):
            path = Path(folder, name)
            if name == ".git":
                continue
            if path.is_symlink():
                found[str(path.relative_to(root))] = (0, os.fsencode(path.readlink()))
            else:
                found[str(path.relative_to(root))] = (path.stat().st_mode & 0o111, path.read_bytes())
    return found
