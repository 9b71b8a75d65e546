"""How much likelier an action is in the clips of an emotion than in all others: Eq. 7, with what a test can say of it.

All functions take counts of clips in arrays that broadcast: `a` of `n` clips of the emotion have the action, and `b` of
`m` other clips.
"""

from __future__ import annotations

import math

import numpy as np

Z95 = 1.959963984540054  # the normal distribution has 95 % within -Z95 and Z95
SURE = 0.05  # the q below which an association counts as found
TIE = 1e-9  # tables whose probabilities differ by less, relatively, are equally likely


def presence(counts: np.ndarray, emotion: np.ndarray, emotions: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """a (E, C), n (E, 1), b (E, C) and m (E, 1) from the clips' counts (N, C) and emotion ids (N,)."""
    member = np.arange(emotions)[:, None] == emotion
    n = member.sum(1, keepdims=True)
    a = member.astype(np.int64) @ (counts > 0)
    return a, n, a.sum(0) - a, n.sum() - n


def ratio(a, n, b, m) -> np.ndarray:
    """R = (a / n) / (b / m) (Eq. 7); infinite where b is 0, NaN where a and b are both 0 or there are no clips."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return (a * m) / np.asarray(b * n)


def smoothed(a, n, b, m) -> np.ndarray:
    """R with half a clip added on every side, so that it is always finite (Haldane and Anscombe)."""
    return ratio(a + 0.5, n + 1, b + 0.5, m + 1)


def katz_variance(a, n, b, m) -> np.ndarray:
    """Variance of the logarithm of the smoothed R, of clips that are independent (Katz et al. 1978)."""
    return 1 / (a + 0.5) - 1 / (n + 1) + 1 / (b + 0.5) - 1 / (m + 1)


def katz(a, n, b, m) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval of the smoothed R, of clips that are independent."""
    half = Z95 * np.sqrt(katz_variance(a, n, b, m))
    middle = np.log(smoothed(a, n, b, m))
    return np.exp(middle - half), np.exp(middle + half)


def phi(a, n, b, m) -> np.ndarray:
    """Effect size of the 2 x 2 table, -1..1; NaN where all clips or none have the action."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return (a * (m - b) - b * (n - a)) / np.sqrt(1.0 * n * m * (a + b) * (n + m - a - b))


def fisher(a: int, n: int, b: int, m: int) -> float:
    """Exact two-sided p that action and emotion are independent: all tables no likelier than this one (Fisher)."""
    k = a + b
    first, last = max(0, k - m), min(n, k)
    tables = np.arange(first, last + 1)
    chances = np.exp(_log_choose(n, tables) + _log_choose(m, k - tables) - _log_choose(n + m, np.array([k])))
    p = math.fsum(chances[chances <= chances[a - first] * (1 + TIE)].tolist())
    return min(1.0, p)


def _log_choose(n: int, k: np.ndarray) -> np.ndarray:
    return np.array([math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in k.tolist()])


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """q of each p (T,): the least false discovery rate at which it would be called significant among all T."""
    order = np.argsort(p, kind="stable")
    steps = p[order] * (len(p) / np.arange(1, len(p) + 1))  # never below p, rounding too
    q = np.empty_like(p, dtype=float)
    q[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1)
    return q


def direction(a, n, b, m) -> np.ndarray:
    """`more` where the emotion's clips have the action more often than others (R > 1), `less`, `equal`; None for 0/0."""
    names = np.array([None, "less", "equal", "more"], object)
    return names[np.where((a + b > 0) & (n * m > 0), 2 + np.sign(a * m - b * n), 0)]
