"""The story of `dev push`."""

from __future__ import annotations

from kamal_dev.model import Image
from kamal_dev.pipeline.images import local_registry, registry
from kamal_dev.pipeline.images.building import planned
from kamal_dev.pipeline.images.engine import require_engine
from kamal_dev.pipeline.images.pushing import push_all
from kamal_dev.pipeline.run.run import Run


def push(run: Run) -> list[Image]:
    """Push the images built for this version, and return them with their digests in the registry."""
    if not planned(run.project):
        run.output.skip("pushing", message="every service uses an image that exists")
        return []
    require_engine(run.local)
    if run.project.config.registry.is_local:
        local_registry.ensure(run.project, run.tools)
    return [pushed.image for pushed in push_all(run.project, run.tools, config=registry.log_in(run.project, run.tools))]
