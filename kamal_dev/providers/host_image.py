"""The image of new hosts: a bare system, and one in which bootstrap has run, built once per recipe.

The recipe is the Dockerfile and the same script that bootstraps any other host, which then has nothing left to do.
"""

from __future__ import annotations

import hashlib
import time
from importlib.resources import files
from pathlib import Path

from kamal_dev.commands import answers, host
from kamal_dev.commands.docker import docker
from kamal_dev.errors import ProviderError
from kamal_dev.model import Result, Step
from kamal_dev.output import Output
from kamal_dev.shell import Shell

DOCKERFILE = Path(__file__).with_name("host.Dockerfile")
CGROUP = Path(__file__).with_name("cgroup.sh")
NAME = "kamal-dev-host"
# The engine inside cannot use an overlay file system on another one, so both of its stores are volumes.
MACHINE = (
    *("--tty", "--privileged", "--tmpfs=/run", "--tmpfs=/run/lock"),
    *("--volume=/var/lib/docker", "--volume=/var/lib/containerd"),
)
# Every host generates its own keys and ids when it first boots. The watcher stays.
FORGET = """systemctl stop 'kamal-dev-*' docker docker.socket containerd
rm -rf /etc/ssh/ssh_host_* /etc/docker/key.json /var/lib/dbus/machine-id /var/cache/apt/archives/*.deb
rm -rf /root/.kamal-dev/[!.]* /root/.kamal-dev/.[!w]* /root/.kamal-dev/.watcher/running
: >/etc/machine-id"""
BOOTED = "until systemctl is-system-running --quiet || systemctl is-active --quiet ssh; do sleep 0.2; done"
LOOK, BUILD, INSTALL = 120.0, 900.0, 1800.0


def ready(shell: Shell, output: Output, flags: tuple[str, ...]) -> str:
    """Return the image of a host with an engine, built if necessary; the bare one if that fails.

    `flags` are those that systemd needs. Raises ProviderError if neither can be built.
    """
    install = host.bootstrap(_scripts(), "image")
    recipe = DOCKERFILE.read_bytes() + CGROUP.read_bytes()
    bare, image = f"{NAME}:{_short(recipe)}", f"{NAME}:docker-{_short(recipe + (install.stdin or b''))}"
    if _has(shell, image):
        return image
    if not _has(shell, bare):
        _build(shell, output, bare)
    started = time.monotonic()
    output.start("building", image, message="host image, built once")
    why = _made(shell, bare, image, install, flags)
    if why:
        output.warn(
            f"Could not install Docker in the host image, so each host installs it: {why}", phase="provisioning"
        )
        return bare
    output.done("building", image, seconds=time.monotonic() - started)
    return image


def _build(shell: Shell, output: Output, image: str) -> None:
    output.start("building", image, message="host image, built once")
    # The builder named like the context is the engine's own: only it sees images that no registry has.
    builder = shell.run(docker("context", "show"), timeout=LOOK).output.strip() or "default"
    words = ("--builder", builder, "--load", "--provenance=false", "--tag", image)
    # Not by stdin, of which buildx leaves a copy in the folder for temporary files.
    context = ("--file", str(DOCKERFILE), str(DOCKERFILE.parent))
    result = shell.run(docker("buildx", "build", *words, *context), timeout=BUILD)
    if not result:
        raise ProviderError(
            f"the host image could not be built:\n{result.tail(12)}",
            hint="it needs `debian:12` and Debian's packages; or set `provider.image` to a host image of your own",
        )
    output.done("building", image, seconds=result.seconds)


def _made(shell: Shell, bare: str, image: str, install: Step, flags: tuple[str, ...]) -> str:
    """Boot a bare host, install the engine and save the result; return why that failed, empty on success."""
    # The name acts as a lock: of two runs that start together, one builds the image.
    name = f"{NAME}-making-{image.rpartition('-')[2]}"
    booted = shell.run(docker("run", "--detach", *MACHINE, *flags, f"--name={name}", bare), timeout=BUILD)
    if not booted:
        return "" if "is already in use" in booted.errors and _awaited(shell, name, image) else booted.tail(2)
    try:
        shell.run(_inside(name, "sh", "-c", BOOTED), timeout=LOOK)
        installed = answers.outcome(
            shell.run(_inside(name, *install.argv, stdin=install.stdin), timeout=INSTALL).output
        )
        if not installed:
            return installed.reason
        shell.run(_inside(name, "sh", "-c", FORGET), timeout=LOOK)
        kept: Result = shell.run(docker("commit", name, image), timeout=BUILD)
        return "" if kept else kept.tail(2)
    finally:
        shell.run(docker("rm", "--force", "--volumes", name), timeout=LOOK)


def _awaited(shell: Shell, name: str, image: str) -> bool:
    """Wait for the process that builds the image; leftovers of a killed run are removed."""
    deadline = time.monotonic() + INSTALL / 6
    while not _has(shell, image):
        if not shell.run(docker("container", "inspect", name), timeout=LOOK):
            return _has(shell, image)
        if time.monotonic() > deadline:
            shell.run(docker("rm", "--force", "--volumes", name), timeout=LOOK)
            return False
        time.sleep(1)
    return True


def _inside(name: str, *words: str, stdin: bytes | None = None) -> Step:
    flags = ("--interactive", "--env", "HOME=/root") if stdin is not None else ()
    return docker("exec", *flags, name, *words, stdin=stdin)


def _has(shell: Shell, image: str) -> bool:
    return bool(shell.run(docker("image", "inspect", image), timeout=LOOK))


def _scripts() -> dict[str, str]:
    folder = files("kamal_dev") / "host"
    return {item.name: item.read_text(encoding="utf-8") for item in folder.iterdir() if item.name.endswith(".sh")}


def _short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
