"""`mma82 score` on detections: mean average precision, its intervals and comparisons."""

from __future__ import annotations

from mma82cli.commands.report import Report
from mma82cli.detections import Detections, load_truth, suppressed
from mma82cli.metrics import detection_intervals, detection_report, report
from mma82cli.metrics.detection import best_first, mapped, oddities, parse_tious, show_tious
from mma82cli.metrics.detection_report import MatchTally, matched
from mma82cli.records import DataError
from mma82cli.stream import Pipe
from mma82cli.taxonomy import Taxonomy


class Videos:
    """Videos whose detections are scored; `asked` are the options of `score`."""

    kind = "detection"

    def __init__(self, asked, taxonomy: Taxonomy):
        if asked.level == "body" and not taxonomy.bodies:
            raise DataError(f"no map at level body; taxonomy {taxonomy.name} has no body groups")
        self.asked, self.taxonomy = asked, taxonomy
        self.tious = parse_tious(asked.tiou)
        both = ["action", *(["body"] if taxonomy.bodies else [])]
        self.levels = both if asked.level == "both" else [asked.level]
        self.truth = load_truth(asked.truth, taxonomy) if asked.truth else None
        self.tally: MatchTally | None = None

    @property
    def settings(self) -> dict:
        """The choices that counts of shards have to agree on."""
        suppress = self.asked.body_suppress
        body = (f"mapped+{suppress}" if suppress else "mapped") if "body" in self.levels else None
        names = {"metric": "map", "taxonomy": self.taxonomy.name, "split": self.asked.split or "all"}
        names |= {"evaluator": self.asked.evaluator, "tiou": show_tious(self.tious)}
        return names | {"body": body, "ties": "score,id,place"}

    def reader(self, pipe: Pipe) -> Detections:
        """What collects the videos of a pipe."""
        fields = [*self.asked.groups, *([self.asked.cluster] if self.asked.cluster else ())]
        return Detections(pipe, self.taxonomy, self.asked.split, fields, self.truth)

    def read(self, pipe: Pipe) -> None:
        """Matches every detection, and adds the counts met among them."""
        self.finish(pipe, self.reader(pipe).read())

    def finish(self, pipe: Pipe, reader: Detections) -> None:
        """Matches what a reader has collected."""
        self.tally, told = self._matched(reader, pipe)
        for message in told:
            pipe.note(message)

    def _matched(self, reader: Detections, pipe: Pipe) -> tuple[MatchTally, list[str]]:
        """All videos of a reader, and what a person must know about their numbers."""
        tally, told, lost = MatchTally(self.taxonomy, self.asked.groups, self.levels, self.tious), [], reader.finish()
        for line in reader.counts:
            if self.asked.cluster:
                pipe.reject(line, f"counts do not say their {self.asked.cluster}; --cluster needs predictions")
                continue
            try:
                tally.add_record(line.record, self.settings)
            except DataError as error:
                pipe.reject(line, error)
        if reader.keys:
            real, found = reader.truth.spans(), reader.found.spans()
            order = best_first(found.scores)
            groups, clusters = reader.groups, []
            if self.asked.cluster:
                groups, clusters = [group[:-1] for group in groups], [group[-1] for group in groups]
            tally.add(reader.keys, groups, self._at_levels(real, found, order), clusters)
            told = [*reader.peculiar(lost), *oddities(real, found, self.asked.evaluator, order)]
        tally.finish()
        return tally, told

    def _at_levels(self, real, found, order) -> dict:
        levels = {}
        for level in self.levels:
            truth, guesses = real, found
            if level == "body":
                truth, guesses = mapped(real, self.taxonomy.body), mapped(found, self.taxonomy.body)
                if self.asked.body_suppress:
                    guesses, order = suppressed(guesses, self.asked.body_suppress), None
            levels[level] = matched(truth, guesses, self.tious, self.asked.evaluator, order)
        return levels

    def counts(self):
        """Mergeable records, one a video."""
        return self.tally.to_records(self.settings)

    def report(self, pipe: Pipe) -> Report:
        """The figures that were asked for."""
        asked, tally, choices = self.asked, self.tally, self.settings
        wanted = [*self.levels, *(["avg"] if len(self.levels) == 2 else [])]
        lines = detection_report.lines(tally, wanted, asked.per_class and not asked.mean_over)
        averages = [line["value"] for line in lines if line["metric"] == "map" and line["tiou"] == "avg"]
        if averages.count(None) == len(averages):
            raise DataError("no segments in the truth; a mean average precision needs at least one")
        if None in averages:
            pipe.note("a group without a segment in the truth has no mean average precision: value is null")
        if asked.ci or asked.compare:
            choices |= {"bootstrap": asked.resamples, "cluster": asked.cluster or "video"}
            choices |= {"interval": "centred", "seed": asked.seed}
            self._resample(pipe, lines)
        if asked.mean_over:
            lines = report.mean_over([line for line in lines if line["value"] is not None], asked.mean_over)
        return Report(lines, choices)

    def _resample(self, pipe: Pipe, lines: list[dict]) -> None:
        asked = self.asked
        if asked.ci:
            degenerate = detection_intervals.add_intervals(lines, self.tally, asked.resamples, asked.seed)
            if degenerate:
                pipe.note(f"{degenerate} group(s) have one unit to resample, so no interval: ci is null")
        if asked.compare:
            there = Pipe("score", [asked.compare])
            other, _ = self._matched(self.reader(there).read(), there)
            detection_intervals.add_comparison(lines, self.tally, other, asked.resamples, asked.seed)
