"""`dev logs`."""

from __future__ import annotations

import re

import click

from kamal_dev.cli import common
from kamal_dev.cli.exit import INTERRUPTED
from kamal_dev.errors import UsageError


@click.command(
    epilog=common.examples(
        "dev logs  # all stacks, sorted by time",
        "dev logs guestbook-1 app -f -n 20",
        "dev logs 'guestbook-*' db --since 10m --grep ERROR",
    )
)
@click.argument("words", metavar="[NAME]... [SERVICE]...", nargs=-1)
@click.option("-f", "--follow", is_flag=True, help="Print new lines as they are written, until Ctrl-C.")
@click.option("--since", metavar="TIME", default="", help="Print lines from this time on: 10m, 2026-01-31T12:00:00Z.")
@click.option("--until", metavar="TIME", default="", help="Print lines before this time.")
@click.option("--grep", metavar="REGEX", help="Print only lines that match.")
@click.option(
    "-n", "--tail", type=click.IntRange(0), metavar="N", help="Print only the last N lines of each container."
)
@click.option("--service", "services", multiple=True, metavar="SERVICE", help="Only this service. Can be repeated.")
@click.option("--no-log-prefix", is_flag=True, help="Do not print the stack and the service before each line.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@common.common
def command(
    flags: common.Flags,
    *,
    words: tuple[str, ...],
    follow: bool,
    since: str,
    until: str,
    grep: str | None,
    tail: int | None,
    services: tuple[str, ...],
    no_log_prefix: bool,
) -> int:
    """Without NAME, prints the logs of all stacks; NAME can be a glob. Without SERVICE, prints those of all services,
    including containers that have exited.

    -f continues through lost connections, restarts and deploys.
    """
    from kamal_dev.cli import results
    from kamal_dev.commands.logs import LogQuery
    from kamal_dev.output.log_view import LogView
    from kamal_dev.pipeline.logs import logs

    if follow and until:
        raise UsageError("`--until` cannot be combined with `--follow`")
    query = LogQuery(services, follow, since, until, tail)
    view = LogView(
        common.write,
        results.redaction(),
        pattern=_pattern(grep),
        as_json=flags.as_json,
        has_prefix=not no_log_prefix,
        has_colours=common.has_colours(),
    )
    run = common.open_run(flags, strict=False)
    try:
        logs(run.project, run.connections, run.locate, words, query, view)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _pattern(text: str | None) -> re.Pattern[str] | None:
    try:
        return None if text is None else re.compile(text)
    except re.error as error:
        raise UsageError(f"`--grep {text}` is not a regular expression: {error}") from error
