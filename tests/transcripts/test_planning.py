"""What `dev plan` looks at and says, and when `dev deploy` asks before it goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kamal_dev.errors import Declined, HostUnreachable, UsageError
from kamal_dev.model import Host, Image, Result, Step
from kamal_dev.pipeline.deploy import deploy
from kamal_dev.pipeline.plan import DeployOptions, ReleasePlan, plan
from kamal_dev.project import Project
from tests.transcripts.paper import HostState, Listed, Machine, RecordedHost, RecordedRun, lines
from tests.transcripts.test_transcripts import CASES, FIRST, SAME, SECOND, UP, prepared, project, root

__all__ = ["project", "root"]
RUNS = {"release": {"id": "v0-0", "digest": "0", "version": "v0", "good": True}, "intact": True}


class Inhabited(RecordedHost):
    """A host on which somebody has a shell in the main container, and a compose file that says something else."""

    def answer(self, step: Step) -> Result:
        """Answer one step."""
        if not step.text.startswith("contents"):
            return super().answer(step)
        path = ".devcontainer/compose.yaml"
        file = {"type": "file", "path": path, "content": "services: {}\n"}
        inside = {"type": "inside", "service": "app", "inside": ["bash"]}
        return Result(step, 0, lines(file, inside, {"type": "result", "ok": True}))


class Dead(RecordedHost):
    """A host that nobody reaches."""

    def answer(self, step: Step) -> Result:
        """Answer nothing."""
        raise HostUnreachable(self.name, "no route to host")


def started(project: Project, first: HostState, *, confirm: str = "careful", built: bool = True) -> RecordedRun:
    """Return a run with two hosts, the second of which has the release."""
    settings = replace(project.config, deploy=replace(project.config.deploy, confirm=confirm))
    case = CASES["nothing_changed"] if built else CASES["new_version"]
    machine = prepared(project, case)
    run = RecordedRun.of(replace(project, config=settings), machine, {FIRST: first, SECOND: SAME})
    run.hosts[FIRST] = Inhabited(FIRST, first, project.image(project.main), run.releases[FIRST])
    return run


def planned(run: RecordedRun, options: DeployOptions | None = None) -> ReleasePlan:
    """Plan, and make sure that nothing was changed for it."""
    try:
        return plan([(run, options or DeployOptions())])
    finally:
        run.close()
        hosts = {line.split()[1] for host in run.hosts.values() for line in host.transcript}
        assert hosts <= {"facts", "contents"}
        assert {step.argv[1] for step in run.machine.steps} <= {"version", "image", "buildx"}
        assert not [step for step in run.machine.steps if step.argv[1:3] == ("buildx", "build")]


def test_a_plan_says_what_changes_and_why_and_shows_the_compose_files(project: Project) -> None:
    found = planned(started(project, HostState({**UP.facts, **RUNS})))
    assert [item.state for item in found.plan.stacks] == ["changes", "unchanged"]
    assert "note: `bash` runs inside `app` and ends with the container" in str(found.plan)
    (text,) = found.diffs.values()
    assert text.startswith("--- a/.devcontainer/compose.yaml\n+++ b/.devcontainer/compose.yaml\n")
    assert "-services: {}" in text
    assert "POSTGRES_PASSWORD: ${POSTGRES_PASSWORD" in text


def test_a_plan_of_what_runs_is_empty(project: Project) -> None:
    found = planned(started(project, SAME))
    assert found.plan.is_empty
    assert found.plan.summary.endswith("2 stacks unchanged")
    assert found.diffs == {}


def test_a_host_that_nobody_reaches_is_unknown_and_the_others_are_planned(project: Project) -> None:
    run = started(project, SAME)
    run.hosts[FIRST] = Dead(FIRST, SAME, Image("", "none", "none"), run.releases[FIRST])
    found = planned(run)
    assert [item.state for item in found.plan.stacks] == ["unknown", "unchanged"]
    assert "unknown (no route to host)" in str(found.plan)


def asked(run: RecordedRun, *, is_interactive: bool, answer: bool = True) -> list[str]:
    """Deploy, and return the questions that were asked."""
    questions: list[str] = []

    def agree(question: str) -> bool:
        questions.append(question)
        return answer

    options = DeployOptions(is_interactive=is_interactive, agree=agree)
    try:
        deploy(run, options)
    except Declined:
        assert not [line for host in run.hosts.values() for line in host.transcript if "apply" in line]
        assert not [line for line in run.machine.transcript if " push " in line]
    run.close()
    return questions


@pytest.mark.parametrize(
    ("confirm", "is_interactive", "is_asked"),
    [
        ("careful", True, True),
        ("careful", False, False),
        ("never", True, False),
        ("always", True, True),
    ],
)
def test_where_a_container_with_people_in_it_may_be_recreated_one_is_asked(
    project: Project, confirm: str, is_interactive: bool, is_asked: bool
) -> None:
    run = started(project, HostState({**UP.facts, **RUNS}), confirm=confirm)
    questions = asked(run, is_interactive=is_interactive, answer=False)
    assert questions == ([f"Recreate `app` of {FIRST}, which ends what people run inside?"] if is_asked else [])
    assert bool([line for line in run.hosts[FIRST].transcript if "apply" in line]) == (not is_asked)


def test_always_asks_also_where_nobody_is_disturbed(project: Project) -> None:
    assert asked(started(project, UP, confirm="always"), is_interactive=True) == ["Deploy this?"]


def test_hosts_are_made_where_that_was_agreed_to_or_is_never_asked(project: Project) -> None:
    def refuse(question: str) -> bool:
        raise UsageError(question)

    for confirm in ("careful", "never"):
        run = replace(started(project, UP, confirm=confirm), listed=Listed([]))
        run.provider.ensure = lambda names: {name: Host(name, "10.0.0.1") for name in names}  # type: ignore[method-assign]
        if confirm == "never":
            assert len(deploy(run, DeployOptions(agree=refuse)).outcomes) == 2
        else:
            with pytest.raises(UsageError, match=f"Create {FIRST}, {SECOND}"):
                deploy(run, DeployOptions(agree=refuse))
        run.close()


def test_images_that_no_registry_gets_are_planned_by_their_ids(project: Project) -> None:
    found = planned(started(project, HostState({**UP.facts, **RUNS})), DeployOptions(skip_push=True))
    assert [operation.verb for operation in found.plan.here] == ["build"]
    assert [operation.verb for operation in found.plan.stacks[0].operations][-2:] == ["transfer", "apply"]


def test_a_machine_without_the_image_plans_to_build_it(project: Project) -> None:
    machine = Machine()
    run = replace(started(project, HostState({**UP.facts, **RUNS})), machine=machine, local=machine)
    found = planned(run)
    assert [operation.verb for operation in found.plan.here] == ["build", "push"]
    assert "if the image of `app` changes" in str(found.plan) or "release changed" in str(found.plan)
