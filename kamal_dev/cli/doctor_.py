"""`dev doctor`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command()
@common.as_json
@common.common
def command(flags: common.Flags) -> int:
    """Ends with 1 where something is missing that a deploy needs."""
    from kamal_dev.pipeline.doctor import doctor

    output = common.output(flags)
    checks = doctor(common.here(), output, config_path=flags.config_path, devcontainer_path=flags.devcontainer)
    if flags.as_json:
        common.print_json([check.as_json() for check in checks])
    else:
        for check in checks:
            common.show(str(check))
    return int(any(not check.is_fine for check in checks))
