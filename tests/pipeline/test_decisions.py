"""Decisions of the pipeline as values: how far a batch goes, how long one waits, what counts as fine."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from kamal_dev.commands import events
from kamal_dev.commands.facts import Facts, Lock
from kamal_dev.commands.stacks import Leftover
from kamal_dev.errors import HostError, LockHeld, NothingBuilt
from kamal_dev.model import Host, ImageConfig
from kamal_dev.output import Output
from kamal_dev.pipeline.hosts import lock_wait, scripts
from kamal_dev.pipeline.hosts.batches import Hosts, in_batches
from kamal_dev.pipeline.hosts.prepare import PreparedHost
from kamal_dev.pipeline.images import making
from kamal_dev.pipeline.images.engine import Present
from kamal_dev.pipeline.images.registry import Stored
from kamal_dev.pipeline.prune import PruneReport
from kamal_dev.pipeline.run.budget import HostBudget
from kamal_dev.pipeline.run.report import StackResult
from kamal_dev.pipeline.status import StackStatus
from kamal_dev.plan.observation import Observation
from kamal_dev.plan.prune import Leftovers
from kamal_dev.plan.prune import prune as plan_prune
from kamal_dev.project import Project
from tests.transcripts.paper import Machine, RecordedRun
from tests.transcripts.test_transcripts import project, root

__all__ = ["project", "root"]

HOST = Host("a", "10.0.0.1")


@pytest.mark.parametrize(
    ("batch", "allowed", "rollback", "failing", "brought"),
    [
        ("2", 0, "host", "", "abcd"),
        ("2", 0, "host", "a", "ab"),
        ("2", 1, "host", "a", "abcd"),
        ("2", 1, "host", "ab", "ab"),
        ("2", 2, "host", "ab", "abcd"),
        ("50%", 1, "host", "b", "abcd"),
        ("1%", 0, "host", "b", "abcd"),
        # Where one failure brings all back, none is allowed.
        ("2", 1, "all", "a", "ab"),
        ("", 0, "host", "a", "abcd"),
    ],
)
def test_a_deploy_goes_on_after_its_first_batch_as_long_as_few_enough_failed(
    project: Project, batch: str, allowed: int, rollback: str, failing: str, brought: str
) -> None:
    settings = replace(project.config.deploy, batch=batch, max_failures=allowed, rollback=rollback)
    seen: list[str] = []

    def bring_up(hosts: Hosts) -> list[StackResult]:
        seen.extend(host.stack for host in hosts)
        return [StackResult(host.stack, "", "failed" if host.stack in failing else "deployed") for host in hosts]

    hosts: Hosts = [PreparedHost(Observation(name, Host(name, ""), Facts())) for name in "abcd"]
    outcomes = in_batches(settings, Output(lambda event: None), hosts, bring_up)
    assert "".join(seen) == brought
    assert [outcome.stack for outcome in outcomes] == list("abcd")
    assert {outcome.stack for outcome in outcomes if outcome.state == "skipped"} == {*"abcd"} - {*brought}


@pytest.mark.parametrize(("rollback", "states"), [("host", ["failed", "deployed"]), ("all", ["failed", "skipped"])])
def test_a_stack_that_failed_before_stops_the_others_only_where_all_go_back(
    project: Project, rollback: str, states: list[str]
) -> None:
    def bring_up(hosts: Hosts) -> list[StackResult]:
        return [h if isinstance(h, StackResult) else StackResult(h.stack, "", "deployed") for h in hosts]

    ready = PreparedHost(Observation("b", Host("b", ""), events.Facts()))
    hosts: Hosts = [StackResult("a", "", "failed"), ready]
    settings = replace(project.config.deploy, rollback=rollback)
    outcomes = in_batches(settings, Output(lambda event: None), hosts, bring_up)
    assert [outcome.state for outcome in outcomes] == states


@pytest.mark.parametrize(("wait", "patience"), [(60.0, 0.2), (0.2, 60.0)])
def test_a_lock_is_waited_for_no_longer_than_the_shorter_of_lock_wait_and_timeout(
    project: Project, monkeypatch: pytest.MonkeyPatch, wait: float, patience: float
) -> None:
    run = replace(RecordedRun.of(project, Machine(), {}), wanted_lock_wait=wait, budget=HostBudget(patience))
    held = Lock(7, word="apply", by="ann@desk")
    monkeypatch.setattr(lock_wait, "holder", lambda *_: held)
    started = time.monotonic()
    with pytest.raises(LockHeld, match=r"ann@desk \(`apply` since"), run.budget.counting("a"):
        lock_wait.in_turn(run.connections, HOST, "blog-1", lambda: events.ScriptResult(state="untouched", phase="lock"))
    assert time.monotonic() - started < 10


def test_a_lock_whose_owner_makes_no_progress_is_not_waited_for(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = replace(RecordedRun.of(project, Machine(), {}), wanted_lock_wait=60.0)
    monkeypatch.setattr(lock_wait, "holder", lambda *_: Lock(7, word="apply", by="ann@desk", state="stale"))
    started = time.monotonic()
    with pytest.raises(LockHeld, match="ann@desk"):
        lock_wait.in_turn(run.connections, HOST, "blog-1", lambda: events.ScriptResult(state="kept", phase="lock"))
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("state", "is_fine", "is_known"),
    [
        ("up", True, True),
        ("absent", True, True),
        *((state, False, True) for state in ("degraded", "unfinished", "down", "off")),
        *((state, False, False) for state in ("unreachable", "unknown")),
    ],
)
def test_a_stack_is_fine_where_it_is_up_or_not_there_and_unknown_is_neither(
    state: str, is_fine: bool, is_known: bool
) -> None:
    stack = StackStatus("blog-1", HOST, state)
    assert (stack.is_fine, stack.is_known) == (is_fine, is_known)


def test_what_was_pruned_is_summed_up_and_what_was_not_is_an_error() -> None:
    gone = Leftovers("blog-1", HOST, (Leftover("release", "v1", 1_200_000_000), Leftover("run", "r", 1)))
    stays = Leftovers("blog-2", HOST, (Leftover("image", "i", 5, ok=False),), HostError("b", "it is in use"))

    def report(*found: Leftovers, dry_run: bool = False) -> PruneReport:
        return PruneReport(plan_prune(found), found, dry_run=dry_run)

    assert str(report(gone, stays)) == "Removed 2 pieces, 1.2 GB"
    assert str(report(gone, dry_run=True)) == (
        "blog-1  prune release v1 (1.2 GB)\nblog-1  prune run r (1 B)\n\nWould remove 2 pieces, 1.2 GB"
    )
    assert str(report(Leftovers("a", HOST, (Leftover("run", "r", 7),)))) == "Removed 1 piece, 7 B"
    assert str(report(Leftovers("a", HOST))) == str(report(Leftovers("a", HOST), dry_run=True)) == "Nothing to remove"
    assert str(report(stays)) == "Nothing was removed"
    assert str(report(stays, dry_run=True)).startswith("blog-2  blocked (it is in use)\n")
    assert str(report(stays, dry_run=True)).endswith("\n\nCould not check for leftovers")
    assert report(gone).error() is None
    assert "blog-2" in str(report(gone, stays).error())
    assert [item.state for item in report(gone, stays).result().stacks] == ["pruned", "blocked"]
    assert [item.state for item in report(gone, stays, dry_run=True).result().stacks] == ["changes", "blocked"]


KNOWN, HERE, NOWHERE = Stored("sha256:aa"), Present("sha256:bb", (), ImageConfig(), ""), None


@pytest.mark.parametrize(
    ("stored", "here", "skip_build", "skip_push", "outcome"),
    [
        # What the registry has is what hosts run, whatever is here.
        (KNOWN, HERE, False, False, "known by sha256:aa"),
        (KNOWN, NOWHERE, True, False, "known by sha256:aa"),
        (NOWHERE, HERE, False, False, "new"),
        # Nothing is built: what is here is pushed.
        (NOWHERE, HERE, True, False, "new"),
        (NOWHERE, NOWHERE, True, False, "refused"),
        # Nothing is pushed: the registry is not asked.
        (KNOWN, HERE, False, True, "known by id-bb"),
        (KNOWN, NOWHERE, False, True, "new"),
        (KNOWN, HERE, True, True, "known by id-bb"),
        (KNOWN, NOWHERE, True, True, "refused"),
    ],
)
def test_an_image_is_known_where_hosts_get_it_and_refused_where_nobody_has_it(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    stored: Stored | None,
    here: Present | None,
    skip_build: bool,
    skip_push: bool,
    outcome: str,
) -> None:
    monkeypatch.setattr(making.registry, "stored", lambda *_: stored)
    monkeypatch.setattr(making, "inspect", lambda *_: here)
    tools = RecordedRun.of(project, Machine(), {}).tools
    try:
        (image,) = making.known_images(project, tools, skip_build=skip_build, skip_push=skip_push)
    except NothingBuilt:
        found = "refused"
    else:
        found = f"known by {image.image.digest or image.image.tag}" if image.is_known else "new"
    assert found == outcome


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        (("removed",), "removing `app`: no longer in the compose file"),
        (("image",), "replacing `app`: image changed"),
        (("volumes", "tmpfs"), "replacing `app`: mounts changed"),
        (("environment.A", "environment.B", "ports"), "replacing `app`: ports changed, environment changed (A, B)"),
        (("cap_add", "image", "init"), "replacing `app`: image changed, configuration changed (`cap_add`, `init`)"),
        (("environment",), "replacing `app`: configuration changed (`environment`)"),
    ],
)
def test_why_a_container_is_replaced_is_said_part_by_part(parts: tuple[str, ...], sentence: str) -> None:
    assert scripts.replacing(events.Replace("app", parts)) == sentence
