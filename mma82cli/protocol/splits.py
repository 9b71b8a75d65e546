"""Splits in which every group (a subject) is whole: one optimiser for ratio, classes and domains together.

The paper asks for 3:1:1 with subjects kept apart and classes alike (Section IV). With n_s the counts of split s and
r_s its share, the cost is quadratic:

    sum_s 1/r_s ( sum_c (n_sc - r_s n_c)^2 / n_c  +  R N (n_s/N - r_s)^2  +  D N sum_d (n_sd/n_d - r_s)^2 )

so with a feature vector a group, what a move changes is known from inner products: every move of a group, alone or in
exchange for another, is priced at once. Annealing draws among them (heat bath), then the best move is taken until none
helps. It is seeded and counted in steps, never in seconds; features are rounded to 1/4096, so that every sum is exact
and the result the same on any number of threads.
"""

from __future__ import annotations

import numpy as np

RATIO, DOMAIN = 40.0, 2.5  # R and D: what a deviation costs beside the classes' chi-square
MISSING = 20.0  # what a class in one more split may cost; a ratio is not ruined for a class of three clips
SCALE = 4096.0
GRAM_LIMIT = 3000  # groups up to which all inner products are kept (72 MB)
WORK = 200_000_000  # moves priced while annealing, at most
STEPS_A_CLIP = 12
TEMPERATURES = (10.0, 0.2)
SAMPLE = 500  # groups tried again where there are more than GRAM_LIMIT; the fill is good where they are small


def assign(classes, domains, ratio, seed: int = 0, fixed=None) -> np.ndarray:
    """The split of every group.

    classes  (G, C) clips of each class in each group
    domains  (G, D) clips of each domain in each group; D may be 0
    ratio    (S,) shares wanted, positive; any scale
    fixed    (G,) split of groups that stay where they are, -1 for those that may move; None: all may
    Returns (G,) integers 0..S-1.
    """
    classes, domains = np.asarray(classes, float), np.asarray(domains, float)
    share = np.asarray(ratio, float) / np.sum(ratio)
    fixed = np.full(len(classes), -1) if fixed is None else np.asarray(fixed)
    if not len(classes) or len(share) == 1:
        return np.where(fixed < 0, 0, fixed)
    search = Search(_features(classes, domains), share, fixed)
    search.anneal(np.random.default_rng(seed), STEPS_A_CLIP * int(classes.sum()))
    search.descend()
    search.spread(classes)
    return search.split


def _features(classes: np.ndarray, domains: np.ndarray) -> np.ndarray:
    """(G, F): the cost is a sum of squares of these, summed over a split, less its share of the whole."""
    size = classes.sum(1, keepdims=True)
    total = max(size.sum(), 1.0)
    columns = [
        classes / np.sqrt(np.maximum(classes.sum(0), 1)),
        size * np.sqrt(RATIO * total) / total,
        domains * np.sqrt(DOMAIN * total) / np.maximum(domains.sum(0), 1),
    ]
    return np.round(np.concatenate(columns, axis=1) * SCALE)


