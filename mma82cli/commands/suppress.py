"""`mma82 suppress`: soft-NMS and boundary voting on detections."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from mma82cli.commands.options import TaxonomyName, command

Method = Literal["gauss", "linear", "hard"]

DETAILS = """
gauss multiplies the score of what a better detection overlaps by exp(-tIoU^2/sigma); linear by 1 - tIoU from --iou on;
hard takes it out from --iou on. --vote 0.7 moves the boundaries of what is left to the mean of all detections of the
label with tIoU >= 0.7, weighted by their scores before suppression. Equal scores: the earlier in the record first.
Boundaries are written in single precision (microseconds), scores in double.
"""

MethodOption = Annotated[Method, typer.Option("--method", help="how a score falls")]
Sigma = Annotated[float, typer.Option("--sigma", metavar="S", help="width of gauss")]
Iou = Annotated[float, typer.Option("--iou", metavar="TIOU", min=0, max=1, help="threshold of linear and hard")]
MinScore = Annotated[float, typer.Option("--min-score", metavar="P", min=0, help="leave out what falls below")]
TopK = Annotated[int, typer.Option("--topk", metavar="K", min=0, help="keep the K best of a video; 0: all")]
Vote = Annotated[float, typer.Option("--vote", metavar="TIOU", min=0, max=1, show_default=False, help="boundary voting")]
Agnostic = Annotated[bool, typer.Option("--class-agnostic", help="labels suppress and outvote each other")]


@command(
    example="mma82 suppress --vote 0.7 < proposals.jsonl | mma82 score --metric map", details=DETAILS,
    takes="predictions",
    adds="predictions",
)
def run(
    pipe,
    method: MethodOption = "gauss",
    sigma: Sigma = 0.5,
    iou: Iou = 0.5,
    min_score: MinScore = 0.0,
    topk: TopK = 200,
    vote: Vote = None,
    class_agnostic: Agnostic = False,
    taxonomy: TaxonomyName = "mma82",
) -> None:
    """Lower the scores of `predictions` that overlap a better one of their label (soft-NMS), keep the best, best first.

    Labels stay as they are spelled; other fields of a record and of a prediction pass through."""
    from mma82cli.detection import suppress
    from mma82cli.detections import read_predictions
    from mma82cli.records import DataError, WrongUsage
    from mma82cli.taxonomy import load_taxonomy

    labels = load_taxonomy(taxonomy)
    if sigma <= 0 or iou == 0 or vote == 0:
        raise WrongUsage("--sigma, --iou and --vote must be greater than 0")
    empty = 0

    def work(record: dict) -> dict:
        nonlocal empty
        found = read_predictions(record, labels)
        if len(found.scores) and found.scores.min() < 0:
            raise DataError(f"a prediction's score is {found.scores.min():g}; expected at least 0 (a probability)")
        if abs(found.segments).max(initial=0) > 1e12:
            raise DataError(f"a prediction lies at {abs(found.segments).max():g} s; expected seconds of a video")
        single = found.segments.astype("float32")  # as detectors hold them: a boundary moves by less than 2 microseconds
        kept = suppress(single, found.scores, found.label, method, sigma, iou, min_score, topk, vote, class_agnostic)
        empty += int((found.segments[:, 1] <= found.segments[:, 0]).sum())
        return record | {"predictions": _changed(record["predictions"], kept)}

    pipe.filter(work)
    if empty:
        pipe.note(f"{empty} prediction(s) with end <= start; they overlap nothing and keep their scores")


def _changed(predictions: list[dict], kept) -> list[dict]:
    """The predictions that were kept, with their new scores and boundaries."""
    columns = (kept.rows.tolist(), kept.segments.tolist(), kept.scores.tolist())
    return [predictions[i] | {"start": a, "end": b, "score": score} for i, (a, b), score in zip(*columns, strict=True)]
