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
    draw = import_module(f"mma82cli.plots.{KINDS[kind.value][0]}").draw
    for path in draw(pipe.read(), out, Options(root, tuple(ids or ()))):
        pipe.write({"figure": path})
