"""`initializeCommand` on this machine: run for real, and on paper where nothing may change."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from kamal_dev.errors import InitializeFailed, UsageError
from kamal_dev.model import Host
from kamal_dev.output import Event, Output
from kamal_dev.output.sentences import sentence
from kamal_dev.pipeline.deploy import deploy
from kamal_dev.pipeline.dry_run import dry_run
from kamal_dev.pipeline.plan import DeployOptions
from kamal_dev.pipeline.run.initialize import initialize
from kamal_dev.pipeline.run.run import Run


def opened(root: Path, command: object, events: list[Event] | None = None) -> Run:
    (root / ".devcontainer").mkdir(parents=True, exist_ok=True)
    (root / "config").mkdir(exist_ok=True)
    (root / "config/dev.yml").write_text("service: blog\nprovider: {type: static, hosts: [root@127.0.0.1:1]}\n")
    written = {"image": "debian:12", "initializeCommand": command}
    (root / ".devcontainer/devcontainer.json").write_text(json.dumps(written))
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    shown = [] if events is None else events
    return Run.open(root / ".devcontainer", Output(shown.append), environment=dict(os.environ))


class Nowhere:
    """A provider that has no host yet."""

    def check(self, names: tuple[str, ...]) -> None:
        """Refuse nothing."""

    def make_room(self, count: int, agree: object) -> None:
        """Make none."""

    def machines(self) -> tuple[Host, ...]:
        """Return none: each stack has its own host."""
        return ()

    def stacks(self) -> tuple[tuple[str, Host], ...]:
        """Return no host."""
        return ()


def test_it_is_announced_with_its_text_and_run_in_the_workspace_folder(tmp_path: Path) -> None:
    events: list[Event] = []
    initialize(opened(tmp_path, 'echo "in $PWD"; touch made', events))
    assert (tmp_path / "made").exists()
    assert [(event.status, sentence(event)) for event in events] == [
        ("started", 'Running `initializeCommand` on this machine (echo "in $PWD"; touch made)'),
        ("output", f"in {tmp_path}"),
        ("done", "Ran `initializeCommand`"),
    ]


def test_words_need_no_shell_and_an_object_is_run_side_by_side(tmp_path: Path) -> None:
    wait = "until [ -e {} ]; do sleep 0.05; done"
    initialize(opened(tmp_path, {"a": f"touch a; {wait.format('made')}", "b": ["touch", "made", "b c"]}))
    assert (tmp_path / "b c").exists()


def test_what_it_writes_is_read(tmp_path: Path) -> None:
    run = opened(tmp_path, "printf 'service: renamed\\n' >config/dev.yml")
    run = initialize(run)
    assert run.project.config.service == "renamed"


def test_a_stack_that_does_not_exist_is_refused_before_it_is_run(tmp_path: Path) -> None:
    events: list[Event] = []
    run = opened(tmp_path, "touch made", events)
    with pytest.raises(UsageError, match="there is no stack `nosuch`"):
        deploy(run, DeployOptions(names=("nosuch",)))
    assert (events, (tmp_path / "made").exists()) == ([], False)


def test_a_failure_names_the_command_its_exit_code_and_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(InitializeFailed) as failed:
        initialize(opened(tmp_path, {"env": "echo no vault >&2; exit 4"}))
    assert failed.value.exit_code == 1
    message = "initializeCommand (env) exited with code 4 (.devcontainer/devcontainer.json:1): "
    assert failed.value.message == message + "`echo no vault >&2; exit 4`\nno vault"
    assert "--skip-initialize" in failed.value.hint


def test_a_dry_run_shows_it_and_runs_it_not(tmp_path: Path) -> None:
    run = opened(tmp_path, "touch made")
    run.__dict__["provider"] = Nowhere()
    assert dry_run([(run, DeployOptions())]).steps[0] == "$ /bin/sh -c 'touch made'"
    assert "$ /bin/sh -c 'touch made'" not in dry_run([(run, DeployOptions(skip_initialize=True))]).steps
    assert not (tmp_path / "made").exists()
