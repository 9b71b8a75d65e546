"""Which prediction finds which true segment, and which it comes nearest to, whatever the label."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mma82cli.metrics import detection
from mma82cli.metrics.detection import Spans, tiou

PAIRS = 1 << 20  # pairs of a prediction and a true segment looked at together; bounds memory


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


def match(truth: Spans, predictions: Spans, tious: np.ndarray) -> Matches:
    """The predictions' segments, found as the mAP has it (`detection.match`) and nearest. `truth` lies by video."""
    top, nearest = np.zeros(len(predictions.video)), np.full(len(predictions.video), -1)
    for rows, columns in _pairs_in_video(truth, predictions):
        overlap = tiou(predictions.segments[rows], truth.segments[columns])
        first = np.flatnonzero(np.diff(rows, prepend=-1))  # of each prediction's pairs
        best = np.maximum.reduceat(overlap, first)
        is_best = np.flatnonzero(overlap == np.repeat(best, np.diff(first, append=len(rows))))
        top[rows[first]] = best
        nearest[rows[is_best[::-1]]] = columns[is_best[::-1]]  # reversed: the first is written last
    found = np.ascontiguousarray(detection.match(truth, predictions, tious).T)
    return Matches(found, top, nearest)


def _pairs_in_video(truth: Spans, predictions: Spans) -> Iterator[tuple[np.ndarray, np.ndarray]]:
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
