"""A few rows as a table of text, for a log."""

import unicodedata
from collections.abc import Sequence

ROWS = 20
"""Rows of a result that are shown; the others are counted."""
COLUMNS = 40
WIDTH = 60
"""Of one cell; what is longer is cut."""

_MARKS = {"\n": "↵", "\r": "␍", "\t": "␉", "\x7f": "␡"}
_NUMBER = frozenset("0123456789+-.eE,")


def table(columns: Sequence[str], rows: Sequence[Sequence[str | None]]) -> str:
    """Names, a rule, and the rows, each on a line; None is NULL. Columns of numbers are set to the right."""
    shown = [_cell(name) for name in columns[:COLUMNS]]
    cells = [[_cell(value) for value in row[:COLUMNS]] for row in rows]
    widths = [max([_width(shown[n]), *(_width(row[n]) for row in cells)]) for n in range(len(shown))]
    right = [_is_numeric([row[n] for row in rows]) for n in range(len(shown))]
    lines = [_line(shown, widths, [False] * len(shown)), "-+-".join("-" * width for width in widths)]
    lines += [_line(row, widths, right) for row in cells]
    if len(columns) > COLUMNS:
        lines.append(f"({len(columns) - COLUMNS} more columns are not shown)")
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    parts = []
    for cell, width, to_right in zip(cells, widths, right, strict=True):
        space = " " * (width - _width(cell))
        parts.append(space + cell if to_right else cell + space)
    return " | ".join(parts).rstrip()


def _cell(value: str | None) -> str:
    """On one line, and nothing in it that a terminal would obey."""
    if value is None:
        return "NULL"
    cut = value[: WIDTH + 1]
    text = "".join(_MARKS.get(char) or (char if char.isprintable() else _visible(char)) for char in cut)
    return text[: WIDTH - 1] + "…" if len(text) > WIDTH else text


def _visible(char: str) -> str:
    return chr(0x2400 + ord(char)) if char < " " else "�"


def _width(text: str) -> int:
    """Columns that it takes: characters of East Asia take two, accents none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def _is_numeric(values: Sequence[str | None]) -> bool:
    told = [value for value in values if value is not None]
    return bool(told) and all(
        value and set(value) <= _NUMBER and any(char.isdigit() for char in value) and "-" not in value[1:]
        for value in told
    )
