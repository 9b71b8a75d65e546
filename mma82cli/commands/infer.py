"""`mma82 infer`: a checkpoint's scores for each clip."""

from __future__ import annotations

from typing import Annotated

import typer

from mma82cli.commands.options import choice, command, torchrun_place

Device = choice("auto", "cpu", "cuda")
Precision = choice("auto", "float32", "bf16")
Sampling = choice("recipe", "mmaction2", "pyskl")

Checkpoint = Annotated[str, typer.Argument(metavar="CHECKPOINT", show_default=False, help="folder of a run, or weights")]
Split = Annotated[str, typer.Option("--split", metavar="NAME", show_default=False, help="only records of this split")]
BatchSize = Annotated[int, typer.Option("--batch-size", metavar="N", min=0, help="records at once; 0: 1 on a CPU, else 16")]
DeviceOption = Annotated[Device, typer.Option("--device", help="auto: a GPU where there is one")]
PrecisionOption = Annotated[Precision, typer.Option("--precision", help="auto: bf16 where the device is fast at it")]
TopK = Annotated[int, typer.Option("--topk", metavar="K", min=0, help="the K best labels in place of scores; 0: scores")]
KeepKeypoints = Annotated[bool, typer.Option("--keep-keypoints", help="leave the joints in the records")]
RecipeName = Annotated[str, typer.Option("--recipe", metavar="NAME|FILE", show_default=False, help="of a peer's checkpoint")]
TaxonomyName = Annotated[str, typer.Option("--taxonomy", metavar="NAME|FILE", show_default=False, help="of a peer's checkpoint")]
LayoutFile = Annotated[str, typer.Option("--layout", metavar="NAME|FILE", show_default=False, help="joint set of the records")]
SamplingOption = Annotated[Sampling, typer.Option("--sampling", help="whose random numbers choose the test frames")]
Clips = Annotated[int, typer.Option("--clips", metavar="N", min=0, help="test clips a record; 0: as in the recipe")]


@command(example="mma82 infer run/ --split test clips.jsonl | mma82 score --metric mca")
def run(
    pipe,
    checkpoint: Checkpoint,
    split: Split = None,
    batch_size: BatchSize = 0,
    topk: TopK = 0,
    keep_keypoints: KeepKeypoints = False,
    device: DeviceOption = Device.auto,
    precision: PrecisionOption = Precision.auto,
    sampling: SamplingOption = Sampling.recipe,
    clips: Clips = 0,
    recipe: RecipeName = None,
    taxonomy: TaxonomyName = None,
    layout: LayoutFile = None,
) -> None:
    """Add a checkpoint's scores to records with keypoints: a probability for each label in id order, the mean over the
    recipe's test clips, and the name of the taxonomy. keypoints are left out of the output unless they are asked for.

    CHECKPOINT is the folder of a run, its best.safetensors or any weights of PoseC3D, mmaction2's and pyskl's too. A clip
    without a single joint gets the same score for every label, and a warning in the record."""
    rank, world, local = torchrun_place(pipe)
    model, settings, labels, joints = _load(checkpoint, recipe, taxonomy, layout, sampling.value, clips)

    from mma82cli.training.device import choose_device, choose_precision, keep_freed_memory
    from mma82cli.training.predict import Predictor
    from mma82cli.training.ranks import Ranks, join

    where = choose_device(device.value, local)
    keep_freed_memory()
    ranks = join(rank, world, where) if world > 1 else Ranks()
    work = _Inference(pipe, labels, topk, keep_keypoints, where, ranks)
    work.prepare = lambda found: Predictor(model, settings, found, where, choose_precision(precision.value, where))
    work.stream(split, joints, batch_size or (1 if where.type == "cpu" else 16))


