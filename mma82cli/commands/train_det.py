"""`mma82 train-det`: trains a detector of actions in untrimmed videos."""

from __future__ import annotations

from typing import Annotated

import typer

from mma82cli.commands.options import Cache, Root, Seed, TaxonomyName, command
from mma82cli.commands.training import (
    Deterministic,
    DeviceOption,
    Init,
    Out,
    Overrides,
    PrecisionOption,
    Resume,
    Wanted,
    train,
)

RecipeName = Annotated[
    str, typer.Option("--recipe", metavar="NAME|FILE", help="adatad-s, adatad-b, adatad-l, adatad-h, adatad-tiny, or TOML")
]

EXAMPLE = """
mma82 train-det --out run --recipe adatad-b --init videomae-b --root videos --cache frames videos.jsonl
mma82 synth --kind detection --clips 120 --classes 4 --videos videos | mma82 make-splits > videos.jsonl
mma82 train-det --out run --recipe adatad-tiny --root videos --cache frames videos.jsonl
"""


@command(
    example=EXAMPLE,
    takes="split video start end duration segments",
    writes="epoch lr loss loss_classes loss_boundaries unread val_map val_map50",
)
def run(
    pipe,
    out: Out,
    recipe: RecipeName = "adatad-b",
    overrides: Overrides = None,
    init: Init = None,
    resume: Resume = False,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    taxonomy: TaxonomyName = "mma82",
    root: Root = ".",
    cache: Cache = None,
    deterministic: Deterministic = False,
    seed: Seed = 0,
) -> None:
    """Train a detector (AdaTAD: a frozen VideoMAE with adapters, and ActionFormer's head). In: records of untrimmed videos with
    split, video (perhaps start and end: a window of it) and segments; train and val are used. Out: one line an epoch: lr, loss
    (a point that has an action) in its two parts and val_map (mean over tIoU 0.1 to 0.9) and val_map50.

    A video that can't be read is left out and named; one that breaks off in the middle of an epoch too, and the epoch's line
    says how many went unread. DIR holds best.safetensors (by val; without val records the last epoch), last.safetensors,
    recipe.toml and log.jsonl. A run that was killed goes on with --resume as if it never was. Ctrl-C (or
    SIGTERM) ends the step and saves; twice it ends at once."""
    from mma82cli.taxonomy import load_taxonomy
    from mma82cli.training.task import Asked

    asked = Asked(load_taxonomy(taxonomy), "segments", None, root, cache)
    wanted = Wanted(
        "train-det", out, recipe, overrides or [], init, resume, device, precision, deterministic, seed
    )
    train(pipe, wanted, asked)
