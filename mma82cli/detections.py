"""Records with `predictions` and `segments`, read into columns for all videos at once.

The columns are in the order of ids and, within a video, of the record: the order that breaks ties between scores.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from itertools import pairwise
from math import isfinite
from operator import itemgetter
from typing import Any

import numpy as np

from mma82cli.detection import suppress
from mma82cli.metrics.detection import Spans
from mma82cli.records import MISSING, DataError, group_of, is_number, record_id, run_of, show, wrong
from mma82cli.stream import Line, Pipe
from mma82cli.taxonomy import Taxonomy

_NUMBERS, _LABELS = {int, float}, {str, int}  # a bool would pass for a number


class Columns:
    """Spans of many videos, as they are read: labels, starts, ends, scores, and how many each video has."""

    def __init__(self, scored: bool):
        self.labels, self.starts, self.ends = array("q"), array("d"), array("d")
        self.scores = array("d") if scored else None
        self.counts: list[int] = []

    def add(self, spans: list[dict], taxonomy: Taxonomy, field: str) -> None:
        """One video's. Raises DataError, and then nothing was added."""
        names = ("start", "end", "label", "score") if self.scores is not None else ("start", "end", "label")
        if type(spans) is not list:
            raise wrong(field, spans, f"a list of {{{', '.join(names)}}}")
        columns = _straight(spans, names, taxonomy) or _checked(spans, names, taxonomy, field)
        mine: tuple[Any, ...] = (self.starts, self.ends, self.labels, self.scores)
        for column, values in zip(mine, columns, strict=False):
            column.extend(values)
        self.counts.append(len(spans))

    def spans(self, order: list[int] | None = None) -> Spans:
        """All as arrays, the videos in `order` and numbered so."""
        counts = np.array(self.counts, int)
        video = np.arange(len(counts)).repeat(counts)
        rows: Any = slice(None)
        if order is not None and order != sorted(order):
            rank = np.empty(len(order), int)
            rank[order] = np.arange(len(order))
            rows = np.argsort(rank[video], kind="stable")
            video = rank[video][rows]
        starts, ends, labels = (np.array(column) for column in (self.starts, self.ends, self.labels))
        scores = None if self.scores is None else np.array(self.scores)[rows]
        return Spans(video, labels[rows], np.stack([starts, ends], 1)[rows], scores)


def _straight(spans: list[dict], names: tuple, taxonomy: Taxonomy) -> list | None:
    """The columns start, end, label ids(, score), or None where something needs a closer look."""
    if not spans:
        return [()] * len(names)
    try:
        starts, ends, labels, *scores = zip(*map(itemgetter(*names), spans), strict=True)
        numbers = starts + ends + (scores[0] if scores else ())
        if not set(map(type, numbers)) <= _NUMBERS or not isfinite(sum(numbers)) or not set(map(type, labels)) <= _LABELS:
            return None
        return [starts, ends, [taxonomy.ids[label] for label in labels], *scores]
    except (KeyError, TypeError, OverflowError):
        return None


def _checked(spans: list, names: tuple, taxonomy: Taxonomy, field: str) -> list[tuple]:
    rows = []
    for i, entry in enumerate(spans):
        where = f"{field}[{i}]"
        if type(entry) is not dict:
            raise wrong(where, entry, f"an object with {', '.join(names)}")
        for name in names:
            if name != "label" and not is_number(entry.get(name, MISSING)):
                raise wrong(f"{where}.{name}", entry.get(name, MISSING), "a finite number")
        label = taxonomy.id(entry.get("label", MISSING), f"{where}.label")
        rows.append([label if name == "label" else float(entry[name]) for name in names])
    return list(zip(*rows, strict=True))


def read_predictions(record: dict, taxonomy: Taxonomy) -> Spans:
    """The `predictions` of one record, in its order. Raises DataError."""
    columns = Columns(scored=True)
    columns.add(record.get("predictions", MISSING), taxonomy, "predictions")
    return columns.spans()


