"""Send images to hosts over SSH, compressed; each set is packed once for all hosts. Needs no registry."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from kamal_dev.commands import answers, docker
from kamal_dev.commands.facts import Facts
from kamal_dev.errors import EngineError, NothingBuilt, PullFailed
from kamal_dev.model import Host, Step
from kamal_dev.pipeline.hosts.scripts import again
from kamal_dev.pipeline.images.engine import inspect, is_none
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.tools import LocalTools
from kamal_dev.plan.admission import runs
from kamal_dev.project import temporary
from kamal_dev.shell import Shell
from kamal_dev.shell.fanout import once
from kamal_dev.shell.local import Local

CHUNK = 1 << 17
LEVEL = 3
TELLING = 0.5  # seconds between two progress events


class ImageTransfer:
    """Pack each set of images once, for the first host that asks; the files are deleted when the run ends."""

    def __init__(self, tools: LocalTools, connections: HostConnections) -> None:
        self._tools = tools
        self._connections = connections
        self._folder = tools.resources.enter_context(temporary.folder("images"))
        self._packing = threading.Lock()
        self._packed: dict[tuple[str, ...], Path] = {}
        self._present = once(lambda reference: inspect(tools.shell, reference))
        self._lock_of = once(lambda machine: threading.Lock())
        self._loaded: dict[tuple[Host, tuple[str, ...]], str] = {}

    def has(self, reference: str, facts: Facts) -> bool:
        """Return whether the local engine has an image that a host with these facts can run."""
        try:
            present = self._present(reference)
        except EngineError:
            return False
        if present and not runs([present.platform], facts):
            self._tools.output.info(
                f"`{reference}` is only available for {present.platform} on this machine and is not sent"
            )
            return False
        return present is not None

    def send_to(self, target: Host, shell: Shell, load: Step, references: tuple[str, ...]) -> None:
        """Load local images like `send`, unless this was done for another stack on the same host."""
        machine = replace(target, name="")
        with self._lock_of(machine):
            if self._loaded.get((machine, references), target.name) == target.name:
                self.send(target.name, shell, load, references)
                self._loaded[machine, references] = target.name

    def send(self, host: str, shell: Shell, load: Step, references: tuple[str, ...]) -> None:
        """Load local images into the host's engine. Raises PullFailed, NothingBuilt."""
        parcel = self.pack(references)
        size = parcel.stat().st_size
        named = ", ".join(references)
        self._tools.output.start("transferring", named, host, total=size, unit="bytes")

        def feed() -> Iterator[bytes]:
            return _reporting(
                chunks(parcel), lambda sent: self._tools.output.progress("transferring", sent, size, "bytes", host)
            )

        result = again(self._connections, host, lambda: shell.run(load, feed=feed(), timeout=3600))
        loaded = answers.outcome(result.output)
        if not loaded:
            raise PullFailed(
                host,
                f"the images sent over SSH could not be loaded: {loaded.reason}",
                hint="check the disk of the host: `df -h /var/lib/docker`",
            )
        self._tools.output.done("transferring", named, host, seconds=result.seconds, total=size, unit="bytes")

    def pack(self, references: tuple[str, ...]) -> Path:
        """Return a file with the images, compressed with zstd, which is ten times faster than gzip and packs better."""
        with self._packing:
            if references not in self._packed:
                named, started = ", ".join(references), time.monotonic()
                self._tools.output.start("packing", named)
                path = self._folder / f"{len(self._packed)}.tar.zst"
                self._write(path, references, named)
                self._packed[references] = path
                self._tools.output.done("packing", named, seconds=time.monotonic() - started)
            return self._packed[references]

    def _tell(self, named: str, done: int) -> None:
        self._tools.output.progress("packing", done, None, "bytes", subject=named)

    def _write(self, path: Path, references: tuple[str, ...], named: str) -> None:
        import zstandard

        local = self._tools.shell
        assert isinstance(local, Local)
        try:
            with (
                path.open("wb") as file,
                zstandard.ZstdCompressor(level=LEVEL, threads=-1).stream_writer(file) as packed,
            ):
                saved = local.stream(docker.save(references))
                for chunk in _reporting(saved, lambda done: self._tell(named, done)):
                    packed.write(chunk)
        except OSError as error:
            raise NothingBuilt(f"could not pack images: {error}", hint=_hint(error, path)) from error


def _hint(error: OSError, path: Path) -> str:
    if error.errno == errno.ENOSPC:
        return f"free space in {path.parent}, or set `TMPDIR` to another folder"
    return "run `dev build`" if is_none(str(error)) else "check Docker on this machine: `docker version`"


def _reporting(pieces: Iterable[bytes], tell: Callable[[int], None]) -> Iterator[bytes]:
    """Pass chunks on, and report regularly how many bytes were sent."""
    passed, reported_at = 0, time.monotonic()
    for piece in pieces:
        yield piece
        passed += len(piece)
        if time.monotonic() - reported_at >= TELLING:
            tell(passed)
            reported_at = time.monotonic()


def chunks(path: Path) -> Iterator[bytes]:
    """Yield the content of a file."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
