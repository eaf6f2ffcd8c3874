"""Simulate 10 and 100 hosts with ten stacks each: `python -m tests.benchmarks.scale`.

The hosts are addresses of the loopback range. All of SSH and the host scripts are real; the engine of a host is a
script that knows a container for each stack, and the releases are written as `apply.sh` would have written them. All
hosts share the processors of this machine with `dev`, therefore the CPU time of both is measured separately.
"""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

os.environ.setdefault("KAMAL_DEV_TEST_PREFIX", "kd-bench")

from kamal_dev.model import Host
from kamal_dev.output import Output
from kamal_dev.pipeline.hosts.apply import apply_step
from kamal_dev.pipeline.hosts.observe import look
from kamal_dev.pipeline.plan import DeployOptions, SourceScope, find_hosts, planner_of, seen_images
from kamal_dev.pipeline.run.run import Run
from kamal_dev.plan.observation import Observation
from tests import hosts
from tests.hosts import docker
from tests.real.lab import DEV, PREFIX

STACKS = 10
AT_ONCE = 16  # addresses that one sshd listens on
NAME = f"{PREFIX}-simulated"
SCRIPTS = Path(__file__).with_name("simulated")
COMMANDS = (("plan",), ("deploy", "--yes"), ("status",))
MOST_GROWTH, MOST_MEGABYTES = 1.5, 300.0
CPU = """cat /sys/fs/cgroup/cpuacct/cpuacct.usage 2>/dev/null ||
awk '/^usage_usec/ { print $2 * 1000 }' /sys/fs/cgroup/cpu.stat"""
SSHD = """
PidFile none
HostKey /simulated/key
PermitRootLogin yes
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
AuthorizedKeysFile /simulated/client.pub
MaxStartups 200
ForceCommand /simulated/bin/session.sh
"""
CONFIG = """\
service: scale
provider: {{type: static, hosts: [{hosts}]}}
ssh: {{port: {port}, user: root, keys: ["{key}"], config: false, known_hosts: "off"}}
placement: {{per_host: {stacks}}}
registry: {{server: "localhost:{port}"}}
workspace: {{source: none}}
vms: {{count: {count}}}
deploy: {{confirm: never}}
"""


@dataclass(frozen=True)
class Measured:
    """Hold what a command took: CPU seconds of `dev` with its `ssh` and of the hosts, and megabytes of `dev`."""

    hosts: int
    command: str
    seconds: float
    here: float
    there: float
    megabytes: float

    def __str__(self) -> str:
        times = f"{self.seconds:.1f} | {self.here:.1f} | {self.here * 1000 / self.hosts:.0f} | {self.there:.1f}"
        return f"| {self.hosts} x {STACKS} | `dev {self.command}` | {times} | {self.megabytes:.0f} |"


