"""`dev wait`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command(
    epilog=common.examples(
        "dev wait guestbook-1  # all services are up",
        "dev wait guestbook-1 db --for port=5432 --timeout 60",
        "dev wait guestbook-1 migrate --for exited",
    )
)
@click.argument("name", shell_complete=common.complete_stacks)
@click.argument("service", required=False, default="")
@click.option(
    "--for", "condition", metavar="CONDITION", default="healthy", show_default=True, help="healthy, exited or port=N."
)
@click.option("--timeout", type=common.Seconds(0), metavar="SECONDS", help="How long to wait. Default: deploy.timeout.")
@common.skip_hooks
@common.common
def command(
    flags: common.Flags, *, name: str, service: str, condition: str, timeout: float | None, skip_hooks: bool
) -> int:
    """Without SERVICE, waits for the whole stack, or for a port of its main service.

    A service is healthy when it is up; a one-shot service, when it has completed; a stack, when the hook `health`
    passes too. The exit code is 1 if the
    condition is not met in time; with `--for exited`, it is that of the container.
    """
    from kamal_dev.pipeline.run.hooks import Hooks
    from kamal_dev.pipeline.wait import wait

    run = common.open_run(flags, strict=False)
    hooks = Hooks(run, "wait", skip=skip_hooks)
    return wait(run.project, run.connections, run.stacks, name, service, condition, timeout, hooks)
