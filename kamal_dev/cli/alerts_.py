"""`dev alerts`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command(epilog=common.examples("dev alerts  # all stacks of this project", "dev alerts guestbook-1 -n 5"))
@common.stacks
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(1, 500),
    default=20,
    show_default=True,
    metavar="N",
    help="Number of alerts to show.",
)
@common.as_json
@common.common
def command(flags: common.Flags, *, names: tuple[str, ...], lines: int) -> int:
    """Oldest alerts first. NAME selects stacks and can be a glob. Default: all stacks. The exit code is 1 if a host
    does not answer.

    Hosts write an alert when a service stops, restarts, becomes unhealthy or recovers, when Docker does not respond,
    and when a disk is fuller than `notify.disk` (90%). `notify` in config/dev.yml sets where alerts are sent.
    """
    from kamal_dev.output.table import table
    from kamal_dev.pipeline.alerts import HEAD, alerts
    from kamal_dev.pipeline.run.names import of_project

    run = common.open_run(flags)
    answer = alerts(run.connections, of_project(run.stacks.items(), run.project, names), lines)
    if flags.as_json:
        common.print_json([alert.as_json() for alert in answer.alerts])
    elif not answer.alerts and not answer.silent:
        common.show("No alerts")
    else:
        common.show(table(HEAD, [alert.row for alert in answer.alerts]))
    return int(bool(answer.silent))
