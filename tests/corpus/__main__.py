"""`python -m tests.corpus [FOLDER] [--case NAME]`: the table by class, then the failing cases with why."""

from __future__ import annotations

import argparse
import collections
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.compose import oracle
from tests.corpus import accounting, building, composing, reading
from tests.corpus.case import CORPUS, Case, cases, checkout
from tests.corpus.replay import Replay, Verdict

CHECKS: Mapping[str, Callable[[Replay], Verdict]] = {
    "1 Reading": reading.check,
    "2 Build": building.check,
    "3 Compose": composing.check,
    "3 one service": composing.check_one,
    "4 Nothing dropped": accounting.check,
}
Outcome = dict[str, Verdict]


def run(case: Case) -> Outcome:
    """Return the verdict of every check on a case."""
    with checkout(case) as copy:
        replay = Replay(copy, oracle.version())
        return {name: _judge(check, replay) for name, check in CHECKS.items()}


def _judge(check: Callable[[Replay], Verdict], replay: Replay) -> Verdict:
    try:
        return check(replay)
    except Exception:
        return Verdict((traceback.format_exc(limit=-3),))


def table(outcomes: Mapping[str, list[Outcome]]) -> str:
    """Return one line per class: how many of those that count are good in each check."""
    lines = ["{:<22}{:>6}".format("", "cases") + "".join(f"{name:>19}" for name in CHECKS)]
    everything = {**outcomes, "all": [outcome for listed in outcomes.values() for outcome in listed]}
    for kind, listed in everything.items():
        cells = []
        for name in CHECKS:
            counted = [outcome[name] for outcome in listed if not outcome[name].note]
            cells.append(f"{sum(not verdict.problems for verdict in counted)}/{len(counted)}" if counted else "-")
        lines.append(f"{kind:<22}{len(listed):>6}" + "".join(f"{cell:>19}" for cell in cells))
    return "\n".join(lines)


def main(words: list[str]) -> int:
    """Run every case on all processors, print what came of it, and end with 1 where one fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.corpus", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=CORPUS, help="a corpus; ../shared/corpus without it")
    parser.add_argument("--case", action="append", default=[], metavar="NAME", help="only those whose name has this")
    asked = parser.parse_args(words)
    found = cases(asked.folder, tuple(asked.case))
    if not found:
        print(f"skipped: there is no case in {asked.folder}")
        return 0
    started = time.monotonic()
    with ProcessPoolExecutor() as pool:
        outcomes = dict(zip(found, pool.map(run, found), strict=True))
    by_kind = collections.defaultdict(list)
    for case, outcome in sorted(outcomes.items(), key=lambda pair: pair[0].kind):
        by_kind[case.kind].append(outcome)
    print(table(by_kind))
    print(f"{len(found)} cases in {time.monotonic() - started:.0f} s, Compose {'.'.join(map(str, oracle.version()))}")
    return _explain(outcomes)


def _explain(outcomes: Mapping[Case, Outcome]) -> int:
    failed = False
    for case, outcome in outcomes.items():
        for name, verdict in outcome.items():
            failed = failed or bool(verdict.problems)
            for problem in verdict.problems:
                print(f"FAILS {name}: {case.name}", *problem.splitlines(), sep="\n      ")
    for case, outcome in outcomes.items():
        for name in ("1 Reading", "2 Build", "3 Compose"):
            note = outcome[name].note
            if note and note != "no compose file":
                print(f"not counted in {name}: {case.name}: {note}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
