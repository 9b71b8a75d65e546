"""Figures of what the suite writes: a kind a file. `KINDS` is the table that `mma82 plot` goes by.

A kind's module has `draw(records, folder, options) -> paths`: it reads an iterable of records, writes NAME.svg and
NAME.png (or what its kind is made of) into the folder, and raises DataError where the records are not what it draws.
`options` is an `Options`.
"""

from __future__ import annotations

from dataclasses import dataclass

KINDS = {  # name: (module in mma82cli.plots, what it draws, and from what)
    "diagnosis": ("diagnosis", "the errors of a detector and what each costs, from `diagnose` (Fig. 7)"),
}


@dataclass(frozen=True)
class Options:
    """What a person can ask of a figure: `root` is the folder of the videos, `ids` the records to draw (none: the kind's
    own choice)."""

    root: str = "."
    ids: tuple[str, ...] = ()
