"""When each step of one run of `dev` began and ended: `python -m tests.benchmarks.timeline deploy --json`.

Runs in the current folder, as `dev` does. Milliseconds since the process began, then how long it took.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

BEGAN = time.monotonic() - (time.time() - float(os.environ.get("BEGAN", time.time())))
WIDTH = 140
LINES = ("  output ", "  progress ")
seen: list[tuple[float, float, str]] = []


def noted(owner: Any, name: str, describe: Callable[..., str]) -> None:
    """Let a function or method note when it began and ended."""
    work = getattr(owner, name)

    @wraps(work)
    def timed(*given: Any, **named: Any) -> Any:
        started = time.monotonic()
        try:
            return work(*given, **named)
        finally:
            seen.append((started, time.monotonic(), describe(*given, **named)))

    setattr(owner, name, timed)


def watch() -> None:
    """Note steps here and on hosts, connections, and what is told of phases."""
    from kamal_dev import project
    from kamal_dev.output import Output
    from kamal_dev.shell import local, remote, resolved

    noted(project, "load", lambda *_, **__: "read the project")
    noted(local.Local, "run", lambda shell, step, **_: f"$ {step.text}")
    noted(local.Local, "stream", lambda shell, step: f"$ {step.text}")
    noted(remote.Remote, "run", lambda shell, step, **_: f"{shell.host.name}$ {step.text}")
    noted(remote, "connect", lambda way, *_: f"connect to {way.stack}")
    noted(resolved, "_said", lambda name, words: f"ssh -G {words[-1]}")
    noted(remote.Remote, "lend", lambda shell, port: f"tunnel to {shell.host.name}")
    noted(
        Output, "emit", lambda output, phase, status, host="", **_: f"  {status} {phase} {getattr(host, 'name', host)}"
    )


def show(out: Any) -> None:
    """Print what was noted, and the processor time of this process and of those that it started."""
    for started, ended, what in sorted(item for item in seen if not item[2].startswith(LINES)):
        times = f"{(started - BEGAN) * 1000:7.0f} {(ended - started) * 1000:7.0f}"
        print(f"{times}  {what[:WIDTH]}", file=out)
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    worked = f"worked {own.ru_utime + own.ru_stime:.2f} s itself, {others.ru_utime + others.ru_stime:.2f} s in others"
    print(f"{(time.monotonic() - BEGAN) * 1000:7.0f}          the end; {worked}", file=out)


def main() -> None:
    """Run `dev` with these words."""
    from kamal_dev.cli.app import app
    from kamal_dev.cli.exit import guarded

    started = time.monotonic()
    import kamal_dev.pipeline.deploy  # noqa: F401 # so that its import has a line

    seen.append((started, time.monotonic(), "import the pipeline"))
    watch()
    code = guarded(app, sys.argv[1:])
    show(sys.stderr)
    os._exit(code)


if __name__ == "__main__":
    main()
