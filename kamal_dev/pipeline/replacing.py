"""Say in a sentence which container is replaced, and why. Asks no host."""

from __future__ import annotations

from collections.abc import Iterable

from kamal_dev.commands.events import Replace

_MOUNTS = ("volumes", "configs", "secrets", "tmpfs", "volumes_from")
_WORDS = {
    "image": "image changed",
    "ports": "ports changed",
    "files": "a mounted file changed",
    "recreate": "`--recreate`",
    **dict.fromkeys(_MOUNTS, "mounts changed"),
}


def replacing(event: Replace) -> str:
    """Return the sentence; of variables it has the names alone."""
    if event.parts == ("removed",):
        return f"removing `{event.service}`: it is no longer a service of this project"
    return f"replacing `{event.service}`: {', '.join(_reasons(event.parts))}"


def inside(event: Replace) -> str:
    """Return the sentence that says what people run in the container."""
    return f"this ends what people run in `{event.service}`: {', '.join(f'`{what}`' for what in event.inside)}"


def _reasons(parts: Iterable[str]) -> list[str]:
    variables = [name for kind, dot, name in (part.partition(".") for part in parts) if kind == "environment" and dot]
    others = [part for part in parts if not part.startswith("environment.")]
    said = [_WORDS[part] for part in others if part in _WORDS]
    keys = ", ".join(f"`{part}`" for part in others if part not in _WORDS)
    said += [f"environment changed ({', '.join(variables)})"] if variables else []
    said += [f"configuration changed ({keys})"] if keys else []
    return list(dict.fromkeys(said))
