"""The best groups of a crowd: many annotations of one label that are open at once, several people say.

Every set of annotations that pairwise may be together is a possible group, worth the sum of its pairs' tIoU; the best
choice of groups that share nobody is a set packing problem, which HiGHS solves as an integer program.
"""

from __future__ import annotations

MOST_GROUPS = 20_000  # possible groups up to which a crowd is solved: three annotators of 26 people, five of six


def pack(weights: list[dict[int, int]]) -> tuple[int, list[list[int]], bool]:
    """(value, groups, whether they are the optimum); (-1, [], False) where there are too many possible groups.

    weights[n][m], m < n: what n and m in one group are worth, on any integer scale; pairs that are absent can't be.
    """
    groups = _possible(weights)
    if groups is None:
        return -1, [], False
    import numpy as np
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_matrix

    largest = max(max(row.values(), default=0) for row in weights)
    worth = np.array([value / largest for _, value in groups])
    sizes = [len(members) for members, _ in groups]
    rows = np.concatenate([members for members, _ in groups])
    within = csr_matrix((np.ones(len(rows)), (rows, np.repeat(np.arange(len(groups)), sizes))), (len(weights), len(groups)))
    once = LinearConstraint(within, -np.inf, 1)
    whole = np.ones(len(groups))
    solved = milp(-worth, constraints=once, integrality=whole, bounds=Bounds(0, 1), options={"mip_rel_gap": 0})
    if solved.x is None:
        return -1, [], False
    chosen = [groups[i] for i in np.flatnonzero(solved.x > 0.5).tolist()]
    taken = {n for members, _ in chosen for n in members}
    alone = [[n] for n in range(len(weights)) if n not in taken]
    return sum(value for _, value in chosen), sorted([list(members) for members, _ in chosen] + alone), solved.status == 0


def _possible(weights: list[dict[int, int]]) -> list[tuple[tuple[int, ...], int]] | None:
    """(members, value) of every possible group of two or more; None where there are more than MOST_GROUPS."""
    later: list[list[int]] = [[] for _ in weights]  # whom each may be with, of those after it
    for n, row in enumerate(weights):
        for m in row:
            later[m].append(n)
    found: list[tuple[tuple[int, ...], int]] = []
    open_: list[tuple[tuple[int, ...], int]] = [((n,), 0) for n in reversed(range(len(weights)))]
    while open_:
        members, value = open_.pop()
        if len(members) > 1:
            found.append((members, value))
            if len(found) > MOST_GROUPS:
                return None
        for n in reversed(later[members[-1]]):
            if all(m in weights[n] for m in members):
                open_.append(((*members, n), value + sum(weights[n][m] for m in members)))
    return found
