"""`mma82 train-rec`: trains a recognition network."""

from __future__ import annotations

from typing import Annotated

import typer

from mma82cli.commands.options import Cache, LayoutFile, Root, Seed, Target, TaxonomyName, command
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

RecipeName = Annotated[str, typer.Option("--recipe", metavar="NAME|FILE", help="posec3d, stgcn, gc-tsm, gc-tsm-tiny, …, or TOML")]

EXAMPLE = """
mma82 train-rec --out run --recipe posec3d-tiny skeletons.jsonl > log.jsonl
mma82 train-rec --out run --recipe gc-tsm --init imagenet --root videos --cache frames clips.jsonl
torchrun --nproc-per-node 8 -m mma82cli train-rec --out run skeletons.jsonl
"""


@command(
    example=EXAMPLE,
    takes="split label layout keypoints width height",
    writes="epoch lr loss train_top1 val_top1 val_mca",
)
def run(
    pipe,
    out: Out,
    recipe: RecipeName = "posec3d",
    overrides: Overrides = None,
    init: Init = None,
    resume: Resume = False,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    taxonomy: TaxonomyName = "mma82",
    target: Target = "label",
    layout: LayoutFile = None,
    root: Root = ".",
    cache: Cache = None,
    deterministic: Deterministic = False,
    seed: Seed = 0,
) -> None:
    """Train a recognition network. In: records with split and label, and for posec3d and its kind layout and keypoints, for
    gc-tsm and its kind video (perhaps start and end); train and val are used. Out: one line an epoch: lr, loss, train_top1
    and, of one clip each, val_top1 and val_mca.

    DIR holds best.safetensors (by val; without val records the last epoch), last.safetensors, recipe.toml and log.jsonl.
    All files are replaced whole, an epoch at a time: a run that was killed goes on with --resume as if it never was. Ctrl-C
    (or SIGTERM) ends the step and saves; twice it ends at once."""
    from mma82cli.skeleton.layouts import load_layout
    from mma82cli.taxonomy import load_taxonomy
    from mma82cli.training.task import Asked

    asked = Asked(load_taxonomy(taxonomy), target, load_layout(layout) if layout else None, root, cache)
    wanted = Wanted(
        "train-rec", out, recipe, overrides or [], init, resume, device, precision, deterministic, seed
    )
    train(pipe, wanted, asked)
