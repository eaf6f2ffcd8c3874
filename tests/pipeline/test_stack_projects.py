"""Stacks whose releases have other services than the project where `dev` runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kamal_dev import project as projects_of
from kamal_dev.compose import listing
from kamal_dev.errors import HostUnreachable, UsageError
from kamal_dev.model import Host, Result
from kamal_dev.output import Output
from kamal_dev.pipeline.hosts.stack_projects import chosen, having, projects
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.names import Selection
from kamal_dev.project import Project
from kamal_dev.shell.local import Local

MANIFEST = {
    "ref": "feature/x",
    "images": {"web": "registry/blog@sha256:1"},
    "listed": [{"service": "web", "image": "", "main": True}, {"service": "queue", "image": "redis:7"}],
    "devcontainer": {"kind": "compose", "service": "web", "workspaceFolder": "/code", "remoteUser": "vscode"},
}
X, Y = Host("blog-x", "10.0.0.1"), Host("blog-y", "10.0.0.1")
ONE = Host("blog-1", "10.0.0.2")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/dev.yml").write_text(
        "service: blog\nregistry: {server: x.test}\nprovider: {type: static, hosts: [10.0.0.1]}\n"
    )
    (tmp_path / ".devcontainer").mkdir()
    (tmp_path / ".devcontainer/devcontainer.json").write_text('{"dockerComposeFile": "c.yaml", "service": "app"}')
    (tmp_path / ".devcontainer/c.yaml").write_text("services: {app: {image: a}, db: {image: b}}\n")
    return projects_of.load(tmp_path, shell=Local(), environment={}, redaction=Output(print).redaction)


class Hosts:
    """Answer what a host says of its stacks, and keep what was asked."""

    def __init__(self, *answers: str | HostUnreachable) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)

    def connections(self) -> HostConnections:
        return HostConnections(self._remote, None, lambda: False, _Scripts(), Output(print), "me", 2)  # type: ignore[arg-type]

    def _remote(self, host: Host) -> Any:
        return self

    def run(self, step: Any, **_: Any) -> Result:
        self.asked.append(step.label)
        answer = self._answers.pop(0)
        if isinstance(answer, HostUnreachable):
            raise answer
        return Result(step, 0, answer + '\n{"type":"result","ok":true,"phase":"manifest"}\n')


class _Scripts(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return ""


def said(stack: str, manifest: Any = MANIFEST) -> str:
    return json.dumps({"type": "manifest", "stack": stack, "text": json.dumps(manifest, indent=2)})


def test_a_named_stack_is_what_its_release_says(project: Project) -> None:
    hosts = Hosts(f"{said('blog-x')}\n{said('blog-y', {'ref': 'main', 'service': 'blog'})}")
    connections = hosts.connections()
    known = projects(project, connections, {"blog-1": ONE, "blog-x": X, "blog-y": Y})
    assert hosts.asked == ["manifest blog-x blog-y"]
    assert {stack: item.service_names for stack, item in known.items()} == {
        "blog-1": ("app", "db"),
        "blog-x": ("web", "queue"),
        # Deployed by a version that did not write them.
        "blog-y": ("app", "db"),
    }
    of_x = known["blog-x"]
    assert (of_x.main, of_x.devcontainer.workspace_folder, of_x.devcontainer.remote_user) == ("web", "/code", "vscode")
    assert [(item.name, item.image) for item in of_x.services] == [
        ("web", "registry/blog@sha256:1"),
        ("queue", "redis:7"),
    ]
    # It is asked once in a run.
    assert projects(project, connections, {"blog-x": X})["blog-x"].main == "web"
    assert hosts.asked == ["manifest blog-x blog-y"]


def test_without_an_answer_the_project_here_is_used(project: Project) -> None:
    hosts = Hosts(HostUnreachable("blog-x", "no route"))
    assert projects(project, hosts.connections(), {"blog-x": X})["blog-x"] is project
    assert projects(project, hosts.connections(), {"blog-1": ONE})["blog-1"] is project
    assert projects(project, hosts.connections(), {"blog-x": replace(X, address="")})["blog-x"] is project


@pytest.mark.parametrize("listed", [None, [], "web", [3], [{"service": "-x"}], [{"service": "a b"}], {"service": "a"}])
def test_a_list_that_is_none_is_not_used(project: Project, listed: Any) -> None:
    assert listing.read(listed) == ()
    hosts = Hosts(said("blog-x", {**MANIFEST, "listed": listed}))
    assert projects(project, hosts.connections(), {"blog-x": X})["blog-x"] is project


def test_a_service_is_one_of_the_stacks_that_are_named(project: Project) -> None:
    hosts = Hosts(said("blog-x"))
    known = projects(project, hosts.connections(), {"blog-1": ONE, "blog-x": X})
    assert chosen(project, known, ("x", "queue")) == Selection(("blog-x",), ("queue",))
    assert chosen(project, known, ("queue",)) == Selection((), ("queue",))
    assert (having(known, ("queue",)), having(known, ("db",)), having(known, ())) == (
        ("blog-x",),
        ("blog-1",),
        ("blog-1", "blog-x"),
    )
    with pytest.raises(UsageError, match="blog-x has no service `db`"):
        chosen(project, known, ("x",), ("db",))
    with pytest.raises(UsageError, match="there is no stack or service `cache`"):
        chosen(project, known, ("x", "cache"))
    with pytest.raises(UsageError, match="no stack has `db`, `queue`"):
        having(known, ("db", "queue"))
