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
HALF = Fraction(1, 2)
CLOSE = 1e-9  # floats further apart than this are in the order of the fractions they stand for


class Merged(NamedTuple):
    """start, end in microseconds; `tie`: the order of the annotators chose j* or k*; `agreement`: mean tIoU or None."""

    start: int
    end: int
    tie: bool
    agreement: float | None


def merge(spans: list[Span], rule: str = "paper", threshold: Fraction = HALF) -> Merged:
    """The segment for one instance from one span an annotator, those that come first in the input first."""
    if len(spans) == 1:
        return Merged(*spans[0], False, None)
    ious, floats, agreement = _overlaps(spans)
    if rule == "median":
        return Merged(_median([s[0] for s in spans]), _median([s[1] for s in spans]), False, agreement)
    j, k, tie = 0, 1, True  # of two, both are as near to the other
    if len(spans) > 2:
        j, tie_j = _first_of_best([sum(row) for row in floats], lambda i: sum(Fraction(*pair) for pair in ious[i]))  # Eq. 2
        k, tie_k = _first_of_best(floats[j], lambda i: Fraction(*ious[j][i]))  # Eq. 3
        tie = tie_j or tie_k
    (a, b), (c, d), (shared, union) = spans[j], spans[k], ious[j][k]
    if shared * threshold.denominator > threshold.numerator * union:  # Eq. 4
        return Merged(a if a < c else c, b if b > d else d, tie, agreement)
    start, end = (c, d) if rule == "paper" else (a, b)
    return Merged(start, end, tie, agreement)


def _overlaps(spans: list[Span]) -> tuple[list[list[tuple[int, int]]], list[list[float]], float]:
    """(tIoU of every pair as fractions, the same as floats, their mean over pairs); 0 and -1 of a span with itself."""
    count = len(spans)
    ious = [[(0, 1)] * count for _ in spans]
    floats = [[-1.0] * count for _ in spans]
    values = []
    for j in range(count):
        for k in range(j + 1, count):
            ious[j][k] = ious[k][j] = shared, union = tiou(spans[j], spans[k])
            value = shared / union
            floats[j][k] = floats[k][j] = value
            values.append(value)
    return ious, floats, fsum(values) / len(values)


def _first_of_best(floats: list[float], exact) -> tuple[int, bool]:
    """(index of the largest, the first among equals; whether others equal it). `exact(i)` settles what is close."""
    top = max(floats)
    if sum([top - value <= CLOSE for value in floats]) == 1:
        return floats.index(top), False
    near = [i for i, value in enumerate(floats) if top - value <= CLOSE]
    values = [exact(i) for i in near]
    largest = max(values)
    return near[values.index(largest)], values.count(largest) > 1


def _median(values: list[int]) -> int:
    """The middle value; of two in the middle their mean, rounded down to a microsecond."""
    values = sorted(values)
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) // 2
