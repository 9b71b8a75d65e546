"""Time spans in whole microseconds, and their temporal IoU as a fraction of two integers."""

from __future__ import annotations

Span = tuple[int, int]


def microseconds(seconds: float) -> int:
    """The nearest microsecond. Exact for any time written with six decimals or fewer, up to a century."""
    return round(seconds * 1_000_000)


def seconds(us: int) -> float:
    """The float that prints as these microseconds."""
    return us / 1_000_000


def tiou(a: Span, b: Span) -> tuple[int, int]:
    """(intersection, union) in microseconds; (0, 1) where the spans don't overlap."""
    shared = (a[1] if a[1] < b[1] else b[1]) - (a[0] if a[0] > b[0] else b[0])
    if shared <= 0:
        return 0, 1
    return shared, a[1] - a[0] + b[1] - b[0] - shared
