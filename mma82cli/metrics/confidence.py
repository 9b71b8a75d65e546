"""How sure a number is: bootstrap intervals, paired comparison of two systems, and the spread over runs.

Clips of one person are not independent, so whole clusters (subjects) are drawn with replacement; without a
cluster, clips are. Either way a resample is a vector of weights over units, and all resamples of all metrics
are a few matrix products.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from mma82cli.metrics.recognition import Margins, Ranked, values

LEVEL = 0.95  # of every interval
_CHUNK = 1 << 22  # weights held at a time


class Codes:
    """Any number of values as small integers, in the order in which they first came."""

    def __init__(self):
        self.values: dict = {}  # value: its code
        self.parts: list[np.ndarray] = []

    def add(self, values: list) -> None:
        """Adds N values."""
        known = self.values
        self.parts.append(np.array([known.setdefault(value, len(known)) for value in values], np.int32))

    def absorb(self, other: Codes) -> None:
        """Adds all that `other` has, behind."""
        renamed = np.array([self.values.setdefault(value, len(self.values)) for value in other.values], np.int32)
        self.parts += [renamed[part] for part in other.parts]

    def codes(self) -> np.ndarray:
        """(N,) the code of each value."""
        return np.concatenate(self.parts) if self.parts else np.zeros(0, np.int32)

    def members(self) -> Iterator[tuple[Any, np.ndarray]]:
        """(value, its rows) of each value."""
        order = np.argsort(codes := self.codes(), kind="stable")
        bounds = np.searchsorted(codes[order], np.arange(len(self.values) + 1))
        for value, code in self.values.items():
            yield value, order[bounds[code] : bounds[code + 1]]


class Outcomes:
    """What became of every clip: (N, 3) `tables` a level (true id, best-scored id, whether the truth is among the five
    best), the `groups` and `clusters` that clips belong to, and `ids`. Clusters and ids where they are asked for."""

    def __init__(self, clustered: bool = False, named: bool = False):
        self.parts: dict[str, list[np.ndarray]] = {}
        self.groups, self.clusters = Codes(), Codes() if clustered else None
        self.ids: list[str] | None = [] if named else None

    def add(self, ranked: dict[str, Ranked], groups: list[tuple], clusters: list, ids: list[str]) -> None:
        """Adds a batch; no `groups` where there is one, ()."""
        for level, part in ranked.items():
            table = np.stack([part.truth, part.predicted, part.rank < 5], 1).astype(np.int16)
            self.parts.setdefault(level, []).append(table)
        self.groups.add(groups or [()] * len(ids))
        if self.clusters is not None:
            self.clusters.add(clusters)
        if self.ids is not None:
            self.ids += ids

    def absorb(self, other: Outcomes) -> None:
        """Adds all clips of `other`, behind."""
        for level, parts in other.parts.items():
            self.parts.setdefault(level, []).extend(parts)
        self.groups.absorb(other.groups)
        if self.clusters is not None:
            self.clusters.absorb(other.clusters)
        if self.ids is not None:
            self.ids += other.ids

    def tables(self) -> dict[str, np.ndarray]:
        """{level: (N, 3) table} of all clips."""
        return {level: np.concatenate(parts) for level, parts in self.parts.items()}

    def units(self) -> np.ndarray | None:
        """(N,) the cluster of each clip as a number from 0, whatever the order of input; None without clusters."""
        return None if self.clusters is None else in_order(list(self.clusters.values))[self.clusters.codes()]


def in_order(values: list) -> np.ndarray:
    """(N,) the place of each of N different values when they are sorted."""
    places = np.empty(len(values), int)
    places[sorted(range(len(values)), key=lambda i: repr(values[i]))] = np.arange(len(values))
    return places


def interval(samples: np.ndarray) -> list[float]:
    """The percentile interval of resampled values (R,)."""
    tail = (1 - LEVEL) / 2
    return [float(x) for x in np.quantile(samples, [tail, 1 - tail])]


def weights(frequency: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """(r, U) how often each of U kinds is drawn when as many units are drawn as there are, `resamples` rows in all, a chunk at
    a time; `frequency` (U,) is how many units are of each kind."""
    rng, kinds, units = np.random.default_rng(seed), len(frequency), int(frequency.sum())
    kind = np.arange(kinds).repeat(frequency)
    chunk, exact = max(1, _CHUNK // kinds), np.float32 if units < 1 << 24 else np.float64  # in which sums are exact
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        if units > 4 * kinds:
            yield rng.multinomial(units, frequency / units, size=rows).astype(exact)
        else:  # drawing unit by unit takes a third of the time of a binomial a kind
            draws = (kind[rng.integers(0, units, units, np.int32)] for _ in range(rows))
            yield np.stack([np.bincount(draw, minlength=kinds) for draw in draws]).astype(exact)


def resample(tables: list[dict[str, np.ndarray]], sizes: dict[str, int], units, resamples: int, seed: int, rule: str):
    """Metric values of every resample for each system: a list of {(metric, level): (R,)}, or None where one unit is all.

    tables  a dict of (N, 3) tables a system, rows of the same clips
    units   (N,) numbers of the clusters to draw, or None to draw clips
    """
    if units is not None:
        units = np.unique(units, return_inverse=True)[1]
        rows: Any = slice(None)
        frequency = np.ones(int(units.max()) + 1, int)
    else:  # clips with the same outcome are interchangeable: draw kinds of outcome by their frequency
        outcomes = np.concatenate([t for system in tables for t in system.values()], axis=1)
        _, rows, frequency = np.unique(outcomes, axis=0, return_index=True, return_counts=True)
        units = np.arange(len(rows))
    if len(frequency) == 1:
        return None
    margins = [{lv: _unit_margins(t[rows], units, sizes[lv]) for lv, t in system.items()} for system in tables]
    parts = []
    for drawn in weights(frequency, resamples, seed):
        sums = [{lv: Margins(*(_sums(drawn, m) for m in part)) for lv, part in system.items()} for system in margins]
        parts.append([values(system, rule) for system in sums])
    return [{key: np.concatenate([p[s][key] for p in parts]) for key in parts[0][s]} for s in range(len(tables))]


def _sums(drawn: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """(r, C) a margin (U, C) of each resample; `drawn` (r, U) in a type in which the sums are exact."""
    return (drawn @ margin.astype(drawn.dtype)).astype(float)


def _unit_margins(table: np.ndarray, units: np.ndarray, classes: int) -> Margins:
    """Margins of every unit, (U, C) each."""
    truth, guess, top5 = table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2] > 0

    def count(labels, where):
        size = (units.max() + 1) * classes
        return np.bincount(units[where] * classes + labels[where], minlength=size).reshape(-1, classes).astype(float)

    everywhere = np.ones(len(table), bool)
    return Margins(count(truth, everywhere), count(guess, everywhere), count(truth, truth == guess), count(truth, top5))


def p_value(delta: float, samples: np.ndarray) -> float:
    """Two-sided p of a difference from its resamples (R,): how often, centred on none, they differ as much or more."""
    centred = np.abs(samples - samples.mean()) if delta else np.abs(samples)
    return float((1 + (centred >= abs(delta) - 1e-15).sum()) / (1 + len(samples)))


def mcnemar(mine: np.ndarray, other: np.ndarray) -> float:
    """Exact two-sided McNemar p of two systems' correct clips, (N,) bool each."""
    b, c = int((mine & ~other).sum()), int((other & ~mine).sum())
    n, k = b + c, min(b, c)
    log_terms = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) - n * math.log(2) for i in range(k + 1)]
    return min(1.0, 2 * math.fsum(map(math.exp, log_terms)))


def spread(samples: list[float]) -> tuple[float, float | None, list[float] | None]:
    """Mean, standard deviation and 95 % t interval of a metric over runs; the last two None for one run."""
    n, mean = len(samples), math.fsum(samples) / len(samples)
    if n < 2:
        return mean, None, None
    deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in samples) / (n - 1))
    half = t_quantile(n - 1) * deviation / math.sqrt(n)
    return mean, deviation, [mean - half, mean + half]


def t_quantile(freedom: int) -> float:
    """The t for which Student's distribution has 95 % within -t and t (Abramowitz & Stegun 26.7.3 and 26.7.4)."""
    low, high = 0.0, 13.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_within(middle, freedom) < LEVEL else (low, middle)
    return low


def _t_within(t: float, freedom: int) -> float:
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    total, term = 0.0, cosine if odd else 1.0
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= cosine * cosine * k / (k + 1)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