class Search:
    """An assignment that is made better. `pull[s, g]`: inner product of group g with split s's surplus."""

    def __init__(self, features: np.ndarray, share: np.ndarray, fixed: np.ndarray):
        self.features, self.share = features, share
        self.weight = 1 / share
        self.free = np.flatnonzero(fixed < 0)
        self.square = (features**2).sum(1)
        self.gram = features @ features.T if len(features) <= GRAM_LIMIT else None
        self.split = fixed.copy()
        self._fill()
        goal = np.round(share[:, None] * features.sum(0))  # rounded: sums stay exact
        surplus = np.stack([features[self.split == s].sum(0) for s in range(len(share))]) - goal
        self.pull = surplus @ features.T
        self.pairs = [(a, b) for a in range(len(share)) for b in range(len(share)) if a != b]

    def _fill(self) -> None:
        """A first assignment: groups from large to small, each to where the surplus is least with it."""
        surplus = -np.round(self.share[:, None] * self.features.sum(0))
        for g in np.flatnonzero(self.split >= 0):
            surplus[self.split[g]] += self.features[g]
        for g in self.free[np.argsort(-self.square[self.free], kind="stable")]:
            s = int(np.argmin((2 * (surplus @ self.features[g]) + self.square[g]) * self.weight))
            self.split[g] = s
            surplus[s] += self.features[g]

    def inner(self, g: int) -> np.ndarray:
        """(G,) inner products of group g with all groups."""
        return self.gram[g] if self.gram is not None else self.features @ self.features[g]

    def move(self, g: int, to: int) -> None:
        """Puts a group into another split."""
        inner, origin = self.inner(g), self.split[g]
        self.pull[origin] -= inner
        self.pull[to] += inner
        self.split[g] = to

    def prices(self, g: int, to: int, others: np.ndarray, inner: np.ndarray) -> np.ndarray:
        """(1 + len(others),) change of cost when g goes to split `to`: alone, or in exchange for each of `others`."""
        a = self.split[g]
        both = self.weight[a] + self.weight[to]
        back = 2 * (self.weight[a] * self.pull[a] - self.weight[to] * self.pull[to])  # (G,); g goes the other way
        swapped = both * (self.square[g] + self.square - 2 * inner) + (back - back[g])
        return np.concatenate(([both * self.square[g] - back[g]], swapped[others])) / SCALE**2

    def anneal(self, random: np.random.Generator, most: int) -> None:
        """At most `most` steps of one random group each, which goes where a heat bath of falling temperature sends it."""
        free = self.free
        if len(free) < 2 or self.gram is None:
            return
        steps = max(2000, min(most, 2 * len(free) ** 2, WORK // len(free)))
        fall = np.geomspace(*TEMPERATURES, steps)
        chosen = free[random.integers(len(free), size=steps)]
        turns = random.integers(1, len(self.share), size=steps)
        movable = np.zeros(len(self.split), bool)
        movable[free] = True
        best, lowest, cost = self.split.copy(), 0.0, 0.0
        for g, turn, temperature in zip(chosen.tolist(), turns.tolist(), fall.tolist(), strict=True):
            to = (self.split[g] + turn) % len(self.share)
            others = np.flatnonzero((self.split == to) & movable)
            prices = self.prices(g, to, others, self.inner(g))
            # The Gumbel trick draws from exp(-price / temperature); staying has the price 0.
            drawn = prices + temperature * np.log(random.standard_exponential(len(prices)))
            pick = int(drawn.argmin())
            if drawn[pick] < temperature * np.log(random.standard_exponential()):
                cost += prices[pick]
                self._take(g, to, pick, others)
                if cost < lowest - 1e-9:
                    lowest, best = cost, self.split.copy()
        self._restore(best)

    def _take(self, g: int, to: int, pick: int, others: np.ndarray) -> None:
        origin = self.split[g]
        self.move(g, to)
        if pick:
            self.move(int(others[pick - 1]), origin)

    def _restore(self, split: np.ndarray) -> None:
        for g in np.flatnonzero(split != self.split):
            self.move(int(g), int(split[g]))

    def descend(self) -> None:
        """Takes for each group in turn its best move, until none lowers the cost."""
        movable = np.zeros(len(self.split), bool)
        movable[self.free] = True
        passes, groups = (50, self.free) if self.gram is not None else (1, self.free[:: 1 + len(self.free) // SAMPLE])
        for _ in range(passes):
            moved = False
            for g in groups.tolist():
                for turn in range(1, len(self.share)):
                    to = (self.split[g] + turn) % len(self.share)
                    others = np.flatnonzero((self.split == to) & movable)
                    prices = self.prices(g, to, others, self.inner(g))
                    pick = int(prices.argmin())
                    if prices[pick] < -1e-9:
                        self._take(g, to, pick, others)
                        moved = True
            if not moved:
                return

    def spread(self, classes: np.ndarray) -> None:
        """Brings classes into splits that lack them, at the least cost, where enough groups have them
        and the cost is bearable."""
        movable = np.zeros(len(self.split), bool)
        movable[self.free] = True
        possible = (classes > 0).sum(0) >= len(self.share)
        for _ in range(classes.shape[1] * len(self.share)):
            held = np.stack([(classes[self.split == s] > 0).sum(0) for s in range(len(self.share))])  # groups a class
            lacking = np.argwhere((held == 0) & possible)
            moves = [m for to, c in lacking for m in self._moves_to(int(to), int(c), classes, held, possible, movable)]
            if not moves:
                return
            _, g, to, pick, others = min(moves, key=lambda move: move[:2])
            self._take(g, to, pick, others)

    def _moves_to(self, to: int, label: int, classes, held, possible, movable):
        """(price, group, to, pick, others) of each group's cheapest move to `to` that leaves fewer classes lacking."""
        has = (classes > 0) & possible
        for g in np.flatnonzero(movable & (classes[:, label] > 0) & (self.split != to)).tolist():
            origin = self.split[g]
            others = np.flatnonzero((self.split == to) & movable)
            swaps = np.concatenate((np.zeros((1, has.shape[1]), bool), has[others]))
            after_from = held[origin] - has[g] + swaps
            after_to = held[to] + has[g] - swaps
            lacking = ((after_from <= 0) & possible).sum(1) + ((after_to <= 0) & possible).sum(1)
            before = ((held[origin] == 0) & possible).sum() + ((held[to] == 0) & possible).sum()
            gained = before - lacking
            prices = self.prices(g, to, others, self.inner(g))
            prices[(gained <= 0) | (prices > MISSING * gained)] = np.inf
            pick = int(prices.argmin())
            if prices[pick] < np.inf:
                yield float(prices[pick]), g, to, pick, others
