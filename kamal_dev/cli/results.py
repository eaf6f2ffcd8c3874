"""The last line of `--json` for a verb that changes something, however it ends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from kamal_dev.cli import streams
from kamal_dev.errors import DevError, Interrupted

if TYPE_CHECKING:
    from kamal_dev.output.ndjson import Ndjson
    from kamal_dev.output.redaction import Redaction
    from kamal_dev.output.summary import RunSummary

SHOWN, WRITER = "kamal_dev.result", "kamal_dev.ndjson"


@contextmanager
def ended(is_wanted: bool) -> Iterator[None]:
    """Print the result of a command that ends with an error before it has a result."""
    try:
        yield
    except (DevError, KeyboardInterrupt, click.exceptions.Abort) as error:
        context = click.get_current_context()
        if is_wanted and not context.meta.get(SHOWN):
            show(_failed(context.info_name or "", error))
        raise


def _failed(verb: str, error: BaseException) -> RunSummary:
    # Imported only on a failure.
    from kamal_dev.output.failure import Failure
    from kamal_dev.output.summary import RunSummary

    known = error if isinstance(error, DevError) else Interrupted("interrupted")
    return RunSummary(verb, ok=False, exit_code=known.exit_code, plan=known.plan, error=Failure.of(known))


def show(result: RunSummary) -> None:
    """Print the result on stdout, without secrets; the last line of the command."""
    click.get_current_context().meta[SHOWN] = True
    with streams.writing():
        writer().result(result, redaction())


def writer() -> Ndjson:
    """Return the writer of JSON lines on stdout for this command."""
    from kamal_dev.output.ndjson import Ndjson

    lines = click.get_current_context().meta.setdefault(WRITER, Ndjson(sys.stdout))
    assert isinstance(lines, Ndjson)
    return lines


def redaction() -> Redaction:
    """Return the redaction with the secrets that this command has met."""
    from kamal_dev.output.redaction import Redaction

    value = click.get_current_context().obj
    return value if isinstance(value, Redaction) else Redaction()
