"""Options, examples and output that all commands share."""

from __future__ import annotations

import functools
import json
import math
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kamal_dev.cli import results, streams
from kamal_dev.cli.flags import Flags, common, option
from kamal_dev.errors import DevError, Interrupted, UsageError

if TYPE_CHECKING:
    from kamal_dev.output import Output
    from kamal_dev.output.prefixed import StackLines
    from kamal_dev.output.summary import RunSummary
    from kamal_dev.pipeline.run.run import Run
    from kamal_dev.plan.plan import Plan

__all__ = ["Flags", "common", "option"]

as_json, as_events, version, ignore_features, lock_wait, allow_outside, degraded = map(
    option, ("as_json", "as_events", "version", "ignore_features", "lock_wait", "allow_outside", "degraded")
)
LIVE = "kamal_dev.live"
skip_initialize = click.option("--skip-initialize", is_flag=True, help="Do not run initializeCommand on this machine.")
skip_hooks = click.option("--skip-hooks", is_flag=True, help="Do not run the hooks in .kamal/hooks.")


class Seconds(click.FloatRange):
    """A number of seconds, at most a day; `nan` is none."""

    name = "seconds"

    def __init__(self, minimum: float) -> None:
        super().__init__(minimum, 86_400)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number. Raises BadParameter."""
        number = super().convert(value, param, ctx)
        return self.fail(f"{value!r} is not a number.", param, ctx) if math.isnan(number) else number


_SOURCES = (
    click.option(
        "--ref",
        multiple=True,
        metavar="REF",
        help="Deploy a branch, tag, commit or pr/N as the stack NAME. Can be repeated without NAME: stacks are named "
        "after their references.",
    ),
    click.option("--worktree", default="", metavar="PATH", help="Deploy another worktree as the stack NAME."),
    click.option("--here", is_flag=True, help="Deploy the working tree as the stack NAME."),
    click.option(
        "--from", "source", default="", metavar="STACK", help="Start the new stack NAME with copies of its volumes."
    ),
    click.option("--with-work", is_flag=True, help="With --from: copy the uncommitted changes of its workspace, too."),
)


def source(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags that choose the source of a named stack, and the stack whose data it starts with."""
    return functools.reduce(lambda decorated, add: add(decorated), reversed(_SOURCES), function)


