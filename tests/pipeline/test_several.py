"""Several sources in one deploy: each image, host and question once; the failure of one does not stop the others."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kamal_dev.errors import BuildFailed, Declined, DevError, Interrupted, UsageError
from kamal_dev.model import Host
from kamal_dev.output import Output
from kamal_dev.output.event import Event
from kamal_dev.pipeline.deploy import Stages, deploy_all
from kamal_dev.pipeline.images.parallel import AT_ONCE, BuildRoom, each_image
from kamal_dev.pipeline.named import NamedStacks, SourceChoice
from kamal_dev.pipeline.plan import DeployOptions, DeployScope, SourceScope, confirm
from kamal_dev.pipeline.run.run import Run
from kamal_dev.pipeline.run.shared_hosts import NO_INVENTORY, Inventory
from kamal_dev.plan.operation import CreateHost
from kamal_dev.plan.plan import Plan, StackPlan
from tests.kinds.test_sharing import MACHINES, Home, homes
from tests.pipeline.test_named import Open, opened, root
from tests.pipeline.test_parallel import build
from tests.workspace.lab import git, write

__all__ = ["homes", "opened", "root"]

NO_STACKS = DeployScope({}, {}, None)


# --- which stacks, from which references


def chosen(run: Run, *names: str, refs: tuple[str, ...] = (), **choice: Any) -> list[tuple[tuple[str, ...], str]]:
    """The stacks of each source, and its reference."""
    picked = SourceChoice.of(refs, choice.get("worktree", ""), choice.get("here", False), names)
    wanted = {name: value for name, value in choice.items() if name not in ("worktree", "here")}
    every = NamedStacks(run).deploys(DeployOptions(names=names, **wanted), picked)
    run.resources.close()
    return [(options.names, item.project.source_origin.ref) for item, options in every]


def test_stacks_are_named_after_their_references(root: Path, opened: Open) -> None:
    git(root, "tag", "v1.4")
    git(root, "branch", "Fix_42")
    assert chosen(opened(), refs=("feature/x", "v1.4", "Fix_42")) == [
        (("blog-feature-x",), "feature/x"),
        (("blog-v1-4",), "v1.4"),
        (("blog-fix-42",), "Fix_42"),
    ]
    assert chosen(opened(), refs=("feature/x",)) == [(("blog-feature-x",), "feature/x")]


def test_each_name_has_a_reference_of_its_own(root: Path, opened: Open) -> None:
    assert chosen(opened(), "a=feature/x", "b=main") == [(("blog-a",), "feature/x"), (("blog-b",), "main")]
    assert chosen(opened(y="feature/x"), "y", "a=main") == [(("blog-y",), "feature/x"), (("blog-a",), "main")]
    assert chosen(opened(), "a=main", refs=("feature/x",)) == [
        (("blog-a",), "main"),
        (("blog-feature-x",), "feature/x"),
    ]


@pytest.mark.parametrize(
    ("names", "choice", "words", "hint"),
    [
        (("a=",), {}, "`a=` has no reference", "`a=main`"),
        (("=main",), {}, "`` cannot be the name of a stack", "`fix-42`"),
        (("a=main", "a=feature/x"), {}, "`main` and `feature/x` would both be the stack blog-a", "NAME=feature/x"),
        ((), {"refs": ("feature/x", "feature-x")}, "would both be the stack blog-feature-x", "NAME=feature-x"),
        ((), {"refs": ("2",)}, "`blog-2` is a numbered stack", "`dev deploy NAME=2`"),
        ((), {"refs": ("main", "feature/z")}, "no branch, tag or commit `feature/z`", "`feature/x`"),
        ((), {"refs": ("app",)}, "`blog-app` has the name of a service", "another name"),
        (("a", "b"), {"refs": ("main", "feature/x")}, "several `--ref` cannot be used with other names", "main=main"),
        (("a=main",), {"here": True}, "`NAME=REF` cannot be used with `--here`", "`dev deploy a=main`"),
        (("a=main",), {"count": 3}, "cannot be used with `--count`", "`dev deploy a=main`"),
        (("a=main",), {"retry_failed": True}, "cannot be used with `--retry-failed`", ""),
        (("y", "y=main"), {}, "blog-y is named twice", "once"),
    ],
)
def test_what_cannot_be_created_together_is_an_error_with_a_hint(
    root: Path, opened: Open, names: tuple[str, ...], choice: dict[str, Any], words: str, hint: str
) -> None:
    for name in ("feature-x", "app", "2"):
        git(root, "branch", name)
    with pytest.raises(DevError, match=words) as caught:
        chosen(opened(y="main"), *names, **choice)
    assert hint in caught.value.hint


def test_one_version_for_several_sources_is_refused(root: Path) -> None:
    run = Run.open(root, Output(lambda event: None), environment=dict(os.environ), version="v1")
    with pytest.raises(UsageError, match="`--version` names one version"):
        chosen(run, "a=main", "b=feature/x")


def test_hosts_are_asked_for_stacks_once_for_all_sources(root: Path, opened: Open) -> None:
    run = opened(x="feature/x", y="main")
    every = NamedStacks(run).deploys(DeployOptions(names=("x", "y")), SourceChoice())
    run.resources.close()
    assert all(item.stacks is run.stacks for item, _ in every)


# --- builds


def test_builds_of_all_sources_share_the_limit() -> None:
    room, running, most = BuildRoom(), [0], [0]
    guard, full = threading.Lock(), threading.Event()

    def work(_: Any) -> str:
        with guard:
            running[0] += 1
            most[0] = max(most[0], running[0])
            if running[0] == AT_ONCE:
                full.set()
        assert full.wait(30)
        with guard:
            running[0] -= 1
        return "made"

    sources = [threading.Thread(target=each_image, args=((build("app"),), work, room.places)) for _ in range(7)]
    for source in sources:
        source.start()
    for source in sources:
        source.join(30)
    assert most == [AT_ONCE]


def test_an_equal_image_is_built_once_and_its_failure_is_that_of_all() -> None:
    room, calls = BuildRoom(), []

    def work() -> str:
        calls.append("")
        raise BuildFailed("no such stage")

    for _ in range(3):
        with pytest.raises(BuildFailed, match="no such stage"):
            room.once(("build", "a:1"), work)
    assert room.once(("build", "b:1"), lambda: "made") == "made"
    assert calls == [""]


# --- stages


def sources(opened: Open, *names: str) -> list[tuple[Run, DeployOptions]]:
    run = opened()
    every = NamedStacks(run).deploys(DeployOptions(), SourceChoice.of(names, "", False, ()))
    run.resources.close()
    return every


def test_a_source_that_fails_is_reported_and_takes_no_part_in_the_next_stages(root: Path, opened: Open) -> None:
    every = sources(opened, "main", "feature/x")
    events: list[Event] = []
    stages = replace(Stages.of(every), output=Output(events.append))

    def work(item: tuple[Run, DeployOptions]) -> str:
        if item[1].names == ("blog-main",):
            raise UsageError("broken", hint="fix it")
        return item[1].names[0]

    assert stages.through(every, work) == ["blog-feature-x"]
    report = stages.report()
    assert [(item.stack, item.state, str(item.error)) for item in report.outcomes] == [
        ("blog-main", "failed", "broken")
    ]
    assert [(event.stack, event.message, event.hint) for event in events] == [("blog-main", "broken", "fix it")]


def test_an_interrupt_in_one_source_ends_all(opened: Open) -> None:
    def work(item: tuple[Run, DeployOptions]) -> None:
        raise Interrupted("interrupted")

    every = sources(opened, "main", "feature/x")
    with pytest.raises(Interrupted):
        Stages.of(every).through(every, work)


class Shared:
    """A provider whose hosts share stacks."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None

    def machines(self) -> tuple[Host, ...]:
        """Return the hosts."""
        return MACHINES

    def inventory(self) -> Inventory:
        """Return that only the hosts know their stacks."""
        return NO_INVENTORY


