"""Average precision of temporal detection (paper's Table VI), as three evaluators define it.

opentad      OpenTAD's mAP (after ActivityNet's): truth with end <= start is dropped, and so is a repeat of the same
             label within 1 ms
activitynet  ActivityNet's: all truth counts
mac          the MAC challenge's: 0.0001 s is added to every union
Of all three: in the order of scores a prediction takes the free segment of its video and label with the highest tIoU
if that reaches the threshold, else it is a false positive; precision is interpolated at every recall (VOC 2011).
Labels without truth have no AP and are no part of a mean. Equal scores: the earlier row first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mma82cli.records import DataError, WrongUsage, show

TIOUS = tuple(round(0.1 * i, 1) for i in range(1, 10))
SLACK = {"opentad": 0.0, "activitynet": 0.0, "mac": 1e-4}  # of each evaluator: seconds added to a union
_SAME = 1e-3  # seconds


class Spans(NamedTuple):
    """N spans of any number of videos: `video` and `label` (N,) integers from 0, `segments` (N, 2) start and end in
    seconds, `scores` (N,) of predictions (None: truth). Row order breaks ties."""

    video: np.ndarray
    label: np.ndarray
    segments: np.ndarray
    scores: np.ndarray | None = None

    def take(self, rows) -> Spans:
        """The spans that `rows` selects."""
        return Spans(*(None if column is None else column[rows] for column in self))


def parse_tious(text: str) -> list[float]:
    """Thresholds from "LO:HI:STEP" (HI included) or "T,T,…". Raises WrongUsage."""
    try:
        parts = [float(part) for part in text.replace(":", ",").split(",")]
        if ":" in text:
            low, high, step = parts
            parts = [round(low + i * step, 9) for i in range(min(61, int((high - low) / step + 1e-6) + 1))]
    except (ValueError, ZeroDivisionError, OverflowError):
        parts = []
    if not 0 < len(parts) <= 60 or not all(0 < t <= 1 for t in parts) or len(set(parts)) < len(parts):
        raise WrongUsage(f"--tiou {show(text)}; expected LO:HI:STEP or T,T,… with at most 60 thresholds above 0, up to 1")
    return parts


def show_tious(tious: list[float]) -> str:
    """The same thresholds, the same text: LO:HI:STEP where they are evenly spaced, else T,T,…"""
    steps = {round(b - a, 9) for a, b in zip(tious, tious[1:], strict=False)}
    if len(tious) > 2 and len(steps) == 1:
        return f"{tious[0]:.9g}:{tious[-1]:.9g}:{steps.pop():.9g}"
    return ",".join(f"{t:.9g}" for t in tious)


def oddities(truth: Spans, found: Spans, evaluator: str, order=None) -> list[str]:
    """What a person must know about the numbers, a sentence each."""
    said = []
    for name, spans in (("segment", truth), ("prediction", found)):
        empty = int((spans.segments[:, 1] <= spans.segments[:, 0]).sum())
        rule = "left out" if name == "segment" and evaluator == "opentad" else "nothing matches them"
        if empty:
            said.append(f"{empty} {name}(s) with end <= start; {rule}")
    repeats = len(truth.video) - int(admitted(truth, evaluator).sum())
    if evaluator == "opentad":
        repeats -= int((truth.segments[:, 1] <= truth.segments[:, 0]).sum())
    if repeats:
        said.append(f"{repeats} segment(s) of the truth repeat another within 0.001 s; left out")
    absent = int((~np.isin(found.label, truth.label)).sum())
    if absent:
        said.append(f"{absent} prediction(s) of labels that the truth does not have; they count for nothing")
    order = best_first(found.scores) if order is None else order
    order = order[_grouped(found.label[order])]
    label, score = found.label[order], found.scores[order]
    ties = int(((label[1:] == label[:-1]) & (score[1:] == score[:-1])).sum())
    if ties:
        said.append(f"{ties} prediction(s) share their score with another of their label; the lower id, the earlier first")
    return said


def admitted(truth: Spans, evaluator: str) -> np.ndarray:
    """(N,) bool: the truth that the evaluator counts."""
    if evaluator != "opentad":
        return np.ones(len(truth.video), bool)
    keep = truth.segments[:, 1] > truth.segments[:, 0]
    order = np.lexsort((truth.segments[:, 0], truth.label, truth.video))
    near = (np.diff(truth.segments[order, 0]) <= _SAME) & (np.diff(truth.label[order]) == 0) & (np.diff(truth.video[order]) == 0)
    suspects = {(truth.video[i], truth.label[i]) for i in order[1:][near]}  # few: most starts are far apart
    for video, label in suspects:
        kept: list[np.ndarray] = []
        for row in np.flatnonzero((truth.video == video) & (truth.label == label) & keep):
            span = truth.segments[row]
            if any((abs(span - other) <= _SAME).all() for other in kept):
                keep[row] = False
            else:
                kept.append(span)
    return keep


def best_first(scores: np.ndarray) -> np.ndarray:
    """(N,) rows by falling score, equal scores in row order."""
    return np.argsort(-scores, kind="stable")


def _grouped(numbers: np.ndarray) -> np.ndarray:
    """Stable argsort of integers from 0: a radix sort where they fit 16 bits."""
    small = len(numbers) and int(numbers.max()) < 1 << 16
    return np.argsort(numbers.astype(np.uint16) if small else numbers, kind="stable")


def by_label(label: np.ndarray, scores: np.ndarray, classes: int, order=None) -> tuple[np.ndarray, np.ndarray]:
    """(N,) rows label by label, the best first, and (C + 1,) where each label's rows begin and the last one's end."""
    order = best_first(scores) if order is None else order
    order = order[_grouped(label[order])]
    return order, np.searchsorted(label[order], np.arange(classes + 1))


def match(truth: Spans, found: Spans, tious=TIOUS, slack: float = 0.0, order=None) -> np.ndarray:
    """(N, T) the row of `truth` that each prediction takes at each tIoU, -1 for a false positive.

    truth  as `admitted` leaves it; slack: seconds added to a union; order: `best_first` of its scores, if it is known
    Predictions of one video and label are a queue; the fronts of all queues are matched at once, at all tIoUs.
    """
    result = np.full((len(found.video), len(tious)), -1, np.int32)
    if not len(truth.video) or not len(found.video):
        return result
    classes = 1 + max(int(truth.label.max()), int(found.label.max()))
    keys = truth.video * classes + truth.label
    by_key = np.argsort(keys, kind="stable")
    queues, sizes = np.unique(keys, return_counts=True)
    first = sizes.cumsum() - sizes
    order = best_first(found.scores) if order is None else order
    wanted = found.video * classes + found.label
    queue = np.searchsorted(queues, wanted).clip(max=len(queues) - 1)
    order = order[(queues[queue] == wanted)[order]]  # without truth of its label in its video: a false positive
    queue = queue[order]
    for size in np.unique(sizes):  # queues with equally many segments side by side
        mine = sizes[queue] == size
        targets = by_key[first[queue[mine]][:, None] + np.arange(size)[::-1]]  # (n, size), of equal tIoUs the last wins
        overlap = tiou(found.segments[order[mine]][:, None], truth.segments[targets], slack)
        best = _take(overlap, queue[mine], np.asarray(tious))
        result[order[mine]] = np.where(best < 0, -1, np.take_along_axis(targets, best, 1))
    return result


def _take(overlap: np.ndarray, queue: np.ndarray, tious: np.ndarray) -> np.ndarray:
    """(n, T) which of the segments each prediction takes, -1 none: `overlap` (n, size) of predictions, best first, with
    the segments of their queue, `queue` (n,)."""
    result = np.full((len(queue), len(tious)), -1)
    rows = np.flatnonzero(overlap.max(1, initial=0) >= tious.min())
    queue = (np.cumsum(np.bincount(queue) > 0) - 1)[queue] if len(queue) else queue
    if overlap.shape[1] == 1:  # the first that reaches it takes it
        for t, threshold in enumerate(tious):
            reaching = rows[overlap[rows, 0] >= threshold]
            winner = np.full(len(overlap), -1)
            winner[queue[reaching][::-1]] = reaching[::-1]  # what is written last stays
            result[winner[winner >= 0], t] = 0
        return result
    overlap, queue = overlap[rows], queue[rows]
    lengths = np.bincount(queue)
    place = np.empty(len(queue), int)
    place[_grouped(queue)] = np.arange(len(queue)) - (lengths.cumsum() - lengths).repeat(lengths)
    fronts = np.split(_grouped(place), np.bincount(place).cumsum()[:-1]) if len(place) else []
    free = np.ones((len(lengths), len(tious), overlap.shape[1]), bool)
    at = np.arange(len(tious))
    for front in fronts:  # (m,) one prediction of each queue that is not at its end
        mine = queue[front][:, None]
        value = np.where(free[mine[:, 0]], overlap[front][:, None], -1.0)  # (m, T, size)
        best = value.argmax(2)  # (m, T)
        hit = np.take_along_axis(value, best[..., None], 2)[..., 0] >= tious
        result[rows[front]] = np.where(hit, best, -1)
        free[mine, at, best] &= ~hit
    return result


def tiou(a: np.ndarray, b: np.ndarray, slack: float = 0.0) -> np.ndarray:
    """Temporal intersection over union of segments (…, 2), broadcast; 0 where they share nothing. `slack` (s) is added
    to the union."""
    shared = np.minimum(a[..., 1], b[..., 1]) - np.maximum(a[..., 0], b[..., 0])
    union = (b[..., 1] - b[..., 0]) + (a[..., 1] - a[..., 0]) - shared + slack
    return np.where(shared > 0, shared / np.where(shared > 0, union, 1.0), 0.0)


def average_precision(found: Spans, hits: np.ndarray, support: np.ndarray, order=None) -> np.ndarray:
    """(C, T) AP of each label at each tIoU; NaN for labels without truth.

    hits  (N, T) whether each prediction took a segment; support (C,) truth a label; order: `best_first` of its scores
    """
    order, bounds = by_label(found.label, found.scores, len(support), order)
    hits = hits[order]
    taken = np.flatnonzero(hits.any(1))
    result = np.full((len(support), hits.shape[1]), np.nan)
    for label in np.flatnonzero(support):
        rows = taken[slice(*np.searchsorted(taken, bounds[label : label + 2]))]
        result[label] = _area(hits[rows], rows - bounds[label] + 1) / support[label]
    return result


def _area(hits: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(T,) sum of the interpolated precisions at every hit; `hits` (n, T), `places` (n,) their ranks from 1."""
    precision = hits.cumsum(0) / places[:, None]
    at_least = np.maximum.accumulate(precision[::-1], 0)[::-1]  # the best precision at this recall or a higher one
    return (at_least * hits).sum(0)


