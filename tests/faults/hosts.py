"""Make hosts that have Docker already, in the time that systemd takes to start."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from kamal_dev.commands import host as commands
from kamal_dev.providers import docker as provider
from tests.host.lab import FOLDER, TINY, TINY_DOCKERFILE
from tests.host.lab import Lab as Inside
from tests.real import lab as labs
from tests.real.lab import Host, docker, has_image, run, wait_for

LABEL = f"kamal-dev.test={labs.PREFIX}"
READY = "systemctl is-system-running --quiet || systemctl is-active --quiet ssh"
# What is each machine's own must not be in an image of it.
FORGET = """
systemctl disable --quiet --now docker docker.socket containerd
rm -rf /etc/docker /etc/ssh/ssh_host_* /root/.kamal-dev /var/log/journal/*
: >/etc/machine-id
"""
# Small disks of their own for the engine and for the home, so that they can be filled.
DISKS = """
set -e
for disk in docker:{engine}:/var/lib/docker home:{home}:/root/.kamal-dev; do
  size=${{disk#*:}} place=${{disk##*:}}
  truncate -s "${{size%%:*}}" "/${{disk%%:*}}.img"
  mkfs.ext4 -q -m 0 -O ^has_journal "/${{disk%%:*}}.img"
  mkdir -p "$place"
  mount -o loop "/${{disk%%:*}}.img" "$place"
  rmdir "$place/lost+found"
done
chmod 700 /root/.kamal-dev
"""


def bare_image() -> str:
    """Return the image of a host without Docker; made where it is not there."""
    recipe = provider.DOCKERFILE.read_bytes()
    image = f"kamal-dev-test/host:{hashlib.sha256(recipe).hexdigest()[:12]}"
    if not has_image(image):
        docker(*_BUILD, "--tag", image, "-", text=recipe.decode(), timeout=900)
    return image


def tiny_image() -> None:
    """Make the image of a single program, where it is not there."""
    if not has_image(TINY):
        docker(*_BUILD, "--tag", TINY, "-", text=TINY_DOCKERFILE.decode(), timeout=900)


def ready_image() -> str:
    """Return the image of a host that was bootstrapped; made where it is not there, by the tool's own script."""
    recipe = (provider.DOCKERFILE, FOLDER / "bootstrap.sh", FOLDER / "packages.sh")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in recipe)).hexdigest()
    image = f"kamal-dev-test/ready-host:{digest[:12]}"
    if not has_image(image):
        inside = Inside(_run("making", bare_image()))
        scripts = {name: (FOLDER / name).read_text() for name in commands.SCRIPTS}
        done = inside.run(commands.bootstrap(scripts, "making"))
        assert done.outcome, done
        inside.sh(FORGET)
        docker("commit", "--change", f"LABEL {LABEL.partition('=')[0]}=image", inside.name, image)
        docker("rm", "--force", "--volumes", inside.name)
    return image


_BUILD = ("buildx", "build", "--builder", "default", "--load", "--provenance=false")


def _run(name: str, image: str) -> str:
    is_v1 = docker("info", "--format", "{{.CgroupVersion}}").strip() == "1"
    groups = ("--cgroupns=host", "--volume=/sys/fs/cgroup:/sys/fs/cgroup") if is_v1 else ("--cgroupns=private",)
    name = f"{labs.PREFIX}-faults-{name}"
    subprocess.run(("docker", "rm", "--force", "--volumes", name), capture_output=True, check=False)
    docker(
        *("run", "--detach", "--privileged", *groups, "--tmpfs=/run", "--tmpfs=/run/lock", f"--label={LABEL}"),
        *("--volume=/var/lib/docker", "--volume=/var/lib/containerd", "--publish=127.0.0.1::22"),
        *(f"--name={name}", f"--hostname={name}", image),
    )
    wait_for("systemd", lambda: Host(name, name, 0, Path()).says(READY), 60)
    return name


def bare(folder: Path, name: str) -> Host:
    """Make a host without Docker."""
    return _admitted(folder, name, _run(name, bare_image()))


def ready(folder: Path, name: str, *, engine: str = "600M", home: str = "48M") -> Host:
    """Make a host with Docker on a disk of its own; `engine` and `home` are the sizes of its disks."""
    host = _admitted(folder, name, _run(name, ready_image()))
    host.run(DISKS.format(engine=engine, home=home))
    host.run("systemctl enable --quiet --now docker")
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
    host.says("systemctl stop docker docker.socket containerd; umount -l /var/lib/docker /root/.kamal-dev; losetup -D")
    docker("rm", "--force", "--volumes", host.container)
