"""Fault 31: what makes hosts. The provider is a fake at its seam; host, engine and registry are real."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from kamal_dev.cli.exit import explanation
from kamal_dev.errors import DevError, ProviderError
from kamal_dev.model import Host
from kamal_dev.output import Output
from kamal_dev.output.sentences import sentence
from kamal_dev.pipeline.deploy import deploy
from kamal_dev.pipeline.plan import DeployOptions
from kamal_dev.pipeline.run.run import Run
from kamal_dev.providers import Agree, Capacity, Provider
from kamal_dev.values import dataclass
from tests.faults.standing import Standing
from tests.faults.table import Fault, produces
from tests.real.lab import Ended


@dataclass
class Fake:
    """Give the host that is there, after `failures` have been raised one by one."""

    provider: Provider
    failures: list[DevError] = field(default_factory=list)
    is_listed: bool = True
    host_key: str = ""

    def check(self, names: tuple[str, ...]) -> None:
        """Find nothing wrong."""

    def ensure(self, names: tuple[str, ...]) -> Mapping[str, Host | DevError]:
        """Return the host, or raise what is next."""
        if self.failures:
            raise self.failures.pop(0)
        self.is_listed = True
        made = self.provider.ensure(names).items()
        return {name: replace(host, host_key=self.host_key) for name, host in made if isinstance(host, Host)}

    def stacks(self) -> tuple[tuple[str, Host], ...]:
        """Return the host as soon as it can be seen."""
        return self.provider.stacks() if self.is_listed else ()

    def machines(self) -> tuple[Host, ...]:
        """Return none: each stack has its own host."""
        return ()

    def capacity(self) -> Capacity | None:
        """Return what the real provider can give."""
        return self.provider.capacity()

    def make_room(self, count: int, agree: Agree) -> None:
        """Make none."""

    def destroy(self, names: tuple[str, ...]) -> None:
        """Keep it."""


@dataclass(frozen=True, eq=False)
class Faked(Run):
    """A run with this provider."""

    fake: Fake | None = None

    @property
    def provider(self) -> Any:  # type: ignore[override]
        """The fake one."""
        return self.fake


def deployed(standing: Standing, fake: Fake) -> Ended:
    """Deploy with a fake provider, and tell it as the command does."""
    said: list[str] = []
    output = Output(lambda event: said.append(sentence(event)))
    root = standing.repository.root
    run = Run.open(root, output, environment=standing.repository.variables())
    fake.provider = run.provider
    run = Faked(run.project, run.local, run.output, fake=fake)
    stdout, error = "", None
    try:
        report = deploy(run, DeployOptions())
        stdout, error = json.dumps(report.result().as_json()), report.error()
    except DevError as raised:
        error = raised
    finally:
        run.close()
    said += [explanation(error)] if error else []
    return Ended(error.exit_code if error else 0, stdout, "\n".join(said), ("dev", "deploy"))


@produces(
    Fault(
        31,
        "The provider refuses to create a host because a quota is used up",
        sees="error: the quota of 10 servers is used up",
        do="destroy one, or raise the quota",
        how=ProviderError("the quota of 10 servers is used up", hint="destroy one, or raise the quota"),
        is_slow=True,
    ),
    Fault(
        31,
        "The provider creates a host but does not answer",
        sees="error: no answer within 60 s …left behind: …; the next deploy uses them",
        how=ProviderError("no answer within 60 s", left_behind="stand-1; the next deploy uses them"),
    ),
)
def test_a_provider_that_fails_must_be_quoted_with_what_it_left(standing: Standing, fault: Fault) -> None:
    before = standing.version
    standing.change()
    fake = Fake(None, [fault.how], is_listed=False)  # type: ignore[arg-type]
    ended = deployed(standing, fake)
    assert ended.code == 1
    fault.told(ended)
    standing.still_holds(version=before)
    assert deployed(standing, fake).code == 0
    standing.endures(version=standing.repository.sha)


@produces(
    Fault(
        31,
        "A new host has the address of an old one whose key is known",
        sees="Deployed 1 of 1 stacks",
        is_slow=True,
    ),
)
def test_an_address_that_comes_again_must_not_be_refused_for_its_old_key(standing: Standing, fault: Fault) -> None:
    key = standing.host.run("cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub").strip()
    known = standing.repository.root / ".kamal/local/known_hosts"
    before, other = known.read_text(), "AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43
    known.write_text(f"[127.0.0.1]:{standing.proxy.port} ssh-ed25519 {other}\n")
    standing.change()
    ended = deployed(standing, Fake(None, is_listed=False, host_key=key))  # type: ignore[arg-type]
    known.write_text(before)
    fault.told(ended)
    standing.endures(ended, state="deployed", version=standing.repository.sha)
