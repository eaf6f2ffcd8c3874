"""Show a plan before it is carried out, and ask for confirmation if necessary."""

from __future__ import annotations

from collections.abc import Callable

from kamal_dev.errors import Declined, DevError, SomeHostsFailed
from kamal_dev.output import Output
from kamal_dev.plan.plan import Plan

Agree = Callable[[str], bool]


def show_plan(output: Output, plan: Plan) -> None:
    """Show a plan, one line per operation."""
    for line in str(plan).splitlines():
        output.info(line)


def confirm_plan(output: Output, plan: Plan, question: str = "", agree: Agree | None = None) -> None:
    """Show what a plan does, and ask the question; without a question or a terminal, only print a summary.

    Raises Declined if the answer is no.
    """
    if not question or agree is None:
        output.info(f"Plan: {plan.summary}")
        return
    show_plan(output, plan)
    if not agree(question):
        raise Declined


def error_of(plan: Plan, command: str) -> DevError | None:
    """Return why this plan of `dev COMMAND` cannot be carried out, or None."""
    if not plan.blocked:
        return None
    named = "; ".join(f"{item.stack}: {item.error.message}" for item in plan.blocked if item.error)
    return SomeHostsFailed(f"`dev {command}` would fail for {named}", left_behind="nothing was changed")
