"""The plan of `dev stop`, `start`, `restart` and `scale`."""

from __future__ import annotations

from kamal_dev.model import Host
from kamal_dev.plan.service_change import plan_services

STACKS = {"blog-1": Host("blog-1", "10.0.0.1"), "blog-2": Host("blog-2", "")}


def test_each_stack_has_one_operation_and_a_host_that_is_off_blocks_its_own() -> None:
    plan = plan_services(STACKS, "restart", ("db",))
    assert str(plan) == ("blog-1  restart services db\nblog-2  unknown (the host is not running or does not answer)")
    assert plan.summary == "restart services on 1 host, 1 stack unknown"
    assert plan.as_json()["stacks"][0]["operations"] == [
        {"operation": "restart services", "causes": (), "services": ("db",)}
    ]


def test_without_services_all_of_a_stack_are_meant() -> None:
    assert str(plan_services({"blog-1": STACKS["blog-1"]}, "stop", ())) == "blog-1  stop services"
