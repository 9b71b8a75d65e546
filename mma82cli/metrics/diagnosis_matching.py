"""Which prediction finds which true segment: every tIoU threshold at once, all videos side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

PAIRS = 1 << 20  # pairs of a prediction and a true segment looked at together; bounds memory


@dataclass(frozen=True)
class Segments:
    """N segments as columns: `video` and `label` ids, `start` and `end` in seconds, and for predictions `score`."""

    video: np.ndarray
    start: np.ndarray
    end: np.ndarray
    label: np.ndarray
    score: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.video)

    def take(self, which: np.ndarray) -> Segments:
        """The segments at these indices, or where a mask is True."""
        return Segments(**{name: None if column is None else column[which] for name, column in vars(self).items()})


@dataclass(frozen=True)
class Matches:
    """What became of P predictions at T thresholds.

    found    (T, P) index of the true segment that the prediction finds, -1 for none
    top      (P,) its largest tIoU with any true segment of its video, whatever the label (0 where there is none)
    nearest  (P,) the true segment of that tIoU, the first of several; -1 where the video has none
    """

    found: np.ndarray
    top: np.ndarray
    nearest: np.ndarray


def tiou(a: Segments, b: Segments) -> np.ndarray:
    """Temporal intersection over union of N pairs; 0 where a segment ends before it starts."""
    shared = np.minimum(a.end, b.end) - np.maximum(a.start, b.start)
    union = (a.end - a.start) + (b.end - b.start) - shared
    return np.divide(shared, union, out=np.zeros(len(shared)), where=shared > 0)


def match(truth: Segments, predictions: Segments, tious: np.ndarray) -> Matches:
    """Greedy matching: by falling score, a prediction finds the free true segment of its video and label with the largest
    tIoU of at least the threshold (the later of equal ones).

    `truth` lies by video; `predictions` lie by falling score within a label.
    """
    top, nearest = np.zeros(len(predictions)), np.full(len(predictions), -1)
    kept = [(np.zeros(0, int), np.zeros(0, int), np.zeros(0))]
    for rows, columns in _pairs_in_video(truth, predictions):
        overlap = tiou(predictions.take(rows), truth.take(columns))
        first = np.flatnonzero(np.diff(rows, prepend=-1))  # of each prediction's pairs
        best = np.maximum.reduceat(overlap, first)
        is_best = np.flatnonzero(overlap == np.repeat(best, np.diff(first, append=len(rows))))
        top[rows[first]] = best
        nearest[rows[is_best[::-1]]] = columns[is_best[::-1]]  # reversed: the first is written last
        can = (overlap >= tious.min()) & (predictions.label[rows] == truth.label[columns])
        kept.append((rows[can], columns[can], overlap[can]))
    rows, columns, overlap = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    return Matches(_greedy(truth, predictions, rows, columns, overlap, tious), top, nearest)


def _pairs_in_video(truth: Segments, predictions: Segments) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(predictions, true segments): all pairs that share a video, about PAIRS at a time, a prediction's pairs together."""
    first = np.searchsorted(truth.video, predictions.video)
    count = np.searchsorted(truth.video, predictions.video, side="right") - first
    ends = np.cumsum(count)
    low = 0
    while low < len(ends):
        done = ends[low - 1] if low else 0
        high = max(low + 1, int(np.searchsorted(ends, done + PAIRS, side="right")))
        rows = np.repeat(np.arange(low, high), count[low:high])
        if len(rows):
            yield rows, np.arange(len(rows)) + np.repeat(first[low:high] - (ends - count)[low:high] + done, count[low:high])
        low = high


def _greedy(truth, predictions, rows, columns, overlap, tious) -> np.ndarray:
    """(T, P) true segments found, from the pairs that could match.

    Within a video and label the pairs take turns: by rank of the prediction, then by falling tIoU. The k-th pairs of all
    videos and labels touch different segments, so they are decided in one step.
    """
    found = np.full((len(tious), len(predictions)), -1)
    free = np.ones((len(tious), len(truth)), bool)
    groups = predictions.video[rows] * (predictions.label.max(initial=0) + 1) + predictions.label[rows]
    order = np.lexsort((-columns, -overlap, rows, groups))
    rows, columns, overlap, groups = rows[order], columns[order], overlap[order], groups[order]
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    turn = np.arange(len(rows)) - np.repeat(starts, np.diff(starts, append=len(rows)))
    order = np.argsort(turn, kind="stable")
    rows, columns = rows[order], columns[order]
    enough = overlap[order] >= tious[:, None]  # (T, pairs)
    ends = np.cumsum(np.bincount(turn))
    for low, high in zip([0, *ends[:-1]], ends, strict=False):
        p, g = rows[low:high], columns[low:high]
        t, k = np.nonzero(enough[:, low:high] & (found[:, p] < 0) & free[:, g])
        found[t, p[k]] = g[k]
        free[t, g[k]] = False
    return found
