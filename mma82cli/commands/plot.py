"""`mma82 plot`: figures of what the other commands write."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

import typer

from mma82cli.commands.options import Root, choice, command
from mma82cli.plots import KINDS, Options

Kind = choice(*KINDS)
WIDTH = max(map(len, KINDS)) + 2

EXAMPLE = """
mma82 diagnose detections.jsonl | mma82 plot diagnosis --out figures
mma82 plot curves --out figures seed-0/log.jsonl seed-1/log.jsonl
"""
DETAILS = "\b\n" + "\n".join(f"{name:<{WIDTH}}{what}" for name, (_, what) in KINDS.items())

KindName = Annotated[Kind, typer.Argument(metavar="KIND", show_default=False, help="one of the kinds below")]
Out = Annotated[str, typer.Option("--out", metavar="DIR", help="folder for the files")]
Ids = Annotated[list[str], typer.Option("--id", metavar="ID", show_default=False, help="draw these records; may be repeated")]


@command(
    example=EXAMPLE, details=DETAILS,
    writes="figure",
)
def run(pipe, kind: KindName, out: Out = ".", root: Root = ".", ids: Ids = None) -> None:
    """Draw a figure from what another command wrote, as SVG and PNG. Out: a line a file: {"figure": path}."""
    from mma82cli.plots.style import prepare

    prepare(out)
    module = import_module(f"mma82cli.plots.{KINDS[kind.value][0]}")
    with_file = getattr(module, "WITH_FILE", False)
    records = ({**line.record, "file": line.file} for line in pipe.lines()) if with_file else pipe.read()
    for path in module.draw(records, out, Options(root, tuple(ids or ()))):
        pipe.write({"figure": path})
