"""`dev doctor`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from kamal_dev.cli import common
from kamal_dev.errors import DevError

if TYPE_CHECKING:
    from pathlib import Path

    from kamal_dev.pipeline.hosts.checks import Check


@click.command(epilog=common.examples("dev doctor", "dev doctor --bundle  # for a bug report"))
@click.option("--bundle", is_flag=True, help="Also write an archive for bug reports to the current folder.")
@common.as_json
@common.common
def command(flags: common.Flags, *, bundle: bool) -> int:
    """Checks this machine, the project, secrets, registry, provider and hosts. The exit code is 1 if
    something that a deploy needs is missing.

    The archive contains these results, versions, the resolved configuration, the state of the stacks and the latest
    changes. It contains no secrets, values of variables or logs of services.
    """
    from kamal_dev.pipeline.doctor import doctor

    folder, output = common.local_folder(flags), common.output(flags)
    checks = doctor(folder, output, config_path=flags.config_path, devcontainer_path=flags.devcontainer_path)
    if flags.as_json:
        common.print_json([check.as_json() for check in checks])
    else:
        for check in checks:
            common.show(str(check))
    if bundle:
        common.show(f"Wrote {_bundle(flags, checks)}; review it before you share it", err=True)
    return int(any(not check.is_fine for check in checks))


def _bundle(flags: common.Flags, checks: list[Check]) -> Path:
    """Write the archive. A project that cannot be read is missing in it: the checks say why."""
    import time
    from pathlib import Path

    from kamal_dev.cli import results
    from kamal_dev.pipeline import bundle
    from kamal_dev.pipeline.backup import warn_of_source

    files = bundle.machine(checks)
    run = None
    with suppress(DevError):
        run = common.open_run(flags, strict=False)
        files |= bundle.project_files(run.project, run.connections, run.stacks)
    path = Path(f"kamal-dev-doctor-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.tar.gz")
    bundle.write(path, files, results.redaction())
    if run:
        warn_of_source(run.project, run.local, run.output, path)
    return path
