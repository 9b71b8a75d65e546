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

from typing import NamedTuple

import numpy as np

from mma82cli.records import DataError, WrongUsage, show

EVALUATORS = ("opentad", "activitynet", "mac")
TIOUS = tuple(round(0.1 * i, 1) for i in range(1, 10))
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
            parts = [round(low + i * step, 9) for i in range(int((high - low) / step + 1e-6) + 1)]
    except (ValueError, ZeroDivisionError, OverflowError):
        parts = []
    if not 0 < len(parts) <= 60 or not all(0 < t <= 1 for t in parts) or len(set(parts)) < len(parts):
        raise WrongUsage(f"--tiou {show(text)}; expected LO:HI:STEP or T,T,… with at most 60 thresholds above 0, up to 1")
    return parts


def oddities(truth: Spans, found: Spans, evaluator: str) -> list[str]:
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
    order = np.lexsort((found.scores, found.label))
    label, score = found.label[order], found.scores[order]
    ties = int(((label[1:] == label[:-1]) & (score[1:] == score[:-1])).sum())
    if ties:
        said.append(f"{ties} prediction(s) share their score with another of their label; the lower id, the earlier first")
    return said


def admitted(truth: Spans, evaluator: str) -> np.ndarray:
    """(N,) bool: the truth that the evaluator counts."""
    keep = np.ones(len(truth.video), bool)
    if evaluator != "opentad":
        return keep
    keep = truth.segments[:, 1] > truth.segments[:, 0]
    kept: dict[tuple, list] = {}
    rows = zip(truth.video.tolist(), truth.label.tolist(), truth.segments.tolist(), strict=True)
    for row, (video, label, (start, end)) in enumerate(rows):
        others = kept.setdefault((video, label), [])
        if keep[row] and any(abs(start - s) <= _SAME and abs(end - e) <= _SAME for s, e in others):
            keep[row] = False
        elif keep[row]:
            others.append((start, end))
    return keep


def best_first(found: Spans) -> np.ndarray:
    """(N,) rows by falling score, equal scores in row order."""
    return np.argsort(-found.scores, kind="stable")


def match(truth: Spans, found: Spans, tious=TIOUS, evaluator: str = "opentad") -> np.ndarray:
    """(N, T) the row of `truth` that each prediction takes at each tIoU, -1 for a false positive.

    Predictions of one video and label are a queue; the fronts of all queues are matched at once, at all tIoUs.
    """
    result = np.full((len(found.video), len(tious)), -1, np.int32)
    counted = np.flatnonzero(admitted(truth, evaluator))
    if not len(counted) or not len(found.video):
        return result
    classes = 1 + max(int(truth.label.max()), int(found.label.max()))
    keys = truth.video[counted] * classes + truth.label[counted]
    by_key = counted[np.argsort(keys, kind="stable")]
    queues, sizes = np.unique(keys, return_counts=True)
    first = sizes.cumsum() - sizes
    order = best_first(found)
    wanted = (found.video * classes + found.label)[order]
    queue = np.searchsorted(queues, wanted).clip(max=len(queues) - 1)
    matters = queues[queue] == wanted  # a prediction without truth of its label in its video is a false positive
    order, queue = order[matters], queue[matters]
    for size in np.unique(sizes[queue]):  # queues with equally many segments side by side
        mine = sizes[queue] == size
        targets = by_key[first[queue[mine]][:, None] + np.arange(size)[::-1]]  # (n, size), of equal tIoUs the last wins
        _match_queues(truth, found, order[mine], queue[mine], targets, np.asarray(tious), evaluator, result)
    return result


def _match_queues(truth, found, rows, queue, targets, tious, evaluator, result) -> None:
    """Fills `result` for the predictions `rows` (n,), best first, that stand in `queue` (n,) for `targets` (n, size)."""
    overlap = tiou(found.segments[rows][:, None], truth.segments[targets], 1e-4 if evaluator == "mac" else 0.0)
    hopeful = overlap.max(1) >= tious.min()
    rows, overlap, targets = rows[hopeful], overlap[hopeful], targets[hopeful]
    _, queue = np.unique(queue[hopeful], return_inverse=True)
    in_queue = np.argsort(queue, kind="stable")
    lengths = np.bincount(queue)
    place = np.empty(len(queue), int)
    place[in_queue] = np.arange(len(queue)) - (lengths.cumsum() - lengths).repeat(lengths)
    fronts = np.split(np.argsort(place, kind="stable"), np.bincount(place).cumsum()[:-1]) if len(place) else []
    free = np.ones((len(lengths), len(tious), targets.shape[1]), bool)
    at = np.arange(len(tious))
    for front in fronts:  # (m,) one prediction of each queue that is not at its end
        reaches = (overlap[front][:, None] >= tious[:, None]) & free[queue[front]]  # (m, T, size)
        best = np.where(reaches, overlap[front][:, None], -1.0).argmax(2)  # (m, T)
        hit = reaches.any(2)
        result[rows[front]] = np.where(hit, np.take_along_axis(targets[front], best, 1), -1)
        free[queue[front][:, None], at, best] &= ~hit


def tiou(a: np.ndarray, b: np.ndarray, slack: float = 0.0) -> np.ndarray:
    """Temporal intersection over union of segments (…, 2), broadcast; 0 where they share nothing. `slack` (s) is added
    to the union."""
    shared = np.minimum(a[..., 1], b[..., 1]) - np.maximum(a[..., 0], b[..., 0])
    union = (b[..., 1] - b[..., 0]) + (a[..., 1] - a[..., 0]) - shared + slack
    return np.where(shared > 0, shared / np.where(shared > 0, union, 1.0), 0.0)


def average_precision(found: Spans, hits: np.ndarray, support: np.ndarray) -> np.ndarray:
    """(C, T) AP of each label at each tIoU; NaN for labels without truth.

    hits  (N, T) whether each prediction took a segment; support (C,) truth a label.
    """
    order = best_first(found)
    order = order[np.argsort(found.label[order].astype(np.int32), kind="stable")]
    labels = found.label[order]
    bounds = np.searchsorted(labels, np.arange(len(support) + 1))
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


def mapped(spans: Spans, body: np.ndarray) -> Spans:
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
    levels = {"action": (truth, found, classes)}
    if body is not None:
        levels["body"] = (mapped(truth, body), mapped(found, body), int(np.max(body)) + 1)
    ap = {}
    for level, (real, guessed, size) in levels.items():
        hits = match(real, guessed, tious, evaluator) >= 0
        support = np.bincount(real.label[admitted(real, evaluator)], minlength=size)
        ap[level] = average_precision(guessed, hits, support)
    return values(ap, tious)
