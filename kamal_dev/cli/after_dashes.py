"""Command lines whose last part belongs to another program."""

from __future__ import annotations

import click


class AfterDashes(click.Command):
    """Keep what follows the first `--` unchanged in `ctx.meta["words"]`; None without `--`."""

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the words of the usage line, with what follows the dashes."""
        return [*super().collect_usage_pieces(ctx), "-- COMMAND..."]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Split the command line at `--`."""
        at = args.index("--") if "--" in args else len(args)
        ctx.meta["words"] = tuple(args[at + 1 :]) if at < len(args) else None
        return super().parse_args(ctx, args[:at])