def test_hosts_are_surveyed_once_and_new_stacks_are_placed_together(
    root: Path, opened: Open, homes: dict[str, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, {"config/dev.yml": f"{(root / 'config/dev.yml').read_text()}placement: {{per_host: 4}}\n"})
    every = sources(opened, "main", "feature/x")
    monkeypatch.setattr(Run, "remote", lambda self, host: homes[host.address])
    monkeypatch.setattr(Run, "provider", Shared())
    report = deploy_all(every)
    every[0][0].resources.close()
    assert [step for home in homes.values() for step in home.transcript if step == "survey"] == ["survey"] * 3
    # These hosts have no engine, so that nothing can be deployed to them.
    assert [(item.stack, item.address, item.state) for item in report.outcomes] == [
        ("blog-feature-x", "10.0.0.1", "failed"),
        ("blog-main", "10.0.0.2", "failed"),
    ]
    assert report.plan
    assert {item.stack for item in report.plan.blocked} == {"blog-feature-x", "blog-main"}


def test_a_person_is_asked_once_for_all_sources(root: Path, opened: Open) -> None:
    for ref in ("feature/x", "main"):
        git(root, "switch", "--quiet", ref)
        write(root, {"config/dev.yml": f"{(root / 'config/dev.yml').read_text()}deploy: {{confirm: always}}\n"})
        git(root, "commit", "--quiet", "--all", "--message", "Ask")
    questions: list[str] = []
    creating = [
        (
            SourceScope(run, replace(options, agree=lambda question: bool(questions.append(question))), NO_STACKS),
            Plan(stacks=(StackPlan(options.names[0], operations=(CreateHost(provider="static"),)),)),
        )
        for run, options in sources(opened, "main", "feature/x")
    ]
    with pytest.raises(Declined):
        confirm(creating)
    assert questions == ["Create blog-main, blog-feature-x with static?"]
