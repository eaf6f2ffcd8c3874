"""The events of a YAML text, for all files that people write: what is no YAML is told with its line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kamal_dev.errors import ConfigError, Problem


def events(text: str, path: str, failure: type[ConfigError], scanner: Any = None) -> Iterator[Any]:
    """Yield ruamel's events, one by one, so that a bomb is met before it is built.

    `path` names the file in messages; `scanner` is a `Bounded` one. Raises `failure`.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    from kamal_dev.config.scanner import Bounded

    yaml = YAML(typ="safe", pure=True)
    yaml.Scanner = scanner or Bounded
    try:
        yield from yaml.parse(text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"contains the control character U+{ord(text[error.position]):04X}, which YAML does not allow"
        raise failure(Problem(path, line, message)) from None
    except MarkedYAMLError as error:
        raise failure(_problem(error, path)) from None
    except (YAMLError, AssertionError, ValueError, OverflowError, RecursionError) as error:
        # ruamel lets Python's own errors through: `"\UFFFFFFFF"` is beyond what a character can be.
        raise failure(Problem(path, 0, f"is not YAML: {error}")) from None


def _problem(error: Any, path: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    problem = str(error.problem or error.context or "it cannot be read")
    if "'\\t'" in problem or "a tab character" in problem:
        message = "has a tab where YAML requires spaces"
    else:
        message = problem if type(error).__name__ == "TooDeep" else f"is not YAML: {problem}"
    return Problem(path, mark.line + 1 if mark else 0, message, column=mark.column + 1 if mark else 0)