def complete_stacks(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a stack; without suggestions if the project or its provider cannot be read."""
    from kamal_dev.output import Output
    from kamal_dev.pipeline.run.run import Run

    try:
        run = Run.open(Path.cwd(), Output(lambda event: None), strict=False)
        machines = run.provider.machines()
        names = run.remembered_on(machines) if machines else dict(run.provider.stacks())
        return [name for name in names if name.startswith(incomplete)]
    except (DevError, OSError):
        return []


def examples(*lines: str) -> str:
    """Return the epilog of a command's help: one command line each, with an optional comment."""
    parts = [line.partition("  # ") for line in lines]
    width = max(len(line) for line, *_ in parts)
    return "\b\nExamples:\n" + "\n".join(f"  $ {line:{width}}{mark}{text}".rstrip() for line, mark, text in parts)


def _one_name(context: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> str | None:
    """Return the name, None without one. Raises UsageError for several."""
    if len(names) > 1:
        raise UsageError(f"`dev {context.info_name}` uses one stack, but {len(names)} are named", hint="choose one")
    return names[0] if names else None


stack = click.argument("name", metavar="[NAME]", nargs=-1, callback=_one_name, shell_complete=complete_stacks)
stacks = click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_stacks)


def output(flags: Flags) -> Output:
    """Choose how events are shown: to a person, to a pipe, or to a program."""
    from kamal_dev.output import Output
    from kamal_dev.output.symbols import is_ascii_locale

    settings: dict[str, Any] = {"redaction": results.redaction(), "verbose": flags.verbose, "quiet": flags.quiet}
    if flags.as_json or flags.as_events:
        from kamal_dev.output.ndjson import Ndjson

        return Output(results.writer() if flags.as_events else Ndjson(sys.stderr), **settings)
    is_ascii = is_ascii_locale(os.environ)
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not flags.quiet and not flags.verbose:
        from kamal_dev.output.live import LiveView

        view = LiveView(is_ascii=is_ascii)
        context = click.get_current_context()
        context.meta[LIVE] = view
        context.call_on_close(view.close)
        return Output(view, **settings)
    from kamal_dev.output.plain import Plain

    return Output(Plain(sys.stderr, verbose=flags.verbose, is_ascii=is_ascii), **settings)


def settle() -> None:
    """Clear the live view before something else is printed or asked."""
    if view := click.get_current_context().meta.get(LIVE):
        view.close()


def here() -> Path:
    """Return the current folder. Raises UsageError if it was deleted."""
    try:
        return Path.cwd()
    except OSError as error:
        raise UsageError(
            f"the current folder no longer exists ({error.strerror})", hint="`cd` to the repository"
        ) from error


def local_folder(flags: Flags) -> Path:
    """Return the current folder, for commands that are about it. Raises UsageError for `--repo`."""
    if flags.repo:
        command = click.get_current_context().info_name
        raise UsageError(f"`dev {command}` is about the current folder", hint="run it in a clone, without a URL")
    return here()


def refuse_local_source(flags: Flags, worktree: str, is_here: bool) -> None:
    """Raise UsageError if a source on this machine is wanted of the repository of a URL."""
    if flags.repo and (worktree or is_here):
        flag = "--worktree" if worktree else "--here"
        raise UsageError(f"`{flag}` needs a clone, and a URL has none here", hint="use `URL@REF`, or run in a clone")


def open_run(flags: Flags, *, strict: bool = True) -> Run:
    """Read the project and return the run, which is closed with the command."""
    from kamal_dev.pipeline.run.run import Run

    if flags.repo:
        from kamal_dev.pipeline.run.from_url import open_url

        run = open_url(flags.repo, here(), output(flags), trust=flags.trust, strict=strict, **flags.of_run())
    else:
        run = Run.open(here(), output(flags), strict=strict, **flags.of_run())
    click.get_current_context().call_on_close(run.close)
    return run


def show(text: str, *, end: str = "\n", err: bool = False) -> None:
    """Print text on stdout (or stderr), without secrets and control characters."""
    settle()
    with streams.writing():
        click.echo(shown(text) + end, nl=False, err=err)


def shown(text: str) -> str:
    """Return a text without secrets, control characters, and symbols that the terminal may not have."""
    from kamal_dev.output import clean
    from kamal_dev.output.symbols import is_ascii_locale, without_signs

    text = clean(text, results.redaction())
    return without_signs(text) if is_ascii_locale(os.environ) else text


def terminal_width() -> int | None:
    """Return the width of the terminal that stdout is; None if it is none."""
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        return None
    return os.get_terminal_size(sys.stdout.fileno()).columns


def has_colours() -> bool:
    """Return whether the output on stdout may have colors."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def write(text: str) -> None:
    """Write clean text on stdout, which may have colors."""
    with streams.writing():
        sys.stdout.write(text)
        sys.stdout.flush()


def stack_lines(names: Iterable[str]) -> StackLines:
    """Return a function that writes lines of several stacks on stdout."""
    from kamal_dev.output.prefixed import StackLines

    return StackLines(write, results.redaction(), names, has_colours=has_colours())


def print_json(data: Any) -> None:
    """Print data on stdout without secrets."""
    from kamal_dev.output.printable import printable

    with streams.writing():
        click.echo(printable(json.dumps(results.redaction().within(data), indent=2, ensure_ascii=False)))


def agreement(*, yes: bool) -> Callable[[str], bool]:
    """Return a function that asks a yes/no question on stderr; `yes` skips the question.

    Without a terminal, it raises UsageError with a hint to `--yes`.
    """

    from kamal_dev.output.printable import printable

    def agree(question: str) -> bool:
        if yes:
            return True
        if not sys.stdin.isatty():
            raise UsageError(f"cannot ask for confirmation without a terminal: {question}", hint="add `--yes`")
        settle()
        try:
            return click.confirm(printable(question), err=True)
        except click.Abort as error:
            # The terminal shows `^C` at the end of the question.
            click.echo(err=True)
            raise Interrupted("interrupted, nothing was changed on any host") from error

    return agree


def finish_dry_run(flags: Flags, command: str, plan: Plan, empty: str) -> int:
    """Print what `dev COMMAND` would do, or `empty` if that is nothing. Raises the error it would fail with."""
    from kamal_dev.output.summary import RunSummary
    from kamal_dev.pipeline.run.asking import error_of

    error = error_of(plan, command)
    ended = RunSummary(command, ok=error is None, exit_code=error.exit_code if error else 0, plan=plan.as_json())
    return finish(flags, ended, f"{plan}\n\nPlan: {plan.summary}" if plan.stacks else empty, error)


def finish(flags: Flags, result: RunSummary, text: str = "", error: DevError | None = None) -> int:
    """Print how a verb ended: the result for a program, `text` for people. Raises the error that it ended with."""
    if flags.as_events:
        results.show(result)
    elif text:
        show(text)
    if error:
        raise error
    return 0
