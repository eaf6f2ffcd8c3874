"""Write steps down instead of running them, for golden transcripts and `--dry-run`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kamal_dev.model import Result, Step
from kamal_dev.shell import OnLine

Answer = Callable[[Step], Result | None]


class Recorder:
    """Note each step as `name$ command`; `answer` gives results other than a plain success."""

    def __init__(self, name: str = "", answer: Answer | None = None) -> None:
        self.name = name
        self.transcript: list[str] = []
        self.steps: list[Step] = []
        self._answer = answer

    def run(
        self,
        step: Step,
        *,
        on_line: OnLine | None = None,
        timeout: float | None = None,
        feed: Iterable[bytes] | None = None,
    ) -> Result:
        """Record `step`; consumes `feed` like a process would."""
        self.transcript.append(f"{self.name}$ {step.text}")
        self.steps.append(step)
        for _ in feed or ():
            pass
        answer = self._answer(step) if self._answer else None
        result = Result(step, 0) if answer is None else answer
        for line in result.output.splitlines():
            if on_line:
                on_line(line)
        return result

    def close(self) -> None:
        """Do nothing, because nothing is open."""
