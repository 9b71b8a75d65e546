"""One segment from the annotations of one instance: Eq. 1-4 of the paper, EPIC-KITCHENS' rule, and the median.

With A_1 … A_K in order of their annotators:

    alpha_j = 1/K sum_k IoU(A_j, A_k)              (Eq. 1)
    j*      = argmax_j alpha_j                     (Eq. 2)
    k*      = argmax_{k != j*} IoU(A_j*, A_k)      (Eq. 3; with k = j* allowed the union would never be taken)
    A       = A_j* u A_k* if their IoU > threshold (Eq. 4)
              else A_k* (`paper`, as printed) or A_j* (`epic`: Damen et al. 2018, Section 3.3)

`median` takes the median of the starts and of the ends: the union is systematically too long.
"""

from __future__ import annotations

from fractions import Fraction
from math import fsum
from typing import NamedTuple

from mma82cli.annotation.spans import Span, tiou

RULES = ("paper", "epic", "median")
CLOSE = 1e-9  # floats further apart than this are in the order of the fractions they stand for


class Merged(NamedTuple):
    """start, end in microseconds; `tie`: the order of the annotators chose j* or k*; `agreement`: mean tIoU or None."""

    start: int
    end: int
    tie: bool
    agreement: float | None


def merge(spans: list[Span], rule: str = "paper", threshold: Fraction = Fraction(1, 2)) -> Merged:
    """The segment for one instance from one span an annotator, those that come first in the input first."""
    count = len(spans)
    if count == 1:
        return Merged(*spans[0], False, None)
    if count == 2:
        shared, union = pair = tiou(*spans)
        ious, agreement = {(0, 1): pair, (1, 0): pair}, shared / union
    else:
        ious, values = {}, []
        for j in range(count):
            for k in range(j + 1, count):
                ious[j, k] = ious[k, j] = shared, union = tiou(spans[j], spans[k])
                values.append(shared / union)
        agreement = fsum(values) / len(values)
    if rule == "median":
        return Merged(_median([s[0] for s in spans]), _median([s[1] for s in spans]), False, agreement)
    j, tie_j = (0, True) if count == 2 else _best([[ious[j, k] for k in range(count) if k != j] for j in range(count)])
    others = [k for k in range(count) if k != j]
    place, tie_k = _best([[ious[j, k]] for k in others]) if count > 2 else (0, False)
    k = others[place]
    (a, b), (c, d), (shared, union) = spans[j], spans[k], ious[j, k]
    if shared * threshold.denominator > threshold.numerator * union:
        return Merged(min(a, c), max(b, d), tie_j or tie_k, agreement)
    start, end = (c, d) if rule == "paper" else (a, b)
    return Merged(start, end, tie_j or tie_k, agreement)


def _best(sums: list[list[tuple[int, int]]]) -> tuple[int, bool]:
    """(index of the largest sum of fractions, first among equals; whether others equal it), exactly."""
    floats = [fsum(shared / union for shared, union in terms) for terms in sums]
    top = max(floats)
    near = [i for i, value in enumerate(floats) if top - value <= CLOSE]
    if len(near) == 1:
        return near[0], False
    exact = [sum(Fraction(*term) for term in sums[i]) for i in near]
    largest = max(exact)
    return near[exact.index(largest)], exact.count(largest) > 1


def _median(values: list[int]) -> int:
    """The middle value; of two in the middle their mean, rounded down to a microsecond."""
    values = sorted(values)
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) // 2
