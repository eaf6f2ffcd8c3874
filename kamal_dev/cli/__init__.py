"""Flags in, one pipeline call, exit code out; the only place that prints errors and exits."""

from __future__ import annotations

import sys


def main() -> None:
    """Run `dev`: the entry point of both commands."""
    from kamal_dev.cli.app import app
    from kamal_dev.cli.exit import guarded

    sys.exit(guarded(app, sys.argv[1:]))
