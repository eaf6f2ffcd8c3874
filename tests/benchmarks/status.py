"""Measure `dev status` with three hosts: `python -m tests.benchmarks.status`.

What it takes over the round trips: the same command of a shell that logs in to the three hosts at once and runs `true`.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

os.environ.setdefault("KAMAL_DEV_TEST_PREFIX", "kd-bench")

from tests.benchmarks.contenders import Time, timed
from tests.benchmarks.machines import made
from tests.real.lab import COUNT, DEV, Host, Repository

ROUNDS = 9
MOST_SECONDS = 0.6


def login(hosts: tuple[Host, ...]) -> Time:
    """Log in to all hosts at once, and run nothing there."""
    options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o IdentitiesOnly=yes"
    logins = [f"ssh {options} -i {shlex.quote(str(host.key))} -p {host.port} root@127.0.0.1 true &" for host in hosts]
    return timed(("sh", "-c", f"{' '.join(logins)} wait"), Path.cwd(), dict(os.environ))


def measure(repository: Repository, hosts: tuple[Host, ...]) -> bool:
    """Print a row; whether the limits are kept. The least of all rounds: what else the machine does only adds."""
    ended = repository.dev("status", "--verbose")
    executed = sum(len(ended.steps(repository.stack(index))) for index in range(1, len(hosts) + 1))
    logins = min((login(hosts) for _ in range(ROUNDS)), key=lambda time: time.seconds)
    # In CI, `dev` logs in each time too.
    argv, variables = (DEV, "status"), repository.variables(CI="true")
    dev = min((timed(argv, repository.root, variables) for _ in range(ROUNDS)), key=lambda time: time.seconds)
    over = dev.seconds - logins.seconds
    is_reached = over <= MOST_SECONDS and executed == len(hosts)
    times = f"{dev.seconds:.2f} s, {over:.2f} s over the round trips (at most {MOST_SECONDS})"
    mark = "✓" if is_reached else "✗"
    print(f"{mark} {len(hosts)} hosts: {times}; {dev.worked:.2f} CPU seconds; {executed} commands")
    return is_reached


def main() -> int:
    with made(COUNT) as (lab, hosts):
        repository = lab.small("status", hosts)
        repository.dev("deploy", "--yes", "--skip-push", timeout=600)
        return int(not measure(repository, hosts))


if __name__ == "__main__":
    sys.exit(main())
