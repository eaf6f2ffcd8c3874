"""`dev doctor`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command(epilog=common.examples("dev doctor"))
@common.as_json
@common.common
def command(flags: common.Flags) -> int:
    """Checks this machine, the project, secrets, registry, provider and hosts. The exit code is 1 if
    something that a deploy needs is missing."""
    from kamal_dev.pipeline.doctor import doctor

    output = common.output(flags)
    checks = doctor(common.here(), output, config_path=flags.config_path, devcontainer_path=flags.devcontainer_path)
    if flags.as_json:
        common.print_json([check.as_json() for check in checks])
    else:
        for check in checks:
            common.show(str(check))
    return int(any(not check.is_fine for check in checks))
