"""Tables for a terminal. rich draws them; what it has no way to say is here: headings over several columns, and how a table
that is too wide is narrowed or broken."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import groupby
from typing import Literal, NamedTuple

from rich.align import Align
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from mma82cli.tables import Table, Title, numeric

LEAST = 12  # a column of words is not made narrower


class _Column(NamedTuple):
    heading: str
    title: str
    cells: list[str]
    right: bool
    width: int

    @classmethod
    def of(cls, title: Title, cells: list[str]) -> _Column:
        heading, title = title if isinstance(title, tuple) else ("", title)
        return cls(heading, title, cells, numeric(cells), max(map(cell_len, [*title.split(), *cells]), default=0))

    def text(self, text: str) -> Text:
        """What is too long for one line may be broken after a stroke, too."""
        return Text(text if cell_len(text) <= self.width else text.replace("/", "/ "))


def draw(tables: Sequence[Table], width: int, note: str, styled: bool) -> str:
    """The tables as text, and a note under them; `styled` as the terminal can, with titles in bold and the rest of the frame dim.

    A table that is wider than `width` gets narrow gaps, then is broken between headings, its first columns repeated, then
    has its words wrapped; figures are never cut.
    """
    out = io.StringIO()
    console = Console(file=out, force_terminal=styled, width=1 << 16, height=1, highlight=False, markup=False, emoji=False)
    for i, (columns, gap) in enumerate(block for table in tables for block in _fitted(_columns(table), width)):
        if i:
            console.print()
        if any(column.heading for column in columns):
            console.print(_headings(columns, gap))
        console.print(_grid(columns, gap))
    if note:
        console.print(Text("\n" + _broken(note, width), "dim"))
    return "\n".join(line.rstrip() for line in out.getvalue().split("\n"))


def _grid(columns: list[_Column], gap: int) -> Grid:
    grid = Grid(
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, gap - 1, 0, 0), header_style="bold", border_style="dim"
    )
    for column in columns:
        side: Literal["left", "right"] = "right" if column.right else "left"
        title = Align(column.text(column.title), side, vertical="bottom")
        grid.add_column(title, justify=side, width=column.width, overflow="fold")
    for row in zip(*(column.cells for column in columns), strict=True):
        grid.add_row(*(column.text(cell) for column, cell in zip(columns, row, strict=True)))
    return grid


def _headings(columns: list[_Column], gap: int) -> Text:
    """The headings, each in the middle of a rule over its columns."""
    spans, words = [], []
    for heading, part in groupby(columns, lambda column: column.heading):
        width = _total(list(part), gap)
        spans.append(f" {heading} ".center(width, "─") if heading and width > cell_len(heading) + 3 else heading.center(width))
        words += [heading] if heading else []
    line = Text((" " * gap).join(spans), "dim")
    line.highlight_words(words, "bold not dim")
    return line


def _fitted(columns: list[_Column], width: int) -> list[tuple[list[_Column], int]]:
    """The table in blocks that fit, as far as they can, and the gap between the columns of each."""
    for gap in (2, 1):
        if _total(columns, gap) <= width:
            return [(columns, gap)]
    return [_narrowed(block, width) for block in _blocks(columns, width)]


def _columns(table: Table) -> list[_Column]:
    columns = [_Column.of(title, [row[i] for row in table.rows]) for i, title in enumerate(table.header)]
    result: list[_Column] = []
    for heading, part in groupby(columns, lambda column: column.heading):
        *rest, last = part
        needed = cell_len(heading) - _total([*rest, last], 1)
        result += [*rest, last._replace(width=last.width + max(0, needed))]
    return result


def _total(columns: list[_Column], gap: int) -> int:
    return sum(column.width for column in columns) + gap * (len(columns) - 1)


def _blocks(columns: list[_Column], width: int) -> list[list[_Column]]:
    """The columns below each heading, with those before the first heading in front of each: as few blocks as will do, the
    widest as narrow as can be."""
    parts = [list(part) for _, part in groupby(columns, lambda column: column.heading)]
    names = parts.pop(0) if not parts[0][0].heading else []
    last = parts.pop() if parts and not parts[-1][0].heading else []
    blocks = _packed(names, parts, width)
    for limit in range(width - 1, 0, -1):
        tighter = _packed(names, parts, limit)
        if len(tighter) > len(blocks):
            break
        blocks = tighter
    return [block + last for block in blocks] or [names + last]


def _packed(names: list[_Column], parts: list[list[_Column]], width: int) -> list[list[_Column]]:
    blocks: list[list[_Column]] = []
    for part in parts:
        if blocks and _total(blocks[-1] + part, 2) <= width:
            blocks[-1] += part
        else:
            blocks.append(names + part)
    return blocks


def _narrowed(columns: list[_Column], width: int) -> tuple[list[_Column], int]:
    """The columns with their words wrapped as far as needed, and the gap between them."""
    gap = 2 if _total(columns, 2) <= width else 1
    columns = list(columns)
    while _total(columns, gap) > width:
        wide = [i for i, column in enumerate(columns) if not column.right and column.width > LEAST]
        if not wide:
            break
        i = max(wide, key=lambda i: columns[i].width)
        columns[i] = columns[i]._replace(width=columns[i].width - 1)
    return columns, gap


def _broken(note: str, width: int) -> str:
    """A signature in lines that fit, broken after its bars."""
    lines = [""]
    for part in note.split("|"):
        if lines[-1] and len(lines[-1]) + len(part) + 2 > width:
            lines.append("")
        lines[-1] += part + "|"
    return "\n".join(lines).removesuffix("|")
