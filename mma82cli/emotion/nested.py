"""Table VIII by repeated nested cross-validation: what the actions that trees select are worth to a network.

Each clip is tested once a repeat, by networks that have seen neither it nor another clip of its person. Everything that is
fitted is fitted on the training part alone: the trees that select actions, idf, and the network; its epoch is chosen on a
validation part, and nothing by the test part.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mma82cli.emotion import trees
from mma82cli.emotion.clips import Table
from mma82cli.emotion.folds import folds
from mma82cli.emotion.tfidf import smooth_idf, tfidf

CONDITIONS = ("all", "without-top", "top-only")


class Plan(NamedTuple):
    """How a network is tried.

    classes   ids of the emotions that it is to tell apart
    baseline  id of the emotion that trees hold the others against; its clips may be no class
    top       actions of each emotion's tree that are selected
    growth    of the trees
    variant   of TF-IDF
    """

    classes: tuple[int, ...]
    baseline: int
    top: int
    growth: trees.Growth
    variant: str


class Parts(NamedTuple):
    """Which clips (N,) bool a fit learns from, chooses its epoch by, and is asked about."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


def cross_parts(table: Table, count: int, seed: np.random.SeedSequence) -> list[Parts]:
    """A repeat's parts: each of `count` is tested by what has learnt from all others but the next, which validates."""
    part = folds(table.person, table.emotion, count, np.random.default_rng(seed))
    each = [(part == k, part == (k + 1) % count) for k in range(count)]
    return [Parts(~(test | val), val, test) for test, val in each]


def permuted(table: Table, seed: np.random.SeedSequence) -> Table:
    """The clips with their emotions dealt out anew: nothing is to be learnt of them."""
    return table._replace(emotion=np.random.default_rng(seed).permutation(table.emotion))


def selected(counts: np.ndarray, emotion: np.ndarray, plan: Plan, seed: int) -> np.ndarray:
    """(C,) bool: the actions that the tree of any class but the baseline has among its `top`, grown on these clips."""
    features, chosen = tfidf(counts, plan.variant), np.zeros(counts.shape[1], bool)
    for e in plan.classes:
        mine = (emotion == e) | (emotion == plan.baseline)
        truth = emotion[mine] == e
        if e != plan.baseline and truth.any() and not truth.all():
            chosen |= trees.selected(trees.importances(features[mine], truth, plan.growth, seed), plan.top)
    return chosen


def views(table: Table, train: np.ndarray, plan: Plan, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """x (3, N, C) the clips' features under each of CONDITIONS, and used (3, C) the actions that are left in it. A masked
    action is as if nobody had ever done it: lengths, tf and idf are those of the actions that are left."""
    chosen = selected(table.counts[train], table.emotion[train], plan, seed)
    used = np.stack([np.ones_like(chosen), ~chosen, chosen])
    left = table.counts * used[:, None]  # (3, N, C)
    return np.stack([tfidf(counts, plan.variant, smooth_idf(counts[train])) for counts in left]), used


class Tried(NamedTuple):
    """A repeat's outcome.

    scores  (3, N, K) probabilities of the classes under each of CONDITIONS; NaN for a clip that nobody was asked about
    tested  (N,) bool: the clips of the test parts
    used    (F, 3) how many actions each fit was given
    """

    scores: np.ndarray
    tested: np.ndarray
    used: np.ndarray


def attempt(table: Table, parts: list[Parts], plan: Plan, recipe, seed: int, ask_val: bool = False) -> Tried:
    """Fits a network for each of the parts and conditions, all in one batch, and asks it about the clips of the test part
    (`ask_val`: of the validation part, too). recipe: `mlp.Recipe`."""
    from mma82cli.emotion import mlp

    place = np.full(max(plan.classes + (plan.baseline,)) + 1, -1)
    place[list(plan.classes)] = np.arange(len(plan.classes))
    y = np.where(table.emotion < len(place), place[np.minimum(table.emotion, len(place) - 1)], -1)
    seen = [views(table, part.train, plan, seed) for part in parts]

    def batch(rows: list[np.ndarray]) -> mlp.Part:
        """The rows of each fold, under all conditions."""
        pairs = [(mine, features[c]) for mine, (features, _) in zip(rows, seen, strict=True) for c in range(len(CONDITIONS))]
        return mlp.padded([features[mine] for mine, features in pairs], [y[mine] for mine, _ in pairs])

    classed = y >= 0
    asked = [np.flatnonzero(classed & (p.test | p.val if ask_val else p.test)) for p in parts]
    train, val = (batch([np.flatnonzero(classed & getattr(p, name)) for p in parts]) for name in ("train", "val"))
    networks = mlp.fit(train, val, len(plan.classes), recipe, seed, alike=len(CONDITIONS))
    answers = networks.probabilities(batch(asked).x)
    scores = np.full((len(CONDITIONS), len(y), len(plan.classes)), np.nan, np.float32)
    for f, mine in enumerate(asked):
        scores[:, mine] = answers[f * len(CONDITIONS) : (f + 1) * len(CONDITIONS), : len(mine)]
    tested = classed & np.any([p.test for p in parts], axis=0)
    return Tried(scores, tested, np.array([used.sum(1) for _, used in seen]))
