"""Find the local devcontainer CLI. Installs nothing."""

from __future__ import annotations

import re

from kamal_dev.commands import features
from kamal_dev.commands.features import PROGRAMS, Program
from kamal_dev.shell import Shell

ANSWERS = 90.0  # seconds; npx may have to download it


def find(shell: Shell) -> Program | None:
    """Look for it on PATH, then through npx; None if neither answers."""
    for argv in PROGRAMS:
        result = shell.run(features.version(argv), timeout=ANSWERS)
        version = re.match(r"(\d+)\.(\d+)\.(\d+)", result.output) if result else None
        if version:
            return Program(argv, tuple(map(int, version.groups())))
    return None
