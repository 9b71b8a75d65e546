"""The few-shot protocol (Section V): K labelled clips a class, again and again, the rest is evaluated."""

from __future__ import annotations

import numpy as np


def support_runs(cells: list[tuple], shots: int, runs: int, seed: int = 0) -> list[list[int]]:
    """For every clip the runs (from 0) in which it is support; in all others it is a query.

    cells  (domain, class) of every clip. A cell of n clips gives min(shots, n - 1) of them: one clip is always a query.
    Each run has a generator of its own, spawned from the seed; a larger K keeps the support of a smaller one.
    """
    places: dict[tuple, list[int]] = {}
    for i, cell in enumerate(cells):
        places.setdefault(cell, []).append(i)
    chosen: list[list[int]] = [[] for _ in cells]
    for run, child in enumerate(np.random.SeedSequence(seed).spawn(runs)):
        random = np.random.default_rng(child)
        for members in places.values():
            for place in random.permutation(len(members))[: min(shots, len(members) - 1)].tolist():
                chosen[members[place]].append(run)
    return chosen
