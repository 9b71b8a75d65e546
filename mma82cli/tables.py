"""Tables of text, in one look: for a terminal, Markdown, LaTeX or TSV.

A table is a header and rows of strings. An entry of the header is a title, or (heading, title) where neighbours share a
heading. Columns in which every cell is a number, or nothing, are set to the right.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from textwrap import wrap
from typing import NamedTuple
from unicodedata import combining, east_asian_width

NONE = "–"  # a figure that does not exist
WIDTH = 80  # of a table that nobody's terminal asks for
_LEAST = 12  # a column of words is not made narrower

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


def draw(tables: Sequence[Table], form: str, width: int = WIDTH, note: str = "") -> str:
    """The tables as text in one of the forms table, markdown, latex or tsv, and under them a note (not in tsv).

    A table for a terminal that is wider than `width` gets narrow gaps, then is broken between headings, its first columns
    repeated, then has its words wrapped; figures are never cut.
    """
    make = {"table": lambda t: _terminal(t, width), "markdown": _markdown, "latex": _latex, "tsv": _tsv}[form]
    text = "\n".join(map(make, tables))
    if not note or form == "tsv":
        return text
    return text + {"table": f"\n{_broken(note, width)}\n", "markdown": f"\n`{note}`\n", "latex": f"% {note}\n"}[form]


# -- for a terminal ----------------------------------------------------------------------------------------------


class _Column(NamedTuple):
    heading: str
    title: str
    cells: list[str]
    right: bool
    width: int

    @classmethod
    def of(cls, title: Title, cells: list[str]) -> _Column:
        heading, title = title if isinstance(title, tuple) else ("", title)
        return cls(heading, title, cells, _numeric(cells), max(map(_cells, [*title.split(), *cells]), default=0))

    def lines(self, text: str) -> list[str]:
        """The text in as many lines as it needs."""
        fits = _cells(text) <= self.width
        return [self.padded(line) for line in ([text] if fits else wrap(text.replace("/", "/ "), self.width))]

    def padded(self, text: str) -> str:
        space = " " * (self.width - _cells(text))
        return space + text if self.right else text + space


def _terminal(table: Table, width: int) -> str:
    columns = _columns(table)
    for gap in (2, 1):
        if _total(columns, gap) <= width:
            return _block(columns, gap)
    blocks = _blocks(columns, width)
    return "\n".join(_block(*_narrowed(block, width)) for block in blocks)


def _columns(table: Table) -> list[_Column]:
    columns = [_Column.of(title, [row[i] for row in table.rows]) for i, title in enumerate(table.header)]
    result: list[_Column] = []
    for heading, part in groupby(columns, lambda column: column.heading):
        *rest, last = part
        needed = _cells(heading) - _total([*rest, last], 1)
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
        wide = [i for i, column in enumerate(columns) if not column.right and column.width > _LEAST]
        if not wide:
            break
        i = max(wide, key=lambda i: columns[i].width)
        columns[i] = columns[i]._replace(width=columns[i].width - 1)
    return columns, gap


def _block(columns: list[_Column], gap: int) -> str:
    between = " " * gap
    lines = [_headings(columns, gap)] if any(column.heading for column in columns) else []
    titles = [column.lines(column.title) for column in columns]
    height = max(map(len, titles))
    lines += _joined(columns, [[""] * (height - len(title)) + title for title in titles], between)  # at the bottom
    lines.append("─" * _total(columns, gap))
    for row in zip(*(column.cells for column in columns), strict=True):
        lines += _joined(columns, [column.lines(cell) for column, cell in zip(columns, row, strict=True)], between)
    return "".join(line.rstrip() + "\n" for line in lines)


def _joined(columns: list[_Column], texts: list[list[str]], between: str) -> list[str]:
    height = max(map(len, texts))
    filled = [text + [""] * (height - len(text)) for text in texts]
    return [between.join(c.padded(t) for c, t in zip(columns, line, strict=True)) for line in zip(*filled, strict=True)]


def _headings(columns: list[_Column], gap: int) -> str:
    """The headings, each in the middle of a rule over its columns."""
    spans = []
    for heading, part in groupby(columns, lambda column: column.heading):
        width = _total(list(part), gap)
        spans.append(f" {heading} ".center(width, "─") if heading and width > _cells(heading) + 3 else heading.center(width))
    return (" " * gap).join(spans)


def _cells(text: str) -> int:
    """The places that a text takes on a terminal."""
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def _broken(note: str, width: int) -> str:
    """A signature in lines that fit, broken after its bars."""
    lines = [""]
    for part in note.split("|"):
        if lines[-1] and len(lines[-1]) + len(part) + 2 > width:
            lines.append("")
        lines[-1] += part + "|"
    return "\n".join(lines).removesuffix("|")


def _numeric(cells: Sequence[str]) -> bool:
    """Whether all are figures: numbers, ranges, shares such as 3/20, or none."""
    return all(set(cell) <= set("0123456789.,-+/e% ") or cell in (NONE, "inf") for cell in cells)


# -- for documents -----------------------------------------------------------------------------------------------


def _titles(table: Table) -> list[str]:
    return [" ".join(title) if isinstance(title, tuple) else title for title in table.header]


def _alignment(table: Table) -> list[bool]:
    return [_numeric([row[i] for row in table.rows]) for i in range(len(table.header))]


def _markdown(table: Table) -> str:
    rule = ["---:" if right else "---" for right in _alignment(table)]
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (_titles(table), *table.rows)]
    return "".join(f"| {' | '.join(row)} |\n" for row in [cells[0], rule, *cells[1:]])


def _latex(table: Table) -> str:
    """For booktabs."""
    align = "".join("r" if right else "l" for right in _alignment(table))
    titles = [title[1] if isinstance(title, tuple) else title for title in table.header]
    top = _latex_headings(table.header) if any(isinstance(title, tuple) for title in table.header) else []
    text = [" & ".join(map(_escaped, row)) + r" \\" for row in [titles, *table.rows]]
    body = [rf"\begin{{tabular}}{{{align}}}", r"\toprule", *top, text[0], r"\midrule", *text[1:], r"\bottomrule"]
    return "\n".join([*body, r"\end{tabular}"]) + "\n"


def _latex_headings(header: Sequence[Title]) -> list[str]:
    cells, rules, place = [], [], 1
    for heading, part in groupby(header, lambda title: title[0] if isinstance(title, tuple) else ""):
        n = len(list(part))
        cells += [rf"\multicolumn{{{n}}}{{c}}{{{_escaped(heading)}}}"] if heading else [""] * n
        rules += [rf"\cmidrule(lr){{{place}-{place + n - 1}}}"] if heading else []
        place += n
    return [" & ".join(cells) + r" \\", " ".join(rules)]


def _escaped(text: str) -> str:
    text = text.replace("\\", r"\textbackslash ")
    for character in "&%$#_{}":
        text = text.replace(character, "\\" + character)
    return text.replace(NONE, "--").replace("~", r"\textasciitilde ").replace("^", r"\textasciicircum ")


def _tsv(table: Table) -> str:
    return "".join("\t".join(row) + "\n" for row in [_titles(table), *table.rows])
