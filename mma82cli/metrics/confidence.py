"""How sure a number is: bootstrap intervals, paired comparison of two systems, and the spread over runs.

Clips of one person are not independent, so whole clusters (subjects) are drawn with replacement; without a
cluster, clips are. Either way a resample is a vector of weights over units, and all resamples of all metrics
are a few matrix products.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from mma82cli.metrics.recognition import Margins, Ranked, values

LEVEL = 0.95  # of every interval
_CHUNK = 1 << 22  # weights held at a time


@dataclass
class Outcomes:
    """What became of every clip: `ranked` a level, `groups` and `clusters` (values, N each), and `ids`."""

    ranked: dict[str, list[Ranked]] = field(default_factory=dict)
    groups: list[tuple] = field(default_factory=list)
    clusters: list = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    def add(self, ranked: dict[str, Ranked], groups: list[tuple], clusters: list, ids: list[str]) -> None:
        """Adds a batch."""
        for level, part in ranked.items():
            self.ranked.setdefault(level, []).append(part)
        self.groups += groups
        self.clusters += clusters
        self.ids += ids

    def table(self, level: str) -> np.ndarray:
        """(N, 3) int: true id, best-scored id, and whether the truth is among the five best."""
        parts = [np.stack([p.truth, p.predicted, p.rank < 5], 1) for p in self.ranked[level]]
        return np.concatenate(parts)


def interval(samples: np.ndarray) -> list[float]:
    """The percentile interval of resampled values (R,)."""
    tail = (1 - LEVEL) / 2
    return [float(x) for x in np.quantile(samples, [tail, 1 - tail])]


def resample(tables: list[dict[str, np.ndarray]], sizes: dict[str, int], clusters, resamples: int, seed: int, rule: str):
    """Metric values of every resample for each system: a list of {(metric, level): (R,)}, or None where one unit is all.

    tables    a dict of (N, 3) tables a system, rows of the same clips
    clusters  N values, or None to draw clips
    """
    if clusters is not None:
        units = np.unique(np.array([repr(c) for c in clusters]), return_inverse=True)[1]
        chances = np.full(units.max() + 1, 1 / (units.max() + 1))
        draws, rows = len(chances), slice(None)
    else:  # clips with the same outcome are interchangeable: draw kinds of outcome by their frequency
        outcomes = np.concatenate([t for system in tables for t in system.values()], axis=1)
        _, rows, frequency = np.unique(outcomes, axis=0, return_index=True, return_counts=True)
        units, chances, draws = np.arange(len(rows)), frequency / frequency.sum(), len(outcomes)
    if len(chances) == 1:
        return None
    margins = [{lv: _unit_margins(t[rows], units, sizes[lv]) for lv, t in system.items()} for system in tables]
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // len(chances))
    parts = []
    for start in range(0, resamples, chunk):
        weights = rng.multinomial(draws, chances, size=min(chunk, resamples - start)).astype(np.float64)
        drawn = [{lv: Margins(*(weights @ m for m in part)) for lv, part in system.items()} for system in margins]
        parts.append([values(system, rule) for system in drawn])
    return [{key: np.concatenate([p[s][key] for p in parts]) for key in parts[0][s]} for s in range(len(tables))]


def _unit_margins(table: np.ndarray, units: np.ndarray, classes: int) -> Margins:
    """Margins of every unit, (U, C) each."""
    truth, guess, top5 = table[:, 0], table[:, 1], table[:, 2] > 0

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
