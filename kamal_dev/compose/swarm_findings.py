"""What a translation to Swarm changes and loses, with the places in the user's files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from kamal_dev.compose import interpolate, scalar, secret_text
from kamal_dev.compose.value import Value
from kamal_dev.errors import Problem
from kamal_dev.model import Location, Notice
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class SwarmFindings:
    """Collect what is changed and lost. With `is_degraded`, what is lost is a warning."""

    is_degraded: bool = False
    notices: list[Notice] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def changed(self, key: str, value: Value, text: str) -> None:
        """Record that a key has another form."""
        self.notices.append(Notice(value.where, f"{key}: {text}"))

    def lost(self, key: str, value: Value, why: str) -> None:
        """Record that a key has no effect."""
        self.lost_at(key, value.where, why)

    def lost_at(self, key: str, where: Location, why: str) -> None:
        """Record that the key at a place has no effect."""
        if self.is_degraded:
            self.notices.append(Notice(where, f"{key}: {why}; it is left out", is_warning=True))
        else:
            self.problems.append(Problem(where.path, where.line, why, key=key, column=where.column))


@dataclass(frozen=True)
class StackText:
    """Write resolved texts for `docker stack deploy`: secrets as `${NAME}`, every other `$` doubled.

    `variables` are those of the stack; secrets among them are marked.
    """

    variables: Mapping[str, str] = field(repr=False)

    def meaning(self, value: Value) -> str:
        """Return a scalar with the stack's variables; secrets are marked. Raises nothing: an invalid text is empty."""
        if not isinstance(value.data, str):
            return value.text
        try:
            return interpolate.substitute(value.raw, self.variables.get)
        except ValueError:
            return ""

    def text(self, value: Value) -> str:
        """Return a scalar as text for the file."""
        return secret_text.written(self.meaning(value))

    def texts(self, value: Value) -> list[str]:
        """Return a list, or one text, as a list of texts."""
        return [self.text(item) for item in value.list] if isinstance(value.data, list) else [self.text(value)]

    def pairs(self, value: Value) -> dict[str, str]:
        """Return a mapping of texts."""
        return {secret_text.written(key): self.text(item) for key, item in value.items.items()}

    def plain(self, value: Value) -> object:
        """Return a value of any shape; numbers and booleans stay what they are."""
        if isinstance(value.data, dict):
            return {secret_text.written(key): self.plain(item) for key, item in value.items.items()}
        if isinstance(value.data, list):
            return [self.plain(item) for item in value.list]
        return self.text(value) if isinstance(value.data, str) else _plain(value.data)

    def templated(self, text: str) -> str:
        """Return a text that Swarm would read as a template, as itself."""
        return text.replace("{{", '{{"{{"}}')


def _plain(data: object) -> object:
    return data if data is None or isinstance(data, bool | int | float) else scalar.spell(data)  # type: ignore[arg-type]
