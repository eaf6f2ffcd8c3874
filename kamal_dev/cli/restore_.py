"""`dev restore`."""

from __future__ import annotations

from pathlib import Path

import click

from kamal_dev.cli import common


@click.command(
    epilog=common.examples(
        "dev restore guestbook-1 guestbook-1-20260102T030405Z.tar.zst",
        "dev restore guestbook-2 guestbook-1-20260102T030405Z.tar.zst --yes  # into another stack",
    )
)
@click.argument("name", shell_complete=common.complete_stacks)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@common.skip_hooks
@common.lock_wait
@common.as_events
@common.common
def command(flags: common.Flags, *, name: str, file: Path, yes: bool, skip_hooks: bool) -> int:
    """The file is verified before anything is changed. Its volumes and workspace then replace those of the stack;
    services that use them are stopped during the restore.

    If the services do not come up with the restored data, the previous data is restored.
    """
    from kamal_dev.pipeline.restore import restore
    from kamal_dev.pipeline.run.hooks import Hooks

    run = common.open_run(flags, strict=False)
    hooks = Hooks(run, "restore", skip=skip_hooks)
    saved = restore(run.project, run.connections, run.stacks, hooks, name, file, common.agreement(yes=yes))
    return common.finish(flags, saved.result("restore"), f"Restored {name} from {saved.path}")
