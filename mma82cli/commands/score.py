"""`mma82 score`: the metrics of the benchmark from records that hold truth and prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from mma82cli.commands.options import Seed, Split, Target, TaxonomyName, Truth, command, one_of
from mma82cli.commands.report import FormatOption, write_reports
from mma82cli.metrics import METRICS
from mma82cli.records import WrongUsage

Metric = one_of(*METRICS, "map")
Level = Literal["both", "action", "body"]
LabelRule = Literal["sklearn", "present", "union", "all"]
BodyRule = Literal["max", "sum", "mapped"]
Evaluator = Literal["opentad", "activitynet", "mac"]
Suppression = Literal["gauss", "linear", "hard"]

EXAMPLE = """
mma82 score --metric mca < preds.jsonl
mma82 infer run/ --split test clips.jsonl | mma82 score --by domain --format table
split -n l/4 --filter 'mma82 score --counts' preds.jsonl | mma82 score
"""


DETAILS = """
Averages are scikit-learn's: mca is balanced_accuracy_score, macro-f1 is f1_score over labels seen in truth or
prediction. --labels union is what mmaction2 and pyskl compute for mca. A score that ties with the truth counts
by label id, lowest first. --body max: a group scores as its best action; mapped: the five best actions' groups,
repeats and all. f1-mean is the mean of macro- and micro-F1 over both levels.

--ci resamples clips (of map: videos), or with --cluster subject whole subjects, whose clips are not
independent: percentile interval (of map: laid around the value, above which resamples of rare labels lie).
--compare aligns two systems by id and adds the other's value, delta, its interval, a paired bootstrap p, and
McNemar's exact p for top1 (1000 resamples unless --ci says otherwise). --mean-over run gives the mean over runs
with standard deviation and 95 % t interval, n being the clips of all runs together; --mean-over file where each FILE is a run.