class _Inference:
    """Reads records, holds `size` of them for each process, writes them with their scores in the order they came."""

    def __init__(self, pipe, labels, topk: int, keep: bool, device, ranks):
        self.pipe, self.labels, self.topk, self.keep, self.device = pipe, labels, topk, keep, device
        self.ranks = ranks
        self.waiting = []  # (line, clip)
        self.predictor = self.prepare = None

    def stream(self, split: str | None, layouts, size: int) -> None:
        """Every record of the split, `size` at a time."""
        from mma82cli.records import DataError
        from mma82cli.training.clips import read_clip

        for line in self.pipe.progress(self.pipe.lines()):
            if split is not None and line.record.get("split") != split:
                continue
            try:
                layout = layouts.check(line.record)
                if self.predictor is None:
                    self.predictor = self.prepare(layout)
                clip = read_clip(line.record, layout)
            except DataError as error:
                self.flush()
                self.pipe.reject(line, error)
                continue
            self.waiting.append((line, clip))
            if len(self.waiting) == size * self.ranks.world:
                self.flush()
        self.flush()

    def flush(self) -> None:
        """Scores and writes what is waiting."""
        import numpy as np

        from mma82cli.training.clips import Clips

        waiting, self.waiting = self.waiting, []
        mine = [clip for i, (_, clip) in enumerate(waiting) if i % self.ranks.world == self.ranks.rank and not clip.empty]
        scores = self.predictor(Clips(mine, self.device), np.arange(len(mine))) if mine else ()
        parts = [iter(part) for part in self.ranks.gather(scores)]
        if not self.ranks.first:
            return
        for i, (line, clip) in enumerate(waiting):
            found = parts[i % self.ranks.world]
            empty = np.full(len(self.labels), 1 / len(self.labels), np.float32)
            self.pipe.write(self._enriched(line.record, empty if clip.empty else next(found), clip.empty))

    def _enriched(self, record: dict, scores, empty: bool) -> dict:
        stale = {"scores", "topk", "scores_kind"} | (set() if self.keep else {"keypoints"})
        record = {key: value for key, value in record.items() if key not in stale}
        if empty:
            said = record.get("warnings")
            warnings = said if isinstance(said, list) else [said] if said else []
            record["warnings"] = [*warnings, "no joints: scores are uniform"]
        if self.topk:
            best = (-scores).argsort(kind="stable")[: self.topk].tolist()
            record["topk"] = [[self.labels.names[i], float(str(scores[i]))] for i in best]
        else:
            record["scores"] = scores
        record["taxonomy"] = self.labels.name
        return record


def _load(path: str, recipe, taxonomy, layout, sampling: str, clips: int):
    """-> (model, recipe, taxonomy, the layout that records must have). Raises DataError where these don't fit the weights."""
    from dataclasses import asdict, replace

    from mma82cli import models
    from mma82cli.models import weights
    from mma82cli.records import DataError
    from mma82cli.training.batches import channels
    from mma82cli.training.recipe import changed, load_recipe, recipe_from_dict

    read = weights.read(path)
    settings = load_recipe(recipe or "posec3d") if recipe or not read.recipe else recipe_from_dict(read.recipe, path)
    overrides = {"sampling": sampling} if sampling != "recipe" else {}
    settings = changed(settings, **overrides, **({"clips": clips} if clips else {}))
    model = models.build(replace(read, recipe=asdict(settings)), None, path)
    labels = _taxonomy(read.taxonomy, taxonomy, path)
    if len(labels) != model.dims.num_classes:
        found = f"{path} scores {model.dims.num_classes} labels, taxonomy {labels.name} has {len(labels)}"
        raise DataError(f"{found}; expected the one it was trained with (--taxonomy)")
    layouts = _layouts(read.about, layout)
    if layouts.layout is not None and channels(settings, layouts.layout) != model.dims.in_channels:
        found = f"{path} reads {model.dims.in_channels} {settings.heatmaps}s, layout {layouts.layout.name} has"
        raise DataError(f"{found} {channels(settings, layouts.layout)}; expected the layout it was trained with (--layout)")
    return model, settings, labels, layouts


def _taxonomy(carried: dict | None, asked: str | None, path: str):
    """The checkpoint's taxonomy; the one asked for must have the same labels."""
    from mma82cli.records import DataError
    from mma82cli.taxonomy import from_json, load_taxonomy

    if carried is None:
        return load_taxonomy(asked or "mma82")
    own = from_json(carried)
    if asked is None:
        return own
    other = load_taxonomy(asked)
    if other.names != own.names:
        raise DataError(f"{path} is of taxonomy {own.name} ({len(own)} labels); found {other.name} ({len(other)} labels)")
    return other


def _layouts(about: dict, asked: str | None):
    from mma82cli.skeleton.layouts import from_json, load_layout
    from mma82cli.training.clips import LayoutOfStream

    if asked is not None:
        return LayoutOfStream(load_layout(asked))
    return LayoutOfStream(from_json(about["joints"]) if "joints" in about else None)
