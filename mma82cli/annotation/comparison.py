"""Gathers what annotators did, video by video, and says at the end how well they agree and how far they get."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations

import numpy as np

from mma82cli.annotation import ceiling
from mma82cli.annotation.agreement import STEP, Marks, Sums, measure
from mma82cli.annotation.instances import Annotation, Video
from mma82cli.annotation.merging import HALF
from mma82cli.annotation.spans import Span, microseconds
from mma82cli.metrics.detection import Spans
from mma82cli.records import DataError, is_number
from mma82cli.taxonomy import Taxonomy

SAMPLE = 1000  # instances that the rules are compared on
MOST = 5_000_000  # pairs of annotators times labels in videos, as there is a kappa for each: ten people on 100,000


class Comparison:
    """Takes videos one by one; when all annotators are known, gives a row a video and label, and one for all.

    It holds spans, not records.
    """

    def __init__(self, labels: Taxonomy, threshold: Fraction = HALF):
        self.labels, self.threshold = labels, threshold
        self._cells: list[tuple[str, str, int]] = []  # video, label, frames
        self._video_of = array("q")  # a cell's video, by number
        self._videos: list[str] = []
        self._marks = array("q")  # cell, instance, rank, start, end, cell, instance, …
        self._instances = 0
        self._merged = array("d")  # video, label, start, end, video, label, …
        self._given: Counter = Counter()  # (annotators, the merge's label, theirs if they differ) of instances that many saw

    def add(self, annotations: list[Annotation], video: Video) -> None:
        """Takes a video: its annotations, and what came of them."""
        number, frames = len(self._videos), _frames(annotations)
        name = annotations[0].record["video"]
        self._videos.append(name)
        cells: dict[str, int] = {}
        for group in video.instances:
            here = self._instances
            for annotation in group:
                label = annotation.label
                cell = cells.get(label)
                if cell is None:
                    cell = cells[label] = len(self._cells)
                    self._cells.append((name, label, frames))
                    self._video_of.append(number)
                self._marks.extend((cell, here, annotation.rank, *annotation.span))
            self._instances += 1
        for segment in video.segments:
            label, sources = segment["label"], segment["sources"]
            self._merged.extend((number, self.labels.ids[label], segment["start"], segment["end"]))
            if len(sources) > 1 and segment["status"] != "conflict":
                self._given[tuple(segment["annotators"]), label, tuple([s["label"] for s in sources if "label" in s])] += 1

    def rows(self, names: list[str]) -> Iterator[dict]:
        """The rows, those of a video by label, at last the one with `video` null. `names`: annotators by rank.

        Raises DataError where so many annotators did so much that the figures of their pairs would fill the memory.
        """
        if len(names) * (len(names) - 1) // 2 * max(50, len(self._cells)) > MOST:
            done = f"{len(names):,} annotators of {len(self._cells):,} labels in videos are too many to compare two by two"
            raise DataError(f"{done}; expected --agreement of fewer, or none")
        marks = self._columns()
        sums = measure(marks, np.array([frames for *_, frames in self._cells], int), len(names))
        pairs = [f"{names[a]}|{names[b]}" for a, b in combinations(range(len(names)), 2)]
        order = sorted(range(len(self._cells)), key=lambda i: (self._video_of[i], self._cells[i][1]))
        figures = _by_cell(sums, pairs)
        for i in order:
            row = {"video": self._cells[i][0], "label": self._cells[i][1]}
            row.update(figures[i])
            yield row
        yield {"video": None, "label": None, **self._for_all(sums, pairs, marks, names)}

    def _columns(self) -> Marks:
        """The marks; an instance that bears several labels is one for each of them."""
        table = np.frombuffer(self._marks, np.int64).reshape(-1, 5) if self._marks else np.zeros((0, 5), np.int64)
        table = table[np.lexsort((table[:, 0], table[:, 1]))]
        new = (np.diff(table[:, :2], axis=0, prepend=-1) != 0).any(1)
        return Marks(table[:, 0], new.cumsum(), *table[:, 2:].T)

    def _for_all(self, sums: Sums, pairs: list[str], marks: Marks, names: list[str]) -> dict:
        known = sorted({label for _, label, _ in self._cells})
        number = {label: i for i, label in enumerate(known)}
        by_label = sums.pooled(np.array([number[label] for _, label, _ in self._cells], int), len(known))
        whole = sums.pooled(np.zeros(len(self._cells), int), 1)
        labels = dict(zip(known, _by_cell(by_label, pairs), strict=True))
        rules = ceiling.rules(_shared(marks), self.threshold)
        return {**_by_cell(whole, pairs)[0], "labels": labels, "ceiling": self._ceiling(marks, names), "rules": rules}

    def _ceiling(self, marks: Marks, names: list[str]) -> list[dict]:
        """Every annotator's lines. Videos are taken in the order of their names, as `score` takes ids."""
        body = np.array(self.labels.body) if self.labels.bodies else None
        merged = np.frombuffer(self._merged).reshape(-1, 4)
        rank = np.empty(len(self._videos), int)
        rank[sorted(range(len(self._videos)), key=self._videos.__getitem__)] = np.arange(len(self._videos))
        truth = _spans(rank[merged[:, 0].astype(int)], merged[:, 1].astype(int), merged[:, 2:])
        label_of = np.array([self.labels.ids[label] for _, label, _ in self._cells], int)
        video = rank[np.array(self._video_of, int)[marks.cell]]
        times = np.stack([marks.start, marks.end], 1) / 1_000_000
        lines = []
        for i, name in enumerate(names):
            mine = marks.rank == i
            found = _spans(video[mine], label_of[marks.cell[mine]], times[mine])
            found = found._replace(scores=np.ones(len(found.video)))
            confusion = np.zeros((len(self.labels),) * 2, np.int64)
            for (annotators, label, given), n in self._given.items():
                if name in annotators:
                    theirs = given[annotators.index(name)] if given else label
                    confusion[self.labels.ids[label], self.labels.ids[theirs]] += n
            figures = ceiling.labels(confusion, body) + ceiling.detections(truth, found, body)
            lines += [{"annotator": name, **line} for line in figures]
        return lines


