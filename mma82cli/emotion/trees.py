"""A CART of one emotion against the baseline, and the Gini importance that it gives to each action (Section V-B)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

ORDERS = 20  # orders of the features over which importances are averaged


class Growth(NamedTuple):
    """What holds a tree back: its depth (0: nothing) and the clips that a leaf must have."""

    max_depth: int = 4
    min_leaf: int = 5


def importances(features: np.ndarray, truth: np.ndarray, growth: Growth = Growth(), seed: int = 0) -> np.ndarray:
    """(C,) Gini importances, sum 1 (or 0 where nothing is worth a split), of (N, C) features and (N,) bool truth.

    Several splits may be equally good; scikit-learn takes the first in an order of the features that `seed` shuffles.
    """
    return tree(features, truth, growth, seed).feature_importances_


def tree(features: np.ndarray, truth: np.ndarray, growth: Growth = Growth(), seed: int = 0):
    """scikit-learn's fitted DecisionTreeClassifier."""
    from sklearn.tree import DecisionTreeClassifier

    depth, leaf = growth
    return DecisionTreeClassifier(max_depth=depth or None, min_samples_leaf=leaf, random_state=seed).fit(features, truth)


def mean_importances(features: np.ndarray, truth: np.ndarray, growth: Growth = Growth(), seed: int = 0) -> np.ndarray:
    """(C,) mean over `ORDERS` orders of the features: what doesn't hinge on which of two equal splits came first."""
    return np.mean([importances(features, truth, growth, seed + i) for i in range(ORDERS)], axis=0)


def ranks(values: np.ndarray) -> np.ndarray:
    """(C,) 1 for the largest value; equal ones by label id."""
    order = np.argsort(-values, kind="stable")
    places = np.empty(len(values), np.int64)
    places[order] = np.arange(1, len(values) + 1)
    return places


def selected(values: np.ndarray, top: int) -> np.ndarray:
    """(C,) bool: the `top` most important actions, of those that the tree uses at all."""
    return (ranks(values) <= top) & (values > 0)
