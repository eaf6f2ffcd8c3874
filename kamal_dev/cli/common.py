"""Options, examples and output that all commands share."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kamal_dev.cli import streams
from kamal_dev.errors import DevError, UsageError

if TYPE_CHECKING:
    from kamal_dev.output import Output
    from kamal_dev.output.redaction import Redaction
    from kamal_dev.pipeline.run.run import Run

FLAGS = (
    click.option("--config", "config_path", metavar="PATH", help="Use this file instead of config/dev.yml."),
    click.option("--devcontainer", metavar="PATH", help="Use this devcontainer.json."),
    click.option("-v", "--verbose", is_flag=True, help="Print every command, on this machine and on hosts."),
    click.option("-q", "--quiet", is_flag=True, help="Print only errors."),
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
skip_initialize = click.option("--skip-initialize", is_flag=True, help="Do not run initializeCommand on this machine.")
skip_hooks = click.option("--skip-hooks", is_flag=True, help="Do not run the hooks in .kamal/hooks.")
ignore_features = click.option("--ignore-features", is_flag=True, help="Build without Features.")
lock_wait = click.option(
    "--lock-wait",
    type=click.IntRange(0),
    metavar="SECONDS",
    help="How long to wait for a locked stack. Default: deploy.lock_wait.",
)
allow_outside = click.option("--allow-outside", is_flag=True, help="Allow files outside the repository.")
version = click.option("--version", "version", metavar="TAG", help="Use this tag instead of the git version.")


def _stacks(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a stack; without suggestions if the project or its provider cannot be read."""
    from kamal_dev.output import Output
    from kamal_dev.pipeline.run.run import Run

    try:
        run = Run.open(Path.cwd(), Output(lambda event: None), strict=False)
        return [name for name, _ in run.provider.stacks() if name.startswith(incomplete)]
    except (DevError, OSError):
        return []


def examples(*lines: str) -> str:
    """Return the epilog of a command's help: one command line each, with an optional comment."""
    parts = [line.partition("  # ") for line in lines]
    width = max(len(line) for line, *_ in parts)
    return "\b\nExamples:\n" + "\n".join(f"  $ {line:{width}}{mark}{text}".rstrip() for line, mark, text in parts)


stack = click.argument("name", required=False, shell_complete=_stacks)


@dataclass(frozen=True)
class Flags:
    """Hold the flags that commands share; paths are relative to the working directory.

    A command without the flag `--allow-outside` sends no files, so it may read files outside the repository.
    """

    config_path: str | None = None
    devcontainer: str | None = None
    verbose: bool = False
    quiet: bool = False
    as_json: bool = False
    version: str | None = None
    ignore_features: bool = False
    lock_wait: int | None = None
    allow_outside: bool = True


def common(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags that every command has; `function` gets all shared ones as one `Flags`."""

    @functools.wraps(function)
    def command(**values: Any) -> Any:
        shared = {field.name: values.pop(field.name) for field in fields(Flags) if field.name in values}
        return function(Flags(**shared), **values)

    for flag in reversed(FLAGS):
        command = flag(command)
    return command


def output(flags: Flags) -> Output:
    """Choose how events are shown: to a person, to a pipe, or to a program."""
    from kamal_dev.output import Output
    from kamal_dev.output.ndjson import Ndjson
    from kamal_dev.output.plain import Plain

    settings: dict[str, Any] = {
        "redaction": click.get_current_context().obj,
        "verbose": flags.verbose,
        "quiet": flags.quiet,
    }
    if flags.as_json:
        return Output(Ndjson(sys.stderr), **settings)
    if sys.stderr.isatty() and not flags.quiet and not flags.verbose:
        from kamal_dev.output.terminal import Terminal

        terminal = Terminal()
        click.get_current_context().call_on_close(terminal.close)
        return Output(terminal, **settings)
    return Output(Plain(sys.stderr), **settings)


def here() -> Path:
    """Return the current folder. Raises UsageError where it is gone."""
    try:
        return Path.cwd()
    except OSError as error:
        raise UsageError(f"the current folder is gone ({error.strerror})", hint="`cd` to the repository") from error


def open_run(flags: Flags, *, strict: bool = True) -> Run:
    """Read the project and return the run; it is closed with the command."""
    from kamal_dev.pipeline.run.run import Run

    run = Run.open(
        here(),
        output(flags),
        config_path=flags.config_path,
        devcontainer_path=flags.devcontainer,
        version=flags.version,
        strict=strict,
        ignore_features=flags.ignore_features,
        lock_wait=flags.lock_wait,
        allow_outside=flags.allow_outside,
    )
    click.get_current_context().call_on_close(run.close)
    return run


def show(text: str, *, end: str = "\n", err: bool = False) -> None:
    """Print text on stdout (or stderr), without secrets and control characters; the one way to there."""
    from kamal_dev.output import clean

    with streams.writing():
        click.echo(clean(text, redaction()) + end, nl=False, err=err)


def print_json(data: Any) -> None:
    """Print data on stdout without secrets."""
    from kamal_dev.output.printable import printable

    with streams.writing():
        click.echo(printable(json.dumps(redaction().within(data), indent=2, ensure_ascii=False)))


def redaction() -> Redaction:
    """Return the redaction of all secrets read by this command."""
    from kamal_dev.output.redaction import Redaction

    found = click.get_current_context().obj
    return found if isinstance(found, Redaction) else Redaction()


def agreement(*, yes: bool) -> Callable[[str], bool]:
    """Return a function that asks a yes/no question on stderr; `yes` skips the question.

    Without a terminal, it raises UsageError with a hint to `--yes`.
    """

    from kamal_dev.output.printable import printable

    def agree(question: str) -> bool:
        if yes:
            return True
        if not sys.stdin.isatty():
            raise UsageError(f"{question} There is no terminal to ask on", hint="add `--yes`")
        return click.confirm(printable(question), err=True)

    return agree


def finish(error: DevError | None) -> int:
    """Return 0, or raise the error of a run that has finished."""
    if error:
        raise error
    return 0
