"""The plan of `dev deploy NAME --from STACK`: what is copied, what is not, and why a stack cannot be a copy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kamal_dev.commands.facts import CurrentRelease, Facts
from kamal_dev.commands.stacks import PartSize
from kamal_dev.errors import UsageError
from kamal_dev.model import Host, Release, Version
from kamal_dev.plan.deploy import stack_plan
from kamal_dev.plan.observation import Observation
from kamal_dev.plan.operation import ApplyRelease
from kamal_dev.plan.plan import Plan, StackPlan
from kamal_dev.plan.request import Candidate, DeployRequest
from kamal_dev.plan.volume_copy import CopiedStack, CopyVolumes

MB, GB = 10**6, 10**9
HOST = Host("app-new", "10.0.0.2")
ROWS = PartSize("volumes/rows", 41 * MB, services=("db", "report"))
CACHE = PartSize("volumes/cache", 5 * MB, services=("app",))
NFS = PartSize("volumes/shared", GB, plain=False)
MAIN = CopiedStack(
    "app-1", (ROWS, CACHE, NFS, PartSize("workspace", GB)), ("app", "db"), (("app", "vim"), ("db", "psql"))
)
FACTS = Facts(
    daemon=True,
    has_engine=True,
    engine="26.1.5",
    compose="2.26.1",
    arch="amd64",
    disk_free=50 * GB,
    home_free=50 * GB,
)


def planned(
    *volumes: str, copied: CopiedStack | None = MAIN, facts: Facts | None = FACTS, host: Host | None = HOST
) -> StackPlan:
    release = Release("r2", "app-new", Version("v2"), "2", (), volumes=volumes)
    request = DeployRequest(provider="docker", copied=copied)
    return stack_plan(Observation("app-new", host, facts), Candidate(release), request)


def test_a_volume_that_both_have_is_copied_before_anything_is_started() -> None:
    plan = planned("rows")
    copy = plan.first(CopyVolumes)
    assert str(copy) == "copy volume rows of app-1 (41.0 MB) (stops `db` of app-1 meanwhile)"
    assert [type(operation) for operation in plan.operations][-2:] == [CopyVolumes, ApplyRelease]


def test_what_only_one_of_both_has_is_said() -> None:
    plan = planned("cache", "rows", "shared", "uploads")
    assert str(plan.first(CopyVolumes)).startswith("copy volumes rows, cache of app-1 (46.0 MB)")
    assert plan.notes[:2] == (
        "volume `shared` of app-1 is not copied: it has a driver or options of its own",
        "volume `uploads` starts empty: app-1 has no such volume",
    )
    assert "volume `cache` of app-1 is not copied: this version has no such volume of its own" in planned("rows").notes


def test_only_services_that_run_and_use_the_volumes_are_stopped() -> None:
    copies = dict(Plan(stacks=(planned("rows"),)).copies)
    assert copies["app-new"].stops == ("db",)
    assert copies["app-new"].inside == (("db", "psql"),)
    prepared = planned("rows", copied=replace(MAIN, is_stopped=False)).first(CopyVolumes)
    assert prepared is not None
    assert (prepared.stops, prepared.inside, prepared.causes) == ((), (), ())


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (replace(FACTS, release=CurrentRelease("r1", "1")), "app-new exists, and a copy would replace its data"),
        (replace(FACTS, disk_free=30 * MB), "the volumes of app-1 need about 41.0 MB, and the host has 30.0 MB free"),
    ],
)
def test_a_stack_that_cannot_be_a_copy_is_refused_before_anything_changes(facts: Facts, message: str) -> None:
    plan = planned("rows", facts=replace(facts, images=FACTS.images))
    assert plan.operations == ()
    assert plan.error is not None and message in str(plan.error)
    assert plan.error.hint


@pytest.mark.parametrize("facts", [FACTS, None])
def test_stacks_without_a_volume_in_common_are_refused(facts: Facts | None) -> None:
    error = planned("uploads", facts=facts, host=HOST if facts else None).error
    assert isinstance(error, UsageError)
    assert error.message == "app-1 has no volume that app-new would have, too"
    assert "volumes of app-1: rows, cache; of app-new: uploads" in str(error.hint)


def test_a_copy_that_is_not_complete_is_started_again_and_never_deployed() -> None:
    half = replace(FACTS, release=CurrentRelease("r2", "2"), underway="copy")
    assert planned("rows", facts=half).first(CopyVolumes) is not None
    refused = planned("rows", facts=half, copied=None)
    assert refused.operations == ()
    assert refused.error is not None and "`dev deploy app-new --from STACK`" in refused.error.hint


def test_a_copy_to_a_new_host_is_planned_too() -> None:
    plan = planned("rows", facts=None, host=None)
    assert [operation.verb for operation in plan.operations] == ["create", "bootstrap", "copy", "apply"]
