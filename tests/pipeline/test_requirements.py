"""What `hostRequirements` means for the hosts that are made and for those that are there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from kamal_dev import providers
from kamal_dev.commands.facts import Facts
from kamal_dev.model import Host, Release, Version
from kamal_dev.output import Output
from kamal_dev.output.sentences import sentence
from kamal_dev.pipeline.hosts.planning import requirements
from kamal_dev.pipeline.run.run import Run
from kamal_dev.plan.deploy import stack_plan
from kamal_dev.plan.observation import Observation
from kamal_dev.plan.plan import StackPlan
from kamal_dev.plan.request import Candidate, DeployRequest

ASKED = {"cpus": 4, "memory": "8gb", "storage": "1tb", "gpu": "optional"}


def opened(root: Path, provider: str, said: list[str] | None = None) -> Run:
    (root / "config").mkdir()
    (root / "config/dev.yml").write_text(f"service: blog\nprovider: {provider}\n")
    written = {"image": "debian:12", "hostRequirements": ASKED}
    (root / ".devcontainer.json").write_text(json.dumps(written, indent=2))
    return Run.open(
        root, Output(lambda event: None if said is None else said.append(sentence(event))), environment=dict(os.environ)
    )


@pytest.mark.parametrize(
    ("provider", "sizes"),
    [
        ("{type: docker}", {"cpus": "4", "memory": str(8 << 30)}),
        ("{type: docker, memory: 2g}", {"cpus": "4", "memory": "2g"}),
    ],
)
def test_a_provider_makes_hosts_of_the_size_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: str, sizes: dict[str, str]
) -> None:
    given: list[Any] = []
    monkeypatch.setattr(providers, "make", lambda config, **_: given.append(config))
    assert opened(tmp_path, provider).provider is None
    options = dict(given[0].provider.options)
    assert {name: options[name] for name in sizes} == sizes


STATIC = "{type: static, hosts: [10.0.0.1]}"
FREE = {"watcher": "1", "home_free": 1 << 38, "disk_free": 1 << 38}
SHORT = Facts(cpus=2, memory=8 << 30, disk=100 << 30, **FREE)
MESSAGE = "the host has 2 of 4 CPUs, 100 GB of 1024 GB storage that `hostRequirements` asks for (.devcontainer.json:3)"
HOST = Host("blog-1", "10.0.0.1")


def asked(run: Run, facts: Facts = SHORT) -> StackPlan:
    """Return what is planned for a host."""
    needs = requirements(run.project, (), warns=run.warns_of_requirements, lock_wait=0)
    release = Release("1-2", "blog-1", Version("1"), "d", ())
    return stack_plan(Observation("blog-1", HOST, facts), Candidate(release, requirements=needs), DeployRequest())


def test_a_host_that_has_less_is_refused_with_what_it_has_and_the_line_that_asks(tmp_path: Path) -> None:
    run = opened(tmp_path, STATIC)
    refused = asked(run).error
    assert refused
    assert refused.message == MESSAGE
    assert "host_requirements: warn" in refused.hint
    assert refused.left_behind == "nothing was changed on the host"
    fine = asked(run, Facts(cpus=4, memory=int(7.6 * (1 << 30)), disk=1 << 40, **FREE))
    assert (fine.error, fine.warnings) == (None, ())


@pytest.mark.parametrize(
    ("provider", "warns"),
    [("{type: docker}", True), (f"{STATIC}\nhost_requirements: warn", True), (STATIC, False)],
)
def test_where_it_is_wanted_one_is_warned(tmp_path: Path, provider: str, warns: bool) -> None:
    found = asked(opened(tmp_path, provider))
    assert found.warnings == ((MESSAGE,) if warns else ())
    assert (found.error is None) == warns


def test_on_one_s_own_machine_hosts_may_be_refused_too(tmp_path: Path) -> None:
    assert asked(opened(tmp_path, "{type: docker}\nhost_requirements: refuse")).error
