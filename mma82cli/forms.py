"""Tables as text, in one look: for a terminal, Markdown, LaTeX or TSV."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from mma82cli.tables import NONE, WIDTH, Table, Title, numeric


def draw(tables: Sequence[Table], form: str, width: int = WIDTH, note: str = "", styled: bool = False) -> str:
    """The tables as text in one of the forms table, markdown, latex or tsv, and under them a note (not in tsv).

    The form table is for a terminal, `width` wide; `styled` brings out its titles there.
    """
    if form == "table":
        from mma82cli import terminal  # rich takes 60 ms to load

        return terminal.draw(tables, width, note, styled)
    text = "\n".join(map({"markdown": _markdown, "latex": _latex, "tsv": _tsv}[form], tables))
    return text + {"markdown": f"\n`{note}`\n", "latex": f"% {note}\n", "tsv": ""}[form] if note else text


def _titles(table: Table) -> list[str]:
    return [" ".join(title) if isinstance(title, tuple) else title for title in table.header]


def _alignment(table: Table) -> list[bool]:
    return [numeric([row[i] for row in table.rows]) for i in range(len(table.header))]


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
