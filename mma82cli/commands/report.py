"""How figures leave a command: signed, as lines, or as the tables that a person reads."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from mma82cli.commands.options import choice

Format = choice("jsonl", "table", "markdown", "latex", "tsv", "plain")

FormatOption = Annotated[Format, typer.Option("--format", show_default=False, help="jsonl; on a terminal: table")]


def write_report(pipe, lines: list[dict], choices: dict, format: str | None, tables: Callable[[list[dict]], list]) -> None:
    """Writes lines of figures in a format (None: jsonl, on a terminal table).

    choices  what changes the figures; all but None stand in the signature, and the version stands last
    tables   makes the tables of the lines
    """
    from mma82cli import __version__

    signature = "|".join(f"{k}:{v}" for k, v in {**choices, "version": __version__}.items() if v is not None)
    on_terminal = pipe.out.path is None and sys.stdout.isatty()
    format = format or ("table" if on_terminal else "jsonl")
    if format == "jsonl":
        for line in lines:
            pipe.write(line | {"signature": signature})
    elif format == "plain":
        for line in lines:
            if "value" in line:
                pipe.out.write(f"{'null' if line['value'] is None else repr(line['value'])}\n".encode())
    else:
        from mma82cli.tables import draw

        pipe.out.write(draw(tables(lines), format, _width(on_terminal), signature).encode())


def _width(on_terminal: bool) -> int:
    """Of a table: the terminal's, and elsewhere the same for everyone."""
    from mma82cli.tables import WIDTH

    if not on_terminal:
        return WIDTH
    import os

    try:
        return max(WIDTH // 2, os.get_terminal_size(1).columns)
    except OSError:
        return WIDTH