def mean_average_precision(ap: np.ndarray) -> np.ndarray:
    """(T,) mean over the labels that have an AP (C, T). Raises DataError where none has."""
    present = ap[~np.isnan(ap).any(1)]
    if not len(present):
        raise DataError("no segments in the truth; a mean average precision needs at least one")
    return present.mean(0)


def mapped(spans: Spans, body: Sequence[int] | np.ndarray) -> Spans:
    """The spans with each label's group, `body` (C,), in its place."""
    return spans._replace(label=np.asarray(body)[spans.label])


def values(ap: dict[str, np.ndarray], tious) -> dict[tuple[float | str, str], float]:
    """{(tIoU or "avg", level): mAP} of the AP (C, T) a level; level "avg" is the mean of action and body."""
    means = {level: mean_average_precision(part) for level, part in ap.items()}
    if len(means) == 2:
        means["avg"] = (means["action"] + means["body"]) / 2
    result = {(t, level): float(mean[i]) for i, t in enumerate(tious) for level, mean in means.items()}
    return result | {("avg", level): float(mean.mean()) for level, mean in means.items()}


def evaluate(truth: Spans, found: Spans, body=None, tious=TIOUS, evaluator: str = "opentad") -> dict:
    """{(tIoU or "avg", level): mAP as a fraction}: what `mma82 score --metric map` prints.

    body  (C,) group of each label, or None: then there is no level of groups
    """
    classes = 1 + max(int(spans.label.max(initial=0)) for spans in (truth, found))
    levels, order = {"action": (truth, found, classes)}, best_first(found.scores)
    if body is not None:
        levels["body"] = (mapped(truth, body), mapped(found, body), int(np.max(body)) + 1)
    ap = {}
    for level, (real, guessed, size) in levels.items():
        real = real.take(admitted(real, evaluator))
        hits = match(real, guessed, tious, SLACK[evaluator], order) >= 0
        ap[level] = average_precision(guessed, hits, np.bincount(real.label, minlength=size), order)
    return values(ap, tious)
