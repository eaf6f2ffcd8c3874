"""The stacks that `dev deploy` and `dev plan` are about, each with its source, as arguments and flags choose them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamal_dev.errors import UsageError

if TYPE_CHECKING:
    from kamal_dev.pipeline.named import SourceChoice
    from kamal_dev.pipeline.plan import DeployOptions
    from kamal_dev.pipeline.run.run import Run


def deploys(
    run: Run, options: DeployOptions, choice: SourceChoice, source: str, *, with_work: bool
) -> list[tuple[Run, DeployOptions]]:
    """Return each source with its stacks; a new one starts with the data of `source`. Raises UsageError."""
    from kamal_dev.pipeline.forked import forked
    from kamal_dev.pipeline.named import NamedStacks

    every = NamedStacks(run).deploys(options, choice)
    if not source:
        return every
    return forked(run.project, run.connections, run.stacks, every, source, with_work=with_work)


def require_source(source: str, *, with_work: bool) -> None:
    """Raise UsageError if work is to be copied, but from no stack."""
    if with_work and not source:
        raise UsageError("`--with-work` needs a stack to copy from", hint="for instance `--from STACK --with-work`")
