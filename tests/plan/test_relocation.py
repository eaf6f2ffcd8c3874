"""The plan of `dev move`: what is carried, and why a host cannot take it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kamal_dev.commands.facts import Facts, HeldImage
from kamal_dev.commands.stacks import Inventory, PartSize
from kamal_dev.errors import HostUnreachable
from kamal_dev.model import Host
from kamal_dev.model.image import ImageConfig
from kamal_dev.plan.placement import HostContents, PlacementRules, located
from kamal_dev.plan.plan import StackPlan
from kamal_dev.plan.relocation import relocation

GB = 10**9
STACK, BUILT, PUBLIC = "app-1", "app:9f3c", "postgres@sha256:" + 64 * "0"
OLD, NEW = Host("10.0.0.1", "10.0.0.1"), Host("10.0.0.2", "10.0.0.2")
HAS = Inventory(
    "r1",
    "9f3c",
    good=True,
    images=(BUILT, PUBLIC),
    parts=(PartSize("volumes/rows", 2 * GB), PartSize("workspace", 2_200_000)),
)
HELD = tuple(HeldImage((image,), ImageConfig(), "linux/amd64") for image in HAS.images)
FACTS = Facts(
    daemon=True, has_engine=True, engine="26.1.5", compose="2.26.1", arch="amd64", disk_free=50 * GB, home_free=50 * GB
)
THERE = HostContents(NEW, (), 8 * GB, 4, 50 * GB)


def moved(there: HostContents = THERE, has: Inventory = HAS, after: Facts = FACTS, per_host: int = 3) -> StackPlan:
    before = replace(FACTS, images=HELD)
    plan = relocation(STACK, Host(STACK, OLD.address), there, has, (before, after), PlacementRules(per_host))
    return plan.of(STACK)


def test_the_plan_names_what_is_carried_and_which_images_are_sent() -> None:
    plan = moved()
    lines = list(plan.lines)
    assert lines == [f"transfer {BUILT}", "move to 10.0.0.2 with rows (2.0 GB), workspace (2.2 MB)"]
    assert list(moved(after=replace(FACTS, images=HELD)).lines) == lines[1:]
    assert moved(has=replace(HAS, good=False)).warnings == ("its release was never healthy",)


@pytest.mark.parametrize(
    ("there", "after", "message"),
    [
        (THERE, replace(FACTS, disk_free=GB), "its data needs about 2.0 GB, and the host has 1.0 GB free"),
        (THERE, replace(FACTS, daemon=False, trouble="Docker is not installed"), "Docker is not installed"),
        (THERE, replace(FACTS, arch="arm64"), "linux/amd64"),
        (THERE, replace(FACTS, foreign="/srv/other"), "/srv/other"),
        (replace(THERE, stacks=("a-1", "b-1", "c-1")), FACTS, "has 3 of 3 stacks"),
        (replace(THERE, closed="is drained"), FACTS, "is drained"),
        (replace(THERE, error=HostUnreachable("10.0.0.2", "no route to host")), FACTS, "no route to host"),
    ],
)
def test_a_host_that_cannot_take_it_is_refused_before_anything_changes(
    there: HostContents, after: Facts, message: str
) -> None:
    plan = moved(there, after=after)
    assert plan.operations == ()
    assert plan.error is not None and message in str(plan.error)


def test_a_stack_on_two_hosts_is_where_it_does_not_leave() -> None:
    old, new = replace(THERE, host=OLD, stacks=(STACK,), leaving=(STACK,)), replace(THERE, stacks=(STACK,))
    assert located((old, new))[STACK].address == NEW.address
    assert located((old, replace(new, stacks=())))[STACK].address == OLD.address
