"""The resources of this machine for hosts that are containers on it.

About an engine elsewhere (a context, a virtual machine), only what it reports is known.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from kamal_dev.commands.docker import docker
from kamal_dev.errors import ProviderError
from kamal_dev.providers import Agree, Capacity
from kamal_dev.shell import Shell
from kamal_dev.values import dataclass

HOST_LABEL = "kamal-dev.host"
INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
PROCESSES = Path("/proc")
MEMORY = Path("/proc/meminfo")
SHOWN = "{{.CgroupVersion}} {{.NCPU}} {{.MemTotal}} {{.DockerRootDir}}"
PER_HOST = 15  # inotify instances of a booted host: systemd with its services, and the engine inside
ENOUGH = 8192
UNKNOWN = 1 << 62
LEAST_MEMORY, LEAST_DISK = 384 << 20, 1 << 30  # bytes for one more host


@dataclass(frozen=True)
class Machine:
    """Hold what the engine reports about its machine.

    `root` is the folder where it keeps images, None if that is not on this machine. `hosts` is how many hosts of all
    projects run there.
    """

    cgroup: str
    capacity: Capacity
    root: Path | None
    hosts: int = 0


def read(shell: Shell) -> Machine:
    """Ask the engine, once per run. Missing values count as sufficient."""
    fields = (*shell.run(docker("info", "--format", SHOWN), timeout=30).output.split(), *("", "", "", ""))
    root = Path(fields[3]) if fields[3] and Path(fields[3]).is_dir() else None
    disk = 0
    if root:
        stat = os.statvfs(root)
        disk = stat.f_blocks * stat.f_frsize
    capacity = Capacity(_number(fields[1]), _number(fields[2]), disk, Path("/dev/nvidia0").exists())
    running = shell.run(docker("ps", "--quiet", "--filter", f"label={HOST_LABEL}"), timeout=30) if root else None
    return Machine(fields[0], capacity, root, len(running.output.split()) if running else 0)


def limited(options: Mapping[str, str], capacity: Capacity) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return `cpus` and `memory` for the engine, capped to what the machine has, and the caps in words."""
    limits, cut = dict(options), []
    cpus, memory = options.get("cpus", ""), options.get("memory", "")
    if cpus and capacity.cpus and float(cpus) > capacity.cpus:
        limits["cpus"] = str(capacity.cpus)
        cut.append(f"{capacity.cpus} of {cpus} CPUs")
    if memory and capacity.memory and _bytes(memory) > capacity.memory:
        limits["memory"] = str(capacity.memory)
        cut.append(f"{_gigabytes(capacity.memory)} of {_gigabytes(_bytes(memory))} memory")
    return limits, tuple(cut)


def size(sizes: Mapping[str, str], machine: Machine) -> tuple[int, float, int]:
    """Return the memory (bytes), CPUs and free disk space (bytes) of a new host; unknown values count as sufficient."""
    limit, cpus = sizes.get("memory", ""), sizes.get("cpus", "")
    memory = _bytes(limit) if limit else machine.capacity.memory
    return memory or UNKNOWN, float(cpus or machine.capacity.cpus) or UNKNOWN, _free_disk(machine)


def make_room(machine: Machine, count: int, agree: Agree) -> None:
    """Refuse `count` more hosts that could not boot; a kernel limit is raised as root if the user agrees.

    Raises ProviderError with what is missing and what to do.
    """
    if not count or not machine.root:
        return
    _require(_free_memory(), LEAST_MEMORY * count, count, "memory", "free some, or deploy fewer stacks")
    advice = f"`docker system df` shows disk usage in {machine.root}"
    _require(_free_disk(machine), LEAST_DISK * count, count, "disk space", advice)
    _make_instances(machine, count, agree)


def _require(free: int, least: int, count: int, what: str, advice: str) -> None:
    if free < least:
        hosts = f"{count} host{'s' if count > 1 else ''}"
        message = f"this machine has {_gigabytes(free)} of {what} left, and {hosts} need{'' if count > 1 else 's'} "
        raise ProviderError(f"{message}{_gigabytes(least)}", hint=advice, left_behind="no host was created")


def _make_instances(machine: Machine, count: int, agree: Agree) -> None:
    limit, used, more = _limit(), _used(), PER_HOST * count
    about = "" if used is not None else "about "
    used = PER_HOST * machine.hosts if used is None else used
    if limit is None or used + more <= limit:
        return
    hosts = f"{count} more host{'s need' if count > 1 else ' needs'}"
    usage = f"{about}{used} of {limit} inotify instances are in use on this machine, and {hosts} about {more}"
    wanted = max(ENOUGH, used + more)
    raised = f"fs.inotify.max_user_instances from {limit} to {wanted}"
    if os.geteuid() == 0 and agree(f"{usage}. Raise {raised} until the next boot?"):
        with suppress(OSError):
            INSTANCES.write_text(f"{wanted}\n", encoding="utf-8")
    if (_limit() or 0) < used + more:
        raise ProviderError(
            usage,
            hint=f"`sudo sysctl fs.inotify.max_user_instances={wanted}` raises the limit until the next boot; "
            "as root `--yes` does it",
            left_behind="no host was created",
        )


def _limit() -> int | None:
    try:
        return int(INSTANCES.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _used() -> int | None:
    """Count root's inotify instances, which all hosts share; None if that cannot be determined."""
    if os.geteuid() != 0:
        return None
    count = 0
    for process in PROCESSES.iterdir():
        if process.name.isdecimal():
            with suppress(OSError):
                count += sum(_is_inotify(file) for file in (process / "fd").iterdir())
    return count


def _is_inotify(file: Path) -> bool:
    with suppress(OSError):
        return str(file.readlink()) == "anon_inode:inotify"
    return False


def _free_memory() -> int:
    with suppress(OSError):
        for line in MEMORY.read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return UNKNOWN


def _free_disk(machine: Machine) -> int:
    if not machine.root:
        return UNKNOWN
    stat = os.statvfs(machine.root)
    return stat.f_bavail * stat.f_frsize


def _bytes(text: str) -> int:
    """Return an amount of `provider.memory`, whose form was checked when it was read."""
    number = text.rstrip("bBkKmMgG")
    unit = text[len(number) :].lower().removesuffix("b")
    return int(float(number) * {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}[unit])


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _gigabytes(size: int) -> str:
    return f"{size / (1 << 30):.1f} GB"
