"""Measure large sources: a changed line among 100,000 files, and 1.2 GB. `python -m tests.benchmarks.large`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

os.environ.setdefault("KAMAL_DEV_TEST_PREFIX", "kd-bench")

from tests.benchmarks.contenders import Time
from tests.benchmarks.machines import made
from tests.benchmarks.table import HEAD, Row, middle
from tests.real.lab import DEV, Host, Lab, Repository

FOLDERS, FILES = 1000, 100
SIZES = (600, *6 * (100,))  # megabytes of each large file
ROUNDS = 3
MOST_SECONDS, MOST_MEGABYTES = 1.5, 150.0


@dataclass(frozen=True)
class Bounded(Row):
    """A row with a limit for the seconds, and one for the megabytes that any process here held."""

    most: float = float("inf")
    memory: float = 0.0

    @property
    def is_reached(self) -> bool:
        """Whether all limits are kept."""
        return super().is_reached and middle(self.dev) <= self.most and self.memory <= MOST_MEGABYTES

    def __str__(self) -> str:
        seconds = f"at most {self.most:.1f}s, " if self.most < float("inf") else ""
        limits = f"{seconds}{self.memory:.0f} of at most {MOST_MEGABYTES:.0f} MB"
        return f"{super().__str__()}   {'✓' if self.is_reached else '✗'} {limits}"


def rows(lab: Lab, host: Host, *, many: bool = True, much: bool = True) -> list[Row]:
    """Measure on one host; each repository is deployed there once before."""
    return [*([_many(lab, host)] if many else ()), *([_much(lab, host)] if much else ())]


def _many(lab: Lab, host: Host) -> Row:
    """Bring one changed line among 100,000 files to the workspace."""
    repository = lab.small("many", [host])
    for number in range(FOLDERS):
        names = (f"source/{number % 20}/{number}/{name}.txt" for name in range(FILES))
        repository.write({name: f"{name}\n" * 20 for name in names})
    repository.commit()
    repository.dev("deploy", "--yes", timeout=600)
    _dev(repository)
    changed = repository.root / "source/1/1/1.txt"
    target = f"{repository.service}-by-hand"
    shell(_copy(host, repository, "git ls-files -z", target), repository)
    by_hand = _copy(host, repository, "git diff --name-only -z HEAD", target)

    def change(run: Callable[[], tuple[Time, float]]) -> tuple[Time, float]:
        changed.write_text(f"{changed.read_text()}{time.monotonic_ns()}\n")
        return run()

    dev, memory = _several(lambda: change(lambda: _dev(repository)), ROUNDS)
    hand, _ = _several(lambda: change(lambda: shell(by_hand, repository)), ROUNDS)
    asked, _ = _several(lambda: shell("git status --short", repository), ROUNDS)
    print(f"`git status` of {FOLDERS * FILES} files: {middle(asked):.2f}s", file=sys.stderr)
    return Bounded("one line of many", dev, hand, most=MOST_SECONDS, memory=memory)


def _much(lab: Lab, host: Host) -> Row:
    """Bring 1.2 GB that do not shrink to an empty workspace."""
    repository = lab.small("much", [host])
    for number, size in enumerate(SIZES):
        with (repository.root / f"{number}.bin").open("wb") as file:
            for _ in range(size):
                file.write(os.urandom(1_000_000))
    repository.commit()
    repository.dev("deploy", "--yes", timeout=600)
    stack, target = repository.stack(), f"{repository.service}-by-hand"
    host.run(f"cd ~/.kamal-dev/{stack} && rm -rf source workspace", timeout=120)
    shutil.rmtree(repository.root / ".kamal/local/source.git", ignore_errors=True)
    hand = shell(_copy(host, repository, "git ls-files -z", target), repository)[0]
    dev, memory = _dev(repository)
    return Bounded("first 1.2 GB", (dev,), (hand,), 2.0, memory=memory)


def _several(run: Callable[[], tuple[Time, float]], rounds: int) -> tuple[tuple[Time, ...], float]:
    found = [run() for _ in range(rounds)]
    return tuple(times for times, _ in found), max(memory for _, memory in found)


def _copy(host: Host, repository: Repository, listing: str, target: str) -> str:
    """Return the command that one would type to copy files to a folder of the host."""
    remote = f"{ssh(host, repository)} 'mkdir -p {target} && tar -x -C {target}'"
    return f"{listing} | tar -c --null --files-from - | {remote}"


def ssh(host: Host, repository: Repository) -> str:
    """Return how one would log in to the host."""
    return (
        f"ssh -i {host.key} -p {host.port} -o IdentitiesOnly=yes -o StrictHostKeyChecking=accept-new -o LogLevel=ERROR "
        f"-o UserKnownHostsFile={repository.temporary.parent}/known_hosts_by_hand root@127.0.0.1"
    )


def _dev(repository: Repository) -> tuple[Time, float]:
    return timed((DEV, "sync"), repository)


def shell(command: str, repository: Repository) -> tuple[Time, float]:
    return timed(("sh", "-c", command), repository)


def timed(argv: tuple[str, ...], repository: Repository) -> tuple[Time, float]:
    """Run a command that must succeed; returns its times, and the most megabytes that it or a child of it held."""
    started = time.monotonic()
    process = subprocess.Popen(argv, cwd=repository.root, env=repository.variables(), stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(argv)} exited {process.returncode}")
    return Time(time.monotonic() - started, used.ru_utime + used.ru_stime), used.ru_maxrss / 1024


def main() -> int:
    with made(1) as (lab, hosts):
        found = rows(lab, hosts[0], many="much" not in sys.argv, much="many" not in sys.argv)
    print(f"load {os.getloadavg()[0]:.1f}\n{HEAD}", *found, sep="\n")
    return int(not all(row.is_reached for row in found))


if __name__ == "__main__":
    sys.exit(main())
