"""Fault 35: somebody does something to the containers of a stack, on the host."""

from __future__ import annotations

from tests.faults.standing import Standing
from tests.faults.table import Fault, produces

BACK = "`dev deploy …` restores it"


@produces(
    Fault(
        35,
        "Somebody removes a container",
        sees="db missing …db: its container is missing",
        do=BACK,
        how="docker rm --force {stack}-db-1",
        is_slow=True,
    ),
    Fault(
        35,
        "Somebody disconnects a container from its network",
        sees="db: not connected to the network `…_default`",
        do=BACK,
        how="docker network disconnect {stack}_default {stack}-db-1",
        is_slow=True,
    ),
    Fault(
        35,
        "Somebody pauses a container",
        sees="db: paused",
        do=BACK,
        how="docker pause {stack}-db-1",
        is_slow=True,
    ),
)
def test_what_was_done_by_hand_must_be_seen_and_undone(standing: Standing, fault: Fault) -> None:
    standing.host.run(fault.how.format(stack=standing.stack))
    fault.told(standing.repository.dev("status", code=1))
    ended = standing.deploy(code=0)
    assert ended.stacks[standing.stack]["state"] == "deployed", "never called unchanged"
    standing.endures(ended)
