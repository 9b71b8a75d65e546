"""How far trees and ratios would differ if other clips, or other people, had been recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from mma82cli.emotion import ratio, trees


def multiplicities(units: int, resamples: int, seed: int) -> np.ndarray:
    """(R, U) how often each unit is drawn in each resample, U draws with replacement."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    return rng.multinomial(units, np.full(units, 1 / units), size=resamples)


def ratio_interval(
    drawn: np.ndarray, unit: np.ndarray, counts: np.ndarray, emotion: np.ndarray, emotions: int
) -> np.ndarray:
    """(2, E, C) percentile 95 % interval of the smoothed R: low and high.

    drawn (R, U) from `multiplicities`; unit, emotion (N,) of each clip; counts (N, C).
    """
    size, labels = drawn.shape[1], counts.shape[1]
    with_action = np.zeros((size, emotions, labels))
    np.add.at(with_action, (unit, emotion), counts > 0)
    clips = np.zeros((size, emotions))
    np.add.at(clips, (unit, emotion), 1)
    a = (drawn @ with_action.reshape(size, -1)).reshape(-1, emotions, labels)  # whole numbers: exact in any order
    n = (drawn @ clips)[..., None]
    samples = ratio.smoothed(a, n, a.sum(1, keepdims=True) - a, n.sum(1, keepdims=True) - n)
    return np.quantile(samples, (0.025, 0.975), axis=0)


def stability(
    drawn: np.ndarray, unit: np.ndarray, features: np.ndarray, emotion: np.ndarray, emotions: int, baseline: int,
    growth: trees.Growth, seed: int, top: int, watch: Callable[[Iterable], Iterable] = lambda x: x,
) -> np.ndarray:  # fmt: skip
    """(E, C) share of the resamples in whose tree an action is among the `top`; a resample without clips of the emotion
    or of the baseline selects nothing. Each resample also draws an order of the features.

    features (N, C); the rest as in `ratio_interval`. `watch` wraps the loop over resamples.
    """
    chosen = np.zeros((emotions, features.shape[1]))
    for r in watch(range(len(drawn))):
        times = drawn[r][unit]
        for e in range(emotions):
            member = np.flatnonzero(((emotion == e) | (emotion == baseline)) & (times > 0))
            rows = np.repeat(member, times[member])
            truth = emotion[rows] == e
            if e != baseline and truth.any() and not truth.all():
                chosen[e] += trees.selected(trees.importances(features[rows], truth, growth, seed + r), top)
    return chosen / len(drawn)
