"""Soft-NMS (Bodla et al. 2017) in time, and boundary voting, on one video's proposals.

A proposal is decayed only by proposals that were chosen before it, so the chosen scores never rise: the first K
choices are the K best of the whole run, and whatever would come after them need not be computed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mma82cli.records import WrongUsage

METHODS = ("gauss", "linear", "hard")
_WIDTH = 1e-6  # seconds added to every length, so that a point has one
_TINY = np.finfo(float).tiny  # the smallest factor: a chosen proposal (-inf) must stay -inf


class Kept(NamedTuple):
    """K proposals that were left, best first: `segments` (K, 2) s, `scores` (K,) decayed, `labels` (K,), and
    `rows` (K,), where each stood in the input."""

    segments: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    rows: np.ndarray


def suppress(
    segments, scores, labels, method: str = "gauss", sigma: float = 0.5, iou: float = 0.5, min_score: float = 0.0,
    topk: int = 200, vote: float | None = None, class_agnostic: bool = False,
) -> Kept:  # fmt: skip
    """The `topk` best proposals (0: all) after each has lowered those that it overlaps.

    segments  (N, 2) start and end in seconds; scores (N,), at least 0; labels (N,), any integers
    method    gauss: a chosen proposal multiplies each other's score by exp(-tIoU^2 / sigma); linear: by 1 - tIoU
              where tIoU >= iou; hard: takes out those with tIoU >= iou
    min_score proposals whose score is or falls below it are left out
    vote      boundaries become the mean of all proposals with tIoU >= vote, weighted by their scores before
              suppression (None: they stay)
    Proposals of different labels leave each other alone, in voting too, unless `class_agnostic`. Equal scores: the
    earlier in the input first. A segment with end <= start overlaps nothing. Raises WrongUsage.
    """
    segments, scores = np.asarray(segments, float).reshape(-1, 2), np.asarray(scores, float)
    labels = np.asarray(labels)
    if method not in METHODS or not sigma > 0 or topk < 0 or not 0 < iou <= 1 or not (vote is None or 0 < vote <= 1):
        raise WrongUsage(f"suppression '{method}', sigma {sigma}, iou {iou}, topk {topk}, vote {vote}: out of range")
    if len(scores) == 0:
        return Kept(segments, scores, labels, np.zeros(0, int))
    pools, pool_of = _pools(segments, np.zeros(len(scores), int) if class_agnostic else labels)
    index, final = _choose(segments, scores, pools, pool_of, _decay(method, sigma, iou), min_score, topk)
    result = segments[index]
    if vote is not None:
        for number in np.unique(pool_of[index]):
            mine = pool_of[index] == number
            result[mine] = _voted(result[mine], segments, scores, pools[number].rows, vote)
    return Kept(result, final, labels[index], index)


class _Pool(NamedTuple):
    """The proposals that compete with each other: their rows in the input, starts, ends and lengths."""

    rows: np.ndarray
    start: np.ndarray
    end: np.ndarray
    length: np.ndarray


def _pools(segments: np.ndarray, labels: np.ndarray) -> tuple[list[_Pool], np.ndarray]:
    """A pool for each label, and (N,) the number of each proposal's pool."""
    _, pool_of, counts = np.unique(labels, return_inverse=True, return_counts=True)
    rows = np.split(np.argsort(pool_of, kind="stable"), counts.cumsum()[:-1])
    start, end = segments.T
    return [_Pool(r, start[r], end[r], end[r] - start[r] + _WIDTH) for r in rows], pool_of


def _decay(method: str, sigma: float, iou: float):
    """(scores (n,), tIoU with the chosen (n,)) -> scores (n,), -inf for what is taken out."""
    if method == "gauss":
        return lambda scores, overlap: scores * np.maximum(np.exp(overlap * overlap * (-1 / sigma)), _TINY)
    if method == "linear":
        return lambda scores, overlap: scores * np.where(overlap >= iou, np.maximum(1 - overlap, _TINY), 1.0)
    return lambda scores, overlap: np.where(overlap >= iou, -np.inf, scores)


def _choose(segments, scores, pools, pool_of, decay, min_score: float, topk: int) -> tuple[np.ndarray, np.ndarray]:
    """(K,) rows of the chosen and their scores, best first."""
    current = scores.copy()  # -inf: chosen or taken out
    index, final = [], []
    places, spans = pool_of.tolist(), segments.tolist()
    for _ in range(min(topk or len(scores), len(scores))):
        best = int(current.argmax())
        score = float(current[best])
        if score < min_score or score == -np.inf:
            break
        index.append(best)
        final.append(score)
        rows, starts, ends, lengths = pools[places[best]]
        start, end = spans[best]
        shared = np.minimum(ends, end) - np.maximum(starts, start)
        shared = np.maximum(shared, 0, out=shared)
        union = lengths + (end - start + _WIDTH) - shared
        current[rows] = decay(current[rows], shared / np.maximum(union, _WIDTH))
        current[best] = -np.inf
    return np.array(index, int), np.array(final, float)


def _voted(chosen: np.ndarray, segments: np.ndarray, scores: np.ndarray, rows: np.ndarray, vote: float) -> np.ndarray:
    """(k, 2) boundaries of `chosen` (k, 2) after the vote of the proposals `rows`; without voters they stay."""
    voters, start, end = segments[rows], chosen[:, :1], chosen[:, 1:]
    shared = (np.minimum(end, voters[:, 1]) - np.maximum(start, voters[:, 0])).clip(0)  # (k, n)
    union = (end - start) + (voters[:, 1] - voters[:, 0]) - shared
    weights = np.where(shared >= vote * np.maximum(union, _WIDTH), scores[rows], 0.0)
    total = weights.sum(1, keepdims=True)
    return np.where(total > 0, weights @ voters / np.where(total > 0, total, 1), chosen)
