"""Make hosts that can be broken: with disks of their own, or without Docker."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

from kamal_dev.providers import docker as provider
from tests import hosts as images
from tests.host.lab import TINY, TINY_DOCKERFILE
from tests.real import lab as labs
from tests.real.lab import Host, docker, has_image, run, wait_for

numbers = itertools.count(1)
LABEL = f"kamal-dev.test={labs.PREFIX}"
# Small disks of their own for the engine and for the home, so that they can be filled.
DISKS = """
set -e
systemctl stop docker docker.socket containerd
for disk in docker:{engine}:/var/lib/docker home:{home}:/root/.kamal-dev; do
  size=${{disk#*:}} place=${{disk##*:}}
  truncate -s "${{size%%:*}}" "/run/${{disk%%:*}}.img"
  mkfs.ext4 -q -m 0 -O ^has_journal "/run/${{disk%%:*}}.img"
  mkdir -p "$place"
  mount -o loop "/run/${{disk%%:*}}.img" "$place"
  rmdir "$place/lost+found"
done
chmod 700 /root/.kamal-dev
systemctl start docker
"""


def tiny_image() -> None:
    """Make the image of a single program, where it is not there."""
    if not has_image(TINY):
        build = ("buildx", "build", "--builder", "default", "--load", "--provenance=false")
        docker(*build, "--tag", TINY, "-", text=TINY_DOCKERFILE.decode(), timeout=900)


def _boot(name: str, image: str) -> str:
    name = f"{labs.PREFIX}-faults-{name}"
    subprocess.run(("docker", "rm", "--force", "--volumes", name), capture_output=True, check=False)
    return images.boot(image, name, LABEL)


def bare(folder: Path, name: str) -> Host:
    """Make a host without Docker."""
    return _admitted(folder, name, _boot(name, images.bare()))


def ready(folder: Path, name: str, *, engine: str = "160M", home: str = "48M") -> Host:
    """Make a host with Docker on a disk of its own; `engine` and `home` are the sizes of its disks."""
    host = _admitted(folder, name, _boot(name, images.prepared()))
    host.run(DISKS.format(engine=engine, home=home))
    return host


def _admitted(folder: Path, name: str, container: str) -> Host:
    key = folder / "id_ed25519"
    if not key.exists():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    public = key.with_suffix(".pub").read_text()
    docker("exec", "-i", container, "sh", "-c", provider.ADMIT.read_text(), "admit", "30", text=public)
    port = int(docker("port", container, "22/tcp").splitlines()[0].rpartition(":")[2])
    wait_for("sshd", lambda: Host(name, container, port, key).says("systemctl is-active --quiet ssh"), 30)
    return Host(name, container, port, key)


def load(host: Host, *images: str) -> None:
    """Put images of this machine into the host's engine."""
    with subprocess.Popen(("docker", "image", "save", *images), stdout=subprocess.PIPE) as saving:
        words = ("docker", "exec", "-i", host.container, "docker", "image", "load", "--quiet")
        subprocess.run(words, stdin=saving.stdout, check=True, capture_output=True, timeout=300)


def remove(host: Host) -> None:
    """Remove a host, and give its disks back."""
    host.says("systemctl stop docker docker.socket containerd; umount -l /var/lib/docker /root/.kamal-dev")
    docker("rm", "--force", "--volumes", host.container)
