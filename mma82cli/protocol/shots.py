"""The few-shot protocol (Section V): K labelled clips a class, again and again, the rest is evaluated."""

from __future__ import annotations

import numpy as np

POOL = 20  # clips of a domain and class that support is drawn from where some are kept from ever being a query
_OWN = (1 << 32) - 1  # spawn key of the generator that draws them: not that of any run


def support_runs(cells: list[tuple], shots: int, runs: int, seed: int = 0, pool: list[bool] | None = None) -> list[list[int]]:
    """For every clip the runs (from 0) in which it is support; in all others it is a query.

    cells  (domain, class) of every clip. A cell of n clips gives min(shots, n - 1) of them: one clip is always a query.
    pool   which clips may be support; then a cell gives what it has of them, at most `shots`
    Each run has a generator of its own, spawned from the seed; a larger K keeps the support of a smaller one.
    """
    places: dict[tuple, list[int]] = {}
    for i, cell in enumerate(cells):
        if pool is None or pool[i]:
            places.setdefault(cell, []).append(i)
    chosen: list[list[int]] = [[] for _ in cells]
    for run, child in enumerate(np.random.SeedSequence(seed).spawn(runs)):
        random = np.random.default_rng(child)
        for members in places.values():
            most = len(members) - (pool is None)
            for place in random.permutation(len(members))[: min(shots, most)].tolist():
                chosen[members[place]].append(run)
    return chosen


def clip_pool(cells: list[tuple], shots: int, seed: int = 0) -> list[bool]:
    """Which clips support is drawn from, whatever K and run: POOL of each cell, or all but one. The others are the queries
    of every run, and of zero-shot."""
    random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_OWN,)))
    places: dict[tuple, list[int]] = {}
    for i, cell in enumerate(cells):
        places.setdefault(cell, []).append(i)
    pool = [False] * len(cells)
    for members in places.values():
        for place in random.permutation(len(members))[: min(max(POOL, shots), len(members) - 1)].tolist():
            pool[members[place]] = True
    return pool


def group_pool(cells: list[tuple], groups: list[int], shots: int, seed: int = 0) -> list[bool]:
    """The same of whole groups (subjects), so that nobody is in both support and query.

    Groups are taken in random order while they have clips of a class that still lacks some, leave every class a query
    and the domain half of its clips. A class that one group alone has stays query only.
    """
    random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_OWN,)))
    of_group: dict[tuple, list[int]] = {}
    left: dict[tuple, int] = {}
    room: dict[object, int] = {}
    for i, (cell, group) in enumerate(zip(cells, groups, strict=True)):
        of_group.setdefault((cell[0], group), []).append(i)
        left[cell] = left.get(cell, 0) + 1
        room[cell[0]] = room.get(cell[0], 0) + 1
    lacking = {cell: min(max(POOL, shots), n - 1) for cell, n in left.items()}
    room = {domain: n // 2 for domain, n in room.items()}
    pool = [False] * len(cells)
    keys = list(of_group)
    for place in random.permutation(len(keys)).tolist():
        members = of_group[keys[place]]
        counts: dict[tuple, int] = {}
        for i in members:
            counts[cells[i]] = counts.get(cells[i], 0) + 1
        useful = any(lacking[cell] > 0 for cell in counts)
        if useful and len(members) <= room[keys[place][0]] and all(left[cell] > n for cell, n in counts.items()):
            room[keys[place][0]] -= len(members)
            for i in members:
                pool[i] = True
            for cell, n in counts.items():
                left[cell] -= n
                lacking[cell] -= n
    return pool
