"""How well annotators agree: frame-wise kappa, alpha and Dice, and what matched instances say.

Frames are 100 ms; a frame is active for an annotator when its centre lies in one of their [start, end). All annotators
of the input rate every video: who marked nothing saw nothing. Every figure is a function of sums over cells, a cell being
a label in a video; pooled over a label or over everything they give that label's figures, or those for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

STEP = 100_000  # microseconds a frame


class Marks(NamedTuple):
    """Annotations as columns, (N,) integers: the cell, the instance, the annotator's rank, start and end in microseconds;
    those of one instance stand together."""

    cell: np.ndarray
    instance: np.ndarray
    rank: np.ndarray
    start: np.ndarray
    end: np.ndarray


@dataclass
class Sums:
    """The additive parts of every figure, for C cells (or pools of them), R annotators and P pairs of annotators.

    frames, count  (C,) frames; annotations
    active         (R, C) frames in which an annotator sees the label
    both           (P, C) frames in which both of a pair do
    tiou, pairs, matched  (C,) of the pairs in one instance: their tIoU, how many, how many with a tIoU of 0.5 or more
    apart, of      (B,) |difference| of the starts and of the ends in each such pair, microseconds; and the cell it is of
    """

    frames: np.ndarray
    count: np.ndarray
    active: np.ndarray
    both: np.ndarray
    tiou: np.ndarray
    pairs: np.ndarray
    matched: np.ndarray
    apart: np.ndarray
    of: np.ndarray

    def pooled(self, pool: np.ndarray, size: int) -> Sums:
        """The sums of `size` pools; `pool` (C,) says where a cell goes."""

        def add(values: np.ndarray) -> np.ndarray:
            out = np.zeros((*values.shape[:-1], size), values.dtype)
            np.add.at(out.T, pool, values.T)
            return out

        columns = ("frames", "count", "active", "both", "tiou", "pairs", "matched")
        return Sums(**{name: add(getattr(self, name)) for name in columns}, apart=self.apart, of=pool[self.of])

    def figures(self) -> dict[str, np.ndarray]:
        """kappa and dice (P, C); alpha, mean_tiou, boundary_error (s), f1 and pairs (C,). NaN where one is undefined: no
        pair, or no variation to agree on."""
        raters = len(self.active)
        pairs = list(combinations(range(raters), 2))
        first, second = (self.active[[pair[k] for pair in pairs]] for k in (0, 1))
        n, both = self.frames, self.both
        neither = n - first - second + both
        with np.errstate(divide="ignore", invalid="ignore"):
            chance = first * second + (n - first) * (n - second)  # n^2 times
            kappa = np.where(n * n != chance, (n * (both + neither) - chance) / (n * n - chance), np.nan)
            active, unlike = self.active.sum(0), (first + second - 2 * both).sum(0)
            idle = raters * n - active
            disagreeing = unlike / (raters - 1) if raters > 1 else np.full(len(n), np.nan)
            alpha = 1 - (active + idle - 1) * disagreeing / (active * idle)
            return {
                "kappa": kappa,
                "dice": 2 * both / (first + second),
                "alpha": np.where(active * idle > 0, alpha, np.nan),
                "mean_tiou": self.tiou / self.pairs,
                "boundary_error": self._median_apart(),
                "f1": 2 * self.matched / ((raters - 1) * self.count) if raters > 1 else np.full(len(n), np.nan),
                "pairs": self.pairs,
            }

    def _median_apart(self) -> np.ndarray:
        order = np.lexsort((self.apart, self.of))
        values, sizes = self.apart[order], np.bincount(self.of, minlength=len(self.frames))
        first = sizes.cumsum() - sizes
        medians = np.full(len(sizes), np.nan)
        some = sizes > 0
        low, high = (first + (sizes - 1) // 2)[some], (first + sizes // 2)[some]
        medians[some] = (values[low] + values[high]) / 2_000_000
        return medians


def measure(marks: Marks, frames: np.ndarray, raters: int) -> Sums:
    """The sums of C cells. `frames` (C,) of each cell's video; `raters` how many annotators there are."""
    cells = len(frames)
    offset = (frames + 1).cumsum() - frames  # all cells one after the other on one line of frames, a gap between them
    first, last = (np.clip(-((STEP // 2 - t) // STEP), 0, frames[marks.cell]) for t in (marks.start, marks.end))
    lines = []
    for rank in range(raters):
        mine = (marks.rank == rank) & (first < last)
        at = offset[marks.cell[mine]]
        lines.append(_Line(at + first[mine], at + last[mine], marks.cell[mine]))
    active = [np.bincount(line.cell, line.end - line.start, cells) for line in lines]
    pairs = list(combinations(range(raters), 2))
    both = [np.bincount(lines[a].cell, lines[b].within(lines[a]), cells) for a, b in pairs]
    i, j = _pairs(marks.instance)
    shared = np.minimum(marks.end[i], marks.end[j]) - np.maximum(marks.start[i], marks.start[j])
    shared = np.maximum(shared, 0)
    union = (marks.end - marks.start)[i] + (marks.end - marks.start)[j] - shared
    cell = marks.cell[i]
    apart = np.stack([np.abs(marks.start[i] - marks.start[j]), np.abs(marks.end[i] - marks.end[j])], 1)
    return Sums(
        frames,
        np.bincount(marks.cell, minlength=cells),
        np.array(active, int).reshape(raters, cells),
        np.array(both, int).reshape(len(pairs), cells),
        np.bincount(cell, shared / union, cells),
        np.bincount(cell, minlength=cells),
        np.bincount(cell[2 * shared >= union], minlength=cells),
        apart.ravel(),
        cell.repeat(2),
    )


class _Line:
    """What one annotator sees, as stretches of frames that don't touch, in order, each in one cell."""

    def __init__(self, start: np.ndarray, end: np.ndarray, cell: np.ndarray):
        order = np.argsort(start, kind="stable")
        start, reach = start[order], np.maximum.accumulate(end[order])
        new = np.append(True, start[1:] > reach[:-1])[: len(start)]
        self.start, self.end = start[new], reach[np.append(new[1:], True)[: len(start)]]
        self.cell = cell[order][new]
        self._total = np.append(0, (self.end - self.start).cumsum())

    def within(self, other: _Line) -> np.ndarray:
        """How many frames of each of the other's stretches are seen here."""
        return self._before(other.end) - self._before(other.start)

    def _before(self, frame: np.ndarray) -> np.ndarray:
        """How many frames are seen before each of these."""
        stretch = np.searchsorted(self.start, frame, "right")  # of those that begin there or before, the last may reach over it
        ends, starts = np.append(-1, self.end)[stretch], np.append(-1, self.start)[stretch]
        return self._total[stretch] - np.maximum(0, ends - np.maximum(frame, starts))


def _pairs(instance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(i, j) rows, i < j, of every two annotations of one instance, whose rows stand together."""
    new = np.flatnonzero(np.append(True, instance[1:] != instance[:-1])[: len(instance)])
    sizes = np.diff(np.append(new, len(instance)))
    firsts, seconds = [np.zeros(0, int)], [np.zeros(0, int)]
    for size in np.unique(sizes[sizes > 1]).tolist():
        begin = new[sizes == size][:, None]
        a, b = np.triu_indices(size, 1)
        firsts.append((begin + a).ravel())
        seconds.append((begin + b).ravel())
    return np.concatenate(firsts), np.concatenate(seconds)
