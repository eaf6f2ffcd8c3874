"""Deploy twice at once: `python -m tests.faults.twice --times 10`.

Both must end, and truthfully; one version runs.
"""

from __future__ import annotations

import argparse
import sys

from tests.faults.stand import all_of_it
from tests.faults.standing import POSTGRES, Running, Standing, version_of
from tests.real.lab import Ended, Repository, run


def other(standing: Standing) -> Repository:
    """Clone the repository for somebody else, who deploys from there to the same stack."""
    mine = standing.repository
    root = mine.root.with_name("other") / mine.root.name
    if not root.exists():
        run("git", "clone", "--quiet", str(mine.root), str(root))
        run("cp", "-r", str(mine.root / ".kamal"), str(root / ".kamal"))
    # What was committed here the time before is of no use any more.
    run("git", "fetch", "--quiet", cwd=root)
    run("git", "reset", "--quiet", "--hard", "origin/main", cwd=root)
    return Repository(root, mine.service, mine.temporary)


def at_once(standing: Standing, said: list[Ended] | None = None) -> str:
    """Let two people deploy two versions at once; returns how that went. Raises AssertionError.

    What both said is added to `said`.
    """
    standing.keep()
    theirs = other(standing)
    versions = {standing.change(), theirs.commit({".devcontainer/theirs": standing.kept[-1]})}
    running = [Running(repository, "deploy", "--json") for repository in (standing.repository, theirs)]
    ended = [process.end() for process in running]
    (said if said is not None else []).extend(ended)
    runs = standing.still_holds()
    told = [_told(standing, one) for one in ended]
    assert any(state == "deployed" for state, _ in told), "\n".join(map(str, ended))
    found = version_of(runs)
    assert found in versions
    assert found in [version for state, version in told if state == "deployed"], "\n".join(map(str, ended))
    standing.repository.commit({})
    standing.endures()
    return " and ".join(f"{state} (exit code {one.code})" for (state, _), one in zip(told, ended, strict=True))


def _told(standing: Standing, ended: Ended) -> tuple[str, str]:
    stack = ended.stacks[standing.stack]
    assert ended.code == (0 if stack["ok"] else 1), str(ended)
    return stack["state"], stack["running"]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=10)
    options = parser.parse_args()
    missed = 0
    with all_of_it(POSTGRES) as standing:
        for number in range(1, options.times + 1):
            try:
                print(f"{number:3} fine: {at_once(standing)}", flush=True)
            except AssertionError as error:
                missed += 1
                print(f"{number:3} MISS: {error}", flush=True)
    print(f"{options.times - missed} of {options.times} times both ended truthfully, and one version ran")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
