"""`mma82 diagnose`: what a detector misses, what it gets wrong, and what each kind of error costs."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from mma82cli.commands.options import Split, TaxonomyName, Truth, command
from mma82cli.records import DataError, number

BordersRule = Literal["mma82", "thumos", "activitynet"]

EXAMPLE = """
mma82 diagnose detections.jsonl > figures.jsonl
mma82 diagnose --truth truth.jsonl --plot figures predictions.jsonl
mma82 diagnose --tiou 0.5 detections.jsonl | jq -c 'select(.analysis == "impact" and .tiou == "avg")'
"""

DETAILS = """
The analyses are DETAD's (Alwassel et al., ECCV 2018). base: normalised mAP, in which every label counts as if it had
the mean number of true segments. false-negative: share of the true segments that nothing finds at a normalised
precision above 0.05. false-positive: share of the predictions that are each error (error null: right) in slices of
each label's ranking as long as it has true segments, 1G to 10G. impact: what base at bucket 1G-10G gains without the
predictions of an error. sensitivity: base on the true segments of one bucket alone; a prediction that finds another
bucket's at any of the tIoUs is set aside.

An error is double (a second one for a segment), wrong-label (enough tIoU with another label's), localization (tIoU of
0.1 or more with its own label's, but too little), confusion (the same with another label's) or background.

Axes are coverage (share of the video; needs 'duration'), length (seconds) and num-instances (segments in the video).
--borders mma82 takes coverage and num-instances from activitynet, length from thumos: their other buckets would hold
nearly all micro-actions in one. Equal scores count by id, then by place in the record. A true segment that is longer
than its video or does not end after its start is left out; such a prediction is background.

--plot DIR draws the figures of tiou "avg" as diagnosis.svg and diagnosis.png; a dashed line is the value for all.
"""

Tious = Annotated[str, typer.Option("--tiou", metavar="LO:HI:STEP|T,T", help="thresholds")]
Borders = Annotated[BordersRule, typer.Option("--borders", help="of the buckets XS to XL")]
Plot = Annotated[str, typer.Option("--plot", metavar="DIR", show_default=False, help="draw the figures here")]


@command(
    example=EXAMPLE, details=DETAILS,
    takes="id duration split segments predictions",
    writes="analysis axis bucket error tiou value n",
)
def run(
    pipe, tiou: Tious = "0.1:0.9:0.1", borders: Borders = "mma82", taxonomy: TaxonomyName = "mma82",
    split: Split = None, truth: Truth = None, plot: Plot = None,
) -> None:  # fmt: skip
    """Diagnose detections: records with `segments`, `predictions` and `duration` in, a line a figure out: analysis, axis,
    bucket, error, tiou (a threshold, or "avg"), value (a fraction; null where there is nothing to take it over), n."""
    import numpy as np

    from mma82cli.detections import Detections, load_truth
    from mma82cli.metrics.detection import parse_tious
    from mma82cli.metrics.diagnosis import BORDERS, Diagnosis, sort_into_buckets
    from mma82cli.plots.style import prepare
    from mma82cli.taxonomy import load_taxonomy

    tious = np.array(parse_tious(tiou))
    if plot:
        prepare(plot)
    labels = load_taxonomy(taxonomy)
    videos = Detections(pipe, labels, split, ("duration",), load_truth(truth, labels) if truth else None)
    for line in pipe.progress(pipe.lines()):
        try:
            number(line.record, "duration", None, above=0)
            videos.add(line)
        except DataError as error:
            pipe.reject(line, error)
    for note in videos.peculiar(videos.finish()):
        pipe.note(note)
    if not videos.keys:
        which = "no records" if split is None else f"no records of split {split}"
        raise DataError(f"{which}; expected records with 'segments' and 'predictions'")
    order = videos.order()
    real, predictions = videos.truth.spans(order), videos.found.spans(order)
    durations = np.array([duration for (duration,) in videos.groups], float)[order]
    usable, axes = sort_into_buckets(real, durations, BORDERS[borders])
    diagnosis = Diagnosis(usable, predictions, axes, tious)
    _tell(pipe, real, predictions, durations, diagnosis)
    figures = list(diagnosis.lines())
    if plot:
        from mma82cli.plots.diagnosis import draw

        draw(figures, plot)
    for figure in figures:
        pipe.write(figure)


def _tell(pipe, truth, predictions, durations, diagnosis) -> None:
    """Says what was left out, or counted otherwise than a person may think."""
    import numpy as np

    backward, empty = (int((spans.segments[:, 1] <= spans.segments[:, 0]).sum()) for spans in (truth, predictions))
    if backward or empty:
        pipe.note(
            f"{backward + empty} segments do not end after their start: "
            f"{backward} of the truth are left out, {empty} predictions count as background"
        )
    longer = len(truth.video) - backward - len(diagnosis.truth.video)
    if longer:
        pipe.note(f"{longer} true segments are longer than the 'duration' of their video and are left out")
    unknown = int(np.isnan(durations[np.unique(diagnosis.truth.video)]).sum())
    if unknown:
        what = f"no 'duration' in {unknown} of {len(durations)} records (`mma82 convert --media` adds it)"
        pipe.note(f"{what}: the lines on coverage are left out")
    strange = len(predictions.video) - len(diagnosis.predictions.video)
    if strange:
        pipe.note(f"{strange} of {len(predictions.video)} predictions have a label without truth and are left out")
