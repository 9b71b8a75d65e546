"""`mma82 train-rec`: trains a recognition network on clips of joints."""

from __future__ import annotations

from typing import Annotated

import typer

from mma82cli.commands.options import Seed, Target, TaxonomyName, choice, command, torchrun_place

Device = choice("auto", "cpu", "cuda")
Precision = choice("auto", "float32", "bf16")

Out = Annotated[str, typer.Option("--out", metavar="DIR", help="folder for checkpoints, recipe and log")]
RecipeName = Annotated[str, typer.Option("--recipe", metavar="NAME|FILE", help="posec3d, posec3d-ntu, posec3d-tiny, or TOML")]
Overrides = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", show_default=False, help="change a recipe key")]
Init = Annotated[str, typer.Option("--init", metavar="CKPT", show_default=False, help="start from these weights")]
Resume = Annotated[bool, typer.Option("--resume", help="go on with the run in DIR, exactly")]
DeviceOption = Annotated[Device, typer.Option("--device", help="auto: a GPU where there is one")]
PrecisionOption = Annotated[Precision, typer.Option("--precision", help="auto: bf16 where the device is fast at it")]
LayoutFile = Annotated[str, typer.Option("--layout", metavar="NAME|FILE", show_default=False, help="joint set of the records")]
Deterministic = Annotated[bool, typer.Option("--deterministic", help="same bytes from every run on one device; no times")]


EXAMPLE = """
mma82 train-rec --out run --recipe posec3d-tiny skeletons.jsonl > log.jsonl
torchrun --nproc-per-node 8 -m mma82cli train-rec --out run skeletons.jsonl
"""


@command(example=EXAMPLE)
def run(
    pipe,
    out: Out,
    recipe: RecipeName = "posec3d",
    overrides: Overrides = None,
    init: Init = None,
    resume: Resume = False,
    device: DeviceOption = Device.auto,
    precision: PrecisionOption = Precision.auto,
    taxonomy: TaxonomyName = "mma82",
    target: Target = "label",
    layout: LayoutFile = None,
    deterministic: Deterministic = False,
    seed: Seed = 0,
) -> None:
    """Train a recognition network. In: records with split, label, layout and keypoints; train and val are used. Out: one
    line an epoch: lr, loss, train_top1 and, of one clip each, val_top1 and val_mca.

    DIR holds best.safetensors (by val; without val records the last epoch), last.safetensors, recipe.toml and log.jsonl.
    All files are replaced whole, an epoch at a time: a run that was killed goes on with --resume as if it never was."""
    from pathlib import Path

    from mma82cli.skeleton.layouts import load_layout
    from mma82cli.taxonomy import load_taxonomy
    from mma82cli.training.recipe import load_recipe

    rank, world, local = torchrun_place(pipe)
    settings, labels, folder = load_recipe(recipe, overrides or []), load_taxonomy(taxonomy), Path(out)
    done = _check_resumed(folder, _about(settings, labels, target, seed)) if resume else 0
    data = _read(pipe, labels, target, layout and load_layout(layout))

    from mma82cli.training.device import choose_device, choose_precision, keep_freed_memory, make_deterministic
    from mma82cli.training.loop import Run, fit
    from mma82cli.training.ranks import Ranks, join

    where = choose_device(device.value, local)
    dtype = choose_precision(precision.value, where)
    keep_freed_memory()
    if deterministic:
        make_deterministic(where)
    about = _about(settings, labels, target, seed) | _about_data(data, dtype)
    if resume:
        _check_resumed(folder, about)
    ranks = join(rank, world, where) if world > 1 else Ranks()
    model = _model(pipe, settings, data, labels, seed, init)
    folder.mkdir(parents=True, exist_ok=True)
    pipe.note(_plan(data, where, dtype))
    if not data.splits["val"]:
        pipe.note("no val records: the best epoch is the last")
    with pipe.progress(total=(settings.epochs - done) * settings.repeat * len(data.splits["train"]), unit="clip") as bar:
        job = Run(settings, data.layout, folder, about, seed, where, dtype, bar.update, not deterministic, ranks)
        for figures in fit(model, job, data.clips("train", where), data.clips("val", where), resume):
            bar.set_postfix({k: figures[k] for k in ("epoch", "loss", "val_top1") if k in figures}, refresh=False)
            pipe.write(figures)
            pipe.out.flush()


