"""Faults 12 to 17: the host itself."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.faults import hosts
from tests.faults.standing import Running, Standing, repository
from tests.faults.table import Fault, produces
from tests.faults.test_services import app
from tests.real.lab import Host, Lab, Repository, wait_for


@contextmanager
def filled(host: Host, folder: str) -> Iterator[None]:
    """Leave no byte free on the disk of a folder."""
    host.run(f"for size in 64k 4k; do dd if=/dev/zero bs=$size 2>/dev/null; done >{folder}/filler; sync -f {folder}")
    try:
        yield
    finally:
        host.run(f"rm {folder}/filler")


@contextmanager
def memory_over(host: Host, folder: str, size: str) -> Iterator[None]:
    """Put a tiny disk over a folder."""
    host.run(f"mkdir -p {folder} && mount -t tmpfs -o size={size} tmpfs {folder}")
    try:
        yield
    finally:
        host.run(f"umount -l {folder}")


@produces(
    Fault(
        12,
        "/tmp of the host is full",
        sees="files were not unpacked; is /tmp full or read-only?",
        do="it needs a POSIX shell, tar, gzip and a writable /tmp and home folder",
        how=("/tmp", "4k", "unknown"),
    ),
    Fault(
        12,
        "The disk with the home folder is full during the upload of the release",
        sees="…is the disk full?",
        how=("~/.kamal-dev/.run", "8k", "failed"),
    ),
)
def test_a_disk_that_is_full_at_upload_must_leave_the_stack_as_it_was(standing: Standing, fault: Fault) -> None:
    before = standing.version
    standing.change()
    folder, size, state = fault.how
    with memory_over(standing.host, folder, size):
        ended = standing.deploy()
    fault.told(ended)
    standing.endures(ended, state=state, version=before)


@produces(
    Fault(
        12,
        "The disk of the engine is full during the pull of an image",
        sees="no space left on the host: 0 MB free for images",
        do="`dev prune` removes old releases and their images",
    )
)
def test_a_disk_that_is_full_at_the_pull_must_leave_the_stack_as_it_was(standing: Standing, fault: Fault) -> None:
    before = standing.version
    standing.change({".devcontainer/message": "x" * 100_000})
    with filled(standing.host, "/var/lib/docker"):
        ended = standing.deploy()
    fault.told(ended)
    standing.endures(ended, state="failed", version=before)


@produces(
    Fault(
        12,
        "The disk of the engine is full during the start of containers",
        sees="no space left on device …left behind: the last good release is running again",
        do="`dev prune` removes old releases and their images",
    )
)
def test_a_disk_that_is_full_when_containers_start_must_leave_the_stack_as_it_was(
    standing: Standing, fault: Fault
) -> None:
    before = standing.version
    # Nothing is to be built, pulled or forgotten: what the disk has no room for are the new containers.
    settings = (standing.repository.root / "config/dev.yml").read_text()
    standing.change({**app(environment="{FULL: full}"), "config/dev.yml": f"{settings}retain: 100\n"})
    with filled(standing.host, "/var/lib/docker"):
        ended = standing.deploy("--version", before)
    fault.told(ended)
    standing.still_holds(ended, state="failed", version=before)
    standing.back()
    standing.endures()


@produces(
    Fault(
        13,
        "The host's file systems are read-only",
        sees="could not inspect the host: files were not unpacked; is /tmp full or read-only?",
        do="it needs a POSIX shell, tar, gzip and a writable /tmp and home folder",
    )
)
def test_a_host_that_is_read_only_must_be_named_and_its_stack_goes_on(standing: Standing, fault: Fault) -> None:
    before = standing.version
    standing.change()
    # `/` itself is busy in a container; these are the two folders that anything is written to.
    freeze = "for place in /tmp /root; do mount --rbind $place $place && mount -o remount,ro,bind $place; done"
    standing.host.run(freeze)
    try:
        ended = standing.deploy()
    finally:
        standing.host.run("umount -l /tmp; umount -l /root")
    fault.told(ended)
    standing.endures(ended, state="unknown", version=before)


# --- a host that `dev` has never seen

DPKG = """
perl -MFcntl -e '
  for my $file (@ARGV) {{
    open($open{{$file}}, ">>", $file) or die;
    my $lock = pack("s s x4 q q i x4", F_WRLCK, 0, 0, 0, 0);
    fcntl($open{{$file}}, F_SETLK, $lock) or die "$file: $!";
  }}
  open(my $ready, ">", "/tmp/locked");
  sleep {};
' /var/lib/apt/lists/lock /var/lib/dpkg/lock-frontend >/dev/null 2>&1 &
until [ -f /tmp/locked ]; do sleep 0.1; done; rm /tmp/locked
"""
CLOUD_INIT = "printf '#!/bin/sh\nsleep 2\nexit {}\n' >/usr/local/bin/cloud-init && chmod 755 /usr/local/bin/cloud-init"
USERS = """
id asked 2>/dev/null || useradd --create-home --shell /bin/sh --groups sudo asked
id plain 2>/dev/null || useradd --create-home --shell /bin/sh plain
for user in asked plain; do
  install -d -m 700 -o "$user" "/home/$user/.ssh"
  install -m 600 -o "$user" /root/.ssh/authorized_keys "/home/$user/.ssh/authorized_keys"
