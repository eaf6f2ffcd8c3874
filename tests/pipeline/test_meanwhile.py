"""A build fails while hosts are being made ready: what happened to both is said, and nothing that did not happen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from kamal_dev.errors import BuildFailed, DevError, NothingBuilt, ProviderError
from kamal_dev.model import Host, Result, Step
from kamal_dev.pipeline.deploy import deploy
from kamal_dev.pipeline.plan import DeployOptions
from kamal_dev.project import Project
from tests.transcripts.paper import HostState, Listed, Machine, RecordedRun
from tests.transcripts.test_transcripts import FIRST, SECOND, UP, project, root

__all__ = ["project", "root"]


class Failing(Machine):
    """A machine on which no image can be built."""

    def answer(self, step: Step) -> Result:
        """Answer one step."""
        if step.argv[1:3] == ("buildx", "build"):
            return Result(step, 1, errors="RUN npm ci: exit code 1")
        return super().answer(step)


class Maker(Listed):
    """Hosts that are made when they are asked for, up to `many`; `silent` where the provider does not answer then."""

    def __init__(self, many: int, *, silent: bool = False) -> None:
        super().__init__(())
        self.many, self.silent = many, silent
        self.calls: list[str] = []

    def ensure(self, names: tuple[str, ...]) -> Mapping[str, Host | DevError]:
        """Make hosts, until there is no room."""
        self.calls.append("ensure")
        if self.silent:
            raise ProviderError("the provider does not answer", left_behind=f"{names[0]}; the next run uses it")
        made = {name: Host(name, f"10.0.0.{number}", "root") for number, name in enumerate(names[: self.many], 1)}
        refused = (ProviderError(f"{name} could not be made: no room", hint="make room") for name in names)
        return {**dict(zip(names, refused, strict=True)), **made}

    def machines(self) -> tuple[Host, ...]:
        """Return none: each stack has its own host."""
        return ()

    def stacks(self) -> tuple[tuple[str, Host], ...]:
        """Return none: none is there."""
        self.calls.append("stacks")
        return ()


def failed(project: Project, maker: Any = None, *states: HostState) -> DevError:
    """Deploy what cannot be built; returns the error."""
    run = RecordedRun.of(project, Failing(), dict(zip((FIRST, SECOND), states or (UP, UP), strict=True)))
    if maker:
        run = replace(run, listed=maker)
    with pytest.raises(BuildFailed) as error:
        deploy(run, DeployOptions())
    run.close()
    return error.value


def test_where_hosts_could_not_be_made_either_both_are_said_and_no_host_is_claimed(project: Project) -> None:
    error = failed(project, Maker(0))
    assert "the build of app failed" in error.message
    assert f"at the same time: {FIRST} could not be made: no room" in error.message
    assert error.message.endswith(f"at the same time: {SECOND} could not be made: no room")
    assert "make room" in error.hint
    assert "created" not in error.left_behind


def test_only_the_hosts_that_were_made_are_said_to_be(project: Project) -> None:
    error = failed(project, Maker(1))
    assert error.left_behind.endswith(f"{FIRST} was created; the next deploy uses them")
    assert f"{SECOND} could not be made" in error.message
    both = failed(project, Maker(2))
    assert f"{FIRST}, {SECOND} were created" in both.left_behind
    assert "at the same time" not in both.message


def test_what_a_provider_left_that_does_not_answer_is_said(project: Project) -> None:
    error = failed(project, Maker(2, silent=True))
    assert error.message.endswith("at the same time: the provider does not answer")
    assert error.left_behind.endswith(f"{FIRST}; the next run uses it")


def test_a_host_that_fails_at_the_same_time_is_named(project: Project) -> None:
    error = failed(project, None, HostState({"arch": "arm64"}), UP)
    assert "the build of app failed" in error.message
    assert "at the same time: " in error.message
    assert "the host is linux/arm64" in error.message
    assert error.left_behind == "no image was pushed and no container was changed"


def test_workspaces_that_got_the_source_of_a_release_that_does_not_come_are_named(project: Project) -> None:
    error = failed(project, None, HostState(), UP)
    assert error.left_behind.startswith("no image was pushed and no container was changed; the workspace")
    assert error.left_behind.endswith(f"{FIRST} already received the new source")


def test_a_host_that_cannot_be_made_stops_no_other(project: Project) -> None:
    run = RecordedRun.of(project, Machine(), {FIRST: UP, SECOND: UP})
    run = replace(run, listed=Maker(1))
    report = deploy(run, DeployOptions())
    run.close()
    assert [(item.stack, item.is_fine) for item in report.outcomes] == [(FIRST, True), (SECOND, False)]
    assert str(report.outcomes[1].error) == f"{SECOND} could not be made: no room"
    assert run.hosts[SECOND].steps == []
    failures = [event for event in run.events if event.status == "failed"]
    assert [event.stack for event in failures] == [SECOND]


def test_no_host_is_created_for_an_image_that_does_not_exist(project: Project) -> None:
    maker = Maker(2)
    run = replace(RecordedRun.of(project, Machine(), {FIRST: UP, SECOND: UP}), listed=maker)
    with pytest.raises(NothingBuilt):
        deploy(run, DeployOptions(skip_build=True))
    run.close()
    assert "ensure" not in maker.calls