class _Data:
    """The clips of train and val, and the layout that they share."""

    def __init__(self):
        self.splits = {"train": [], "val": []}
        self.layout = None
        self.empty = 0

    def clips(self, split: str, device):
        from mma82cli.training.clips import Clips

        return Clips(self.splits[split], device) if self.splits[split] else None


def _read(pipe, labels, target: str, layout) -> _Data:
    """The train and val records of the stream. Clips without a single joint are left out, and counted."""
    from mma82cli.records import DataError, wrong
    from mma82cli.training.clips import LayoutOfStream, read_clip

    data, layouts = _Data(), LayoutOfStream(layout)
    for line in pipe.progress(pipe.lines()):
        try:
            split = line.record.get("split")
            if split not in ("train", "val", "test"):
                raise wrong("split", line.record.get("split"), "train, val or test (`mma82 make-splits` adds it)")
            if split == "test":
                continue
            label = labels.id(line.record.get(target), target)
            clip = read_clip(line.record, layouts.check(line.record))._replace(label=label)
        except DataError as error:
            pipe.reject(line, error)
            continue
        data.empty += clip.empty
        if not clip.empty:
            data.splits[split].append(clip)
    if data.empty:
        pipe.note(f"{data.empty} clips left out: no joint in any frame")
    if not data.splits["train"]:
        raise DataError("no train records with joints in the input; expected some with \"split\":\"train\"")
    data.layout = layouts.layout
    return data


def _about(recipe, labels, target: str, seed: int) -> dict:
    """What checkpoints say of themselves."""
    from dataclasses import asdict

    from mma82cli import __version__

    said = {"recipe": asdict(recipe), "taxonomy": labels.to_json(), "target": target, "version": __version__, "seed": seed}
    return _plain(said)


def _about_data(data: _Data, dtype) -> dict:
    counts = {split: len(clips) for split, clips in data.splits.items()}
    precision = str(dtype).removeprefix("torch.")
    return _plain({"layout": data.layout.name, "joints": data.layout.to_json(), "precision": precision, "clips": counts})


def _plain(value: dict) -> dict:
    """As it comes back from JSON (lists for tuples), so that both can be compared."""
    import json

    return json.loads(json.dumps(value))


def _check_resumed(folder, about: dict) -> int:
    """Epochs done by the run in `folder`. Raises DataError where it was another run: it could not go on exactly."""
    from mma82cli.records import DataError, show
    from mma82cli.training import checkpoint

    was = checkpoint.read_about(folder)
    if was["taxonomy"] != about["taxonomy"]:
        raise DataError(_other_taxonomy(f"{folder}: the run to resume", was["taxonomy"], about["taxonomy"]))
    for key, value in about["recipe"].items():
        if was["recipe"].get(key) != value:
            raise DataError(f"{folder}: the run to resume has {key} = {show(was['recipe'].get(key))}; found {show(value)} now")
    for key in ("target", "seed", "layout", "precision", "clips"):
        if key in about and was[key] != about[key]:
            raise DataError(f"{folder}: the run to resume has {key} {show(was[key])}; found {show(about[key])} now")
    return was["epoch"]


def _other_taxonomy(what: str, was: dict, now: dict) -> str:
    return f"{what} is of taxonomy {was['name']} ({len(was['labels'])} labels); found {now['name']} ({len(now['labels'])} labels)"


def _model(pipe, recipe, data: _Data, labels, seed: int, init: str | None):
    """A new network, or one with the weights of `--init`; its head is new where the labels are others."""
    from mma82cli.training.loop import make_model

    model = make_model(recipe, data.layout, len(labels), seed)
    if init is None:
        return model
    from mma82cli.models import weights
    from mma82cli.taxonomy import from_json

    checkpoint = weights.read(init)
    state = dict(checkpoint.state)
    head = {key: value for key, value in model.state_dict().items() if key.startswith("cls_head.")}
    fits = all(key in state and state[key].shape == value.shape for key, value in head.items())
    if not fits or (checkpoint.taxonomy and from_json(checkpoint.taxonomy).names != labels.names):
        pipe.note(f"{init} has other labels than {labels.name}: its last layer is left out and starts anew")
        state.update(head)
    weights.fill(model, state, init)
    return model


def _plan(data: _Data, device, dtype) -> str:
    counts = ", ".join(f"{len(clips)} {split}" for split, clips in data.splits.items() if clips)
    return f"{counts} clips of {len(data.layout)} joints ({data.layout.name}); {device.type}, {str(dtype).removeprefix('torch.')}"
