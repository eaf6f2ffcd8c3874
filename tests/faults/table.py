"""Say of each fault what the user sees and what to do: the tests check it, the page is made of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

from tests.real.lab import Ended

NOTHING = "nothing"
Test = TypeVar("Test", bound=Callable[..., Any])


@dataclass(frozen=True)
class Fault:
    """One row of the page: a fault, by its number.

    `sees` and `do` are what `dev` itself says, word for word, `…` standing for what differs; `do` is
    NOTHING where nothing is to be done. `how` is the test's own parameter, and no part of the row.
    """

    number: int
    what: str
    sees: str
    do: str = NOTHING
    how: Any = None
    is_slow: bool = False
    is_checked: list[bool] = field(default_factory=list, compare=False, repr=False)

    def told(self, ended: Ended) -> None:
        """Assert that the user was told what the page says."""
        text = said(ended)
        for words in (self.sees, *(() if self.do == NOTHING else (self.do,))):
            pattern = ".*?".join(re.escape(part) for part in _one_line(words).split("…"))
            assert re.search(pattern, text), f"not told: {words}\nbut: …{text[-1500:]}"
        self.is_checked.append(True)


def produces(*faults: Fault) -> Callable[[Test], Test]:
    """Mark a test as producing these faults; it runs once for each, and gets it as `fault`."""

    def mark(test: Test) -> Test:
        test.faults = faults  # type: ignore[attr-defined]
        values = [
            pytest.param(fault, id=_slug(fault), marks=[pytest.mark.slow] if fault.is_slow else []) for fault in faults
        ]
        return pytest.mark.parametrize("fault", values)(test)  # type: ignore[no-any-return]

    return mark


def said(ended: Ended) -> str:
    """Return all that was said, as the user without `--json` reads it, in one line, without the stack before each."""
    return _one_line(re.sub(r"(?m)^ *[\w-]+-\d+: +", "", f"{ended.stdout} {ended.stderr}"))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _slug(fault: Fault) -> str:
    return f"{fault.number}-{re.sub('[^a-z0-9]+', '-', fault.what.lower()).strip('-')}"[:60]
