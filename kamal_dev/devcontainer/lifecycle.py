"""The lifecycle commands of a devcontainer as shell text for a container. Runs nothing.

`remoteEnv` and commands may mention variables of the container, so their text becomes shell words that are evaluated
in the container, before its environment is changed. The container reads all of it from stdin: nothing is an argument
of a process on the host.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

from kamal_dev.devcontainer.configuration import Devcontainer
from kamal_dev.devcontainer.properties import LIFECYCLE
from kamal_dev.devcontainer.substitution import parts
from kamal_dev.model import File
from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

INITIALIZE = LIFECYCLE[0]
STAGES = LIFECYCLE[1:5]  # postAttachCommand is for editors that attach
SHELL = "/bin/sh"
VARIABLE = pattern(r"[A-Za-z_][A-Za-z0-9_]*")
PROBES = {"none": "", "loginShell": "-lc", "interactiveShell": "-ic", "loginInteractiveShell": "-lic"}
DEFAULT_PROBE = PROBES["loginInteractiveShell"]


@dataclass(frozen=True)
class LifecycleCommand:
    """Name one command of a stage, empty if it has no name; `argv` is what is executed."""

    name: str
    argv: tuple[str, ...]

    @property
    def text(self) -> str:
        """The command as written: a shell line, or words."""
        is_line = self.argv[:2] == (SHELL, "-c")
        return self.argv[2] if is_line else shlex.join(self.argv)


@dataclass(frozen=True)
class Stage:
    """Hold commands that run in parallel; a stage may occur several times, in order."""

    name: str
    commands: tuple[LifecycleCommand, ...]


def initialize(configuration: Devcontainer) -> tuple[Stage, ...]:
    """Return the commands for this machine."""
    return tuple(_stages(configuration, (INITIALIZE,)))


def stages(configuration: Devcontainer) -> tuple[Stage, ...]:
    """Return the stages for the main container, in the order of the specification."""
    return tuple(_stages(configuration, STAGES))


def follows_source(configuration: Devcontainer) -> bool:
    """Return whether a command runs again whenever the source is updated."""
    return any(stage.name == "updateContentCommand" for stage in stages(configuration))


def session(configuration: Devcontainer) -> tuple[File, ...]:
    """Return the files of `exec/`, with which host/exec.sh runs programs like the user would.

    `probe` holds the flags with which the user's shell prints its environment, empty for none; `before` looks up what
    `remoteEnv` takes from the container, `after` sets it and changes to the workspace.
    """
    known = [(name, value) for name, value in configuration.remote_env if VARIABLE.fullmatch(name)]
    before = [f"kamal_dev_env_{at}={word(value)}" for at, (_, value) in enumerate(known) if value is not None]
    after = [_set(at, name, value) for at, (name, value) in enumerate(known)]
    after.append(
        f'cd {shlex.quote(configuration.workspace_folder)} 2>/dev/null || cd "${{HOME:-/}}" 2>/dev/null || cd /'
    )
    probe = PROBES.get(configuration.user_env_probe, DEFAULT_PROBE)
    texts = {"exec/probe": [probe], "exec/before": before, "exec/after": after}
    return tuple(_file(path, lines) for path, lines in texts.items())


def files(configuration: Devcontainer, timeout: int) -> tuple[File, ...]:
    """Return the files for host/lifecycle.sh, none without commands; `timeout` is in seconds, for all of them.

    `lifecycle/<number>-<stage>/<number>.run` sets the words of a command as `$@`; next to it are its `name` and its
    `text`.
    """
    planned = stages(configuration)
    if not planned:
        return ()
    made = [*session(configuration), _file("lifecycle/timeout", [str(timeout)])]
    for number, stage in enumerate(planned):
        for at, command in enumerate(stage.commands):
            path = f"lifecycle/{number:02}-{stage.name}/{at:02}"
            made.append(_file(f"{path}.run", _assigned(command.argv)))
            made.append(_file(f"{path}.name", [_plain(command.name)]))
            made.append(_file(f"{path}.text", [command.text]))
    return tuple(made)


def word(text: str) -> str:
    """Turn a text into a shell word for an assignment; `${containerEnv:NAME:default}` is looked up in the container.

    A variable that is set but empty stays empty; a name that no shell allows counts as not set.
    """
    pieces = (quoted for literal, variable in parts(text) for quoted in (_literal(literal), _variable(variable)))
    return "".join(pieces) or "''"


def _literal(text: str) -> str:
    return shlex.quote(text) if text else ""


def _variable(reference: str | None) -> str:
    if reference is None:
        return ""
    name, *arguments = reference.split(":")
    if name != "containerEnv" or not arguments:
        return shlex.quote(f"${{{reference}}}")
    variable, default = arguments[0], arguments[1] if len(arguments) > 1 else ""
    return f"${{{variable}-{shlex.quote(default)}}}" if VARIABLE.fullmatch(variable) else shlex.quote(default)


def _assigned(argv: tuple[str, ...]) -> list[str]:
    names = [f"kamal_dev_word_{at}" for at in range(len(argv))]
    return [
        *(f"{name}={word(text)}" for name, text in zip(names, argv, strict=True)),
        "set -- " + " ".join(f'"${name}"' for name in names),
    ]


def _set(at: int, name: str, value: str | None) -> str:
    """Set or unset a variable; if it is read-only (bash: UID), the shell continues."""
    if value is None:
        return f"(unset {name}) 2>/dev/null && unset {name}"
    return f"({name}=) 2>/dev/null && {name}=$kamal_dev_env_{at} && export {name}"


def _stages(configuration: Devcontainer, names: tuple[str, ...]) -> Iterator[Stage]:
    for name in names:
        for stage, value in configuration.lifecycle:
            commands = tuple(_commands(value)) if stage == name else ()
            if commands:
                yield Stage(name, commands)


def _commands(value: Any) -> Iterator[LifecycleCommand]:
    """Read a shell line, a list of words, or an object of these; empty ones are dropped."""
    for name, item in value.items() if isinstance(value, dict) else [("", value)]:
        if isinstance(item, str) and item.strip():
            yield LifecycleCommand(name, (SHELL, "-c", item))
        elif isinstance(item, (list, tuple)) and item and all(isinstance(part, str) for part in item):
            yield LifecycleCommand(name, tuple(item))


def _plain(name: str) -> str:
    """Return a name without characters that are special to sed or JSON."""
    return re.sub(r"[^A-Za-z0-9 ._-]", "_", name)


def _file(path: str, lines: list[str]) -> File:
    return File(path, "".join(f"{line}\n" for line in lines).encode(), 0o600)
