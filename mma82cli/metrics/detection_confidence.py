"""How sure a mean average precision is: videos, or clusters of them such as subjects, drawn with replacement.

A resample is a vector of weights over units. A video that is drawn twice counts twice, as two videos of the same content
would; what its predictions took stays what it was. So all resamples of a label's precision-recall curve are one matrix
product (how much stands at or above each hit) and a cumulative sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mma82cli.metrics import confidence
from mma82cli.metrics.detection import by_label
from mma82cli.metrics.detection_report import Matched


class _Curve(NamedTuple):
    """One label's ranking: of its H predictions that hit at any tIoU the unit `owner` (H,) and `hits` (H, T), and `above`
    (U, H), the predictions of each unit that stand at or above each hit."""

    label: int
    owner: np.ndarray
    hits: np.ndarray
    above: np.ndarray


def resample(systems: list[dict[str, Matched]], sizes: dict[str, int], tious, units, resamples: int, seed: int):
    """mAP of every resample for each system: a list of {(tIoU or "avg", level): (R,)}, level "avg" the mean of both. None
    where one unit is all there is. Resamples without any truth are left out.

    systems  matches a level; sizes: labels a level
    units    (V,) number of the unit of each video; videos that the systems have nothing of are no units
    """
    there = np.unique(np.concatenate([units[v] for parts in systems for p in parts.values() for v in (p.video, p.truth_video)]))
    count = len(there)
    if count < 2:
        return None
    units = np.searchsorted(there, units)
    made = [{lv: _curves(part, units, count, sizes[lv]) for lv, part in parts.items()} for parts in systems]
    drawn = list(confidence.weights(np.ones(count, int), resamples, seed))
    figures = []
    for levels in made:
        means = {lv: np.concatenate([_means(*level, weights, len(tious)) for weights in drawn]) for lv, level in levels.items()}
        if len(means) == 2:
            means["avg"] = (means["action"] + means["body"]) / 2
        figures.append(means)
    whole = np.all([np.isfinite(mean).all(1) for means in figures for mean in means.values()], axis=0)
    return [dict(_named({lv: mean[whole] for lv, mean in means.items()}, tious)) for means in figures] if whole.any() else None


def _named(means: dict[str, np.ndarray], tious) -> Iterator[tuple[tuple, np.ndarray]]:
    for level, mean in means.items():
        yield ("avg", level), mean.mean(1)
        for i, t in enumerate(tious):
            yield (t, level), mean[:, i]


def _curves(part: Matched, units: np.ndarray, count: int, classes: int) -> tuple[list[_Curve], np.ndarray]:
    """The curves of all labels with truth, and (U, C) their segments a unit."""
    rows, bounds = by_label(part.label, part.scores, classes)
    owner, hits = units[part.video[rows]], part.hits[rows]
    support = np.bincount(units[part.truth_video] * classes + part.truth_label, minlength=count * classes).reshape(-1, classes)
    curves = []
    for label in np.flatnonzero(support.sum(0)):
        mine = slice(*bounds[label : label + 2])
        taken = np.flatnonzero(hits[mine].any(1))
        if len(taken):
            next_hit = np.searchsorted(taken, np.arange(taken[-1] + 1))  # what stands below the last counts for nothing
            cells = owner[mine][: len(next_hit)] * len(taken) + next_hit
            above = np.bincount(cells, minlength=count * len(taken)).reshape(count, -1).cumsum(1)
            curves.append(_Curve(int(label), owner[mine][taken], hits[mine][taken], above.astype(float)))
    return curves, support.astype(float)


def _means(curves: list[_Curve], support: np.ndarray, weights: np.ndarray, thresholds: int) -> np.ndarray:
    """(R, T) mean average precisions of resamples with `weights` (R, U); NaN where none of a resample's labels has truth."""
    real = weights @ support  # (R, C)
    total = np.zeros((len(weights), thresholds))
    for curve in curves:
        n, mine = weights @ curve.above, weights[:, curve.owner]  # (R, H)
        truth = np.maximum(real[:, curve.label], 1)
        for t in range(thresholds):
            hit = np.flatnonzero(curve.hits[:, t])
            weight = mine[:, hit]
            precision = weight.cumsum(1) / np.maximum(n[:, hit], 1)
            at_least = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
            total[:, t] += (at_least * weight).sum(1) / truth
    with np.errstate(invalid="ignore"):
        return total / (real > 0).sum(1)[:, None]
