"""What predictions took, a video at a time: enough for every figure of a report, and to be written and merged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from mma82cli.metrics import confidence, detection
from mma82cli.metrics.detection import Spans
from mma82cli.metrics.tally import must_agree
from mma82cli.records import DataError, show
from mma82cli.taxonomy import Taxonomy


class Matched(NamedTuple):
    """One level of any number of videos: `video`, `label`, `scores` (N,) of the predictions and `hits` (N, T), whether
    each takes a segment at each tIoU; `truth_video` and `truth_label` (M,) of the segments that count."""

    video: np.ndarray
    label: np.ndarray
    scores: np.ndarray
    hits: np.ndarray
    truth_video: np.ndarray
    truth_label: np.ndarray

    def of(self, videos: np.ndarray) -> Matched:
        """Those of the videos that `videos` (V,) bool selects."""
        mine, real = videos[self.video], videos[self.truth_video]
        return Matched(*(column[mine] for column in self[:4]), *(column[real] for column in self[4:]))

    def in_order(self, rank: np.ndarray) -> Matched:
        """The same with video v numbered rank[v] and rows in the order of the videos."""
        video, truth_video = rank[self.video], rank[self.truth_video]
        rows, real = np.argsort(video, kind="stable"), np.argsort(truth_video, kind="stable")
        columns = (video, *self[1:4]), (truth_video, self.truth_label)
        return Matched(*(c[rows] for c in columns[0]), *(c[real] for c in columns[1]))


def matched(truth: Spans, found: Spans, tious, evaluator: str, order=None) -> Matched:
    """What each prediction takes; `order` is `best_first(found.scores)`, if it is known."""
    truth = truth.take(detection.admitted(truth, evaluator))
    hits = detection.match(truth, found, tious, detection.SLACK[evaluator], order) >= 0
    return Matched(found.video, found.label, found.scores, hits, truth.video, truth.label)


class MatchTally:
    """Matches of all videos. A group is the tuple of a video's values of the fields `by`."""

    def __init__(self, taxonomy: Taxonomy, by: Iterable[str], levels: list[str], tious: list[float]):
        self.taxonomy, self.by, self.tious = taxonomy, tuple(by), list(tious)
        self.names = {"action": taxonomy.names, "body": taxonomy.bodies}
        self.parts: dict[str, list[Matched]] = {level: [] for level in levels}
        self.keys: list[tuple] = []  # (id, run) of each video
        self.groups: list[tuple] = []
        self.clusters: list = []  # what each video is drawn with; none: a video alone

    def add(self, keys: list[tuple], groups: list[tuple], levels: dict[str, Matched], clusters: Sequence = ()) -> None:
        """Adds videos, numbered from 0 in each of `levels`. Raises DataError where one is there already."""
        base = len(self.keys)
        for level, part in levels.items():
            moved = part._replace(video=part.video + base, truth_video=part.truth_video + base)
            self.parts[level].append(moved)
        self.keys += keys
        self.groups += groups
        self.clusters += clusters

    def finish(self) -> None:
        """Puts the videos in the order of their ids, so that nothing depends on the order of input. Raises DataError where
        there is none, or one twice."""
        if not self.keys:
            raise DataError("no detections; expected records with 'segments' and 'predictions'")
        order = sorted(range(len(self.keys)), key=self.keys.__getitem__)
        again = [a for a, b in zip(order[1:], order, strict=False) if self.keys[a] == self.keys[b]]
        if again:
            raise DataError(f"id {show(self.keys[again[0]][0])} was counted twice; ids must differ")
        rank = np.empty(len(order), int)
        rank[order] = np.arange(len(order))
        for level, parts in self.parts.items():
            whole = Matched(*map(np.concatenate, zip(*parts, strict=True))) if len(parts) != 1 else parts[0]
            self.parts[level] = [whole if order == list(range(len(order))) else whole.in_order(rank)]
        self.keys = [self.keys[i] for i in order]
        self.groups = [self.groups[i] for i in order]
        self.clusters = [self.clusters[i] for i in order] if self.clusters else []

    def units(self) -> np.ndarray:
        """(V,) the number of the unit that each video is drawn with."""
        if not self.clusters:
            return np.arange(len(self.keys))
        different = list(dict.fromkeys(self.clusters))
        numbers = dict(zip(different, confidence.in_order(different).tolist(), strict=True))
        return np.array([numbers[value] for value in self.clusters])

    def level(self, name: str) -> Matched:
        """All videos at one level."""
        return self.parts[name][0]

    def ordered(self) -> Iterator[tuple[dict, dict[str, Matched]]]:
        """(fields of the group, its matches a level), in an order that does not depend on the input's."""
        groups = sorted(set(self.groups), key=lambda g: [(v is not None, str(type(v)), v) for v in g])
        for group in groups:
            mine = np.array([g == group for g in self.groups])
            fields = dict(zip(self.by, group, strict=True))
            yield fields, {level: parts[0] if mine.all() else parts[0].of(mine) for level, parts in self.parts.items()}

    # -- counts as records -----------------------------------------------------------------------------------

    def to_records(self, settings: dict) -> Iterator[dict]:
        """A mergeable record a video; `settings` are the choices that have to agree between shards."""
        bounds = {level: _bounds(self.level(level), len(self.keys)) for level in self.parts}
        bits = {level: self.level(level).hits @ (1 << np.arange(len(self.tious))) for level in self.parts}
        for i, ((name, run), group) in enumerate(zip(self.keys, self.groups, strict=True)):
            levels = {}
            for level in self.parts:
                part, (first, real) = self.level(level), bounds[level]
                mine, truth = slice(*first[i : i + 2]), slice(*real[i : i + 2])
                columns = {"truth": part.truth_label[truth], "labels": part.label[mine], "scores": part.scores[mine]}
                levels[level] = {k: v.tolist() for k, v in {**columns, "hits": bits[level][mine]}.items()}
            by = dict(zip(self.by, group, strict=True))
            yield {"counts": "detection", "settings": settings, "id": name, "run": run, "by": by, "levels": levels}

    def add_record(self, record: dict, settings: dict) -> None:
        """Adds a record that `to_records` wrote. Raises DataError where it is none or its settings differ."""
        must_agree(record, settings, self.by)
        try:
            levels = {level: self._read(record["levels"][level], level) for level in self.parts}
            self.add([(record["id"] + "", record["run"] + "")], [tuple(record["by"].values())], levels)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            raise DataError(f"damaged counts ({error!r}); expected a line of `score --counts`") from None

    def _read(self, record: dict, level: str) -> Matched:
        truth, label = np.array(record["truth"], int), np.array(record["labels"], int)
        scores, hits = np.array(record["scores"], float), np.array(record["hits"], np.int64)
        highest = max(truth.max(initial=0), label.max(initial=0))
        if highest >= len(self.names[level]) or min(truth.min(initial=0), label.min(initial=0), hits.min(initial=0)) < 0:
            raise ValueError("a number out of range")
        if not len(label) == len(scores) == len(hits):
            raise ValueError("columns of different lengths")
        taken = (hits[:, None] >> np.arange(len(self.tious)) & 1).astype(bool)
        return Matched(np.zeros(len(label), int), label, scores, taken, np.zeros(len(truth), int), truth)


