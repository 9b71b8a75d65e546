"""Tables of text: what they hold, and how figures stand in them; `forms` draws them.

A table is a header and rows of strings. An entry of the header is a title, or (heading, title) where neighbours share a
heading. Columns in which every cell is a number, or nothing, are set to the right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

NONE = "–"  # a figure that does not exist
WIDTH = 80  # of a table that nobody's terminal asks for

Title = str | tuple[str, str]


class Table(NamedTuple):
    """A header and rows, all of one length."""

    header: Sequence[Title]
    rows: Sequence[Sequence[str]]


def count(value: int | None) -> str:
    """A number of things, its thousands apart."""
    return NONE if value is None else f"{value:,}"


def decimal(value: float | None, digits: int = 2) -> str:
    """A number; nothing for NaN."""
    return NONE if value is None or value != value else f"{value:,.{digits}f}"


def percent(value: float | None, digits: int = 2) -> str:
    """A share in percent."""
    return decimal(None if value is None else 100 * value, digits)


def numeric(cells: Sequence[str]) -> bool:
    """Whether all are figures: numbers, ranges, shares such as 3/20, or none."""
    return all(set(cell) <= set("0123456789.,-+/e% ") or cell in (NONE, "inf") for cell in cells)
