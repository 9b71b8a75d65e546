"""People in single frames: what a detector or a one-stage network answers, and overlap of boxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class People:
    """The N people of a frame: `boxes` (N,4) as x1,y1,x2,y2 in pixels, `scores` (N,), and `joints` (N,V,3) from a network
    that finds those at once."""

    boxes: np.ndarray
    scores: np.ndarray
    joints: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    def only(self, index: np.ndarray) -> People:
        """Those at `index`."""
        return People(self.boxes[index], self.scores[index], None if self.joints is None else self.joints[index])


def overlap(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of a box (4,) with others (N,4): (N,)."""
    corner = np.maximum(one[:2], others[:, :2])
    size = np.clip(np.minimum(one[2:], others[:, 2:]) - corner, 0, None)
    shared = size.prod(1)
    union = (one[2:] - one[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1) - shared
    return shared / np.maximum(union, 1e-9)


def distinct(people: People, limit: float) -> People:
    """The people, best first, without those whose box overlaps a better one's by more than `limit`."""
    order, kept = np.argsort(-people.scores, kind="stable"), []
    while len(order):
        first, rest = order[0], order[1:]
        kept.append(first)
        order = rest[overlap(people.boxes[first], people.boxes[rest]) <= limit]
    return people.only(np.array(kept, int))
