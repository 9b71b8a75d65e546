"""Which annotations mean the same instance: the exact optimum of total pairwise tIoU.

The paper compares "the same action" of K annotators and leaves open how it is found. Here a group holds at most one
annotation of an annotator, every pair in it overlaps, and the sum of tIoU over all pairs in all groups is the largest
there is. Intervals make this cheap: annotations that pairwise overlap share an instant, so a sweep over start times
needs to know only how the annotations open at that instant are grouped. The work is linear in the length of a video
and exponential only in the number of annotations of one label that are open at once: a first pass keeps the best few
states, a second one all that a bound on what is still to gain lets win, and a crowd that is too large for that is a set
packing problem (`crowds`). Where more than MOST_PAIRS pairs or MOST_OPEN annotations overlap, each in turn joins the
group in which it gains most.
"""

from __future__ import annotations

from collections.abc import Callable
from math import lcm

from mma82cli.annotation import crowds
from mma82cli.annotation.spans import Span, tiou

BEAM = 512  # states kept in the first pass, whose result bounds the second
STATES = 8192  # states that the second pass may come to
MOST_PAIRS, MOST_OPEN = 5000, 100  # overlapping pairs of a crowd, and annotations at once, up to which the optimum is looked for
EXACT = 1 << 4096  # the largest common denominator; beyond it a tIoU is rounded to SCALE, far finer than a float
SCALE = 1 << 256


Joins = Callable[[int, int, int, int], bool]  # (i, j, intersection, union): whether both may be in one group


def associate(
    spans: list[Span], owners: list[int], joins: Joins | None = None, unproven: list[int] | None = None
) -> list[list[int]]:
    """Groups of indices, each index in one group, ordered by first start.

    spans     (start, end) in microseconds
    owners    a bit mask each: annotations whose masks meet can't be in one group
    joins     forbids further pairs; pairs that don't overlap never join
    unproven  takes the size of every crowd whose groups are the best that were found, not surely the best there are
    """
    if _is_one_group(spans, owners) and joins is None:
        return [list(range(len(spans)))]
    groups = []
    for component in _components(spans):
        if len(component) == 1:
            groups.append(component)
        elif joins is None and _is_one_group([spans[i] for i in component], [owners[i] for i in component]):
            groups.append(sorted(component))
        else:
            found, proven = _optimum(component, spans, owners, joins)
            groups += found
            if not proven and unproven is not None:
                unproven.append(len(component))
    return groups


def _is_one_group(spans: list[Span], owners: list[int]) -> bool:
    """All overlap and no owner comes twice: then all pairs together are the optimum, for no tIoU is negative."""
    seen = 0
    for owner in owners:
        if seen & owner:
            return False
        seen |= owner
    return max([s[0] for s in spans]) < min([s[1] for s in spans])


def _components(spans: list[Span]) -> list[list[int]]:
    """Indices by stretches of time without a gap, each in order of (start, end, index)."""
    components, reach = [], float("-inf")
    for i in sorted(range(len(spans)), key=lambda i: (spans[i], i)):
        if spans[i][0] >= reach:
            components.append([])
        components[-1].append(i)
        reach = max(reach, spans[i][1])
    return components


def _optimum(order: list[int], spans: list[Span], owners: list[int], joins: Joins | None) -> tuple[list[list[int]], bool]:
    """(groups, whether they are known to be the best)."""
    local = [spans[i] for i in order]  # numbered by start, so that a state has one spelling
    weights = _weights(order, local, owners, joins)
    if weights is None:
        return [sorted(order[n] for n in group) for group in _greedy(order, local, owners, joins)], False
    still = _still_to_gain(weights, [owners[i] for i in order])
    value, groups, exact = _sweep(local, weights, still, BEAM, None)
    if not exact:
        better, found, exact = _sweep(local, weights, still, STATES, value)
        value, groups = (better, found) if exact else (value, groups)
    if not exact:
        better, found, exact = crowds.pack(weights)
        value, groups = (better, found) if better > value else (value, groups)
    return [sorted(order[n] for n in group) for group in groups], exact


