"""The flags that commands share. One field each defines the option, its value and the parameter of the run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import Field, field, fields
from pathlib import Path
from typing import Any

import click

from kamal_dev.cli import results
from kamal_dev.cli.url import with_url
from kamal_dev.values import dataclass


def _flag(*names: str, default: Any = None, everywhere: bool = False, of_run: bool = False, **settings: Any) -> Any:
    """Declare a flag: `default` is its value in commands without the flag, `settings` are those of `click.option`.

    `everywhere` adds it to every command; other flags are added with `option`. With `of_run`, the value is passed to
    the parameter of `Run.open` with the field's name.
    """
    options = {"is_flag": True} if isinstance(default, bool) else {}
    return field(
        default=default,
        metadata={"names": names, "settings": {**options, **settings}, "everywhere": everywhere, "of_run": of_run},
    )


@dataclass(frozen=True)
class Flags:
    """Hold the flags that commands share; paths are relative to the working directory.

    A command without the flag `--allow-outside` sends no files, so it may read files outside the repository.
    """

    config_path: str | None = _flag(
        "--config", everywhere=True, of_run=True, metavar="PATH", help="Use this file instead of config/dev.yml."
    )
    devcontainer_path: str | None = _flag(
        "--devcontainer", everywhere=True, of_run=True, metavar="PATH", help="Use this devcontainer.json."
    )
    repo: str | None = _flag(
        "--repo", everywhere=True, metavar="URL[@REF]", help="Use this repository instead of the current folder."
    )
    trust: bool | None = _flag(
        "--trust/--no-trust",
        everywhere=True,
        help="Whether the repository of a URL may run commands on this machine and read your environment. Remembered.",
    )
    verbose: bool = _flag(
        "-v", "--verbose", default=False, everywhere=True, help="Print every command, on this machine and on hosts."
    )
    quiet: bool = _flag("-q", "--quiet", default=False, everywhere=True, help="Print only errors.")
    as_json: bool = _flag("--json", default=False, help="Print the answer as one JSON document on stdout.")
    as_events: bool = _flag(
        "--json", default=False, help="Print events as JSON lines on stdout; the last line is the result."
    )
    version: str | None = _flag(
        "--version", of_run=True, metavar="TAG", help="Use this tag instead of the version from git."
    )
    ignore_features: bool = _flag(
        "--ignore-features", default=False, of_run=True, help="Ignore the Features of devcontainer.json."
    )
    lock_wait: int | None = _flag(
        "--lock-wait",
        of_run=True,
        type=click.IntRange(0),
        metavar="SECONDS",
        help="How long to wait for a locked stack. Default: deploy.lock_wait.",
    )
    allow_outside: bool = _flag(
        "--allow-outside", default=True, of_run=True, help="Allow files outside the repository."
    )

    degraded: bool = _flag(
        "--degraded", default=False, of_run=True, help="Leave out what the engine cannot do, with a warning."
    )

    def of_run(self) -> dict[str, Any]:
        """Return the values for `Run.open`, by the names of its parameters."""
        return {flag.name: getattr(self, flag.name) for flag in fields(self) if flag.metadata["of_run"]}


def _option(flag: Field[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    # click would turn a missing `--yes/--no` into no.
    unset = {"default": None} if flag.default is None else {}
    return click.option(*flag.metadata["names"], flag.name, **{**unset, **flag.metadata["settings"]})


def option(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the flag of this field to a command."""
    return next(_option(flag) for flag in fields(Flags) if flag.name == name)


def common(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags that every command has; `function` gets all shared ones as one `Flags`."""

    @functools.wraps(function)
    def command(**values: Any) -> Any:
        shared = {flag.name: values.pop(flag.name) for flag in fields(Flags) if flag.name in values}
        flags = Flags(**shared)
        with results.ended(flags.as_events):
            flags, values = with_url(flags, values, Path())
            return function(flags, **values)

    everywhere = [_option(flag) for flag in fields(Flags) if flag.metadata["everywhere"]]
    return functools.reduce(lambda decorated, add: add(decorated), reversed(everywhere), command)