Records with `predictions` and `segments` get map: AP a label and tIoU as opentad (drops repeated and empty truth),
activitynet or mac (0.0001 s in every union) define it, the mean over the labels that have truth, at each tIoU and
over them ("avg"). Equal scores: by id, then by place in the record. The body level maps labels to groups and scores
what it is given; a detector that was suppressed per action leaves twins in a group: --body-suppress gauss takes
them out first. Level avg is the mean of both. --truth takes videos with `segments`, or a segment a line. Records with
`scores` and `predictions` are scored as both.
"""

Metrics = Annotated[list[Metric], typer.Option("--metric", show_default=False, help="repeat for several; none: all")]
LevelOption = Annotated[Level, typer.Option("--level", help="actions, their body groups")]
By = Annotated[list[str], typer.Option("--by", metavar="FIELD", show_default=False, help="a result for each value")]
Labels = Annotated[LabelRule, typer.Option("--labels", help="labels that mca and macro-f1 average over")]
Body = Annotated[BodyRule, typer.Option("--body", help="how actions score their body group")]
PerClass = Annotated[bool, typer.Option("--per-class", help="add a line for each label")]
Confusion = Annotated[bool, typer.Option("--confusion", help="add a line for each pair of labels that occurs")]
Interval = Annotated[int, typer.Option("--ci", metavar="N", min=0, help="add a 95 % interval from N resamples; 0: none")]
Cluster = Annotated[str, typer.Option("--cluster", metavar="FIELD", show_default=False, help="resample its values")]
Compare = Annotated[str, typer.Option("--compare", metavar="FILE", show_default=False, help="another system")]
MeanOver = Annotated[str, typer.Option("--mean-over", metavar="FIELD", show_default=False, help="mean over runs; file: FILEs")]
Jobs = Annotated[int, typer.Option("--jobs", metavar="N", min=1, help="processes, where FILEs are plain files of clips")]
Items = Annotated[bool, typer.Option("--items", help="a line for each record instead")]
CountsOption = Annotated[bool, typer.Option("--counts", help="mergeable counts instead; score reads them back")]
EvaluatorOption = Annotated[Evaluator, typer.Option("--evaluator", help="whose map")]
Tiou = Annotated[str, typer.Option("--tiou", metavar="LO:HI:STEP|T,T", help="thresholds of map")]
BodySuppress = Annotated[Suppression, typer.Option("--body-suppress", show_default=False, help="once more on groups")]


@dataclass(frozen=True)
class Asked:
    """The options of a call, in plain words."""

    metrics: tuple[str, ...]
    level: str
    target: str
    split: str | None
    by: tuple[str, ...]
    labels: str
    body: str
    truth: str | None
    per_class: bool
    confusion: bool
    ci: int
    cluster: str | None
    compare: str | None
    mean_over: str | None
    items: bool
    evaluator: str
    tiou: str
    body_suppress: str | None
    seed: int

    @property
    def groups(self) -> tuple[str, ...]:
        """The fields whose values are counted apart."""
        return (*self.by, *([self.mean_over] if self.mean_over else ()))

    @property
    def resamples(self) -> int:
        """How many there are, where there are any."""
        return self.ci or 1000


@command(
    example=EXAMPLE, details=DETAILS,
    takes="id label split scores scores_kind topk taxonomy run segments predictions",
    writes="metric level value n signature",
)
def run(
    pipe, metric: Metrics = None, level: LevelOption = "both", taxonomy: TaxonomyName = "mma82", target: Target = "label",
    split: Split = None, by: By = None, labels: Labels = "sklearn", body: Body = "max", truth: Truth = None,
    per_class: PerClass = False, confusion: Confusion = False, ci: Interval = 0, cluster: Cluster = None,
    compare: Compare = None, mean_over: MeanOver = None, items: Items = False, counts: CountsOption = False,
    evaluator: EvaluatorOption = "opentad", tiou: Tiou = "0.1:0.9:0.1", body_suppress: BodySuppress = None,
    jobs: Jobs = 1, format: FormatOption = None, seed: Seed = 0,
) -> None:  # fmt: skip
    """Score recognition (records with `label` and `scores` or `topk`) or detection (`segments` and `predictions`):
    a line for each metric and level, with metric, level, value (a fraction), n, signature."""
    from mma82cli.taxonomy import load_taxonomy

    asked = Asked(
        tuple(metric or ()), level, target, split, tuple(by or ()), labels, body, truth,
        per_class, confusion, ci, cluster, compare, mean_over, items, evaluator, tiou,
        body_suppress, seed,
    )  # fmt: skip
    parts = _parts(pipe, jobs)
    kinds = _kinds(pipe, asked.metrics)
    _refuse_what_does_not_fit(asked, kinds, counts)
    tasks = _read(pipe, asked, kinds, load_taxonomy(taxonomy), parts)
    if counts:
        for task in tasks:
            others = {"with": [kind for kind in kinds if kind != task.kind]} if len(kinds) > 1 else {}
            for record in task.counts():
                pipe.write(record | others)
    elif not items:
        from mma82cli.metrics.tables import tables

        write_reports(pipe, [task.report(pipe) for task in tasks], format, tables)


def _parts(pipe, jobs: int):
    """What each of several processes reads; None: one reads all."""
    if jobs == 1:
        return None
    from mma82cli.shares import shares

    return shares(pipe.files, jobs)


def _kinds(pipe, metrics: tuple[str, ...]) -> list[str]:
    """What is to be scored, recognition or detection or both: as the metrics say, or else the first record."""
    if metrics:
        return ["recognition"] * any(m != "map" for m in metrics) + ["detection"] * ("map" in metrics)
    first = pipe.peek() or {}
    if "counts" in first:
        others = first.get("with")
        return ["recognition", "detection"] if others else ["detection" if first["counts"] == "detection" else "recognition"]
    clips, videos = "scores" in first or "topk" in first, "predictions" in first
    if clips and videos:
        return ["recognition", "detection"]
    return ["detection"] if not clips and (videos or "segments" in first) else ["recognition"]


def _refuse_what_does_not_fit(asked: Asked, kinds: list[str], counts: bool) -> None:
    if kinds == ["detection"]:
        for name, value in (("--confusion", asked.confusion), ("--items", asked.items)):
            if value:
                raise WrongUsage(f"{name} is of clips that have scores, not for map")
    for name, given in (("--ci", bool(asked.ci)), ("--compare", bool(asked.compare))):
        if given and asked.mean_over:
            raise WrongUsage(f"{name} is of one run; --mean-over gives the interval over runs by itself")
        if given and counts:
            raise WrongUsage(f"{name} is not for --counts; it is for who reads them")


def _read(pipe, asked: Asked, kinds: list[str], taxonomy, parts) -> list:
    """The tasks, with all that they need from the pipe."""
    clips = videos = None
    if "recognition" in kinds:
        from mma82cli.commands.score_clips import Clips

        clips = Clips(asked, taxonomy)
    if "detection" in kinds:
        from mma82cli.commands.score_detections import Videos

        videos = Videos(asked, taxonomy)
    if clips and videos:
        also = videos.reader(pipe)
        clips.read(pipe, None, also)
        videos.finish(pipe, also)
    elif clips:
        clips.read(pipe, parts)
    else:
        videos.read(pipe)
    return [task for task in (clips, videos) if task]
