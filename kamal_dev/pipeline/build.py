"""The story of `dev build`."""

from __future__ import annotations

from dataclasses import replace

from kamal_dev.model import Image
from kamal_dev.pipeline.images import features
from kamal_dev.pipeline.images.building import build_all, require_buildable
from kamal_dev.pipeline.images.engine import require_engine
from kamal_dev.pipeline.images.recipe import BuildOptions
from kamal_dev.pipeline.run.hooks import Hooks
from kamal_dev.pipeline.run.initialize import initialize
from kamal_dev.pipeline.run.run import Run


def build(run: Run, options: BuildOptions, *, skip_initialize: bool = False, skip_hooks: bool = False) -> list[Image]:
    """Build the images of this version on this machine without pushing them."""
    run = run if skip_initialize else initialize(run)
    hooks = Hooks(run, "build", skip=skip_hooks)
    builds = require_buildable(run.project, run.tools, options)
    if builds:
        require_engine(run.local)
    cache = run.project.config.build.cache
    for notice in run.project.ignored_features:
        run.output.warn(str(notice), category="config")
    config = features.log_in(run.project, run.tools, wanted=cache is not None and cache.type == "registry")
    if builds:
        hooks.before("pre-build", {}, left_behind="nothing was built")
    images = [
        replace(built.image, digest="") for built in build_all(run.project, run.tools, replace(options, config=config))
    ]
    if images:
        hooks.before("post-build", {}, left_behind="the images are built")
    return images
