"""`re.compile` at the first use.

A start of `dev` would compile more than a hundred patterns, a sixth of its time, and use a few of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

__all__ = ["pattern"]

if TYPE_CHECKING:
    from re import compile as pattern
else:

    class pattern:  # noqa: N801 # used like the function that it replaces
        """Hold a regular expression that is compiled when an attribute of it is first read."""

        def __init__(self, text: str | bytes, flags: int = 0) -> None:
            self._given = (text, flags)

        def __getattr__(self, name: str) -> Any:
            """Return the attribute of the compiled pattern, and keep it for the next time."""
            value = getattr(re.compile(*self._given), name)
            self.__dict__[name] = value
            return value
