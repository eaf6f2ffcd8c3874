"""What the power or other people left on a host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from kamal_dev.commands import host
from kamal_dev.errors import HostError
from kamal_dev.model import Host
from kamal_dev.pipeline.prepare import refuse_foreign
from tests.host.lab import TINY, Lab, release, service, token

pytestmark = pytest.mark.real


def test_a_release_whose_marks_the_power_took_is_written_again(
    lab: Lab, scripts: Mapping[str, str], stack: str
) -> None:
    one = release(stack, "v1", app=service())
    assert lab.run(host.apply(scripts, token(), one, timeout=30, window=0.1)).outcome.state == "new"
    about = f"~/.kamal-dev/{stack}/releases/{one.id}/.kamal-dev"
    for lost in ("digest", "good", "digest good result version images services"):
        lab.sh(f"cd {about} && for each in {lost}; do : >$each; done")
        assert lab.run(host.facts(scripts, stack)).facts.release
        again = lab.run(host.apply(scripts, token(), one, timeout=30, window=0.1)).outcome
        assert again.ok, again
        assert lab.sh(f"cat {about}/digest") == one.digest
        assert lab.run(host.apply(scripts, token(), one, timeout=30, window=0.1)).outcome.state == "same"
    assert lab.sh(f"ls -A ~/.kamal-dev/{stack}/releases") == one.id


@pytest.fixture
def foreign(lab: Lab, stack: str) -> Iterator[str]:
    """A compose project of the stack's name that somebody else runs."""
    text = f"services:\n  app:\n{service()}"
    compose = f"cd /srv/theirs && docker compose --project-name {stack}"
    lab.sh(f"mkdir -p /srv/theirs && cat >/srv/theirs/compose.yaml <<'END'\n{text}END\n{compose} up --detach")
    yield stack
    lab.sh(f"{compose} down --timeout 0; rm -rf /srv/theirs")


def test_a_stack_that_somebody_else_runs_is_told_before_anything_is_sent(
    lab: Lab, scripts: Mapping[str, str], foreign: str
) -> None:
    facts = lab.run(host.facts(scripts, foreign, (TINY,)), user="dev").facts
    assert facts.foreign == "/srv/theirs"
    with pytest.raises(HostError, match=r"another compose project named .* runs on the host, from /srv/theirs"):
        refuse_foreign(Host("x", "10.0.0.1"), foreign, facts)
    assert lab.sh(f"ls -d ~/.kamal-dev/{foreign} 2>&1 || true", user="dev").endswith("No such file or directory")
