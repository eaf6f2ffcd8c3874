"""`dev extend`."""

from __future__ import annotations

from dataclasses import asdict

import click

from kamal_dev.cli import common
from kamal_dev.errors import UsageError


@click.command(
    epilog=common.examples(
        "dev extend fix-42 4h  # it ends in four hours",
        "dev extend fix-42 --idle 2h  # it ends when nobody has used it for two hours",
        "dev extend fix-42 never --idle never",
    )
)
@click.argument("name", shell_complete=common.complete_stacks)
@click.argument("ttl", metavar="[DURATION]", default="")
@click.option("--idle", default="", metavar="DURATION", help="End the stack when nobody has used it for that long.")
@common.as_json
@common.common
def command(flags: common.Flags, *, name: str, ttl: str, idle: str) -> int:
    """The stack NAME ends after DURATION from now, such as `90m`, `8h`, `2d`, or `never`.

    `dev start` and `dev ssh` start a stack that has ended.
    """
    from kamal_dev.commands.expiry import LifetimeLimits
    from kamal_dev.pipeline.extend import extend
    from kamal_dev.pipeline.hosts.lifetimes import UNWATCHED
    from kamal_dev.pipeline.hosts.target import running

    limits = LifetimeLimits(ttl, idle)
    if not limits:
        raise UsageError("no duration is given", hint=f"for instance `dev extend {name} 4h`, or `--idle 2h`")
    _ = limits.words
    run = common.open_run(flags)
    name, target = running(run.stacks, name, run.project.config.service)
    lifetime = extend(run.connections, name, target, limits)
    if flags.as_json:
        common.print_json({"stack": name, "lifetime": asdict(lifetime)})
        return 0
    common.show(f"{name}: {lifetime} left, then {lifetime.then}" if lifetime.is_limited else f"{name}: no limit")
    if lifetime.is_limited and not lifetime.watched:
        run.output.warn(f"{target.name}: {UNWATCHED}")
    return 0
