"""Measure `dev deploy NAME --from STACK` with 1 GB of data, and the same by hand. `python -m tests.benchmarks.fork`."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("KAMAL_DEV_TEST_PREFIX", "kd-bench")

from tests.benchmarks.contenders import Time
from tests.benchmarks.large import shell, ssh, timed
from tests.benchmarks.machines import made
from tests.benchmarks.table import HEAD, Row
from tests.real.lab import DEV, Host, Lab, Repository

COMPOSE = """\
services:
  app:
    build: .
  db:
    image: debian:12
    command: [sleep, infinity]
    stop_signal: SIGKILL
    volumes: ["rows:/rows"]
volumes: {rows: {}}
"""
# Half of it does not shrink when it is sent.
FILL = "head -c 500000000 /dev/urandom >/rows/random && yes some row | head -c 500000000 >/rows/text && sync"
SETTINGS = "placement: {per_host: 100}\n"
WORST = 2.0


def rows(lab: Lab, hosts: tuple[Host, ...]) -> list[Row]:
    """Measure on two hosts: a copy on the first, and one from there to the second."""
    repository = lab.small("fork", hosts[:2], compose=COMPOSE, settings=SETTINGS)
    source = repository.stack(1)
    repository.dev("deploy", source, "--count", "1", "--on", _address(hosts[0]), "--skip-push", "--yes", timeout=600)
    repository.dev("exec", source, "db", "--", "sh", "-c", FILL)
    # What a host's first named stack needs is there before anything is timed.
    for number, host in enumerate(hosts[:2]):
        _deployed(repository, f"first{number}", host)
    return [
        _row(repository, name, hosts[0], host) for name, host in zip(("same host", "another host"), hosts, strict=False)
    ]


def _row(repository: Repository, name: str, source: Host, target: Host) -> Row:
    word = name.split(maxsplit=1)[0]
    by_hand = _deployed(repository, f"{word}-hand", target)
    stacks = (repository.stack(1), f"{repository.service}-{word}-hand")
    copied, _ = shell(_copy(repository, source, target, *stacks), repository)
    hand = Time(by_hand.seconds + copied.seconds, by_hand.worked + copied.worked)
    dev = _deployed(repository, f"{word}-dev", target, "--from", repository.stack(1))
    print(f"{name}: {dev.seconds:.1f}s with a copy, {by_hand.seconds:.1f}s without one", file=sys.stderr)
    return Row(f"1 GB, {name}", (dev,), (hand,), WORST)


def _deployed(repository: Repository, name: str, host: Host, *words: str) -> Time:
    argv = (DEV, "deploy", name, "--here", *words, "--on", _address(host), "--skip-build", "--skip-push", "--yes")
    return timed(argv, repository)[0]


def _copy(repository: Repository, source: Host, target: Host, old: str, new: str) -> str:
    """Return the command that one would type to replace the data of a new stack with that of another."""
    here, there = ssh(source, repository), ssh(target, repository)
    mounts = f"-v {old}_rows:/from -v {new}_rows:/to debian:12"
    stop, start = f"docker stop {old}-db-1 {new}-db-1", f"docker start {old}-db-1 {new}-db-1"
    if source is target:
        return f"{here} '{stop} && docker run --rm {mounts} cp -a /from/. /to && {start}'"
    pack = f"docker stop {old}-db-1 >&2 && docker run --rm -v {old}_rows:/from debian:12 tar -cz -C /from ."
    unpack = f"docker stop {new}-db-1 >&2 && docker run --rm -i -v {new}_rows:/to debian:12 tar -xz -C /to"
    ends = f"{here} 'docker start {old}-db-1' && {there} 'docker start {new}-db-1'"
    return f"{here} '{pack}' | {there} '{unpack}' && {ends}"


def _address(host: Host) -> str:
    return f"127.0.0.1:{host.port}"


def main() -> int:
    with made(2) as (lab, hosts):
        found = rows(lab, hosts)
    print(f"load {os.getloadavg()[0]:.1f}\n{HEAD}", *found, sep="\n")
    return int(not all(row.is_reached for row in found))


if __name__ == "__main__":
    sys.exit(main())
