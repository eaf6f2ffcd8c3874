"""`dev build`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command(
    epilog=common.examples("dev build", "dev build --no-cache --progress plain  # rebuild every layer with full output")
)
@click.option("--no-cache", is_flag=True, help="Rebuild every layer.")
@click.option(
    "--platform",
    metavar="OS/ARCH",
    multiple=True,
    help="Build for this platform, such as linux/arm64. Can be repeated.",
)
@click.option("--progress", type=click.Choice(["auto", "plain", "quiet"]), help="Type of progress output of buildx.")
@common.skip_initialize
@common.skip_hooks
@common.ignore_features
@common.allow_outside
@common.as_events
@common.version
@common.common
def command(
    flags: common.Flags,
    *,
    no_cache: bool,
    platform: tuple[str, ...],
    progress: str | None,
    skip_initialize: bool,
    skip_hooks: bool,
) -> int:
    """Always runs the builder; its cache decides what is rebuilt. Does not push the images."""
    from kamal_dev.output.summary import RunSummary
    from kamal_dev.pipeline.build import build
    from kamal_dev.pipeline.images.recipe import BuildOptions

    run = common.open_run(flags)
    options = BuildOptions(no_cache=no_cache, platform=platform, progress=progress or "")
    images = build(run, options, skip_initialize=skip_initialize, skip_hooks=skip_hooks)
    # `initializeCommand` may have changed files, so the version may differ from the one read first.
    version = images[0].tag if images else str(run.project.version)
    result = RunSummary("build", ok=True, exit_code=0, version=version, images=tuple(map(str, images)))
    return common.finish(flags, result, "\n".join(image.reference for image in images))
