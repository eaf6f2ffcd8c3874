"""Hosts that `dev` makes, it finds again and destroys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.real import lab as labs
from tests.real.lab import Lab, Repository, docker


@pytest.fixture
def repository(lab: Lab) -> Iterator[Repository]:
    """A repository whose hosts are containers; they go with the test, however it ends."""
    made = lab.small("made", [], {".devcontainer/devcontainer.json": '{"image": "debian:12"}\n'})
    registry = f"registry: {{server: {lab.registry}}}"
    settings = f"service: {made.service}\n{registry}\nprovider: {{type: docker}}\ndeploy: {{window: 1}}\n"
    made.commit({"config/dev.yml": settings})
    yield made
    labs.remove_hosts(made.service)


def test_a_made_host_is_found_again_and_destroyed_with_its_stack(lab: Lab, repository: Repository) -> None:
    repository.dev("deploy", "--yes")
    (host,) = lab.hosts(repository)
    stack = f"{repository.service}-1"
    repository.dev("open", "--print")
    docker("stop", "--time", "5", host.container)
    listed = repository.dev("list", "--json").json
    assert [stack["state"] for stack in listed] == ["off"]
    repository.dev("deploy")
    (again,) = lab.hosts(repository)
    assert again.container == host.container
    # Its port is another one now, and the file that `dev open` made knows.
    words = ("-F", str(repository.root / ".kamal/local/ssh_config"), "-o", "BatchMode=yes", stack, "hostname")
    assert labs.run("ssh", *words).strip() == stack
    repository.dev("remove", "--yes")
    assert docker("ps", "--all", "--quiet", "--filter", f"label=kamal-dev.service={repository.service}") == ""
    assert repository.dev("list", "--json").json == []