def _shared(marks: Marks) -> list[list[Span]]:
    """The spans of instances that two annotators or more have seen: of SAMPLE of them, at even distances."""
    first = np.flatnonzero(np.diff(marks.instance, prepend=-1))
    sizes = np.diff(first, append=len(marks.instance))
    chosen = np.flatnonzero(sizes > 1)
    chosen = chosen[:: max(1, -(-len(chosen) // SAMPLE))]
    places = [range(first[i], first[i] + sizes[i]) for i in chosen.tolist()]
    return [[(int(marks.start[k]), int(marks.end[k])) for k in instance] for instance in places]


def _spans(video: np.ndarray, label: np.ndarray, times: np.ndarray) -> Spans:
    """Spans in the order of videos and, within one, of time."""
    order = np.lexsort((times[:, 1], times[:, 0], video))
    return Spans(video[order], label[order], times[order])


def _by_cell(sums: Sums, pairs: list[str]) -> list[dict]:
    """The figures of each cell as a row has them."""
    figures = sums.figures()
    kappa, dice = ([dict(zip(pairs, values, strict=True)) for values in figures[k].T.tolist()] for k in ("kappa", "dice"))
    rest = ("alpha", "mean_tiou", "boundary_error", "f1", "pairs")
    columns = [kappa, dice, *(figures[name].tolist() for name in rest)]
    return [dict(zip(("kappa", "dice", *rest), row, strict=True)) for row in zip(*columns, strict=True)]


def _frames(annotations: list[Annotation]) -> int:
    """Frames up to the video's `duration`, else to the last end."""
    durations = [a.record["duration"] for a in annotations if "duration" in a.record]
    durations = [duration for duration in durations if is_number(duration)]
    until = microseconds(max(durations)) if durations else max([a.span[1] for a in annotations])
    return max(1, -(-until // STEP))
