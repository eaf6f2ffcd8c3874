"""The `.env` of a release: the user's own text first, then what makes Compose work there. Reads no file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kamal_dev.compose import dotenv, layout, private, variables
from kamal_dev.compose.additions import Additions
from kamal_dev.compose.project import ComposeProject
from kamal_dev.compose.reading import ComposeReader
from kamal_dev.compose.travels import PRIVATE
from kamal_dev.compose.value import Value
from kamal_dev.errors import ComposeError, Problem
from kamal_dev.model import REDACTED, File, Secret

HEADER = "# Made by kamal-dev; what is set below stands.\n"
_SEPARATORS = ":;,|"


def values(
    project: ComposeProject,
    reader: ComposeReader,
    after: Value,
    additions: Additions,
    given: Mapping[str, str | Secret],
    own: Iterable[str],
    told: Mapping[str, str],
) -> dict[str, str | Secret]:
    """Return what is set on a host, sorted: variables that the files mention, the secrets, what the stack is `told`.

    `own` are those of it that the main service gets, whether or not a compose file mentions them.
    """
    names = {*variables.mentioned(reader, after, project.travels), *additions.secrets, *own}
    read = {name: private.filled(value, given) for name, value in project.values}
    known: dict[str, str | Secret] = {**told, **read, **given}
    return {name: known[name] for name in sorted(names) if name in known}


def file(project: ComposeProject, stack: str, values: Mapping[str, str | Secret], *, mask: bool = False) -> File:
    """Return the `.env`; with `mask`, secrets stand as `[redacted]`. Raises ComposeError for a NUL in a value."""
    names = [*(project.places.of_compose(file.path) for file in project.top_files), layout.OVERLAY]
    separator = next((mark for mark in _SEPARATORS if not any(mark in name for name in names)), ":")
    settings = {"COMPOSE_FILE": separator.join(names), "COMPOSE_PROJECT_NAME": stack}
    if separator != ":" or "COMPOSE_PATH_SEPARATOR" in project.own_env:
        settings["COMPOSE_PATH_SEPARATOR"] = separator
    if project.profiles or "COMPOSE_PROFILES" in project.own_env:
        settings["COMPOSE_PROFILES"] = ",".join(project.profiles)
    everything: dict[str, str | Secret] = {**settings, **values}
    lines = [f"{name}={_quoted(name, value, project, mask=mask)}\n" for name, value in everything.items()]
    own = project.own_env
    own += "\n" if own and not own.endswith("\n") else ""
    return File(layout.ENV, (own + HEADER + "".join(lines)).encode(), PRIVATE)


def _quoted(name: str, value: str | Secret, project: ComposeProject, *, mask: bool) -> str:
    text = value if isinstance(value, str) else REDACTED if mask else value.reveal()
    try:
        return dotenv.quote(text)
    except ValueError as error:
        raise ComposeError(Problem(project.files[0].display, 0, f"`{name}`: {error}")) from error
