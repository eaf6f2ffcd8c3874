"""Kill `dev` at random moments: `python -m tests.faults.kills --times 50 [--seed N]`.

After each a plain deploy must converge, with every row and file, and without anything left over.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.faults.stand import all_of_it
from tests.faults.standing import POSTGRES, Standing


def length(standing: Standing) -> float:
    """Return how long a deploy of a new version takes."""
    standing.change()
    started = time.monotonic()
    standing.converges()
    return time.monotonic() - started


def kill(standing: Standing, after: float) -> str:
    """Kill a deploy after so many seconds, and deploy again; returns what it had said last. Raises AssertionError."""
    standing.keep()
    standing.change()
    running = standing.start()
    time.sleep(after)
    code = running.process.poll()
    running.kill()
    standing.endures(leaves=True)
    lines = running.text["stderr"].splitlines()
    return f"{'killed' if code is None else 'ended before'} after {after:.2f} s, {lines[-1] if lines else 'silent'}"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 16))
    options = parser.parse_args()
    dice = random.Random(options.seed)
    missed = 0
    with all_of_it(POSTGRES) as standing:
        most = length(standing)
        print(f"seed {options.seed}; a deploy takes {most:.1f} s", flush=True)
        for number in range(1, options.times + 1):
            try:
                what = kill(standing, dice.uniform(0, most))
                print(f"{number:3} fine: {what}", flush=True)
            except AssertionError as error:
                missed += 1
                print(f"{number:3} MISS: {error}", flush=True)
                standing.heal()
    print(f"{options.times - missed} of {options.times} converged, {len(standing.kept)} rows and files kept")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
