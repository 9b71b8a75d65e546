"""`mma82 score` on clips: recognition's metrics, intervals, comparisons and items."""

from __future__ import annotations

from dataclasses import replace

from mma82cli.commands.report import Report
from mma82cli.counting import Counted, Counting, count, count_parts
from mma82cli.metrics import report
from mma82cli.predictions import load_truth
from mma82cli.records import DataError
from mma82cli.stream import Line, Pipe
from mma82cli.taxonomy import Taxonomy


class Clips:
    """Clips that are scored; `asked` are the options of `score`."""

    kind = "recognition"

    def __init__(self, asked, taxonomy: Taxonomy):
        self.asked, self.taxonomy = asked, taxonomy
        truth = load_truth(asked.truth, taxonomy, asked.target) if asked.truth else None
        body_rule = None if asked.level == "action" else asked.body
        resampled = bool(asked.ci or asked.compare)
        self.how = Counting(
            taxonomy, asked.target, asked.split, asked.groups, asked.cluster, body_rule, truth, resampled, bool(asked.compare)
        )
        self.counted: Counted | None = None

    @property
    def settings(self) -> dict:
        """The choices that counts of shards have to agree on."""
        body = self.how.body_rule if self.taxonomy.bodies else None
        names = {"taxonomy": self.taxonomy.name, "target": self.asked.target}
        return names | {"split": self.asked.split or "all", "body": body}

    def read(self, pipe: Pipe, parts, also=None) -> None:
        """Counts all predictions, from `parts` of the files where there are any; `also` takes the records' detections."""
        simple = parts and not (self.asked.items or also)
        self.counted = count_parts(self.how, parts) if simple else None
        if self.counted is None:
            each = (lambda *batch: self._write_items(pipe, *batch)) if self.asked.items else None
            self.counted = count(self.how, pipe, each, also)
        for line in self.counted.lines:
            self._add_counts(pipe, line)
        self._tell(pipe)

    def _add_counts(self, pipe: Pipe, line) -> None:
        if self.how.outcomes:
            return pipe.reject(line, "counts hold no single clips; --ci and --compare need predictions")
        try:
            self.counted.tally.add_record(line.record, self.settings)
        except DataError as error:
            pipe.reject(line, error)

    def _tell(self, pipe: Pipe) -> None:
        """Says what a person must know about the numbers."""
        for name in sorted(self.counted.other_taxonomies):
            pipe.note(f"scores follow taxonomy '{name}'; they are read as {self.taxonomy.name}")
        wanted = [n for n, t in (self.how.truth or {}).items() if self.asked.split in (None, t.get("split"))]
        missing = [name for name in wanted if name not in self.counted.scored]
        if missing and pipe.on_error != "skip":
            told = f"no prediction for {len(missing)} of the truth's records, the first is {missing[0]!r}"
            raise DataError(f"{told}; expected one for each (--on-error skip leaves them out)")
        for name in missing:
            pipe.reject(Line({"id": name}, str(self.asked.truth), f"id {name}"), "no prediction")
        tally = self.counted.tally
        ties = sum(levels["action"].ties for levels in tally.groups.values())
        if ties:
            pipe.note(f"in {ties} of {tally.n} records the true label ties with another; the lower id counts first")

    def counts(self):
        """Mergeable records, one a group."""
        return self.counted.tally.to_records(self.settings)

    def report(self, pipe: Pipe) -> Report:
        """The figures that were asked for."""
        asked, tally = self.asked, self.counted.tally
        levels = ["action", "body"] if asked.level == "both" else [asked.level]
        lines = self._figures(levels)
        choices = self.settings | {"labels": asked.labels, "ties": "lowest-id"}
        if self.how.outcomes:
            choices |= {"bootstrap": asked.resamples, "cluster": asked.cluster or "clip", "seed": asked.seed}
            self._resample(pipe, lines)
        if asked.mean_over:
            return Report(report.mean_over(lines, asked.mean_over), choices)
        if asked.per_class:
            lines += report.class_lines(tally, levels)
        if asked.confusion:
            lines += report.confusion_lines(tally, levels)
        return Report(lines, choices)

    def _figures(self, levels: list[str]) -> list[dict]:
        tally, metrics = self.counted.tally, [m for m in self.asked.metrics if m != "map"]
        if tally.n == 0:
            raise DataError("no predictions; expected records with 'label' and 'scores'")
        lines = list(report.metric_lines(tally, levels, self.asked.labels))
        if "top5" in metrics and sum(x["metric"] == "top5" for x in lines) < sum(x["metric"] == "top1" for x in lines):
            raise DataError("'topk' is too short to tell the five best; expected 'scores', or a larger --topk")
        lines = [line for line in lines if not metrics or line["metric"] in metrics]
        if not lines:
            lacks = "" if self.taxonomy.bodies else f"; taxonomy {self.taxonomy.name} has no body groups"
            raise DataError(f"no {', '.join(metrics or levels)} at level {' and '.join(levels)}{lacks}")
        return lines

    def _resample(self, pipe: Pipe, lines: list[dict]) -> None:
        asked, (tally, mine) = self.asked, (self.counted.tally, self.counted.outcomes)
        resampling = asked.resamples, asked.seed, asked.labels
        if asked.ci:
            degenerate = report.add_intervals(lines, tally, mine, *resampling)
            if degenerate:
                pipe.note(f"{degenerate} group(s) have one unit to resample, so no interval: ci is null")
        if asked.compare:
            other = count(replace(self.how, cluster=None), Pipe("score", [asked.compare])).outcomes
            report.add_comparison(lines, tally, mine, other, *resampling)

    def _write_items(self, pipe: Pipe, batch, ranked, groups) -> None:
        names, ranked = self.taxonomy.names, ranked["action"]
        rows = zip(ranked.truth.tolist(), ranked.predicted.tolist(), ranked.rank.tolist(), strict=True)
        for i, (truth, predicted, rank) in enumerate(rows):
            fields = dict(zip(self.how.by, groups[i], strict=True)) if groups else {}
            label, guess = names[truth], names[predicted]
            item = {"label": label, "predicted": guess, "rank": rank + 1, "correct": rank == 0}
            pipe.write({"id": batch.ids[i], **fields, **item})
