"""How figures leave a command: signed, as lines, or as the tables that a person reads."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import Annotated, Literal, NamedTuple

import typer

ENDINGS = {".txt": "table", ".md": "markdown", ".tex": "latex", ".tsv": "tsv"}
Format = Literal["jsonl", "table", "markdown", "latex", "tsv", "plain"]

FormatOption = Annotated[Format, typer.Option("--format", show_default=False, help="jsonl; on a terminal: table")]


class Report(NamedTuple):
    """Lines of figures, and the `choices` that change them: all but None stand in the signature, the version last."""

    lines: list[dict]
    choices: dict

    @property
    def signature(self) -> str:
        """The choices in one word."""
        from mma82cli import __version__

        return "|".join(f"{k}:{v}" for k, v in {**self.choices, "version": __version__}.items() if v is not None)


def write_report(pipe, lines: list[dict], choices: dict, format: str | None, tables: Callable[[list[dict]], list]) -> None:
    """Writes lines of figures in a format (None: jsonl, on a terminal table); `tables` makes the tables of the lines."""
    write_reports(pipe, [Report(lines, choices)], format, tables)


def write_reports(pipe, reports: list[Report], format: str | None, tables: Callable[[list[dict]], list]) -> None:
    """Writes the reports one after the other, each with its signature."""
    format = format or ("table" if _on_terminal(pipe) else "jsonl")
    for i, report in enumerate(reports):
        if format == "jsonl":
            for line in report.lines:
                pipe.write(line | {"signature": report.signature})
        elif format == "plain":
            for line in report.lines:
                if "value" in line:
                    pipe.out.write(f"{'null' if line['value'] is None else repr(line['value'])}\n".encode())
        else:
            pipe.out.write(b"\n" if i else b"")
            write_tables(pipe, tables(report.lines), format, report.signature)


def write_tables(pipe, tables: list, form: str, note: str) -> None:
    """Writes tables, and a note under them, as the terminal has room for where that is where they go."""
    from mma82cli.forms import draw

    styled = _on_terminal(pipe)
    pipe.out.write(draw(tables, form, _width(styled), note, styled).encode())


def write_beside(pipe, out, rows: Iterable[dict], tables: Callable[[list[dict]], list]) -> None:
    """Writes the rows of a report that leaves beside the records into `out`: as lines, or as tables where the file's name
    ends in .txt, .md, .tex or .tsv. Where standard error is a terminal the tables are shown there, too."""
    import orjson

    from mma82cli.forms import draw
    from mma82cli.stream import WRITE

    form = ENDINGS.get(os.path.splitext(out.name)[1])
    shown = sys.stderr.isatty() and not pipe.quiet
    kept = []
    for row in rows:
        if form is None:
            out.write(orjson.dumps(row, option=WRITE))
        if form or shown:
            kept.append(row)
    if form:
        out.write(draw(tables(kept), form).encode())
    if shown:
        sys.stderr.write("\n" + draw(tables(kept), "table", _width(True, 2), styled=True))


def _on_terminal(pipe) -> bool:
    return pipe.out.path is None and sys.stdout.isatty()


def _width(on_terminal: bool, stream: int = 1) -> int:
    """Of a table: the terminal's, and elsewhere the same for everyone."""
    from mma82cli.tables import WIDTH

    if not on_terminal:
        return WIDTH
    try:
        return max(WIDTH // 2, os.get_terminal_size(stream).columns)
    except OSError:
        return WIDTH
