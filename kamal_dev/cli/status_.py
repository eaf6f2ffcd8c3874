"""`dev status`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import click

from kamal_dev.cli import common
from kamal_dev.cli.exit import INTERRUPTED
from kamal_dev.errors import UsageError

if TYPE_CHECKING:
    from kamal_dev.pipeline.status import StackStatus

    Ask = Callable[[], list[StackStatus]]

INTERVAL = 2


@click.command(
    epilog=common.examples(
        "dev status",
        "dev status 'guestbook-*' --watch",
        "dev status guestbook-1 --watch --interval 10",
        "dev status --openmetrics  # for Prometheus",
    )
)
@common.stacks
@click.option("-w", "--watch", is_flag=True, help="Refresh the table in place until Ctrl-C.")
@click.option(
    "--interval",
    type=click.IntRange(1),
    metavar="SECONDS",
    help=f"Time between two refreshes of --watch. Default: {INTERVAL}.",
)
@click.option("--openmetrics", is_flag=True, help="Print metrics in the OpenMetrics text format.")
@common.skip_hooks
@common.as_json
@common.common
def command(
    flags: common.Flags,
    *,
    names: tuple[str, ...],
    watch: bool,
    interval: int | None,
    openmetrics: bool,
    skip_hooks: bool,
) -> int:
    """NAME selects stacks and can be a glob, such as `*-1`. Default: all stacks.

    Containers that differ from the release are marked with `(drift)`. The exit code is 1 if a container is not in the
    state that its release requires, the hook `health` fails, or a host does not answer.
    """
    from kamal_dev.pipeline.health import checked
    from kamal_dev.pipeline.run.hooks import Hooks
    from kamal_dev.pipeline.status import stacks

    _check(watch=watch, interval=interval, formats=(flags.as_json, openmetrics))
    # What scrolls would spoil a table that is refreshed in place.
    run = common.open_run(replace(flags, quiet=flags.quiet or watch))

    def ask() -> list[StackStatus]:
        statuses = stacks(run, names, is_measured=True)
        return checked(Hooks(run, "status", skip=skip_hooks), statuses, run.connections.limit)

    if watch:
        return _watch(ask, interval or INTERVAL)
    statuses = ask()
    if flags.as_json:
        common.print_json([stack.measured() for stack in statuses])
    else:
        common.show(_metrics(statuses) if openmetrics else _report(statuses, common.terminal_width()))
    return int(any(not stack.is_fine for stack in statuses))


def _check(*, watch: bool, interval: int | None, formats: tuple[bool, bool]) -> None:
    if all(formats):
        raise UsageError("`--openmetrics` cannot be combined with `--json`")
    if watch and any(formats):
        raise UsageError("`--watch` cannot be combined with `--json` or `--openmetrics`")
    if interval and not watch:
        raise UsageError("`--interval` needs `--watch`")


def _metrics(statuses: list[StackStatus]) -> str:
    from kamal_dev.pipeline.metrics import exposition

    return exposition(statuses)


def _report(statuses: list[StackStatus], width: int | None) -> str:
    from kamal_dev.pipeline.status_table import report

    return report(statuses, width)


def _watch(ask: Ask, interval: int) -> int:
    try:
        if common.terminal_width():
            _refresh_in_place(ask, interval)
        else:
            _repeat(ask, interval)
    except KeyboardInterrupt:
        pass
    return INTERRUPTED


def _repeat(ask: Ask, interval: int) -> None:
    """Print one table after another: the output is not a terminal."""
    while True:
        began = time.monotonic()
        common.show(f"{_now()}\n{_report(ask(), None)}\n")
        sys.stdout.flush()
        _rest(began, interval)


def _refresh_in_place(ask: Ask, interval: int) -> None:
    from kamal_dev.output.screen import Screen

    began = time.monotonic()
    asked, statuses = _now(), ask()
    title = f"dev status, every {interval} s, Ctrl-C ends"

    def lines(width: int) -> list[str]:
        text = f"{title}  {asked}\n\n{_report(statuses, width)}"
        return common.shown(text).splitlines()

    with Screen(lines) as screen:
        while True:
            _rest(began, interval)
            began = time.monotonic()
            asked, statuses = _now(), ask()
            screen.refresh()


def _rest(began: float, interval: int) -> None:
    time.sleep(max(began + interval - time.monotonic(), 0))


def _now() -> str:
    return datetime.now().strftime("%H:%M:%S")
