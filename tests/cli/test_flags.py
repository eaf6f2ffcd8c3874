"""A flag that commands share is one field: its option, its value and where it goes follow from there."""

from __future__ import annotations

import inspect
from dataclasses import fields
from importlib import import_module

import click
import pytest
from click.testing import CliRunner

from kamal_dev.cli.app import COMMANDS
from kamal_dev.cli.flags import Flags, common, option
from kamal_dev.pipeline.run.run import Run


def leaves(command: click.Command) -> list[click.Command]:
    return (
        [leaf for below in command.commands.values() for leaf in leaves(below)]
        if isinstance(command, click.Group)
        else [command]
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_every_global_flag(name: str) -> None:
    everywhere = {flag.name for flag in fields(Flags) if flag.metadata["everywhere"]}
    for command in leaves(import_module(f"kamal_dev.cli.{name}_").command):
        assert everywhere <= {parameter.name for parameter in command.params}


def test_a_flag_of_the_run_is_a_parameter_of_it() -> None:
    wanted = Flags(version="v1").of_run()
    assert wanted["version"] == "v1"
    assert wanted.keys() <= inspect.signature(Run.open).parameters.keys()


def test_a_command_gets_shared_flags_as_one_value() -> None:
    @click.command()
    @click.option("--own", is_flag=True)
    @option("version")
    @common
    def command(flags: Flags, *, own: bool) -> None:
        click.echo(f"{flags.version} {flags.quiet} {flags.allow_outside} {own}")

    assert CliRunner().invoke(command, ["--version", "v1", "-q", "--own"]).output == "v1 True True True\n"
