"""`mma82 score`: the metrics of the benchmark from records that hold truth and prediction."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mma82cli.commands.options import Target, TaxonomyName, choice, command
from mma82cli.records import DataError

Metric = choice("top1", "top5", "mca", "macro-f1", "micro-f1", "f1-mean")
Level = choice("both", "action", "body")
LabelRule = choice("sklearn", "present", "union", "all")
BodyRule = choice("max", "sum", "mapped")
Format = choice("jsonl", "table", "markdown", "latex", "tsv", "plain")

EXAMPLE = """
mma82 score --metric mca < preds.jsonl
mma82 infer run/ --split test clips.jsonl | mma82 score --by domain --format table
split -n l/4 --filter 'mma82 score --counts' preds.jsonl | mma82 score
"""


@command(example=EXAMPLE)
def run(
    pipe,
    metric: Annotated[list[Metric], typer.Option("--metric", show_default=False, help="repeat for several; none: all")] = None,
    level: Annotated[Level, typer.Option("--level", help="actions, their body groups")] = Level.both,
    taxonomy: TaxonomyName = "mma82",
    target: Target = "label",
    split: Annotated[str, typer.Option("--split", metavar="NAME", show_default=False, help="only records of this split")] = None,
    by: Annotated[list[str], typer.Option("--by", metavar="FIELD", show_default=False, help="a result for each value")] = None,
    labels: Annotated[LabelRule, typer.Option("--labels", help="labels that mca and macro-f1 average over")] = LabelRule.sklearn,
    body: Annotated[BodyRule, typer.Option("--body", help="how actions score their body group")] = BodyRule.max,
    truth: Annotated[str, typer.Option("--truth", metavar="FILE", show_default=False, help="truth to join by id")] = None,
    per_class: Annotated[bool, typer.Option("--per-class", help="add a line for each label")] = False,
    confusion: Annotated[bool, typer.Option("--confusion", help="add a line for each pair of labels that occurs")] = False,
    items: Annotated[bool, typer.Option("--items", help="a line for each record instead")] = False,
    counts: Annotated[bool, typer.Option("--counts", help="mergeable counts instead; score reads them back")] = False,
    format: Annotated[Format, typer.Option("--format", show_default=False, help="jsonl; on a terminal: table")] = None,
) -> None:
    """Score recognition: records with `label` and `scores` (or `topk`) in, a line for each metric and level out:
    metric, level, value (a fraction), n, signature.

    Averages are scikit-learn's: mca is balanced_accuracy_score, macro-f1 is f1_score over labels seen in truth or
    prediction. --labels union is what mmaction2 and pyskl compute for mca. A score that ties with the truth counts
    by label id, lowest first. --body max: a group scores as its best action; mapped: the five best actions' groups,
    repeats and all. f1-mean is the mean of macro- and micro-F1 over both levels.
    """
    from mma82cli.metrics.tally import Tally
    from mma82cli.predictions import Predictions, load_truth
    from mma82cli.taxonomy import load_taxonomy

    label_set = load_taxonomy(taxonomy)
    tally = Tally(label_set, by or (), None if level == Level.action else body.value)
    settings = {"taxonomy": label_set.name, "target": target, "split": split or "all", "body": tally.body_rule}
    answers = load_truth(truth, label_set, target) if truth else None
    reader = Predictions(pipe, label_set, target, split, by or (), answers, softmax=body == BodyRule.sum)
    for batch in reader.batches():
        ranked = tally.rank(batch.labels, batch.scores)
        tally.add(ranked, batch.groups)
        if items:
            _write_items(pipe, label_set, batch, ranked["action"], tally.by)
    for line in reader.counts:
        try:
            tally.add_record(line.record, settings)
        except DataError as error:
            pipe.reject(line, error)
    _tell(pipe, reader, tally)
    if counts:
        for record in tally.to_records(settings):
            pipe.write(record)
    elif not items:
        names = [m.value for m in metric] if metric else None
        levels = ["action", "body"] if level == Level.both else [level.value]
        lines = _report(tally, names, levels, labels.value, per_class, confusion)
        _write(pipe, lines, _signature(settings, labels.value), format)


def _write_items(pipe, taxonomy, batch, ranked, by) -> None:
    rows = zip(batch.ids, ranked.truth.tolist(), ranked.predicted.tolist(), ranked.rank.tolist(), batch.groups, strict=True)
    for name, truth, predicted, rank, group in rows:
        fields = dict(zip(by, group, strict=True))
        label, guess = taxonomy.names[truth], taxonomy.names[predicted]
        pipe.write({"id": name, **fields, "label": label, "predicted": guess, "rank": rank + 1, "correct": rank == 0})


def _tell(pipe, reader, tally) -> None:
    """What a person must know about the numbers: other taxonomies, ties, records without a prediction."""
    for name in sorted(reader.other_taxonomies):
        pipe.note(f"scores follow taxonomy '{name}'; they are read as {reader.taxonomy.name}")
    missing = reader.missing()
    if missing:
        raise DataError(f"no prediction for {len(missing)} of the truth's records, the first is {missing[0]!r}")
    ties = sum(levels["action"].ties for levels in tally.groups.values())
    if ties:
        pipe.note(f"in {ties} of {tally.n} records the true label ties with another; the lower id counts first")


def _report(tally, metrics, levels, rule, per_class, confusion) -> list[dict]:
    from mma82cli.metrics import tally as lines

    if tally.n == 0:
        raise DataError("no predictions; expected records with 'label' and 'scores'")
    report = list(lines.metric_lines(tally, metrics, levels, rule))
    if not report:
        raise DataError(f"taxonomy {tally.taxonomy.name} has no body groups; {', '.join(metrics or levels)} needs them")
    if per_class:
        report += lines.class_lines(tally, levels)
    if confusion:
        report += lines.confusion_lines(tally, levels)
    return report


def _signature(settings: dict, labels: str) -> str:
    from mma82cli import __version__

    choices = settings | {"labels": labels, "ties": "lowest-id", "version": __version__}
    return "|".join(f"{key}:{value}" for key, value in choices.items() if value is not None)


def _write(pipe, lines: list[dict], signature: str, format) -> None:
    lines = [line | {"signature": signature} for line in lines]
    on_terminal = pipe.out.path is None and sys.stdout.isatty()
    if format is None:
        format = Format.table if on_terminal else Format.jsonl
    if format == Format.jsonl:
        for line in lines:
            pipe.write(line)
        return
    from mma82cli.tables import render

    pipe.out.write(render(lines, format.value).encode())
