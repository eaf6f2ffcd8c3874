"""Measure `dev deploy` against a hand-written script, and `dev --help` against bare Python."""

from __future__ import annotations

import argparse
import compileall
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

os.environ.setdefault("KAMAL_DEV_TEST_PREFIX", "kd-bench")

from tests.benchmarks import large
from tests.benchmarks.contenders import ByHand, Contender, Dev, Time
from tests.benchmarks.table import HEAD, Row
from tests.real import lab as labs
from tests.real.lab import COUNT, DEV, Lab, Repository

HELP_TARGET = 60.0
PACKAGE = Path(__file__).parents[2] / "kamal_dev"
PROJECT = Path(__file__).with_name("project")
WIPE = """
systemctl disable --now 'kamal-dev-*.service' 2>/dev/null
rm -f /etc/systemd/system/kamal-dev-*.service
docker ps --all --quiet | xargs -r docker rm --force --volumes
docker volume ls --quiet | xargs -r docker volume rm
docker image ls --quiet | sort -u | xargs -r docker image rm --force
rm -rf ~/.kamal-dev ~/*-by-hand
"""


class Track:
    """The hosts and the repository that both contenders run on."""

    def __init__(self, lab: Lab) -> None:
        say("Making the hosts")
        maker = lab.small("hosts", [])
        maker.commit({"config/dev.yml": lab.made_hosts(maker, COUNT)})
        maker.dev("deploy", "--yes", timeout=600)
        self.hosts = lab.hosts(maker)
        self.repository = self._static(lab)
        self.dev: Contender = Dev(self.repository)
        self.by_hand: Contender = ByHand(self.repository, lab.registry, self.hosts)
        self._page = (self.repository.root / "app.py").read_text()
        self._commits = 0
        # The builder and the registry get all layers but the last. Only the first to be measured would wait for that.
        self.dev.deploy()

    def _static(self, lab: Lab) -> Repository:
        """The project on hosts that are listed: both know where to go. The script sends no source."""
        name = "bench"
        listed = "\n".join(f"    - root@127.0.0.1:{host.port}" for host in self.hosts)
        settings = f"""\
service: {labs.PREFIX}-{name}
registry: {{server: {lab.registry}}}
provider:
  type: static
  hosts:
{listed}
ssh: {{keys: [{self.hosts[0].key}]}}
secrets: [TOKEN]
vms: {{count: {COUNT}}}
workspace: {{source: none}}
"""
        repository = lab.repository(name, {"config/dev.yml": settings}, PROJECT)
        (repository.root / ".kamal").mkdir(exist_ok=True)
        (repository.root / ".kamal/secrets").write_text(f"TOKEN={lab.token}\n")
        return repository

    def wipe(self) -> None:
        """Leave nothing on the hosts but Docker itself."""
        for host in self.hosts:
            host.run(WIPE, timeout=300)

    def change(self) -> None:
        """Commit a change of the application."""
        self._commits += 1
        self.repository.commit({"app.py": f"{self._page}\n# change {self._commits}\n"})

    def measure(self, name: str, rounds: int, run: Callable[[Contender], Time], target: float | None = None) -> Row:
        """Run both in turn, each time in the other order."""
        times: dict[str, list[Time]] = {self.dev.name: [], self.by_hand.name: []}
        for number in range(rounds):
            order = (self.dev, self.by_hand) if number % 2 == 0 else (self.by_hand, self.dev)
            for contender in order:
                time.sleep(1)
                times[contender.name].append(run(contender))
                say(f"{name}: {contender.name} {times[contender.name][-1].seconds:.2f}s")
        return Row(name, tuple(times[self.dev.name]), tuple(times[self.by_hand.name]), target)

    def first(self, contender: Contender) -> Time:
        """Deploy to hosts that have nothing."""
        self.wipe()
        self.change()
        return contender.deploy()

    def new_version(self, contender: Contender) -> Time:
        """Deploy a commit that was not built."""
        self.change()
        return contender.deploy()

    def readme(self, contender: Contender) -> Time:
        """Deploy a commit that touches nothing of an image: every container stays."""
        self._commits += 1
        self.repository.commit({"README.md": f"# Change {self._commits}\n"})
        there = [host.started(self.repository.stack(index)) for index, host in enumerate(self.hosts, 1)]
        took = contender.deploy()
        after = [host.started(self.repository.stack(index)) for index, host in enumerate(self.hosts, 1)]
        if there != after:
            raise SystemExit(f"a commit of the README replaced containers: {there} {after}")
        return took

    def skip_build(self, contender: Contender) -> Time:
        """Deploy a commit that was built, and not pushed."""
        self.change()
        contender.build()
        return contender.skip_build()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def rows(track: Track, rounds: int) -> list[Row]:
    """Measure everything."""
    first = track.measure("first deploy", rounds, track.first, 1.1)
    # Whoever was first was wiped off by the other; both need to be there, at the same commit, to go on.
    track.dev.deploy()
    track.by_hand.deploy()
    found = [
        first,
        track.measure("new version", rounds, track.new_version, 1.15),
        track.measure("--skip-build", rounds, track.skip_build, 1.15),
    ]
    track.dev.deploy()
    track.by_hand.deploy()
    found.append(track.measure("nothing changed", rounds, lambda contender: contender.deploy(), 0.5))
    for contender in (track.dev, track.by_hand):
        contender.give_source()
        contender.deploy()
    found.append(track.measure("with its source", rounds, track.new_version, 1.15))
    # Each has to have what the other committed last, or the first README would come with a new image.
    track.dev.deploy()
    track.by_hand.deploy()
    return [*found, track.measure("README alone", rounds, track.readme, 1.0)]


def start_up(runs: int = 21) -> tuple[float, float]:
    """Return the median milliseconds of `dev --help` and of bare Python, run in turn."""
    times: dict[tuple[str, ...], list[float]] = {(DEV, "--help"): [], (sys.executable, "-c", "pass"): []}
    for _ in range(runs):
        for argv, found in times.items():
            started = time.monotonic()
            subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
            found.append((time.monotonic() - started) * 1000)
    help_, bare = map(median, times.values())
    return help_, bare


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each deploy is measured; the median counts")
    parser.add_argument("--help-only", action="store_true", help="measure `dev --help` alone")
    options = parser.parse_args()
    # As pip does when it installs: else every start would translate the sources again.
    compileall.compile_dir(str(PACKAGE), quiet=1)
    measured: list[Row] = [] if options.help_only else deploys(options.rounds)
    help_, bare = start_up()
    is_quick = help_ - bare <= HELP_TARGET
    if measured:
        print(f"{COUNT} hosts on {os.cpu_count()} cores, medians of {options.rounds}; load {os.getloadavg()[0]:.1f}")
        print("dev uses the SSH connections of its previous run (`ssh.control_persist`), by hand logs in each time\n")
        print(HEAD, *measured, "", sep="\n")
    mark = "✓" if is_quick else "✗"
    difference = f"difference {help_ - bare:.0f} ms   {mark} at most {HELP_TARGET:.0f}"
    print(f"dev --help {help_:.0f} ms, python -c pass {bare:.0f} ms, {difference}")
    return int(not (is_quick and all(row.is_reached for row in measured)))


def deploys(rounds: int) -> list[Row]:
    """Make the hosts, measure, and remove everything again."""
    labs.clean()
    try:
        with tempfile.TemporaryDirectory(prefix="dev-bench-") as folder:
            lab = Lab(Path(folder))
            track = Track(lab)
            return [*rows(track, rounds), *large.rows(lab, track.hosts[0])]
    finally:
        labs.clean()


if __name__ == "__main__":
    sys.exit(main())
