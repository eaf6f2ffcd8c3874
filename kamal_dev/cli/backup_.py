"""`dev backup`."""

from __future__ import annotations

from pathlib import Path

import click

from kamal_dev.cli import common


@click.command(
    epilog=common.examples(
        "dev backup guestbook-1",
        "dev backup guestbook-1 postgres-data -o before-upgrade.tar.zst",
        "dev backup guestbook-1 workspace  # only the workspace",
    )
)
@click.argument("name", shell_complete=common.complete_stacks)
@click.argument("volumes", metavar="[VOLUME]...", nargs=-1)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write. Default: NAME-TIME.tar.zst.",
)
@common.skip_hooks
@common.lock_wait
@common.as_events
@common.common
def command(flags: common.Flags, *, name: str, volumes: tuple[str, ...], output: Path | None, skip_hooks: bool) -> int:
    """VOLUME is a volume in the compose file, or `workspace`. Default: all volumes and the workspace.

    Services that use the volumes are stopped during the backup and started again afterwards. With a hook
    `.kamal/hooks/backup`, which runs first, they keep running.
    """
    from kamal_dev.pipeline.backup import backup, warn_of_source
    from kamal_dev.pipeline.run.hooks import Hooks

    run = common.open_run(flags, strict=False)
    hooks = Hooks(run, "backup", skip=skip_hooks)
    saved = backup(run.project, run.connections, run.stacks, hooks, name, volumes, output)
    warn_of_source(run.project, run.local, run.output, saved.path)
    return common.finish(flags, saved.result("backup"), str(saved))