def addresses(count: int) -> list[str]:
    """Return that many addresses of this machine's loopback range."""
    return [f"127.77.0.{number}" for number in range(1, count + 1)]


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server((addresses(1)[0], 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def simulated(folder: Path, count: int) -> Iterator[int]:
    """Have that many hosts, with nothing on them; yields their port."""
    port = free_port()
    subprocess.run(["docker", "rm", "--force", NAME], check=False, capture_output=True)
    for address in addresses(count):
        (folder / "homes" / address).mkdir(parents=True)
        (folder / "homes" / address / ".containers").touch()
    for name in ("key", "client"):
        words = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
        subprocess.run(words, check=True)
    flags = ("--network=host", f"--volume={folder}:/simulated", f"--volume={SCRIPTS}:/simulated/bin:ro")
    docker("run", "--detach", *flags, f"--name={NAME}", hosts.bare(), "sleep", "infinity")
    try:
        docker("exec", NAME, "mkdir", "-p", "/run/sshd")
        for first in range(0, count, AT_ONCE):
            listen = "".join(f"ListenAddress {item}:{port}\n" for item in addresses(count)[first : first + AT_ONCE])
            (folder / f"sshd.{first}").write_text(SSHD + listen)
            docker("exec", NAME, "/usr/sbin/sshd", "-f", f"/simulated/sshd.{first}")
        yield port
    finally:
        docker("rm", "--force", "--volumes", NAME)


def project(folder: Path, count: int, port: int) -> Path:
    """Make a repository whose stacks run an image as it is."""
    root = folder / "project"
    (root / ".devcontainer").mkdir(parents=True)
    (root / "config").mkdir()
    (root / ".devcontainer/devcontainer.json").write_text('{"image": "debian:12"}\n')
    listed = ", ".join(addresses(count))
    settings = CONFIG.format(hosts=listed, key=folder / "client", stacks=STACKS, count=count * STACKS, port=port)
    (root / "config/dev.yml").write_text(settings)
    (root / ".gitignore").write_text(".kamal/\n")
    for words in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message", "Scale")):
        subprocess.run(("git", "-c", "user.name=x", "-c", "user.email=x@localhost", *words), cwd=root, check=True)
    return root


def fill(folder: Path, root: Path) -> None:
    """Put every stack on the host that it is placed on, as a deploy does."""
    run, options = Run.open(root, Output(lambda event: None)), DeployOptions()
    try:
        scope = find_hosts([SourceScope.of(run, options)], is_deep=False)[0].scope
        if errors := [str(item.error) for item in scope.observed.values() if item.error]:
            raise SystemExit(errors[0])
        planner = planner_of(run, options, scope, seen_images(run.project, run.tools, options))
        some = next(iter(scope.releases))
        facts = look(run.connections, placed(scope.hosts, some), scope.releases[some])
        for number, stack in enumerate(scope.names):
            host = placed(scope.hosts, stack)
            made = planner.release(Observation(stack, host, replace(facts, home="")))
            step = apply_step(run.connections, planner, made)("simulated")
            home = folder / "homes" / host.address
            assert step.stdin is not None
            write(home / ".kamal-dev" / stack, made.release.id, made.release.digest, step.stdin)
            with (home / ".containers").open("a") as file:
                file.write(f"c{number:063d} {stack}\n")
    finally:
        run.close()


def placed(found: Mapping[str, Host | None], stack: str) -> Host:
    """Return the host of a stack, which has one."""
    host = found[stack]
    assert host is not None
    return host


def write(home: Path, release: str, digest: str, payload: bytes) -> None:
    """Write a release and what is known about it, from the payload of `apply.sh`."""
    target = home / "releases" / release
    about = target / ".kamal-dev"
    with tarfile.open(fileobj=io.BytesIO(payload)) as archive:
        for member in archive.getmembers():
            top, *rest = PurePosixPath(member.name).parts
            file = archive.extractfile(member)
            if file and top in ("files", "meta"):
                path = (target if top == "files" else about).joinpath(*rest)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(file.read())
    (about / "digest").write_text(f"{digest}\n")
    (about / "good").write_text(f"app up {home.name}-app-1 61, debian:12 made\n")
    (home / "current").symlink_to(f"releases/{release}")


def measure(root: Path, count: int, words: tuple[str, ...]) -> Measured:
    """Run a command that must succeed and find nothing to change, and return what it took."""
    before, started = worked(), time.monotonic()
    # In CI, no connection is kept: the processes of all connections are counted.
    variables = {**os.environ, "CI": "true", "NO_COLOR": "1"}
    log = root.parent / f"{words[0]}.log"
    with log.open("w") as output:
        process = subprocess.Popen((DEV, *words), cwd=root, env=variables, stdout=output, stderr=output)
        _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    text = log.read_text()
    if process.returncode or (words[0] == "deploy" and f"Plan: {count * STACKS} stacks unchanged" not in text):
        raise SystemExit(f"dev {' '.join(words)} exited {process.returncode}:\n{text[-3000:]}")
    here = used.ru_utime + used.ru_stime
    return Measured(count, words[0], seconds, here, worked() - before, used.ru_maxrss / 1024)


def worked() -> float:
    """Return the CPU seconds of all hosts so far."""
    return int(docker("exec", NAME, "sh", "-c", CPU)) / 1e9


def measured(count: int) -> list[Measured]:
    """Make that many hosts with their stacks, and measure each command."""
    with tempfile.TemporaryDirectory(prefix="dev-scale-") as name, simulated(Path(name), count) as port:
        root = project(Path(name), count, port)
        fill(Path(name), root)
        measure(root, count, ("status",))  # hosts remember their versions from now on
        return [measure(root, count, words) for words in COMMANDS]


def main() -> int:
    few, many = map(int, sys.argv[1:3]) if len(sys.argv) > 2 else (10, 100)
    found = [measured(few), measured(many)]
    print("| hosts x stacks | command | seconds | CPU here | ms of it per host | CPU of the hosts | MB |")
    print("|---|---|---|---|---|---|---|")
    print(*(row for rows in found for row in rows), sep="\n")
    growth = [(large.here / many) / (small.here / few) for small, large in zip(*found, strict=True)]
    print(
        "\nCPU here per host, compared with the smaller number of hosts: "
        + ", ".join(f"{item:.2f} x" for item in growth)
    )
    memory = max(row.megabytes for rows in found for row in rows)
    return int(max(growth) > MOST_GROWTH or memory > MOST_MEGABYTES)


if __name__ == "__main__":
    sys.exit(main())
