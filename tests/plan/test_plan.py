"""Plans as text: `cases/<case>.yaml` in, `cases/<case>.txt` out.

After a change that is meant, `UPDATE_PLANS=1 pytest tests/plan` writes them anew; read the difference.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamal_dev.errors import UsageError
from kamal_dev.plan import difference
from tests.plan import cases

SAME = {"project": {"version": "v1", "digest": "1", "is_sent": True}, "hosts": {"blog-1": None}}


@pytest.mark.parametrize("name", cases.names())
def test_a_plan_is_what_its_case_says(name: str) -> None:
    path = cases.HERE / f"{name}.txt"
    text = f"{cases.plan(cases.read(name))}\n"
    if os.environ.get("UPDATE_PLANS"):
        path.write_text(text)
    assert text == path.read_text()


def test_every_plan_belongs_to_a_case() -> None:
    assert sorted(path.stem for path in cases.HERE.glob("*.txt")) == cases.names()


EMPTY = {"nothing_changed", "version_was_built_before", "sync_of_a_seeded_workspace", "too_small_but_only_warned",
         "source_is_offered_once", "host_cannot_take_it", "locked_and_nobody_waits"}  # fmt: skip


@pytest.mark.parametrize("name", cases.names())
def test_a_plan_says_whether_it_is_empty_and_is_json(name: str) -> None:
    plan = cases.plan(cases.read(name))
    assert plan.is_empty == (name in EMPTY)
    said = json.loads(json.dumps(plan.as_json()))
    assert said["empty"] == plan.is_empty
    assert [item["stack"] for item in said["stacks"]] == [item.stack for item in plan.stacks]


@pytest.mark.parametrize(
    ("name", "words"),
    [("first_deploy_to_new_hosts", "create 2 hosts, bootstrap on 2 hosts"), ("switched_off_host", "start 1 host, ")],
)
def test_a_summary_brings_hosts_up_before_anything_is_done_on_them(name: str, words: str) -> None:
    assert words in cases.plan(cases.read(name)).summary


def test_a_plan_says_what_it_creates_disturbs_and_cannot_do() -> None:
    def of(name: str) -> Any:
        return cases.plan(cases.read(name))

    assert of("first_deploy_to_new_hosts").new_hosts == ("blog-1", "blog-2")
    assert [stack for stack, _ in of("people_are_inside").disturbs] == ["blog-1"]
    assert [stack for stack, _ in of("image_is_still_to_be_built").disturbs] == ["blog-2"]
    assert [item.stack for item in of("one_host_of_three_is_behind").blocked] == ["blog-3"]
    assert [item.state for item in of("one_host_of_three_is_behind").stacks] == ["unchanged", "changes", "unknown"]


@given(st.lists(st.sampled_from(["blog-1", "blog-2", "blog-3"]), unique=True))
def test_operations_are_only_for_the_stacks_that_were_observed(stacks: list[str]) -> None:
    plan = cases.plan({"hosts": dict.fromkeys(stacks, "missing")})
    assert [item.stack for item in plan.stacks] == stacks
    assert all(item.operations for item in plan.stacks)


_PARTS = st.dictionaries(
    st.sampled_from("abc"),
    st.dictionaries(
        st.sampled_from(["image", "ports", "files", "environment.A", "environment.B"]), st.text("12", min_size=1)
    ),
)


@given(_PARTS, st.sets(st.sampled_from("abc")))
def test_a_release_that_is_the_wish_has_nothing_to_do(parts: dict[str, dict[str, str]], unknown: set[str]) -> None:
    assert difference.read(cases.lines(parts)) == {name: own for name, own in parts.items() if own}
    assert difference.compare(parts, parts, unknown=unknown) == difference.Difference()
    state = {"parts": parts}
    plan = cases.plan({**SAME, "project": {**SAME["project"], **state}, "hosts": {"blog-1": state}})  # type: ignore[dict-item]
    assert plan.is_empty


@given(_PARTS, _PARTS)
def test_what_differs_is_said_and_nothing_else(
    before: dict[str, dict[str, str]], after: dict[str, dict[str, str]]
) -> None:
    found = difference.compare(before, after)
    assert bool(found.causes) == (before != after)
    assert set(found.removed) <= set(found.replaced) <= set(before)
    assert not set(found.added) & set(found.replaced)


@pytest.mark.parametrize(
    ("version", "said"),
    [("", "there is no good release before"), ("v9", "there is no version `v9`"), ("v", "names several versions")],
)
def test_a_rollback_to_nothing_is_refused(version: str, said: str) -> None:
    kept = [{"version": "v2", "is_current": True}, {"version": "v1"}]
    with pytest.raises(UsageError, match=said):
        cases.plan({"verb": "rollback", "version": version, "hosts": {"blog-1": kept}})


def test_a_sync_of_a_stack_that_was_never_deployed_is_refused() -> None:
    with pytest.raises(UsageError, match="is not deployed yet"):
        cases.plan({"verb": "sync", "hosts": {"blog-1": {"release": None, "workspace": []}}})