def _bounds(part: Matched, videos: int) -> tuple[np.ndarray, np.ndarray]:
    at = np.arange(videos + 1)
    return np.searchsorted(part.video, at), np.searchsorted(part.truth_video, at)


def lines(tally: MatchTally, wanted: list[str], per_class: bool) -> list[dict]:
    """{"metric": "map", "level", …group…, "tiou", "value", "n"} of every group, n the segments that count, and with
    `per_class` {"metric": "ap", …, "label", "tiou", "value", "support"}; null where there is no truth."""
    figures, classes = [], []
    for fields, levels in tally.ordered():
        ap, n, scores, order = {}, {}, None, None
        for level, part in levels.items():
            if scores is None or not np.array_equal(part.scores, scores):  # both levels mostly share their scores
                scores, order = part.scores, detection.best_first(part.scores)
            support = np.bincount(part.truth_label, minlength=len(tally.names[level]))
            found = Spans(part.video, part.label, None, part.scores)
            ap[level], n[level] = detection.average_precision(found, part.hits, support, order), int(support.sum())
            if per_class and level in wanted:
                classes += _class_lines(ap[level], support, tally, level, fields)
        n["avg"] = n.get("action")
        tious: list[Any] = [*tally.tious, "avg"]
        values = detection.values(ap, tally.tious) if any(n.values()) else {}
        for level in [*ap, *(["avg"] if len(ap) == 2 else [])]:
            if level in wanted:
                for t in tious:
                    figure = {"tiou": t, "value": values.get((t, level)), "n": n[level]}
                    figures.append({"metric": "map", "level": level, **fields, **figure})
    return figures + classes


def _class_lines(ap: np.ndarray, support: np.ndarray, tally: MatchTally, level: str, fields: dict) -> Iterator[dict]:
    for name, row, n in zip(tally.names[level], ap, support.tolist(), strict=True):
        for t, value in zip([*tally.tious, "avg"], [*row.tolist(), float(row.mean())], strict=True):
            shown = value if n else None
            yield {"metric": "ap", "level": level, **fields, "label": name, "tiou": t, "value": shown, "support": n}
