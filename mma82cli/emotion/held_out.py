"""What the trees are worth on people they have not seen, and which actions that hinges on."""

from __future__ import annotations

import numpy as np

from mma82cli.emotion import trees
from mma82cli.emotion.folds import folds

FOLDS = 5
SHUFFLES = 10  # of each action's column


def held_out(
    features: np.ndarray, emotion: np.ndarray, person: np.ndarray, emotions: int, baseline: int, growth: trees.Growth, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """accuracy (E,), the balanced accuracy of each emotion's tree on clips of people that it was not grown on (chance: 0.5),
    and importance (E, C), by how much that falls when the action's column is shuffled among those clips.

    NaN for the baseline, and where an emotion or the baseline is there in too few people to hold some out.
    features (N, C), emotion and person (N,) ids
    """
    accuracy, importance = np.full(emotions, np.nan), np.full((emotions, features.shape[1]), np.nan)
    people = int(person.max()) + 1
    if people < 2:
        return accuracy, importance
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,)))
    part = folds(person, emotion, min(FOLDS, people), rng)
    for e in sorted(set(emotion.tolist()) - {baseline}):
        mine = (emotion == e) | (emotion == baseline)
        x, truth, fold = features[mine], emotion[mine] == e, part[mine]
        hits, seen, lost = np.zeros(2), np.zeros(2), np.zeros((2, x.shape[1]))
        for k in np.unique(fold):
            test = fold == k
            if truth[~test].all() or not truth[~test].any():
                continue
            grown = trees.tree(x[~test], truth[~test], growth, seed)
            right = grown.predict(x[test]) == truth[test]
            worse = _shuffled(grown, x[test], truth[test], rng)
            for side in (0, 1):
                of = truth[test] == bool(side)
                hits[side] += right[of].sum()
                seen[side] += of.sum()
                lost[side] += right[of].sum() - worse[:, of].sum(1)
        if seen.all():
            accuracy[e], importance[e] = (hits / seen).mean(), (lost / seen[:, None]).mean(0)
    return accuracy, importance


def _shuffled(grown, x: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(C, n) share of the shuffles of an action's column in which the tree is right of each clip of x (n, C)."""
    right = np.broadcast_to(grown.predict(x) == truth, (x.shape[1], len(x))).astype(float)
    used = np.flatnonzero(grown.feature_importances_ > 0)
    if not len(used):
        return right
    copies = np.broadcast_to(x, (len(used), SHUFFLES, *x.shape)).copy()
    for i, action in enumerate(used):
        copies[i, :, :, action] = rng.permuted(copies[i, :, :, action], axis=1)
    guesses = grown.predict(copies.reshape(-1, x.shape[1])).reshape(len(used), SHUFFLES, -1)
    right[used] = (guesses == truth).mean(1)
    return right
