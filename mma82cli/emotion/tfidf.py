"""Emotion clips as vectors of weighted micro-actions (Section V-B): TF-IDF under two conventions."""

from __future__ import annotations

import numpy as np

from mma82cli.records import WrongUsage


def count(actions: list[list[int]], labels: int) -> np.ndarray:
    """(N, labels) int: how often each action is in each clip, from the clips' action ids."""
    counts = np.zeros((len(actions), labels), np.int64)
    for row, clip in zip(counts, actions, strict=True):
        np.add.at(row, clip, 1)
    return counts


def smooth_idf(counts: np.ndarray) -> np.ndarray:
    """(C,) ln((1 + N) / (1 + df)) + 1 of (N, C) counts. An action of no clip or of every clip keeps a finite weight."""
    return np.log((1 + len(counts)) / (1 + (counts > 0).sum(0))) + 1


def tfidf(counts: np.ndarray, variant: str = "clip", idf: np.ndarray | None = None) -> np.ndarray:
    """(N, C) float of (N, C) counts; a clip without actions is a row of zeros. `idf` (C,) is of these clips if not given.

    clip     count / length of the clip x smooth idf. A column then has one factor, so a tree's splits do not depend on idf.
    sklearn  count x smooth idf in rows of Euclidean length 1, scikit-learn's default.
    """
    weighted = counts * (smooth_idf(counts) if idf is None else idf)
    if variant == "clip":
        norm = counts.sum(1, keepdims=True).astype(float)
    elif variant == "sklearn":
        norm = np.sqrt((weighted * weighted).sum(1, keepdims=True))
    else:
        raise WrongUsage(f"TF-IDF variant {variant!r}; expected clip or sklearn")
    return np.divide(weighted, norm, out=np.zeros_like(weighted), where=norm > 0)
