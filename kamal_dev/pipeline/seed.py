"""Give a new workspace its source: the working tree, packed once for all hosts."""

from __future__ import annotations

import tarfile
import tempfile
import threading
from pathlib import Path

from kamal_dev.commands import answers, host
from kamal_dev.errors import HostError
from kamal_dev.model import Host, Release
from kamal_dev.pipeline.engine import last_line
from kamal_dev.pipeline.run import Run
from kamal_dev.pipeline.transfer import chunks
from kamal_dev.project import PRIVATE
from kamal_dev.project.source import files

SEEDING = 3600.0


class Seed:
    """Pack the tree when the first host needs it. Neither ignored files nor secrets are in it."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._packing = threading.Lock()
        self._packed: Path | None = None

    def sow(self, target: Host, release: Release, facts: answers.Facts) -> None:
        """Fill the stack's workspace where binds expect one and it is empty; what is there stays.

        Raises HostError where the tree does not arrive.
        """
        run, name = self._run, self._run.project.source.repository.name
        if not release.workspace or name in facts.workspace:
            return
        run.output.start("Sending the source to the workspace", target.name)
        step = host.seed(run.scripts, release.stack, name)
        feed = () if run.is_paper else chunks(self._pack())
        result = run.remote(target).run(step, feed=feed, timeout=SEEDING)
        if not result:
            raise HostError(
                target.name,
                f"the source could not be sent: {last_line(result.tail())}",
                hint="check the disk of the host: `df -h ~`",
                left_behind="nothing was changed on the host",
            )
        run.output.done("Sent the source to the workspace", target.name, result.seconds)

    def _pack(self) -> Path:
        with self._packing:
            if self._packed is None:
                folder = tempfile.TemporaryDirectory(prefix="kamal-dev-source-")
                self._packed = Path(self._run.resources.enter_context(folder), "source.tar.gz")
                self._write(self._packed)
            return self._packed

    def _write(self, path: Path) -> None:
        project = self._run.project
        root = project.source.repository
        own = project.root.relative_to(root)
        kept_back = {own / project.config.secrets_file, own / PRIVATE}
        with tarfile.open(path, "w:gz", compresslevel=1, format=tarfile.PAX_FORMAT) as tar:
            for name in files(project.source, self._run.local):
                if not any(Path(name).is_relative_to(secret) for secret in kept_back):
                    tar.add(root / name, arcname=name, recursive=False)
