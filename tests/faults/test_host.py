"""Faults 12 to 17: the host itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.standing import Standing
from tests.faults.table import Fault, produces
from tests.real.lab import Host


@contextmanager
def filled(host: Host, folder: str) -> Iterator[None]:
    """Leave no byte free on the disk of a folder."""
    host.run(f"dd if=/dev/zero of={folder}/filler bs=64k 2>/dev/null; sync -f {folder}")
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
        sees="the files could not be unpacked; is /tmp full?",
        how=("/tmp", "4k"),
    ),
    Fault(
        12,
        "The disk with the home folder is full when the release is uploaded",
        sees="…is the disk full?",
        how=("~/.kamal-dev/.run", "8k"),
    ),
)
def test_a_disk_that_is_full_at_upload_must_leave_the_stack_as_it_was(standing: Standing, fault: Fault) -> None:
    before = standing.version
    standing.change()
    folder, size = fault.how
    with memory_over(standing.host, folder, size):
        ended = standing.deploy()
    fault.told(ended)
    standing.endures(ended, state="failed", version=before)


@produces(
    Fault(
        12,
        "The disk of the engine is full when an image is pulled",
        sees="images did not arrive: localhost:…no space left on device",
        do="check that the image exists and that the host reaches its registry; `--skip-push` sends it over SSH",
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
        13,
        "The host's `/` is read-only",
        sees="the host could not be asked what it is: …Read-only file system",
        do="it needs a POSIX shell, tar, gzip and a writable /tmp and home folder",
    )
)
def test_a_host_that_is_read_only_must_be_named_and_its_stack_goes_on(standing: Standing, fault: Fault) -> None:
    before = standing.version
    standing.change()
    standing.host.run("mount -o remount,ro /")
    try:
        ended = standing.deploy()
    finally:
        standing.host.run("mount -o remount,rw /")
    fault.told(ended)
    standing.endures(ended, state="failed", version=before)
