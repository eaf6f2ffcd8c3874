"""Faults 27, 30 and 31: two at once, one of three, and hosts that are made."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.faults.proxy import Proxy
from tests.faults.standing import Running, Standing, repository
from tests.faults.table import Fault, produces
from tests.real.lab import Host, Lab, Repository, docker, wait_for


@dataclass(frozen=True)
class Three:
    """Three stacks on one host, each reached through a network of its own."""

    repository: Repository
    ways: tuple[Proxy, ...]
    host: Host

    def states(self) -> list[dict[str, str]]:
        """What runs of each."""
        return [self.host.states(self.repository.stack(index)) for index in (1, 2, 3)]

    def versions(self) -> list[str]:
        """The version of each."""
        currents = (
            self.host.run(f"readlink ~/.kamal-dev/{self.repository.stack(index)}/current") for index in (1, 2, 3)
        )
        return [current.strip().rpartition("/")[2].rpartition("-")[0] for current in currents]


@pytest.fixture(scope="module")
def three(standing_host: Standing) -> Iterator[Three]:
    ways = tuple(Proxy(standing_host.host.port) for _ in range(3))
    made = repository(
        standing_host.lab, "three", standing_host.host, standing_host.registry, *(way.port for way in ways)
    )
    made.commit({".devcontainer/compose.yaml": "services:\n  app:\n    build: .\n"})
    made.deploy("--skip-push")
    yield Three(made, ways, standing_host.host)
    made.dev("remove", "--yes")
    for way in ways:
        way.close()


@produces(
    Fault(
        30,
        "One of three hosts is unreachable from the start",
        sees="no SSH at …: Connection refused …Deployed 2 of 3 stacks …failed: …-2",
        do="check that the host is up and its address is correct",
        how="",
        is_slow=True,
    ),
    *(
        Fault(
            30,
            f"One of three hosts goes down while `dev` shows `{moment}` and does not come back",
            sees="Connection lost; …Deployed 2 of 3 stacks …failed: …-2",
            do="`dev status`…",
            how=moment,
            is_slow=True,
        )
        for moment in ("Uploading the release", "Starting containers", "Waiting for containers to become healthy")
    ),
)
def test_one_host_that_dies_must_not_stop_the_others(three: Three, fault: Fault) -> None:
    made, bad = three.repository, three.ways[1]
    made.commit({".devcontainer/message": f"{fault.how}\n"})
    if fault.how:
        running = Running(made, "deploy", "--json", "--skip-push")
        _wait_for_stack(running, made.stack(2), fault.how)
        bad.refuse()
        bad.reset()
        ended = running.end(1)
    else:
        bad.refuse()
        ended = made.deploy("--skip-push", code=1)
    fault.told(ended)
    states = [ended.stacks[made.stack(index)]["state"] for index in (1, 2, 3)]
    assert states == ["deployed", "unknown" if fault.how else "failed", "deployed"], str(ended)
    bad.heal()
    made.deploy("--skip-push")
    assert three.states() == [{"app": "running"}] * 3
    assert three.versions() == [made.sha] * 3


def _wait_for_stack(running: Running, stack: str, words: str) -> None:
    running.wait_for(f"{stack}: {words}")


@produces(Fault(31, "`dev` is killed right after creating a host", sees="Creating host", is_slow=True))
def test_a_host_whose_maker_died_must_be_found_and_used(standing: Standing, lab: Lab, fault: Fault) -> None:
    made = lab.small("orphan", [])
    made.commit({"config/dev.yml": lab.made_hosts(made).replace(lab.registry, standing.registry)})
    running = Running(made, "deploy", "--json", "--yes")
    label = f"label=kamal-dev.service={made.service}"
    wait_for("the host is made", lambda: bool(docker("ps", "--all", "--quiet", "--filter", label)), 60)
    running.process.send_signal(signal.SIGKILL)
    ended = running.end()
    fault.told(ended)
    assert [stack["stack"] for stack in made.attempt("list", "--json").json] == [made.stack()], "never paid for unseen"
    made.deploy("--yes")
    assert len(docker("ps", "--all", "--quiet", "--filter", label).split()) == 1
    made.dev("remove", "--yes")
    assert not docker("ps", "--all", "--quiet", "--filter", label)
    standing.endures()


@produces(
    Fault(
        34,
        "A rollback to a release whose image no longer exists",
        sees="could not pull images: localhost:…",
        do="`dev versions` shows which releases have their images; or deploy that commit again",
        is_slow=True,
    )
)
def test_a_rollback_without_its_image_must_be_refused_before_anything_stops(standing: Standing, fault: Fault) -> None:
    earlier = standing.version
    now = standing.change()
    standing.deploy(code=0)
    started = standing.host.started(standing.stack)
    reference = standing.repository.image(earlier)
    standing.host.run(f"docker image rm --force {reference}")
    standing.front.fault = 404
    ended = standing.repository.dev("rollback", "--json", "--yes", standing.stack, earlier, code=1)
    fault.told(ended)
    assert standing.host.started(standing.stack) == started, "nothing was stopped"
    standing.still_holds(version=now)
    standing.heal()
    standing.repository.dev("rollback", "--yes", standing.stack, earlier)
    standing.endures(version=earlier)
