"""Format rows as aligned columns, for stdout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

GAP = 2
SHORTEST = 12


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return aligned columns, two spaces apart, without trailing spaces."""
    lines = [tuple(head), *(tuple(row) for row in rows)]
    widths = _widths(lines)
    return "\n".join(
        (" " * GAP).join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def fitted(
    head: Sequence[str], rows: Iterable[Sequence[str]], width: int, *, shorten: str, without: Sequence[str]
) -> str:
    """Return the table in at most `width` columns of a terminal.

    The cells of the column `shorten` lose their beginning; then the columns `without` are left out, in that order;
    then lines are cut.
    """
    lines = [tuple(head), *(tuple(row) for row in rows)]
    omitted = list(without)
    while (room := _room(lines, shorten, width)) < _wanted(lines, shorten) and omitted:
        lines = _leave_out(lines, omitted.pop(0))
    if shorten in lines[0]:
        place = lines[0].index(shorten)
        lines = [(*line[:place], _end(line[place], max(room, len(shorten))), *line[place + 1 :]) for line in lines]
    return "\n".join(line[:width].rstrip() for line in table(lines[0], lines[1:]).split("\n"))


def _widths(lines: list[tuple[str, ...]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*lines, strict=True)]


def _room(lines: list[tuple[str, ...]], column: str, width: int) -> int:
    """Return the width that the other columns leave to this one."""
    others = (size for name, size in zip(lines[0], _widths(lines), strict=True) if name != column)
    return width - sum(size + GAP for size in others)


def _wanted(lines: list[tuple[str, ...]], column: str) -> int:
    """Return the width below which another column is rather left out."""
    if column not in lines[0]:
        return -GAP
    return min(SHORTEST, _widths(lines)[lines[0].index(column)])


def _leave_out(lines: list[tuple[str, ...]], column: str) -> list[tuple[str, ...]]:
    place = lines[0].index(column)
    return [(*line[:place], *line[place + 1 :]) for line in lines]


def _end(cell: str, width: int) -> str:
    return cell if len(cell) <= width else f"…{cell[len(cell) - width + 1 :]}"