def _weights(order: list[int], local: list[Span], owners: list[int], joins: Joins | None) -> list[dict[int, int]] | None:
    """weights[n][m], m < n: tIoU as an integer over one denominator common to all pairs, so that sums are exact. None where
    more than MOST_PAIRS pairs may be together, or more than MOST_OPEN annotations are open at once."""
    fractions: list[dict[int, tuple[int, int]]] = []
    open_now: list[int] = []
    pairs = 0
    for n, i in enumerate(order):
        open_now = [m for m in open_now if local[m][1] > local[n][0]]
        row = {}
        for m in open_now:
            if not owners[i] & owners[order[m]]:
                shared, union = tiou(local[n], local[m])
                if joins is None or joins(i, order[m], shared, union):
                    row[m] = shared, union
        fractions.append(row)
        open_now.append(n)
        pairs += len(row)
        if pairs > MOST_PAIRS or len(open_now) > MOST_OPEN:
            return None
    common = 1
    for union in {union for row in fractions for _, union in row.values()}:
        common = lcm(common, union)
        if common > EXACT:
            return [{m: SCALE * shared // union for m, (shared, union) in row.items()} for row in fractions]
    return [{m: shared * (common // union) for m, (shared, union) in row.items()} for row in fractions]


def _greedy(order: list[int], local: list[Span], owners: list[int], joins: Joins | None) -> list[list[int]]:
    """Groups of a crowd, without a promise: each annotation joins the open group in which it gains most tIoU."""
    groups: list[list[int]] = []
    open_now: list[tuple[int, int, list[int]]] = []  # first end and owners of a group that may grow, and the group
    for n, (start, end) in enumerate(local):
        open_now = [held for held in open_now if held[0] > start]
        best, at = 0.0, -1
        for place, (_, taken, group) in enumerate(open_now):
            if not taken & owners[order[n]]:
                gain = 0.0
                for m in group:
                    shared, union = tiou(local[n], local[m])
                    if joins is not None and not joins(order[n], order[m], shared, union):
                        gain = 0.0
                        break
                    gain += shared / union
                if gain > best:
                    best, at = gain, place
        if at < 0:
            groups.append([n])
            open_now.append((end, owners[order[n]], groups[-1]))
        else:
            first, taken, group = open_now[at]
            group.append(n)
            open_now[at] = min(first, end), taken | owners[order[n]], group
    return groups


def _sweep(spans: list[Span], weights, still: list[int], most: int, least: int | None):
    """(value, groups, exact). Dynamic programming over starts; a state is how the open annotations are grouped.

    `most` states are kept a step: where there are more, `exact` is False. `least` is a value known to be reached: states
    that can't reach it any more, by what is `still` to gain, are dropped, and more than `most` end the search.
    """
    states = {(): (0, None)}  # open groups -> (value, trail of (index, the group it joined, trail before))
    exact = True
    for i, row in enumerate(weights):
        start = spans[i][0]
        following: dict[tuple, tuple] = {}
        for state, (value, trail) in states.items():
            # A group one of whose members has ended takes nobody in.
            alive = tuple(g for g in state if all(spans[j][1] > start for j in g))
            for place in range(-1, len(alive)):
                group = alive[place] if place >= 0 else ()
                if not all(j in row for j in group):
                    continue
                total = value + sum(row[j] for j in group)
                if least is not None and total + still[i + 1] < least:
                    continue
                key = tuple(sorted((*alive[:place], *alive[place + 1 :], (*group, i)))) if group else (*alive, (i,))
                best = following.get(key)
                if best is None or total > best[0]:
                    following[key] = total, (i, group, trail)
        if len(following) > most:
            exact = False
            if least is not None:
                return least, [], exact
            kept = sorted(following.items(), key=lambda item: (-item[1][0], item[0]))[:most]
            following = dict(kept)
        states = following
    value, trail = min(states.values(), key=lambda found: -found[0])
    return value, _groups(trail), exact


def _still_to_gain(weights, owners: list[int]) -> list[int]:
    """still[n]: no way of grouping the annotations from the n-th on adds more: each with its best earlier partner of every
    owner."""
    still = [0]
    for row in reversed(weights):
        best: dict[int, int] = {}
        for m, weight in row.items():
            best[owners[m]] = max(weight, best.get(owners[m], 0))
        still.append(still[-1] + sum(best.values()))
    return still[::-1]


def _groups(trail) -> list[list[int]]:
    steps = []
    while trail is not None:
        i, group, trail = trail
        steps.append((i, group))
    groups: dict[int, list[int]] = {}
    first: dict[int, int] = {}
    for i, group in reversed(steps):
        first[i] = first[group[0]] if group else i
        groups.setdefault(first[i], []).append(i)
    return list(groups.values())
