"""Interval and p of the ratio R where people, not clips, are independent (Rao and Scott's design effect).

Several clips of a person are alike, so they tell less than as many clips of several people. The variance of log R is
Katz's, times the design effect: how much more the clips of a person vary together than clips at large do, but never less
than 1. Quantiles are of Student's t, with one degree of freedom less than there are people on the side (the emotion's
clips, or the others) that has fewer: two people who are both sad are no evidence about sadness, however many their clips.
"""

from __future__ import annotations

import numpy as np

from mma82cli.emotion import ratio


def interval(
    counts: np.ndarray, emotion: np.ndarray, person: np.ndarray, emotions: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """low, high and p, (E, C) each: the 95 % interval of the smoothed R and the two-sided p of R = 1. NaN where the emotion
    or the others come from one person alone; p is 1 where no clip has the action.

    counts (N, C); emotion and person (N,) ids
    """
    from scipy.special import stdtr, stdtrit

    a, n, b, m = table = ratio.presence(counts, emotion, emotions)
    middle = np.log(ratio.smoothed(*table))
    spread = np.sqrt(ratio.katz_variance(*table) * _design_effect(counts > 0, emotion, person, table))
    freedom = _fewest_people(emotion, person, emotions) - 1.0
    freedom[freedom < 1] = np.nan
    half = stdtrit(freedom, 0.975)[:, None] * spread
    p = 2 * stdtr(freedom[:, None], -np.abs(middle) / spread)
    p[(a + b == 0) & ~np.isnan(p)] = 1
    return np.exp(middle - half), np.exp(middle + half), p


def _design_effect(has: np.ndarray, emotion: np.ndarray, person: np.ndarray, table) -> np.ndarray:
    """(E, C) variance of log R from the sums over people, by that from single clips; at least 1. has (N, C) bool."""
    a, n, b, m = table
    effect = np.ones(a.shape)
    for e in range(len(a)):
        mine = (emotion == e)[:, None]
        pull = np.where(mine, has - (a[e] + 0.5) / (n[e] + 1), 0) / (a[e] + 0.5)
        pull -= np.where(mine, 0, has - (b[e] + 0.5) / (m[e] + 1)) / (b[e] + 0.5)  # what a clip does to log R
        together = np.zeros((int(person.max()) + 1, has.shape[1]))
        np.add.at(together, person, pull)
        alone = (pull**2).sum(0)
        effect[e] = np.maximum(1, np.divide((together**2).sum(0), alone, out=effect[e].copy(), where=alone > 0))
    return effect


def _fewest_people(emotion: np.ndarray, person: np.ndarray, emotions: int) -> np.ndarray:
    """(E,) people in the emotion's clips or in the others, whichever are fewer."""
    sides = [(len(np.unique(person[emotion == e])), len(np.unique(person[emotion != e]))) for e in range(emotions)]
    return np.min(sides, axis=1).astype(float)
