"""Turn every way a command can end into messages on stderr and an exit code."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from typing import Any

import click

from kamal_dev.cli import streams
from kamal_dev.errors import ConfigError, DevError
from kamal_dev.output import clean
from kamal_dev.output.redaction import Redaction

INTERRUPTED = 130
# The commands that change nothing on a host.
READING = {
    *(
        "doctor",
        "config",
        "render",
        "plan",
        "list",
        "status",
        "services",
        "logs",
        "alerts",
        "versions",
        "audit",
        "wait",
    ),
}
ENDING = 30.0  # seconds after SIGTERM until the process ends in any case


def guarded(app: click.Command, args: list[str], *, redaction: Redaction | None = None) -> int:
    """Run `app` and return its exit code; no traceback reaches the user unless KAMAL_DEV_TRACEBACK is set.

    Messages contain no secret that `redaction` knows before or learns during the command.
    """
    # SIGTERM is handled like Ctrl-C, so that temporary files and connections are cleaned up.
    limit = threading.Timer(ENDING, os._exit, (INTERRUPTED,))
    limit.daemon = True
    signal.signal(signal.SIGTERM, lambda *_: _interrupt(limit))
    redaction = redaction or Redaction()
    try:
        with suppress(AttributeError, ValueError):
            sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
            sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        code = app.main(args=args, prog_name="dev", standalone_mode=False, obj=redaction)
        # Otherwise unwritten output would be lost silently.
        streams.flush()
        return code if isinstance(code, int) else 0
    except Exception as error:
        if os.environ.get("KAMAL_DEV_TRACEBACK"):
            _say(clean(_traceback(error), redaction))
        return _explain(error, args, redaction)
    except KeyboardInterrupt:
        return _interrupted(args)
    finally:
        limit.cancel()


def _traceback(error: Exception) -> str:
    # Imported only for a defect.
    from traceback import format_exception

    return "".join(format_exception(error)).rstrip("\n")


def _interrupt(limit: threading.Timer) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Python drops the exception if it is in a finalizer just now, and cleaning up may wait for a process that hangs.
    limit.start()
    raise KeyboardInterrupt


def _explain(error: Exception, args: list[str], redaction: Redaction) -> int:
    if isinstance(error, DevError):
        _say(clean(explanation(error), redaction))
        return error.exit_code
    if isinstance(error, click.exceptions.Abort):
        return _interrupted(args)
    if isinstance(error, click.ClickException):
        from io import StringIO

        text = StringIO()
        error.show(text)
        _say(clean(text.getvalue().removesuffix("\n"), redaction))
        return error.exit_code
    if isinstance(error, OSError):
        return _refused(error, redaction)
    _say(clean(f"error: this is a defect of kamal-dev: {type(error).__name__}: {error}", redaction))
    _say("hint: run again with KAMAL_DEV_TRACEBACK=1 and report what it prints")
    return 1


def _refused(error: OSError, redaction: Redaction) -> int:
    """Return the message for an error of this machine: no file, no space, no permission, or a closed pipe."""
    if isinstance(error, (BrokenPipeError, streams.Unread, streams.Unwritable)):
        # Python would fail again when it flushes at exit.
        streams.silence((sys.stdout,))
    if isinstance(error, (BrokenPipeError, streams.Unread)):
        return 141
    where = "the output could not be written: " if isinstance(error, streams.Unwritable) else ""
    where = f"{error.filename}: " if error.filename else where
    _say(clean(f"error: {where}{error.strerror or error}", redaction))
    return 1


def _interrupted(args: list[str]) -> int:
    is_harmless = bool(READING.intersection(args[:1]))
    goes_on = "Work already started on hosts may still finish; `dev status` shows what is running"
    _say("Interrupted" if is_harmless else f"Interrupted. {goes_on}")
    return INTERRUPTED


def explanation(error: DevError) -> str:
    """Return what happened, what was left behind, and what to do, as lines."""
    lines = error.message.splitlines() or [type(error).__name__]
    if isinstance(error, ConfigError) and len(error.problems) > 1:
        lines = [f"error: {len(error.problems)} problems", *(f"  {line}" for line in lines)]
    else:
        lines = [f"error: {lines[0]}", *(f"  {line}" for line in lines[1:])]
    lines += [f"left behind: {error.left_behind}"] if error.left_behind else []
    lines += [f"hint: {error.hint}"] if error.hint else []
    return "\n".join(lines)


def _say(text: Any) -> None:
    with suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)  # noqa: T201
