"""Bring back, after a deploy that failed somewhere, the stacks that took the new version: `deploy.rollback: all`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from kamal_dev.commands import events, host
from kamal_dev.errors import DevError, HostError
from kamal_dev.model import Host
from kamal_dev.pipeline.apply import LEFT, deadline, failure, outcome, tell
from kamal_dev.pipeline.batches import ALL
from kamal_dev.pipeline.conversation import follow
from kamal_dev.pipeline.report import Outcome
from kamal_dev.pipeline.rollback import back
from kamal_dev.pipeline.run import Run
from kamal_dev.pipeline.turn import in_turn
from kamal_dev.shell.fanout import each


def rollback_all(run: Run, hosts: Mapping[str, Host], outcomes: list[Outcome]) -> list[Outcome]:
    """Return the outcomes once every stack that took the new version has the release before again.

    A stack that had none is stopped. Those that were not begun or do not answer stay as they are.
    """
    failed = ", ".join(o.stack for o in outcomes if not o.is_fine and o.state != "skipped")
    reason = f"{failed} failed, and {ALL}"

    def settle(ended: Outcome) -> Outcome:
        return ended if ended.before is None else _bring_back(run, hosts[ended.stack], ended, reason)

    return [ended for ended in each(outcomes, settle, limit=run.limit) if isinstance(ended, Outcome)]


def _bring_back(run: Run, target: Host, ended: Outcome, reason: str) -> Outcome:
    run.output.start("Rolling back to the release before" if ended.before else "Stopping", target.name)
    if ended.before:
        went = back(run, ended.stack, target, ended.before, current=str(run.project.version))
    else:
        went = _stop(run, ended.stack, target)
    word, left = ("rolled back", LEFT["restored"]) if ended.before else ("stopped", LEFT["stopped"])
    if went.error:
        message = f"could not be {word}: {went.error.message}"
        why: DevError = HostError(target.name, message, hint=went.error.hint, left_behind=went.error.left_behind)
    else:
        # What a stack itself failed with says more than that others failed, too.
        why = ended.error or HostError(target.name, f"{word}, because {reason}")
        why.left_behind = left
        went = replace(went, state=word)
    settled = replace(went, before=ended.before, lifecycle=ended.lifecycle or went.lifecycle, error=why)
    tell(run, target.name, settled)
    return settled


def _stop(run: Run, stack: str, target: Host) -> Outcome:
    def change() -> events.Outcome:
        return follow(
            run,
            target,
            lambda token: host.stop(run.scripts, token, stack, performer=run.performer),
            timeout=deadline(run),
        )

    try:
        told = in_turn(run, target, stack, change)
        return outcome(target, stack, "", told, done="stopped")
    except DevError as error:
        return failure(target, stack, error)
