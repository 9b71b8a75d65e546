"""`mma82 plot`: figures of what the other commands write."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from itertools import chain
from textwrap import fill
from typing import Annotated

import typer

from mma82cli.commands.options import LayoutFile, Root, command, one_of, only, quiet_decoders
from mma82cli.plots import KINDS, Options, kinds_of
from mma82cli.records import DataError

Kind = one_of("auto", *KINDS)
WIDTH = max(map(len, KINDS)) + 2
UNFIT = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)  # what damaged lines make of drawing

EXAMPLE = """
mma82 diagnose detections.jsonl | mma82 plot diagnosis --out figures
mma82 stats clips.jsonl | mma82 plot auto --out figures
mma82 plot curves --out figures seed-0/log.jsonl seed-1/log.jsonl
"""
WHAT = {name: what for name, (_, _, what) in KINDS.items()} | {"auto": "whatever is drawn of lines such as the first"}
ROWS = (
    fill(f"{name:<{WIDTH}}{what}", 76, subsequent_indent=" " * WIDTH, break_on_hyphens=False) for name, what in WHAT.items()
)
DETAILS = "\b\n" + "\n".join(ROWS)

KindName = Annotated[Kind, typer.Argument(metavar="KIND", show_default=False, help="one of the kinds below")]
Out = Annotated[str, typer.Option("--out", metavar="DIR", help="folder for the files")]
Ids = Annotated[
    list[str], typer.Option("--id", metavar="ID", show_default=False, help="these records, not the first few; may be repeated")
]

OwnLabels = Annotated[
    str, typer.Option("--taxonomy", metavar="NAME|FILE", show_default=False, help="labels of the scores (overlay, confusion)")
]


@command(
    example=EXAMPLE, details=DETAILS,
    writes="figure",
)
def run(
    pipe, kind: KindName, out: Out = ".", root: Root = ".", ids: Ids = None, taxonomy: OwnLabels = None, layout: LayoutFile = None
) -> None:  # fmt: skip
    """Draw a figure from what another command wrote, as SVG and PNG. Out: a line a file: {"figure": path}."""
    from mma82cli.plots.style import prepare

    quiet_decoders()
    prepare(out)
    kinds, lines = [kind], pipe.lines()
    if kind == "auto":
        kinds, lines = _fitting(lines)
    if len(kinds) > 1:
        lines = list(lines)
    modules = {name: import_module(f"mma82cli.plots.{KINDS[name][0]}") for name in kinds}
    heeded = dict.fromkeys(["--out", *chain(*(getattr(module, "HEEDS", ()) for module in modules.values()))])
    only(pipe, f"{', '.join(kinds)}: goes by {', '.join(heeded)} alone", "KIND", "FILE", "--output", "--on-error", *heeded)
    faults = {}
    for name, module in modules.items():
        records = _Records(lines, getattr(module, "WITH_FILE", False))
        try:
            for path in module.draw(records, out, Options(root, tuple(ids or ()), taxonomy, layout)):
                pipe.write({"figure": path})
        except UNFIT as error:
            raise DataError(f"{name}: lines unlike those that it is drawn from ({type(error).__name__}: {error})") from error
        except DataError as error:
            faults[name] = records.placed(error)
    if len(faults) == len(modules):
        raise next(iter(faults.values()))
    for name, fault in faults.items():  # of several that `auto` tried
        pipe.note(f"no {name}: {fault}")


class _Records:
    """The records of the lines, and the line that one of them was taken from and is looked at (None: all have been read)."""

    def __init__(self, lines, with_file: bool):
        self.lines, self.with_file = lines, with_file
        self.line = None

    def __iter__(self) -> Iterator[dict]:
        for line in self.lines:
            self.line = line
            yield {**line.record, "file": line.file} if self.with_file else line.record
            self.line = None

    def placed(self, error: DataError) -> DataError:
        """The error with the place of the line, if it is one line's."""
        return DataError(f"{self.line.place}: {error}") if self.line else error


def _fitting(lines) -> tuple[list[str], Iterator]:
    """The kinds that draw the first line that any kind draws, and all lines."""
    from mma82cli.records import show

    passed = []
    for line in lines:
        passed.append(line)
        if kinds := kinds_of(line.record):
            return kinds, chain(passed, lines)
    fields = f"a line with {', '.join(map(show, list(passed[0].record)[:8])) or 'no field'}" if passed else "no line"
    raise DataError(f"no figure is made of {fields}; `mma82 plot --help` lists what is")
