"""`mma82 score`: the metrics of the benchmark from records that hold truth and prediction."""

from __future__ import annotations

from typing import Annotated

import typer

from mma82cli.commands.options import Seed, Target, TaxonomyName, choice, command
from mma82cli.commands.report import FormatOption, write_report
from mma82cli.records import DataError, WrongUsage

Metric = choice("top1", "top5", "mca", "macro-f1", "micro-f1", "f1-mean", "map")
Level = choice("both", "action", "body")
LabelRule = choice("sklearn", "present", "union", "all")
BodyRule = choice("max", "sum", "mapped")
Evaluator = choice("opentad", "activitynet", "mac")
Suppression = choice("gauss", "linear", "hard")

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

--ci resamples clips, or with --cluster subject whole subjects, whose clips are not independent: percentile
interval. --compare aligns two systems by id and adds the other's value, delta, its interval, a paired bootstrap
p, and McNemar's exact p for top1 (1000 resamples unless --ci says otherwise). --mean-over run gives the mean
over runs with standard deviation and 95 % t interval.

Records with `predictions` and `segments` get map: AP a label and tIoU as opentad (drops repeated and empty truth),
activitynet or mac (0.0001 s in every union) define it, the mean over the labels that have truth, at each tIoU and
over them ("avg"). Equal scores: by id, then by place in the record. The body level maps labels to groups and scores
what it is given; a detector that was suppressed per action leaves twins in a group: --body-suppress gauss takes
them out first. Level avg is the mean of both. --truth takes videos with `segments`, or a segment a line.
"""

Metrics = Annotated[list[Metric], typer.Option("--metric", show_default=False, help="repeat for several; none: all")]
LevelOption = Annotated[Level, typer.Option("--level", help="actions, their body groups")]
Split = Annotated[str, typer.Option("--split", metavar="NAME", show_default=False, help="only records of this split")]
By = Annotated[list[str], typer.Option("--by", metavar="FIELD", show_default=False, help="a result for each value")]
Labels = Annotated[LabelRule, typer.Option("--labels", help="labels that mca and macro-f1 average over")]
Body = Annotated[BodyRule, typer.Option("--body", help="how actions score their body group")]
Truth = Annotated[str, typer.Option("--truth", metavar="FILE", show_default=False, help="truth to join by id")]
PerClass = Annotated[bool, typer.Option("--per-class", help="add a line for each label")]
Confusion = Annotated[bool, typer.Option("--confusion", help="add a line for each pair of labels that occurs")]
Interval = Annotated[int, typer.Option("--ci", metavar="N", min=0, help="add a 95 % interval from N resamples; 0: none")]
Cluster = Annotated[str, typer.Option("--cluster", metavar="FIELD", show_default=False, help="resample its values")]
Compare = Annotated[str, typer.Option("--compare", metavar="FILE", show_default=False, help="another system")]
MeanOver = Annotated[str, typer.Option("--mean-over", metavar="FIELD", show_default=False, help="mean of runs")]
Items = Annotated[bool, typer.Option("--items", help="a line for each record instead")]
CountsOption = Annotated[bool, typer.Option("--counts", help="mergeable counts instead; score reads them back")]
EvaluatorOption = Annotated[Evaluator, typer.Option("--evaluator", help="whose map")]
Tiou = Annotated[str, typer.Option("--tiou", metavar="LO:HI:STEP|T,T", help="thresholds of map")]
BodySuppress = Annotated[Suppression, typer.Option("--body-suppress", show_default=False, help="once more on groups")]


@command(
    example=EXAMPLE, details=DETAILS,
    takes="id label split scores scores_kind topk taxonomy run segments predictions",
    writes="metric level value n signature",
)
def run(
    pipe, metric: Metrics = None, level: LevelOption = Level.both, taxonomy: TaxonomyName = "mma82", target: Target = "label",
    split: Split = None, by: By = None, labels: Labels = LabelRule.sklearn, body: Body = BodyRule.max, truth: Truth = None,
    per_class: PerClass = False, confusion: Confusion = False, ci: Interval = 0, cluster: Cluster = None,
    compare: Compare = None, mean_over: MeanOver = None, items: Items = False, counts: CountsOption = False,
    evaluator: EvaluatorOption = Evaluator.opentad, tiou: Tiou = "0.1:0.9:0.1", body_suppress: BodySuppress = None,
    format: FormatOption = None, seed: Seed = 0,
) -> None:  # fmt: skip
    """Score recognition (records with `label` and `scores` or `topk`) or detection (`segments` and `predictions`):
    a line for each metric and level, with metric, level, value (a fraction), n, signature."""
    from mma82cli.metrics.tables import tables

    names = [m.value for m in metric or ()]
    if _is_detection(pipe, names):
        _refuse({"--ci": ci, "--compare": compare, "--cluster": cluster, "--confusion": confusion, "--items": items})
        label_set, by = _label_set(taxonomy, level.value), [*(by or ()), *([mean_over] if mean_over else ())]
        detection = _Detection(label_set, by, level.value, evaluator.value, tiou, body_suppress and body_suppress.value)
        detection.read(pipe, split, truth)
        if counts:
            return detection.write_counts(pipe)
        lines = detection.lines(pipe, per_class, mean_over)
        return write_report(pipe, lines, detection.settings, format and format.value, tables)
    from mma82cli.metrics.confidence import Outcomes
    from mma82cli.metrics.tally import Tally
    from mma82cli.taxonomy import load_taxonomy

    label_set = load_taxonomy(taxonomy)
    by = [*(by or ()), *([mean_over] if mean_over else ())]
    tally = Tally(label_set, by, None if level == Level.action else body.value)
    settings = {"taxonomy": label_set.name, "target": target, "split": split or "all", "body": tally.body_rule}
    outcomes = Outcomes() if ci or compare else None
    reading = _Reading(tally, target, split, cluster, truth)
    reader = reading.count(pipe, outcomes, items)
    _finish_counts(pipe, reader, tally, settings, refuse=outcomes is not None)
    if counts:
        for record in tally.to_records(settings):
            pipe.write(record)
    if counts or items:
        return
    levels = ["action", "body"] if level == Level.both else [level.value]
    lines = _figures(tally, names, levels, labels.value)
    choices = settings | {"labels": labels.value, "ties": "lowest-id"}
    if outcomes is not None:
        choices |= {"bootstrap": ci or 1000, "cluster": cluster or "clip", "seed": seed}
        resampling = (choices["bootstrap"], seed, labels.value)
        if ci:
            _add_intervals(pipe, lines, tally, outcomes, *resampling)
        if compare:
            _add_comparison(lines, tally, outcomes, reading.other(compare), *resampling)
    lines = _all_lines(lines, tally, levels, mean_over, per_class, confusion)
    write_report(pipe, lines, choices, format and format.value, tables)


class _Reading:
    """How predictions are read: the same for the system that is scored and for the one it is compared with."""

    def __init__(self, tally, target: str, split: str | None, cluster: str | None, truth: str | None):
        from mma82cli.predictions import load_truth

        self.tally, self.target, self.split, self.cluster = tally, target, split, cluster
        self.truth = load_truth(truth, tally.taxonomy, target) if truth else None

    def count(self, pipe, outcomes, items: bool):
        """Counts every prediction; keeps what becomes of each in `outcomes` or writes it as an item, where asked to."""
        tally = self.tally

        def add(batch, ranked, groups) -> None:
            tally.add(ranked, groups)
            if outcomes is not None:
                outcomes.add(ranked, groups, [g[-1] for g in batch.groups] if self.cluster else [], batch.ids)
            if items:
                _write_items(pipe, tally, batch, ranked["action"], groups)

        return self._each(pipe, add)

    def other(self, path: str):
        """The outcomes of the system in another file."""
        from mma82cli.metrics.confidence import Outcomes
        from mma82cli.stream import Pipe

        other = Outcomes()
        self._each(Pipe("score", [path]), lambda batch, ranked, groups: other.add(ranked, groups, [], batch.ids))
        return other

    def _each(self, pipe, add):
        from mma82cli.predictions import Predictions

        by = self.tally.by
        fields, softmax = [*by, *([self.cluster] if self.cluster else ())], self.tally.body_rule == "sum"
        reader = Predictions(pipe, self.tally.taxonomy, self.target, self.split, fields, self.truth, softmax)
        for batch in reader.batches():
            groups = [group[: len(by)] for group in batch.groups] if self.cluster else batch.groups
            add(batch, self.tally.rank(batch.labels, batch.scores), groups)
        return reader


def _finish_counts(pipe, reader, tally, settings, refuse: bool) -> None:
    """Adds the counts met among the predictions, and says what a person must know about the numbers."""
    for line in reader.counts:
        if refuse:
            pipe.reject(line, "counts hold no single clips; --ci and --compare need predictions")
            continue
        try:
            tally.add_record(line.record, settings)
        except DataError as error:
            pipe.reject(line, error)
    for name in sorted(reader.other_taxonomies):
        pipe.note(f"scores follow taxonomy '{name}'; they are read as {reader.taxonomy.name}")
    missing = reader.missing()
    if missing:
        raise DataError(f"no prediction for {len(missing)} of the truth's records, the first is {missing[0]!r}")
    ties = sum(levels["action"].ties for levels in tally.groups.values())
    if ties:
        pipe.note(f"in {ties} of {tally.n} records the true label ties with another; the lower id counts first")


def _figures(tally, metrics: list[str], levels: list[str], rule: str) -> list[dict]:
    from mma82cli.metrics.report import metric_lines

    if tally.n == 0:
        raise DataError("no predictions; expected records with 'label' and 'scores'")
    lines = list(metric_lines(tally, levels, rule))
    if "top5" in metrics and sum(x["metric"] == "top5" for x in lines) < sum(x["metric"] == "top1" for x in lines):
        raise DataError("'topk' is too short to tell the five best; expected 'scores', or a larger --topk")
    lines = [line for line in lines if not metrics or line["metric"] in metrics]
    if not lines:
        lacks = "" if tally.taxonomy.bodies else f"; taxonomy {tally.taxonomy.name} has no body groups"
        raise DataError(f"no {', '.join(metrics or levels)} at level {' and '.join(levels)}{lacks}")
    return lines


def _add_intervals(pipe, lines, tally, outcomes, resamples, seed, rule) -> None:
    from mma82cli.metrics.report import add_intervals

    degenerate = add_intervals(lines, tally, outcomes, resamples, seed, rule)
    if degenerate:
        pipe.note(f"{degenerate} group(s) have one unit to resample, so no interval: ci is null")


def _add_comparison(lines, tally, outcomes, other, resamples, seed, rule) -> None:
    from mma82cli.metrics.report import add_comparison

    add_comparison(lines, tally, outcomes, other, resamples, seed, rule)


def _all_lines(lines, tally, levels, over, per_class, confusion) -> list[dict]:
    from mma82cli.metrics import report

    if over:
        return report.mean_over(lines, over)
    if per_class:
        lines += report.class_lines(tally, levels)
    if confusion:
        lines += report.confusion_lines(tally, levels)
    return lines


def _write_items(pipe, tally, batch, ranked, groups) -> None:
    names = tally.taxonomy.names
    rows = zip(batch.ids, ranked.truth.tolist(), ranked.predicted.tolist(), ranked.rank.tolist(), groups, strict=True)
    for name, truth, predicted, rank, group in rows:
        fields = dict(zip(tally.by, group, strict=True))
        label, guess = names[truth], names[predicted]
        pipe.write({"id": name, **fields, "label": label, "predicted": guess, "rank": rank + 1, "correct": rank == 0})


def _is_detection(pipe, metrics: list[str]) -> bool:
    """Whether detections are to be scored: as the metrics say, or else the first record."""
    if "map" in metrics and len(set(metrics)) > 1:
        raise WrongUsage("map is of detections, the other metrics are of clips; score them one after the other")
    if metrics:
        return metrics == ["map"]
    first = pipe.peek() or {}
    spans = "predictions" in first or "segments" in first
    return first.get("counts") == "detection" or (spans and "scores" not in first and "topk" not in first)


def _refuse(options: dict) -> None:
    for name in (name for name, value in options.items() if value):
        raise WrongUsage(f"{name} is not for map (yet); it resamples, pairs or lists clips that have scores")


def _label_set(taxonomy: str, level: str):
    from mma82cli.taxonomy import load_taxonomy

    label_set = load_taxonomy(taxonomy)
    if level == "body" and not label_set.bodies:
        raise DataError(f"no map at level body; taxonomy {label_set.name} has no body groups")
    return label_set


class _Detection:
    """How detections are read, matched and counted."""

    def __init__(self, taxonomy, by, level: str, evaluator: str, tiou: str, body_suppress: str | None):
        from mma82cli.metrics.detection import parse_tious, show_tious
        from mma82cli.metrics.detection_report import MatchTally

        levels = ["action", *(["body"] if taxonomy.bodies else [])] if level == "both" else [level]
        self.taxonomy, self.evaluator, self.body_suppress = taxonomy, evaluator, body_suppress
        tious = parse_tious(tiou)
        self.tally = MatchTally(taxonomy, by, levels, tious)
        body = f"mapped+{body_suppress}" if body_suppress else "mapped"
        self.settings = {"metric": "map", "taxonomy": taxonomy.name, "split": "all", "evaluator": evaluator}
        self.settings |= {"tiou": show_tious(tious), "body": body if "body" in levels else None, "ties": "score,id,place"}

    def read(self, pipe, split: str | None, truth: str | None) -> None:
        """Matches every detection, and adds the counts met among them."""
        from mma82cli.detections import Detections, load_truth
        from mma82cli.metrics.detection import best_first, oddities

        self.settings["split"] = split or "all"
        reader = Detections(pipe, self.taxonomy, split, self.tally.by, load_truth(truth, self.taxonomy) if truth else None)
        lost = reader.read().finish()
        for line in reader.counts:
            try:
                self.tally.add_record(line.record, self.settings)
            except DataError as error:
                pipe.reject(line, error)
        if reader.keys:
            real, found = reader.truth.spans(), reader.found.spans()
            order = best_first(found.scores)
            self.tally.add(reader.keys, reader.groups, self._levels(real, found, order))
            self._tell(pipe, reader, lost, oddities(real, found, self.evaluator, order))
        self.tally.finish()

    def _levels(self, real, found, order) -> dict:
        from mma82cli.detections import suppressed
        from mma82cli.metrics.detection import mapped
        from mma82cli.metrics.detection_report import matched

        levels = {}
        for level in self.tally.parts:
            truth, guesses = real, found
            if level == "body":
                truth, guesses = mapped(real, self.taxonomy.body), mapped(found, self.taxonomy.body)
                if self.body_suppress:
                    guesses, order = suppressed(guesses, self.body_suppress), None
            levels[level] = matched(truth, guesses, self.tally.tious, self.evaluator, order)
        return levels

    def _tell(self, pipe, reader, lost: int, oddities: list[str]) -> None:
        """Says what a person must know about the numbers."""
        for name in sorted(reader.other_taxonomies):
            pipe.note(f"predictions follow taxonomy '{name}'; they are read as {self.taxonomy.name}")
        if lost:
            pipe.note(f"{lost} of the truth's videos have no record of predictions; their segments count as missed")
        if reader.strangers:
            pipe.note(f"{reader.strangers} video(s) are not in the truth; all their predictions count as false")
        for message in oddities:
            pipe.note(message)

    def write_counts(self, pipe) -> None:
        """A mergeable line for each video."""
        for record in self.tally.to_records(self.settings):
            pipe.write(record)

    def lines(self, pipe, per_class: bool, mean_over: str | None) -> list[dict]:
        """The figures of a report."""
        from mma82cli.metrics import detection_report, report

        wanted = [*self.tally.parts, *(["avg"] if len(self.tally.parts) == 2 else [])]
        lines = detection_report.lines(self.tally, wanted, per_class and not mean_over)
        empty = sum(line["value"] is None for line in lines if line["metric"] == "map" and line["tiou"] == "avg")
        if empty == sum(line["metric"] == "map" and line["tiou"] == "avg" for line in lines):
            raise DataError("no segments in the truth; a mean average precision needs at least one")
        if empty:
            pipe.note("a group without a segment in the truth has no mean average precision: value is null")
        return report.mean_over([x for x in lines if x["value"] is not None], mean_over) if mean_over else lines
