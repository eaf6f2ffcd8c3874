"""Write the local audit log."""

from __future__ import annotations

import time
from collections.abc import Iterable

from kamal_dev.output import Output
from kamal_dev.pipeline.run.report import StackResult
from kamal_dev.project import Project
from kamal_dev.project import audit_log as local


def note(
    project: Project,
    output: Output,
    performer: str,
    command: str,
    outcomes: Iterable[StackResult],
    seconds: float = 0.0,
    *,
    version: str = "",
) -> None:
    """Record what a verb did; secrets are redacted by value.

    `version` defaults to the version of the working tree.
    """
    record = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "by": performer,
        "command": command,
        "version": version or str(project.version),
        "seconds": round(seconds, 3),
        "stacks": [_result(outcome) for outcome in outcomes],
    }
    try:
        local.append(project.private(), output.redaction.within(record))
    except OSError as error:
        output.warn(f"the audit log could not be written: {error}")


def _result(outcome: StackResult) -> dict[str, str]:
    reason = outcome.error.message if outcome.error else ""
    return {"stack": outcome.stack, "state": outcome.state, "running": outcome.running, "reason": reason}
