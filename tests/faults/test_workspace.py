"""Fault 33: what people in a container leave in a workspace."""

from __future__ import annotations

from tests.faults.standing import Standing
from tests.faults.table import Fault, produces

ADVICE = "not updated: `dev pull …` fetches the changes, `dev sync … --force` discards them"


@produces(
    Fault(
        33,
        "A file in `.git` of the workspace is replaced by a pipe",
        sees="`.git/index` is in the way: it is not a regular file",
        do=ADVICE,
        how="mkfifo",
        is_slow=True,
    ),
    Fault(
        33,
        "A file in `.git` of the workspace is replaced by a link",
        sees="a link is in the way: `.git/index`",
        do=ADVICE,
        how="ln -s /etc/shadow",
    ),
)
def test_what_people_plant_in_a_workspace_must_hold_nothing_up(standing: Standing, fault: Fault) -> None:
    index = f"{standing.workspace}/.git/index"
    before = standing.host.run("sha256sum /etc/shadow; stat -c '%a %U' /etc/shadow")
    standing.host.run(f"mv {index} {index}.kept && {fault.how} {index}")
    try:
        standing.change()
        ended = standing.deploy(code=0)
    finally:
        standing.host.run(f"rm -f {index} && mv {index}.kept {index}")
    assert standing.host.run("sha256sum /etc/shadow; stat -c '%a %U' /etc/shadow") == before
    fault.told(ended)
    standing.endures(ended, state="deployed", version=standing.repository.sha)
