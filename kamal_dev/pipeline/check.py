"""One thing that `dev doctor` has looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """Say how one thing stands, and what to do where it does not.

    With `is_warning`, there is something to do though no deploy fails of it.
    """

    name: str
    is_fine: bool
    found: str
    advice: str = ""
    is_warning: bool = False

    def __str__(self) -> str:
        mark = "✗" if not self.is_fine else "!" if self.is_warning else "✓"
        advice = f"\n  hint: {self.advice}" if self.advice and mark != "✓" else ""
        return f"{mark} {self.name}: {self.found}{advice}"

    def as_json(self) -> dict[str, Any]:
        """Return the check for `--json`."""
        return asdict(self)
