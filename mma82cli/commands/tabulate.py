"""`mma82 tabulate`: figures of any command as a table, beside other people's."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from mma82cli.commands.options import command

Format = Literal["table", "markdown", "latex", "tsv"]

EXAMPLE = """
mma82 score --by domain preds.jsonl | mma82 tabulate --rows domain --columns level,metric --format latex
mma82 stats clips.jsonl | mma82 tabulate --rows domain --columns split,metric --values clips,subjects --where table=domains
mma82 tabulate --rows domain,run --columns metric --as here --beside paper=table3 --where level=action scores.jsonl
"""

Rows = Annotated[str, typer.Option("--rows", metavar="FIELD,…", help="fields that make a row")]
Columns = Annotated[str, typer.Option("--columns", metavar="FIELD,…", help="fields that make a column")]
Values = Annotated[
    str, typer.Option("--values", metavar="FIELD,…", show_default=False, help="these fields hold figures, each a 'metric'")
]
Where = Annotated[
    list[str], typer.Option("--where", metavar="FIELD=VALUE", show_default=False, help="only these lines; may be repeated")
]
Beside = Annotated[
    list[str],
    typer.Option("--beside", metavar="NAME=FILE", show_default=False, help="lines of FILE too; table3 is the paper's"),
]
As = Annotated[str, typer.Option("--as", metavar="NAME", show_default=False, help="\"run\":NAME for the input's lines")]
FormatOption = Annotated[Format, typer.Option("--format", help="how to write it")]


@command(example=EXAMPLE, takes="metric level value ci sd signature")
def run(
    pipe, rows: Rows = "domain", columns: Columns = "level,metric", values: Values = None, where: Where = None,
    beside: Beside = None, as_: As = None, format: FormatOption = "table",
) -> None:  # fmt: skip
    """Lay out lines with a `value`, as score writes them, or with several (--values), as stats does, as a table. Shares are
    in percent, with their interval (`ci`) or spread (`sd`) where the lines have one; signatures stand underneath. null makes
    the row or column "all". A cell that two lines claim is an error."""
    import os

    from mma82cli.commands.report import write_tables
    from mma82cli.pivot import Pivot, melted
    from mma82cli.records import DataError
    from mma82cli.share import find
    from mma82cli.stream import Pipe

    figures = _fields(values, "--values") if values else []
    keep = dict(_pair(text, "--where", "FIELD=VALUE") for text in where or [])
    pivot = Pivot(_fields(rows, "--rows"), _fields(columns, "--columns"))
    others = [_pair(text, "--beside", "NAME=FILE") for text in beside or []]
    files = [(name, file if os.path.exists(file) else str(find("paper", file, ".jsonl"))) for name, file in others]
    sources = [(name, Pipe(pipe.command, [file], quiet=True)) for name, file in files] + [(as_, pipe)]
    for name, source in sources:
        for line in source.lines():
            record = line.record if name is None else {**line.record, "run": name}
            if any(str(record.get(field)) != value for field, value in keep.items()):
                continue
            try:
                for figure in melted(record, figures) if figures else [record]:
                    pivot.add(figure, line.place)
            except DataError as error:
                source.reject(line, error)
    if not pivot.cells:
        raise DataError("no lines with a value" + (f" where {', '.join(where)}" if where else ""))
    write_tables(pipe, [pivot.table()], format, pivot.note)


def _fields(text: str, option: str) -> list[str]:
    from mma82cli.records import WrongUsage

    fields = text.split(",")
    if not all(fields):
        raise WrongUsage(f"{option} is '{text}'; expected names of fields, with commas between")
    return fields


def _pair(text: str, option: str, expected: str) -> tuple[str, str]:
    from mma82cli.records import WrongUsage

    name, equals, value = text.partition("=")
    if not name or not equals:
        raise WrongUsage(f"{option} is '{text}'; expected {expected}")
    return name, value
