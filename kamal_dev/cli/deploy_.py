"""`dev deploy`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from kamal_dev.cli import common
from kamal_dev.cli.sources import deploys, require_source
from kamal_dev.cli.url import to_deploy

if TYPE_CHECKING:
    from kamal_dev.pipeline.plan import DeployOptions
    from kamal_dev.pipeline.run.run import Run


@click.command(
    epilog=common.examples(
        "dev deploy",
        "dev deploy --count 3  # run three stacks",
        "dev deploy guestbook-2  # only this stack",
        "dev deploy guestbook-7 --on 10.0.0.2  # a new stack on this host",
        "dev deploy fix-42 --ref feature/x  # a stack of its own for a branch, a tag, a commit or pr/7",
        "dev deploy fix-42  # again, from the same reference",
        "dev deploy try --here  # a stack of its own for the working tree",
        "dev deploy https://github.com/ann/guestbook@feature/x  # from a repository that is not checked out",
        "dev deploy fix-42 --ref feature/x --from guestbook-1  # with a copy of the volumes of another stack",
        "dev deploy fix-42 --ttl 8h --idle 2h  # it stops by itself",
        "dev deploy --skip-push  # without a registry",
        "dev deploy --degraded  # leave out what `engine: swarm-stack` cannot do",
        "dev deploy --dry-run  # print the plan and its steps",
    )
)
@click.argument("names", metavar="[NAME[=REF]]...", nargs=-1)
@click.option("--count", type=click.IntRange(1, 1000), metavar="N", help="Number of stacks. Default: vms.count.")
@common.source
@click.option("--skip-build", is_flag=True, help="Use the existing images of this version.")
@click.option("--skip-push", is_flag=True, help="Send images to hosts over SSH instead of a registry.")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="Deploy only this stack. Can be repeated.")
@click.option("--on", default="", metavar="ADDRESS", help="Place new stacks on this host.")
@click.option("--retry-failed", is_flag=True, help="Deploy only stacks whose last deploy failed or did not finish.")
@click.option(
    "--timeout",
    type=common.Seconds(1),
    metavar="SECONDS",
    help="How long to wait for each host. After that, its state is reported as unknown while it continues.",
)
@click.option(
    "--keep-failed", is_flag=True, help="Leave a failed release running if there is no good release to roll back to."
)
@click.option("--recreate", is_flag=True, help="Recreate all containers, even if nothing changed.")
@click.option("--ttl", default="", metavar="DURATION", help="End the stack after `90m`, `8h`, `2d` … or `never`.")
@click.option("--idle", default="", metavar="DURATION", help="End the stack when nobody has used it for that long.")
@click.option("--dry-run", is_flag=True, help="Print the plan and its steps without running them.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@common.lock_wait
@common.skip_initialize
@common.skip_hooks
@common.ignore_features
@common.allow_outside
@common.degraded
@common.as_events
@common.version
@common.common
def command(
    flags: common.Flags,
    *,
    names: tuple[str, ...],
    hosts: tuple[str, ...],
    ref: tuple[str, ...],
    worktree: str,
    here: bool,
    source: str,
    with_work: bool,
    dry_run: bool,
    yes: bool,
    **wanted: Any,
) -> int:
    """NAME selects stacks. Default: all numbered stacks. The exit code is 1 if any host failed.

    With --ref, NAME is a stack of its own with the source of a branch, tag, commit or pull request. It is
    deployed again by its name, and remembers its reference. NAME can be a repository: URL[@REF].
    """
    from kamal_dev.pipeline.deploy import deploy_all
    from kamal_dev.pipeline.named import SourceChoice
    from kamal_dev.pipeline.plan import DeployOptions

    _require_durations(wanted)
    names, ref = to_deploy(flags.repo, names, ref, common.here())
    common.refuse_local_source(flags, worktree, here)
    require_source(source, with_work=with_work)
    run = common.open_run(flags)
    _refuse_lifetime(run, wanted)
    agree = common.agreement(yes=yes)
    is_interactive = sys.stdin.isatty() and not yes
    names = (*hosts, *names)
    options = DeployOptions(names=names, is_interactive=is_interactive, agree=agree, consent=agree, **wanted)
    if not dry_run:
        run.start_machines()
    every = deploys(run, options, SourceChoice.of(ref, worktree, here, names), source, with_work=with_work)
    if dry_run:
        return _show_steps(every, flags)
    report = deploy_all(every)
    return common.finish(flags, report.result(), str(report), report.error())


def _require_durations(wanted: Mapping[str, Any]) -> None:
    from kamal_dev.commands.expiry import LifetimeLimits

    _ = LifetimeLimits(wanted["ttl"], wanted["idle"]).words


def _refuse_lifetime(run: Run, wanted: Mapping[str, Any]) -> None:
    from kamal_dev.errors import UsageError

    if run.project.engine.is_swarm and (wanted["ttl"] or wanted["idle"]):
        raise UsageError("`--ttl` and `--idle` do not work with `engine: swarm-stack`")


def _show_steps(every: list[tuple[Run, DeployOptions]], flags: common.Flags) -> int:
    from kamal_dev.output.summary import RunSummary
    from kamal_dev.pipeline.dry_run import dry_run

    shown = dry_run(every)
    error = shown.error()
    version = ", ".join(dict.fromkeys(str(run.project.version) for run, _ in every))
    exit_code = error.exit_code if error else 0
    ended = RunSummary("deploy", ok=error is None, exit_code=exit_code, version=version, plan=shown.as_json())
    return common.finish(flags, ended, str(shown), error)
