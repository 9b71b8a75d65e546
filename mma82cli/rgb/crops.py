"""Which part of the picture: the corners and sizes of multi-scale crops (Wang et al. 2016, "TSN"), and the crops of a test.

A box is (x, y, width, height) in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SCALES = (1.0, 0.875, 0.75, 0.66)
NEAR = 3  # pixels: a side that differs less from the network's input is the input's, if the picture has so many


def crop_sizes(width: int, height: int, size: int, scales: Sequence[float] = SCALES) -> list[tuple[int, int]]:
    """(width, height) of the crops that may be drawn: sides of the shorter side's length times `scales`, both by one of them
    or by two that are neighbours."""
    base = min(width, height)
    sides = [size if abs(side - size) < NEAR and size <= base else side for side in (int(base * scale) for scale in scales)]
    return [(w, h) for i, h in enumerate(sides) for j, w in enumerate(sides) if abs(i - j) <= 1]


def corners(width: int, height: int, crop: tuple[int, int]) -> list[tuple[int, int]]:
    """(x, y) of the 13 places a crop may be at: corners, middles of the sides, the middle, and between it and the corners."""
    step_x, step_y = (width - crop[0]) // 4, (height - crop[1]) // 4
    places = [(0, 0), (4, 0), (0, 4), (4, 4), (2, 2), (0, 2), (4, 2), (2, 4), (2, 0), (1, 1), (3, 1), (1, 3), (3, 3)]
    return [(x * step_x, y * step_y) for x, y in places]


def random_box(
    width: int, height: int, size: int, scales: Sequence[float], rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """A crop's size and place, each of those possible as likely."""
    sizes = crop_sizes(width, height, size, scales)
    crop = sizes[rng.integers(len(sizes))]
    places = corners(width, height, crop)
    return (*places[rng.integers(len(places))], *crop)


def test_boxes(width: int, height: int, size: int, crops: int = 1) -> list[tuple[int, int, int, int]]:
    """The square in the middle; with three crops also those at both ends of the longer side, which come first."""
    side = min(size, width, height)
    middle = ((width - side) // 2, (height - side) // 2)
    if crops == 1:
        return [(*middle, side, side)]
    ends = [(0, middle[1]), (width - side, middle[1])] if width >= height else [(middle[0], 0), (middle[0], height - side)]
    return [(*place, side, side) for place in (*ends, middle)]
