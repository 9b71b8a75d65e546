"""`mma82 infer`: a checkpoint's scores for each clip, or detections in each video."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from mma82cli.commands.checkpoint import Checkpoint, Clips, RecipeName, TaxonomyName, load_checkpoint, with_changes
from mma82cli.commands.options import Cache, LayoutFile, Root, Split, command, only, quiet_decoders, torchrun_place
from mma82cli.commands.training import DeviceOption, PrecisionOption

Sampling = Literal["recipe", "mmaction2", "pyskl"]

BatchSize = Annotated[int, typer.Option("--batch-size", metavar="N", min=0, help="records at once; 0: 1 on a CPU, many on a GPU")]
TopK = Annotated[int, typer.Option("--topk", metavar="K", min=0, help="the K best labels in place of scores; 0: scores")]
KeepKeypoints = Annotated[bool, typer.Option("--keep-keypoints", help="leave the joints in the records")]
SamplingOption = Annotated[Sampling, typer.Option("--sampling", help="whose random numbers choose the test frames")]
Average = Annotated[
    list[str], typer.Option("--average", metavar="CKPT", show_default=False, help="average with this one; may be repeated")
]
Export = Annotated[str, typer.Option("--export", metavar="FILE", show_default=False, help="write the network as ONNX instead")]
Raw = Annotated[bool, typer.Option("--raw", help="of a detector: predictions as they are before suppression")]


EXAMPLE = """
mma82 infer run/ --split test clips.jsonl | mma82 score --metric mca
mma82 infer seed-0 --average seed-1 --average seed-2 clips.jsonl > scores.jsonl
mma82 infer run/ --export model.onnx
"""
DETAILS = """
--export reads no records and heeds no options but --recipe and --taxonomy: it writes the network for onnxruntime and its kind,
any batch to logits, whose softmax is averaged over test clips. It reads heatmaps (posec3d), joints as x and y from the middle
of the clip's box in halves of its longer side and a score (stgcn), or RGB frames (gc-tsm and its kind) normalised as for
ImageNet, or where the recipe says still = "remove" less their mean over the clip and divided by the rms of what is left, which
counts as 1 where it is less; all of clips steadied where the recipe says steady = true.
"""


@command(
    example=EXAMPLE, details=DETAILS,
    takes="split layout keypoints width height video",
    adds="scores topk predictions taxonomy warnings",
)
def run(
    pipe,
    checkpoint: Checkpoint,
    split: Split = None,
    batch_size: BatchSize = 0,
    topk: TopK = 0,
    keep_keypoints: KeepKeypoints = False,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    sampling: SamplingOption = "recipe",
    clips: Clips = 0,
    raw: Raw = False,
    recipe: RecipeName = None,
    taxonomy: TaxonomyName = None,
    layout: LayoutFile = None,
    root: Root = ".",
    cache: Cache = None,
    average: Average = None,
    export: Export = None,
) -> None:
    """Add a checkpoint's scores to records with keypoints or a video: a probability for each label in id order, of the
    recipe's test clips together, and the name of the taxonomy. keypoints are left out of the output unless asked for.

    CHECKPOINT is the folder of a run, its best.safetensors or any weights of PoseC3D (mmaction2's and pyskl's too) or of
    TSM, GC-TSM and MANet, under their authors' names. A clip without a single joint gets the same score for every label,
    and a warning in the record.

    A detector (AdaTAD: a run of train-det, or weights of OpenTAD) adds predictions to untrimmed videos of any length, which
    it goes through window by window: after the recipe's soft-NMS and voting, best first, at most 200 (the recipe's topk) however
    long it is. --raw gives the thousands (proposals) before suppression: `mma82 suppress --topk 0` leaves more of an hour.

    --average takes the mean of the probabilities of several checkpoints, such as three seeds of a recipe or a posec3d and
    an stgcn, which must know the same labels; --recipe and --taxonomy are then of them all."""
    if export:
        _export(pipe, checkpoint, export, recipe, taxonomy)
        return
    from mma82cli.skeleton.layouts import load_layout
    from mma82cli.training.task import Asked

    quiet_decoders()
    rank, world, local = torchrun_place(pipe)
    loaded = [load_checkpoint(path, recipe, taxonomy) for path in (checkpoint, *(average or ()))]
    loaded = with_changes(loaded, {"sampling": sampling, "clips": clips})
    _check(pipe, [each.recipe for each in loaded], raw, topk, cache)

    from mma82cli.training.device import choose_device, choose_precision, keep_freed_memory
    from mma82cli.training.ensemble import member, together
    from mma82cli.training.ranks import Ranks, join

    where = choose_device(device, local)
    keep_freed_memory()
    ranks = join(rank, world, where) if world > 1 else Ranks()
    pipe.apart = world > 1
    asked = Asked(loaded[0].labels, layout=load_layout(layout) if layout else None, root=root, cache=cache, raw=raw)
    dtype = choose_precision(precision, where)
    members = [member(*each, asked, where, dtype) for each in loaded]
    inference = together(members, [checkpoint, *(average or ())])
    stale = {"scores", "topk", "scores_kind", *(() if keep_keypoints else inference.drops)}
    work = _Stream(pipe, inference, asked.labels, topk, stale, ranks)
    work.all(split, batch_size or (1 if where.type == "cpu" else inference.at_once))


def _check(pipe, recipes: list, raw: bool, topk: int, cache) -> None:
    """Raises WrongUsage for what a checkpoint of this kind can't heed, and tells of what it won't."""
    from mma82cli.records import WrongUsage
    from mma82cli.training.families import FAMILIES
    from mma82cli.training.skeleton.recipe import SkeletonRecipe

    if cache and all(isinstance(each, SkeletonRecipe) for each in recipes):
        pipe.note(f"{cache} stays as it is: of joints inference keeps nothing")
    kind = recipes[0].model
    detects = FAMILIES[kind].command == "train-det"
    if raw and not detects:
        raise WrongUsage(f"--raw: a checkpoint of {kind}; expected a detector")
    if topk and detects:
        raise WrongUsage(f"--topk: a checkpoint of {kind}, a detector; `mma82 suppress --topk` leaves the best detections")


def _export(pipe, checkpoint: str, path: str, recipe, taxonomy) -> None:
    from dataclasses import asdict

    from mma82cli import __version__

    only(pipe, "--export writes one network and reads no records", "CHECKPOINT", "--export", "--recipe", "--taxonomy")
    model, settings, labels, about = load_checkpoint(checkpoint, recipe, taxonomy)

    from mma82cli.models.export import export

    about = {"recipe": asdict(settings), "taxonomy": labels.to_json(), "version": __version__} | about
    pipe.note(export(path, model, settings, about))


class _Stream:
    """Reads records, holds `size` of them for each process, writes them with their answers in the order they came."""

    def __init__(self, pipe, inference, labels, topk: int, stale: set[str], ranks):
        self.pipe, self.inference, self.labels, self.topk, self.stale = pipe, inference, labels, topk, stale
        self.ranks = ranks
        self.waiting = []  # (line, item)

    def all(self, split: str | None, size: int) -> None:
        """Every record of the split, `size` at a time."""
        from mma82cli.records import DataError, show

        passed, chosen = 0, False
        for line in self.pipe.progress(self.pipe.lines()):
            if split is not None and line.record.get("split") != split:
                passed += 1
                continue
            chosen = True
            try:
                item = self.inference.check(line.record)
            except DataError as error:
                self.flush()
                self.pipe.reject(line, error)
                continue
            self.waiting.append((line, item))
            if len(self.waiting) == size * self.ranks.world:
                self.flush()
        self.flush()
        if passed and not chosen:
            self.pipe.note(f"none of {passed} records is of split {show(split)}")

    def flush(self) -> None:
        """Answers and writes what is waiting."""
        waiting, self.waiting = self.waiting, []
        answers = self.ranks.shared([item for _, item in waiting], self.inference)
        for (line, _), answer in zip(waiting, answers, strict=False):  # a process that isn't the first has none
            if isinstance(answer, dict):
                self.pipe.write(self._enriched(line.record, answer))
            else:
                self.pipe.reject(line, answer)

    def _enriched(self, record: dict, answer: dict) -> dict:
        from mma82cli.records import warnings_of

        record = {key: value for key, value in record.items() if key not in self.stale}
        said = answer.pop("warnings", ())
        if self.topk and "scores" in answer:
            scores = answer.pop("scores")
            best = (-scores).argsort(kind="stable")[: self.topk].tolist()
            answer["topk"] = [[self.labels.names[i], float(str(scores[i]))] for i in best]
        if said:
            answer["warnings"] = [*warnings_of(record), *said]
        return {**record, **answer, "taxonomy": self.labels.name}
