"""Who a clip is about: people of single frames linked into tracklets, the main one chosen, its box made steady.

A box that jitters makes the joints found in it jitter, so the main person's boxes are low-passed, without delay: their
movement is the person's walking, not a micro-action, which stays whole because joints are given in the frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mma82cli.pose.people import People, overlap

LINK = 0.3  # least overlap of a person's boxes in neighbouring looks
NEAR = 0.15  # mean distance of the joints of one person in neighbouring looks, in box diagonals
LONGEST_GAP = 0.5  # seconds that a person may be out of sight and be taken up again
CENTRAL = 0.5  # how far from the middle, in half diagonals, a person counts exp(-1/2)
WORTHY = 0.5  # share of the main person's score a look that another must have to be followed where the main one is gone
STEADY = 0.25  # seconds, sigma of the Gaussian over boxes


@dataclass
class Tracklet:
    """One person over some looks: `looks` are numbers of looks, `members` whom of each."""

    looks: list[int] = field(default_factory=list)
    members: list[int] = field(default_factory=list)
    score: float = 0.0


def likeness(one: People, i: int, others: People) -> np.ndarray:
    """How likely each of `others` is person `i` of `one` a moment later: (N,), 0 where it is ruled out."""
    shared = overlap(one.boxes[i], others.boxes)
    alike = np.where(shared >= LINK, shared, 0.0)
    if one.joints is not None and others.joints is not None:
        away = np.linalg.norm(others.joints[..., :2] - one.joints[i, :, :2], axis=-1).mean(1)
        apart = away / max(1.0, float(np.hypot(*(one.boxes[i, 2:] - one.boxes[i, :2]))))
        alike = np.maximum(alike, np.where(apart < NEAR, 1 - apart / NEAR, 0.0))
    return alike


def worth(people: People, width: int, height: int) -> np.ndarray:
    """(N,) share of the frame x certainty x nearness to its middle, which of a frame's people is the one shown."""
    boxes = np.clip(people.boxes, 0, [width, height, width, height])
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1) / (width * height)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2 - (width / 2, height / 2)
    away = np.hypot(*middle.T) / np.hypot(width / 2, height / 2)
    return area * people.scores * np.exp(-((away / CENTRAL) ** 2) / 2)


def tracklets(found: list[People], times: np.ndarray, width: int, height: int) -> list[Tracklet]:
    """Everybody's tracklets, in the order in which they begin. Pairs are linked best first, look after look."""
    done: list[Tracklet] = []
    open_: list[Tracklet] = []
    for look, people in enumerate(found):
        open_ = [t for t in open_ if times[look] - times[t.looks[-1]] <= LONGEST_GAP + 1e-6]
        alike = np.zeros((len(open_), len(people)))
        for row, track in enumerate(open_):
            alike[row] = likeness(found[track.looks[-1]], track.members[-1], people)
        owner: dict[int, Tracklet] = {}
        while alike.size and alike.max() > 0:
            row, best = map(int, np.unravel_index(alike.argmax(), alike.shape))
            owner[best] = open_[row]
            alike[row], alike[:, best] = 0, 0
        value = worth(people, width, height)
        for member in range(len(people)):
            track = owner.get(member)
            if track is None:
                track = Tracklet()
                open_.append(track)
                done.append(track)
            track.looks.append(look)
            track.members.append(member)
            track.score += float(value[member])
    return done


def main_person(found: list[People], times: np.ndarray, width: int, height: int) -> tuple[np.ndarray, list[str]]:
    """Whom of each look to follow (L,), -1 where nobody; and what a person should know about it.

    The best tracklet by its sum of `worth` wins. Where it is gone another may be followed, told in a warning.
    """
    chosen = np.full(len(found), -1)
    ranked = sorted(tracklets(found, times, width, height), key=lambda t: -t.score)
    parts = []
    for track in ranked:
        least = WORTHY * ranked[0].score / len(ranked[0].looks)
        inside = (chosen[track.looks[0] : track.looks[-1] + 1] >= 0).any()
        if track is ranked[0] or (not inside and track.score / len(track.looks) >= least):
            chosen[track.looks] = track.members
            parts.append(track)
    parts.sort(key=lambda t: t.looks[0])
    warnings = [f"the person followed changes at {times[t.looks[0]]:.2f} s" for t in parts[1:]]
    return chosen, warnings


class SteadyBox:
    """The main person's box at any time, low-passed, from boxes (L,4) seen at `times` (L,), rising; NaN is nobody.

    Between two looks at most LONGEST_GAP apart the line between them counts; further away, and beyond the ends by more
    than a look, there is nobody.
    """

    def __init__(self, boxes: np.ndarray, times: np.ndarray):
        seen = np.flatnonzero(np.isfinite(boxes).all(1))
        self._step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
        runs = np.split(seen, np.flatnonzero(np.diff(times[seen]) > LONGEST_GAP + 1e-6) + 1) if len(seen) else []
        self._runs = [(times[run], _low_pass(boxes[run], times[run], STEADY)) for run in runs]

    def at(self, time: float) -> tuple[float, ...] | None:
        """x1,y1,x2,y2 at `time` seconds; None where nobody is."""
        for times, boxes in self._runs:
            if times[0] - self._step - 1e-6 <= time <= times[-1] + self._step + 1e-6:
                return tuple(float(np.interp(time, times, side)) for side in boxes.T)
        return None


class Follower:
    """The main person as frames come, when nobody knows yet who will have been the main one.

    Whoever is worth most is chosen and followed by overlap; after LONGEST_GAP out of sight somebody is chosen anew.
    `box` is where they are (None: nobody), low-passed as far as that goes without looking ahead.
    """

    def __init__(self):
        self.box: tuple[float, ...] | None = None
        self._last, self._seen = None, -np.inf

    def follow(self, people: People, time: float, width: int, height: int) -> int:
        """Whom of `people`, seen at `time` seconds, to look at; -1 where nobody."""
        if self._last is not None and time - self._seen > LONGEST_GAP:
            self._last = self.box = None
        if not len(people):
            return -1
        alike = likeness(self._last, 0, people) if self._last is not None else worth(people, width, height)
        member = int(alike.argmax())
        if self._last is not None and alike[member] <= 0:
            return -1
        box = people.boxes[member]
        share = 1.0 if self.box is None else 1 - np.exp(-max(0.0, time - self._seen) / STEADY)
        old = box if self.box is None else np.array(self.box)
        self.box, self._seen = tuple(map(float, old + share * (box - old))), time
        self._last = people.only(np.array([member]))
        return member


def _low_pass(values: np.ndarray, times: np.ndarray, sigma: float) -> np.ndarray:
    """`values` (L,K) at `times` under a Gaussian of `sigma` seconds; a line stays a line, at the ends too."""
    out = np.empty_like(values, float)
    for i, time in enumerate(times):
        near = np.abs(times - time) <= 4 * sigma
        d, w = times[near] - time, np.exp(-(((times[near] - time) / sigma) ** 2) / 2)
        s0, s1, s2 = w.sum(), (w * d).sum(), (w * d * d).sum()
        det = s0 * s2 - s1**2
        weights = w / s0 if det < 1e-12 * s0 * s0 else w * (s2 - s1 * d) / det  # local line: its value at `time`
        out[i] = weights @ values[near]
    return out
