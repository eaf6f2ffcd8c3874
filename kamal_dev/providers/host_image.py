"""The image that hosts are created from: a bare system, and one in which bootstrap has been run, once per recipe.

The recipe is the Dockerfile with the very script that bootstraps any other host, so that it does nothing later.
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
# The engine inside cannot put layers on a layered file system, so both of its stores are volumes.
MACHINE = (
    *("--tty", "--privileged", "--tmpfs=/run", "--tmpfs=/run/lock"),
    *("--volume=/var/lib/docker", "--volume=/var/lib/containerd"),
)
# Every host makes keys and ids of its own when it boots for the first time. The watcher stays.
FORGET = """systemctl stop 'kamal-dev-*' docker docker.socket containerd
rm -rf /etc/ssh/ssh_host_* /etc/docker/key.json /var/lib/dbus/machine-id /var/cache/apt/archives/*.deb
rm -rf /root/.kamal-dev/[!.]* /root/.kamal-dev/.[!w]* /root/.kamal-dev/.watcher/running
: >/etc/machine-id"""
BOOTED = "until systemctl is-system-running --quiet || systemctl is-active --quiet ssh; do sleep 0.2; done"
LOOK, BUILD, INSTALL = 120.0, 900.0, 1800.0


def ready(shell: Shell, output: Output, flags: tuple[str, ...]) -> str:
    """Return the image of a host with an engine in it, made where it is missing; the bare one where that fails.

    `flags` are those that systemd needs here. Raises ProviderError where there can be neither.
    """
    install = host.bootstrap(_scripts(), "image")
    recipe = DOCKERFILE.read_bytes() + CGROUP.read_bytes()
    bare, image = f"{NAME}:{_short(recipe)}", f"{NAME}:docker-{_short(recipe + (install.stdin or b''))}"
    if _has(shell, image):
        return image
    if not _has(shell, bare):
        _build(shell, output, bare)
    started = time.monotonic()
    output.start("building", image, message="host image, made once")
    why = _made(shell, bare, image, install, flags)
    if why:
        output.warn(f"Cannot install Docker in the host image, each host installs it: {why}", phase="provisioning")
        return bare
    output.done("building", image, seconds=time.monotonic() - started)
    return image


def _build(shell: Shell, output: Output, image: str) -> None:
    output.start("building", image, message="host image, made once")
    # The builder named as the context is the engine's own: it alone sees images that no registry has.
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
    """Boot a bare host, install the engine there and keep the result; returns why not, empty where it went well."""
    # The name is the lock: of two runs that start together one makes the image.
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