class Detections:
    """Reads the detections and the truth of a pipe.

    split     only videos of this split
    by        fields whose values make the groups; `file`, where a record has none, is the FILE's name
    truth     {id: record with segments}, where predictions carry no truth of their own
    """

    def __init__(
        self, pipe: Pipe, taxonomy: Taxonomy, split: str | None = None, by: Iterable[str] = (),
        truth: dict[str, dict] | None = None,
    ):  # fmt: skip
        self.pipe, self.taxonomy, self.split, self.by, self.given = pipe, taxonomy, split, tuple(by), truth
        self.found, self.truth = Columns(scored=True), Columns(scored=False)
        self.keys: list[tuple[str, str]] = []  # (id, run) of each video
        self.groups: list[tuple] = []
        self.other_taxonomies: set[str] = set()  # named by records, and not ours
        self.counts: list[Line] = []  # lines of `score --counts` met on the way
        self.strangers: list[str] = []  # videos that the truth does not have
        self._places: dict[tuple[str, str], tuple[str, int | str]] = {}
        self._scored: set[str] = set()

    def read(self) -> Detections:
        """Reads all. Raises DataError, with its place, unless bad records are skipped."""
        for line in self.pipe.lines():
            if "counts" in line.record:
                self.counts.append(line)
                continue
            try:
                self.add(line)
            except DataError as error:
                self.pipe.reject(line, error)
        return self

    def add(self, line: Line) -> None:
        """One video. Raises DataError, and then nothing was kept of it."""
        record = line.record
        if "file" in self.by:
            record.setdefault("file", line.file)
        name = record_id(record, self.taxonomy.id)
        key = (name, run_of(record, self.by))
        if key in self._places:
            raise DataError(f"id {show(name)} was given before, at {':'.join(map(str, self._places[key]))}; ids must differ")
        record = self._joined(name, record)
        self._scored.add(name)
        self._places[key] = line.file, line.number
        if self.split is not None and record.get("split") != self.split:
            return
        group = group_of(record, self.by)
        if record.get("taxonomy", self.taxonomy.name) != self.taxonomy.name:
            self.other_taxonomies.add(str(record["taxonomy"]))
        self._take(record, key, group)

    def _take(self, record: dict, key: tuple, group: tuple) -> None:
        trial = Columns(scored=False)
        trial.add(record.get("segments", MISSING), self.taxonomy, "segments")  # before anything is kept of this record
        self.found.add(record.get("predictions", MISSING), self.taxonomy, "predictions")
        self.truth.add(record["segments"], self.taxonomy, "segments")
        self.keys.append(key)
        self.groups.append(group)

    def _joined(self, name: str, record: dict) -> dict:
        if self.given is None:
            return record
        known = self.given.get(name) or self.given.get(record.get("video"))
        if known is None:
            self.strangers.append(name)
            return {**record, "segments": []}
        self._scored.add(known["id"])
        return {**record, **known}

    def finish(self) -> int:
        """Adds the truth's videos that have no predictions. Returns how many."""
        lost = [name for name in self.given or () if name not in self._scored]
        lost = [name for name in lost if self.split is None or self.given[name].get("split") == self.split]
        for name in lost:
            record = self.given[name]
            self._take({**record, "predictions": []}, (name, ""), group_of(record, self.by))
        return len(lost)

    def peculiar(self, lost: int) -> list[str]:
        """What a person must know of what was read; `lost` is what `finish` returned."""
        names = sorted(self.other_taxonomies)
        told = [f"predictions follow taxonomy '{name}'; they are read as {self.taxonomy.name}" for name in names]
        if lost:
            told.append(f"{lost} of the truth's videos have no record of predictions; their segments count as missed")
        if self.strangers:
            example = f"{show(self.strangers[0])} (the truth's first is {show(next(iter(self.given or ()), None))})"
            told.append(f"{len(self.strangers)} video(s) are not in the truth, as {example}; their predictions count as false")
        return told

    def order(self) -> list[int]:
        """The videos in the order of their ids."""
        return sorted(range(len(self.keys)), key=self.keys.__getitem__)


def load_truth(path: str, taxonomy: Taxonomy) -> dict[str, dict]:
    """{id: record with `segments`} of a truth file: a video a line, or a segment a line (then the id is its `video`,
    and the video has the fields that all its lines agree on). Raises DataError with the place."""
    truth: dict[str, dict] = {}
    for line in Pipe("score", [path]).lines():
        record = {k: v for k, v in line.record.items() if k not in ("predictions", "keypoints", "scores", "topk", "taxonomy")}
        try:
            if "segments" in record:
                name = record_id(record)
                if name in truth:
                    raise DataError(f"id {show(name)} was given before; ids must differ")
                Columns(scored=False).add(record["segments"], taxonomy, "segments")
                truth[name] = record | {"id": name}
            else:
                _add_segment(truth, record, taxonomy)
        except DataError as error:
            raise DataError(f"{line.place}: {error}") from None
    return truth


def _add_segment(truth: dict[str, dict], record: dict, taxonomy: Taxonomy) -> None:
    name = record.get("video") or record_id(record)
    Columns(scored=False).add([record], taxonomy, "segments")
    segment = {field: record.pop(field) for field in ("start", "end", "label")}
    known = truth.setdefault(name, record | {"id": name, "segments": []})
    for field in [f for f in known if f not in ("id", "segments") and known[f] != record.get(f)]:
        del known[field]
    known["segments"].append(segment)


def videos_of(spans: Spans) -> Iterator[tuple[int, slice]]:
    """(video, its rows) of spans in the order of their videos."""
    first = np.flatnonzero(np.diff(spans.video, prepend=-1))
    for begin, end in pairwise([*first.tolist(), len(spans.video)]):
        yield int(spans.video[begin]), slice(begin, end)


def suppressed(spans: Spans, method: str) -> Spans:
    """Predictions after suppression by `method` within each video and label; all are kept that it leaves, in their order.
    Raises DataError for a negative score, which a decay would raise."""
    if spans.scores.min(initial=0) < 0:
        raise DataError(f"a prediction's score is {spans.scores.min():g}; suppression expects at least 0 (a probability)")
    scores = np.full(len(spans.video), -1.0)
    for _, rows in videos_of(spans):
        kept = suppress(spans.segments[rows], spans.scores[rows], spans.label[rows], method, topk=0)
        scores[rows][kept.rows] = kept.scores
    return spans._replace(scores=scores).take(scores >= 0)