done
"""


@pytest.fixture
def stranger(standing: Standing, bare: Host) -> Iterator[Repository]:
    """A repository for a host without Docker."""
    with _stranger(standing.lab, bare, standing.registry) as made:
        yield made


@contextmanager
def _stranger(lab: Lab, bare: Host, registry: str) -> Iterator[Repository]:
    name = f"bare-{next(hosts.numbers)}"
    made = repository(lab, name, bare, registry, bare.port)
    made.commit({".devcontainer/compose.yaml": "services:\n  app:\n    build: .\n"})
    yield made
    bare.run("rm -f /usr/local/bin/cloud-init /usr/local/bin/docker")


COMPOSE = "install the Compose plugin on the host: https://docs.docker.com/compose/install/linux/"
BY_HAND = "install Docker Engine and Compose v2 on the host, then deploy again"


@produces(
    Fault(
        16,
        "sudo asks the user for a password",
        sees="could not install Docker: sudo asks `asked` for a password; give it `NOPASSWD: ALL`",
        do="log in as root (`ssh.user`), or let the user run sudo without a password",
        how="asked",
    ),
    Fault(
        16,
        "The user has no sudo and is not in the group `docker`",
        sees="could not install Docker: `plain` is not root and has no sudo",
        do="log in as root (`ssh.user`), or let the user run sudo without a password",
        how="plain",
        is_slow=True,
    ),
)
def test_a_user_without_rights_must_be_told_which_are_missing(
    standing: Standing, stranger: Repository, bare: Host, fault: Fault
) -> None:
    bare.run(USERS)
    settings = (stranger.root / "config/dev.yml").read_text()
    stranger.commit({"config/dev.yml": settings.replace("root@", f"{fault.how}@")})
    ended = stranger.deploy(code=1)
    fault.told(ended)
    assert not bare.says("command -v dockerd")
    assert not bare.says("ls -d /tmp/kamal-dev* /home/*/.kamal-dev/.run/*/payload")
    standing.endures()


@produces(
    Fault(
        17,
        "`docker` on the host is Podman, and Compose is not installed",
        sees="could not install Docker: Docker was not installed with apt, and Compose is missing",
        do=COMPOSE,
        how="podman version 4.3.1",
    ),
    Fault(
        17,
        "Docker on the host is too old, or only has Compose v1",
        sees="could not install Docker: Docker was not installed with apt, and Compose is 1.29.2",
        do=COMPOSE,
        how="1.29.2",
        is_slow=True,
    ),
)
def test_a_docker_that_is_none_must_be_named(
    standing: Standing, stranger: Repository, bare: Host, fault: Fault
) -> None:
    compose = f"echo {fault.how}" if fault.how[0].isdigit() else "exit 125"
    script = f'#!/bin/sh\ncase "$1" in compose) {compose} ;; version) echo 20.10.0 ;; *) exit 125 ;; esac\n'
    bare.run("cat >/usr/local/bin/docker && chmod 755 /usr/local/bin/docker", text=script)
    ended = stranger.deploy(code=1)
    fault.told(ended)
    standing.endures()


@produces(
    Fault(
        14,
        "The lock of dpkg is held for a while, cloud-init runs and fails, Docker is not installed (also 15 and 17)",
        sees="Installing Docker …Deployed 1 of 1 stacks",
        how=(5, 2),
        is_slow=True,
    ),
    Fault(14, "The lock of dpkg is held for 90 seconds", sees="Deployed 1 of 1 stacks", how=(90, 0), is_slow=True),
    Fault(15, "cloud-init fails", sees="Deployed 1 of 1 stacks", how=(1, 1), is_slow=True),
)
def test_a_host_that_is_busy_booting_must_be_waited_for(standing: Standing, fault: Fault) -> None:
    held, code = fault.how
    fresh = hosts.bare(standing.lab.folder, "fresh")
    try:
        with _stranger(standing.lab, fresh, standing.registry) as made:
            fresh.run(CLOUD_INIT.format(code))
            fresh.run(DPKG.format(held))
            ended = made.deploy()
            fault.told(ended)
            assert fresh.states(made.stack()) == {"app": "running"}
            assert "unchanged" in made.dev("deploy").stdout
    finally:
        hosts.remove(fresh)
    standing.endures()


@produces(
    Fault(
        14,
        "The lock of dpkg is never released",
        sees="could not install Docker: another program has held …lock for 300 s",
        do=BY_HAND,
        is_slow=True,
    )
)
def test_a_lock_of_dpkg_that_nobody_releases_must_be_named(standing: Standing, fault: Fault) -> None:
    fresh = hosts.bare(standing.lab.folder, "fresh")
    try:
        with _stranger(standing.lab, fresh, standing.registry) as made:
            fresh.run(DPKG.format(100_000))
            ended = made.attempt("deploy", "--json", timeout=900)
            assert ended.code == 1
            fault.told(ended)
            fresh.run("pkill perl")
            made.deploy()
    finally:
        hosts.remove(fresh)
    standing.endures()


@produces(
    Fault(
        26,
        "`dev` is killed (SIGKILL) while Docker is installed on a new host",
        sees="Installing Docker",
        is_slow=True,
    )
)
def test_a_kill_during_the_bootstrap_must_be_followed_by_one_that_goes_on(standing: Standing, fault: Fault) -> None:
    fresh = hosts.bare(standing.lab.folder, "fresh")
    try:
        with _stranger(standing.lab, fresh, standing.registry) as made, Running(made, "deploy", "--json") as running:
            running.wait_for("Installing Docker")
            wait_for("apt is at work", lambda: fresh.says("pgrep apt-get"), 60)
            running.process.kill()
            fault.told(running.end(-signal.SIGKILL))
            made.deploy()
            assert fresh.states(made.stack()) == {"app": "running"}
            assert not fresh.says("ls -d /tmp/kamal-dev* ~/.kamal-dev/.run/*/payload")
    finally:
        hosts.remove(fresh)
    standing.endures()
