"""What several streams say of a clip made one (Table VII): their centred log-probabilities averaged, weighted, or given to a
small network. Whatever is fitted is fitted on validation clips."""

from __future__ import annotations

import numpy as np

from mma82cli.emotion.folds import folds

LEAST = 1e-6  # a probability below counts as this
FOLDS = 5


def centred(values: np.ndarray, logits: bool) -> np.ndarray:
    """(N, D) logits, or the logarithms of probabilities, with mean 0 in every row."""
    z = values if logits else np.log(np.maximum(values, LEAST))
    return z - z.mean(1, keepdims=True)


def placed(z: np.ndarray, ids: list[int], classes: int) -> np.ndarray:
    """(N, K) of z (N, D), whose column j is of class ids[j]; 0, the mean, for a class that the stream does not know."""
    out = np.zeros((len(z), classes))
    out[:, ids] = z
    return out


def softmax(z: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis."""
    powers = np.exp(z - z.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def average(z: np.ndarray, present: np.ndarray) -> np.ndarray:
    """(N, K) probabilities: the mean of what the streams that are there say. z (S, N, K), 0 where not present (N, S)."""
    return softmax(z.sum(0) / np.maximum(present.sum(1, keepdims=True), 1))


def fit_weights(z: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(S,) weights, none below 0, with the least cross-entropy of softmax(sum of w_s z_s), drawn to equal ones by as much as
    one clip weighs. z (S, N, K), truth (N,). The function is strictly convex: there is one answer."""
    from scipy.optimize import minimize

    equal = np.full(len(z), 1 / len(z))
    own = z[:, np.arange(len(truth)), truth]  # (S, N)

    def cost(w: np.ndarray) -> tuple[float, np.ndarray]:
        total = np.tensordot(w, z, 1)  # (N, K)
        top = total.max(1, keepdims=True)
        log_sum = top[:, 0] + np.log(np.exp(total - top).sum(1))
        loss = (log_sum - w @ own).sum() + ((w - equal) ** 2).sum() / 2
        slope = (z * softmax(total)).sum((1, 2)) - own.sum(1) + (w - equal)
        return loss / len(truth), slope / len(truth)

    found = minimize(cost, equal, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(z), options={"ftol": 1e-15, "gtol": 1e-9})
    return np.asarray(found.x)


def inputs(z: list[np.ndarray], present: np.ndarray, fit_on: np.ndarray) -> np.ndarray:
    """(N, D) all streams side by side, each column scaled to mean 0 and deviation 1 over the clips of `fit_on` (N,) bool that
    have it; 0 for a stream that is missing, and a column that says so."""
    columns = []
    for s, values in enumerate(z):
        there = present[:, s]
        known = values[fit_on & there] if (fit_on & there).any() else np.zeros((1, values.shape[1]))
        spread = known.std(0)
        scaled = (values - known.mean(0)) / np.where(spread > 1e-9, spread, 1)
        columns.append(np.where(there[:, None] & (spread > 1e-9), scaled, 0))
        if not there.all():
            columns.append(there[:, None].astype(float))
    return np.concatenate(columns, 1)


def network(x: np.ndarray, truth: np.ndarray, person: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """(N, K) probabilities from the networks of Algorithm 1, one for each of FOLDS parts of the clips with a truth (others
    have -1): it learns from the rest, and its epoch is the best on the part. Their mean is the answer.

    x (N, D), truth (N,), person (N,) ids of who may not be on both sides
    """
    from mma82cli.emotion import mlp

    mine = np.flatnonzero(truth >= 0)
    who = np.unique(person[mine], return_inverse=True)[1]
    count = min(FOLDS, int(who.max()) + 1)
    part = folds(who, truth[mine], count, np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(6,))))
    sides = [[mine[part != k] for k in range(count)], [mine[part == k] for k in range(count)]]
    train, val = (mlp.padded([x[rows] for rows in side], [truth[rows] for rows in side]) for side in sides)
    fitted = mlp.fit(train, val, classes, mlp.Recipe(decay=0.003, epochs=150), seed)
    return fitted.probabilities(mlp.padded([x] * count, [np.zeros(len(x))] * count).x).mean(0)
