"""Look at a host again, where what it said before a long build may no longer be so."""

from __future__ import annotations

import time

from kamal_dev.model import Release
from kamal_dev.pipeline.prepare import Ready, look
from kamal_dev.pipeline.run import Run
from kamal_dev.pipeline.workspace import Workspace

OLD = 30.0  # seconds


def is_old(run: Run, ready: Ready) -> bool:
    """Whether the host was asked so long ago that others may have changed the stack since."""
    return not run.is_paper and time.monotonic() - ready.seen > OLD


def brought(run: Run, source: Workspace, release: Release) -> str:
    """Return the folder of the workspace that was given the source; nothing where none is."""
    return source.folder if release.workspace and run.project.workspace_source in ("git", "sync") else ""


def afresh(run: Run, ready: Ready, release: Release, source: Workspace) -> Ready:
    """Return the host as it is now, after the source was sent again where somebody has removed the stack meanwhile."""
    facts = look(run, ready.host, release)
    folder = brought(run, source, release)
    if folder and folder not in facts.workspace:
        run.output.warn(f"{ready.host.name}: {ready.stack} was removed there while this deploy was at work")
        return Ready(ready.stack, ready.host, facts, ready.missing, source.bring(ready.host, ready.stack, facts))
    return Ready(ready.stack, ready.host, facts, ready.missing, ready.source)
