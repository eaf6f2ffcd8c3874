"""An image runs only on a host of its platform, or on one that emulates it.

What is being built is compared with the host before the build where the host answers, what was built, found or
pulled before the running release is stopped. Images of others are sent from this machine only where they fit.
"""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest

from kamal_dev.commands.facts import Facts
from kamal_dev.model import Result, Step
from kamal_dev.output.sentences import sentence
from kamal_dev.pipeline.deploy import deploy
from kamal_dev.pipeline.plan import DeployOptions
from kamal_dev.pipeline.run.report import Report
from kamal_dev.plan import admission
from kamal_dev.project import Project
from tests.transcripts.paper import HostState, Machine, RecordedRun
from tests.transcripts.test_transcripts import FIRST, IMAGE, SOWN, project, root

__all__ = ["project", "root"]
ARM = {**SOWN, "arch": "arm64"}
AMD = {**SOWN, "arch": "amd64"}


class Made(Machine):
    """A machine whose engine is for amd64, and has these images for the platforms given."""

    def __init__(self, **images: str) -> None:
        super().__init__(["postgres:15"])
        self.platforms = images

    def answer(self, step: Step) -> Result:
        """Answer one step."""
        result = super().answer(step)
        if step.argv[1:3] == ("image", "inspect") and result:
            key = "postgres" if step.argv[-1].startswith("postgres") else "app"
            known = {**json.loads(result.output), "platform": self.platforms.get(key, "linux/amd64")}
            return Result(step, 0, json.dumps(known))
        return result


def deployed(
    project: Project, facts: dict[str, Any], machine: Machine | None = None, **state: Any
) -> tuple[Report, str]:
    """Deploy to one host on paper; returns the report and what the host was told."""
    run = RecordedRun.of(project, machine or Made(), {FIRST: HostState(facts, **state)})
    try:
        return deploy(run, DeployOptions(count=1)), "\n".join(run.hosts[FIRST].transcript)
    finally:
        run.close()


def refused(report: Report, text: str) -> bool:
    """Whether the only stack failed with this, and nothing was changed."""
    (outcome,) = report.outcomes
    assert outcome.error is not None
    assert outcome.error.left_behind == "nothing was changed on the host"
    assert "linux/arm64" in outcome.error.hint or "linux/amd64" in outcome.error.hint
    return text in outcome.error.message


def test_an_image_that_the_host_could_not_run_is_refused_before_it_is_pushed(project: Project) -> None:
    machine = Made()
    report, told = deployed(project, ARM, machine)
    assert refused(report, "is an image for linux/amd64, but the host is linux/arm64")
    assert not [line for line in machine.transcript if " push " in line or "--push" in line]
    assert told == f"{FIRST}$ facts {FIRST}"


def test_what_was_built_for_another_platform_than_thought_is_refused_before_the_release(project: Project) -> None:
    report, told = deployed(project, AMD, Made(app="linux/arm64"))
    assert refused(report, f"`{IMAGE}:{project.version}` is an image for linux/arm64, but the host is linux/amd64")
    assert "apply" not in told


@pytest.mark.parametrize("facts", [AMD, {**ARM, "emulates": ["amd64"]}, SOWN], ids=["own", "emulated", "not said"])
def test_a_host_that_runs_the_image_or_does_not_say_gets_the_release(project: Project, facts: dict[str, Any]) -> None:
    report, told = deployed(project, facts)
    assert not report.failed
    assert "apply" in told


def test_an_image_of_others_that_this_machine_has_for_another_platform_is_not_sent(project: Project) -> None:
    run = RecordedRun.of(
        project, Made(postgres="linux/arm64"), {FIRST: HostState(AMD, has_database=False, pulls=False)}
    )
    deploy(run, DeployOptions(count=1))
    run.close()
    assert not [line for line in run.hosts[FIRST].transcript if "load" in line]
    assert "`postgres:15` is only available for linux/arm64 on this machine and is not sent" in [
        sentence(event) for event in run.events
    ]


def test_an_image_of_others_that_the_host_has_for_another_platform_is_refused(project: Project) -> None:
    report, told = deployed(project, AMD, platform="linux/arm64")
    assert refused(report, "`postgres:15` is an image for linux/arm64, but the host is linux/amd64")
    assert "apply" not in told
    assert "workspace" not in told


@pytest.mark.parametrize(("asked", "goes"), [("linux/arm64", False), ("linux/amd64", True)])
def test_a_service_that_asks_for_a_platform_is_refused_where_the_host_lacks_it(
    asked: str, goes: bool, project: Project
) -> None:
    asking = copy.copy(project)
    services = [replace(one, platform=asked) if one.name == "db" else one for one in project.compose.services]
    asking.__dict__["compose"] = replace(project.compose, services=tuple(services))
    machine = Made()
    report, told = deployed(asking, AMD, machine)
    assert bool(report.failed) != goes
    assert ("apply" in told) == goes
    if not goes:
        assert refused(report, "`platform: linux/arm64`, but the host is linux/amd64")
        assert ".devcontainer/compose.yaml:" in report.outcomes[0].error.message  # type: ignore[union-attr]
        assert not [line for line in machine.transcript if " push " in line or "--push" in line]


@pytest.mark.parametrize(
    ("made", "arch", "emulates", "fits"),
    [
        ((), "amd64", (), True),
        (("linux/amd64",), "", (), True),
        (("linux/amd64", "linux/arm64"), "arm64", (), True),
        (("linux/arm64/v8",), "arm64", (), True),
        (("linux/arm/v7",), "arm64", (), True),
        (("linux/386",), "amd64", (), True),
        (("linux/arm64",), "arm", (), False),
        (("linux/riscv64",), "amd64", ("riscv64",), True),
        (("linux/riscv64",), "amd64", ("arm64",), False),
    ],
)
def test_which_platforms_a_host_runs(made: tuple[str, ...], arch: str, emulates: tuple[str, ...], fits: bool) -> None:
    assert admission.runs(made, Facts(arch=arch, emulates=emulates)) is fits
