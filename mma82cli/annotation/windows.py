"""Windows that tile a video and never cut through an instance (paper's Section IV), as short a way there as limits allow.

Where a window may end is known: outside the instances. Of all tilings this is the one that, in this order, breaks the
limits of length least, leaves the fewest long pauses inside a window, has the fewest windows, and stays as far from the
instances as half a long pause. It is found by dynamic programming over the ends and middles of the free stretches.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import NamedTuple

from mma82cli.annotation.spans import Span

BREACH, UNCUT, WINDOW = 1 << 100, 1 << 70, 1 << 50  # what a microsecond, a long pause and a window cost; clearance below


class Limits(NamedTuple):
    """Microseconds: `least` and `most` of a window, and from how much on a pause between instances is a long one."""

    least: int
    most: int
    gap: int


class Cuts(NamedTuple):
    """Where a video may be cut: `times`, rising, with what a cut there `costs`; long pauses by their `begins` and `ends`."""

    times: list[int]
    costs: list[int]
    begins: list[int]
    ends: list[int]


def tile(spans: list[Span], length: int, limits: Limits) -> list[Span]:
    """The windows of a video of `length` microseconds with instances at `spans` (which lie within it), in order.

    A window is shorter or longer than the limits only where no tiling does without: where instances overlap for longer
    than `most`, say, or the whole video is shorter than `least`.
    """
    free = _free(spans, length)
    cuts = _cuts(free, length, limits, [])
    cost, windows = _cheapest(cuts, limits)
    if cost >= BREACH:  # a cut just so far from another may help
        steps = (limits.least, -limits.least, limits.most, -limits.most)
        cuts = _cuts(free, length, limits, [t + step for t in cuts.times for step in steps])
        cost, windows = _cheapest(cuts, limits)
    return windows


def _free(spans: list[Span], length: int) -> list[Span]:
    """The stretches that no instance covers, both ends a place to cut; of no length where one instance follows on another."""
    free, reach = [], 0
    for start, end in sorted(spans):
        if start >= reach:
            free.append((reach, start))
        reach = max(reach, end)
    return [*free, (reach, length)]


def _cuts(free: list[Span], length: int, limits: Limits, more: list[int]) -> Cuts:
    """The places to cut at, the times `more` among them where they are free."""
    begins = [a for a, _ in free]
    places = {0, length}
    for a, b in free:
        parts = -(-(b - a) // limits.most)
        places |= {a, _neat((a + b) // 2, a), b, *(_neat(a + (b - a) * i // parts, a) for i in range(1, parts))}
    for t in more:
        if 0 < t < length:
            a, b = free[bisect_right(begins, t) - 1]
            places |= {t} if a <= t <= b else set()
    times = sorted(places)
    inner = [(a, b) for a, b in free if a > 0 and b < length and b - a >= limits.gap]
    costs = [_cost(t, begins, free, length, limits.gap) for t in times]
    return Cuts(times, costs, [a for a, _ in inner], [b for _, b in inner])


def _neat(t: int, least: int) -> int:
    """The time in whole milliseconds, unless that is before `least`."""
    return max(t - t % 1000, least)


def _cost(t: int, begins: list[int], free: list[Span], length: int, gap: int) -> int:
    """How much nearer than half a long pause a cut comes to an instance."""
    if t in (0, length):
        return 0
    a, b = free[bisect_right(begins, t) - 1]
    sides = ([t - a] if a > 0 else []) + ([b - t] if b < length else [])
    return max(0, gap // 2 - min(sides, default=gap))


def _cheapest(cuts: Cuts, limits: Limits) -> tuple[int, list[Span]]:
    """(what the best tiling costs, its windows)."""
    times = cuts.times
    passed = [bisect_left(cuts.ends, t) for t in times]  # long pauses that end before a time …
    entered = [bisect_right(cuts.begins, t) for t in times]  # … and that have begun by then
    best, before = [0], [0]
    for j in range(1, len(times)):
        lowest, chosen = None, j - 1
        for i in range(j - 1, -1, -1):
            size = times[j] - times[i]
            breach = max(0, limits.least - size, size - limits.most)
            total = best[i] + breach * BREACH + max(0, passed[j] - entered[i]) * UNCUT
            if lowest is None or total < lowest:
                lowest, chosen = total, i
            if size > limits.most:
                break  # one from further back breaks the limit by more
        best.append(lowest + WINDOW + cuts.costs[j])
        before.append(chosen)
    marks, at = [times[-1]], len(times) - 1
    while at:
        at = before[at]
        marks.append(times[at])
    marks.reverse()
    return best[-1], list(zip(marks, marks[1:], strict=False))
