"""Joints carried from frame to frame by optical flow, and kept in place by what the network found.

A pose network sees each frame afresh: its joints tremble by a pixel or two, as much as a micro-action moves them, and a
filter that calms them takes the movement too. Optical flow (Lucas and Kanade 1981, pyramids) measures displacements to
hundredths of a pixel, but drifts. So displacements come from the flow, and the slow part of (network - flow) is added:

    joint = path of the flow + lowpass(network - path of the flow)

which keeps a movement's amplitude whatever its frequency. Flow counts only where it comes back to where it began and the
points around a joint agree; elsewhere (no texture, a joint out of sight) the network's own displacement takes its place.
Paths end at cuts and where the flow has lost the joint.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np

SIGMA = 1.0  # seconds of the low-pass: longer than a swing of a micro-action, which must not leak into it
REACH = 12 / 720  # the 3x3 points around a joint lie this far from it, in heights of the person
WINDOW = 31 / 720  # side of the window that is followed
LEVELS = 3
TEXTURE = 1e-4  # least eigenvalue of a window's gradient matrix, as OpenCV normalises it
RETURN = 1.0  # px: how near the way back must end to where the way began
AGREE = 5  # of the 9 points, how many must come back
SCATTER = 1.0  # px: their median distance from their median
SURE = 0.3  # score of a joint below which what is seen there may be something else
ASTRAY = 0.1  # heights: flow this far from the network's joint has lost it
CUT = 0.5  # correlation of two frames' thumbnails below which a new shot begins


def refine(frames: Iterable[np.ndarray], joints: np.ndarray, seen: np.ndarray, times: np.ndarray) -> np.ndarray:
    """`joints` (T,V,3) with x and y refined; unseen frames (`seen` (T,)) are left as they are.

    `frames` are the T BGR frames (H,W,3) that the joints were found in, `times` their seconds. Two are held at a time.
    """
    joints = joints.astype(float)
    moves, ends = _follow(frames, joints, seen)
    ends |= ~(seen[1:] & seen[:-1])[:, None]
    run = np.concatenate([np.zeros((1, joints.shape[1]), int), np.cumsum(ends, 0)])
    path = np.concatenate([np.zeros((1, joints.shape[1], 2)), np.cumsum(np.where(ends[..., None], 0.0, moves), 0)])
    weights = np.where(seen[:, None], np.clip(joints[..., 2], 1e-3, 1.0), 0.0)
    refined = joints.copy()
    refined[seen, :, :2] = (path + _low_pass(joints[..., :2] - path, weights, run, times))[seen]
    return refined


def _low_pass(values: np.ndarray, weights: np.ndarray, run: np.ndarray, times: np.ndarray) -> np.ndarray:
    """`values` (T,V,2) under a Gaussian of SIGMA seconds that stays within a joint's run (T,V)."""
    count = len(times)
    step = float(np.median(np.diff(times))) if count > 1 else 1.0
    reach = min(count - 1, int(np.ceil(3 * SIGMA / max(step, 1e-3))))
    total, norm = np.zeros_like(values), np.zeros_like(weights)
    for k in range(-reach, reach + 1):
        here, there = slice(max(0, -k), count - max(0, k)), slice(max(0, k), count - max(0, -k))
        near = np.exp(-(((times[there] - times[here]) / SIGMA) ** 2) / 2)[:, None]
        weight = near * weights[there] * (run[here] == run[there])
        total[here] += weight[..., None] * values[there]
        norm[here] += weight
    return total / np.maximum(norm, 1e-12)[..., None]


# -- from frame to frame -------------------------------------------------------------------------------------------


def _follow(frames: Iterable[np.ndarray], joints: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Displacements (T-1,V,2) of the joints from each frame to the next, and (T-1,V) True where a joint's path ends.

    What is followed is where the joint is thought to be: carried along, and drawn to the network's joint slowly.
    """
    points, score = joints[..., :2], joints[..., 2]
    moves = np.zeros((max(0, len(joints) - 1), *points.shape[1:]))
    ends = np.zeros(moves.shape[:2], bool)
    if not seen.any():
        return moves, ends
    size = _height(points[seen], score[seen])
    window, pull = _Window(points[seen], size), 0.05
    last, at = None, points[0]
    for t, frame in zip(range(len(joints)), frames, strict=False):
        view = window.grey(frame)
        if t and seen[t - 1] and seen[t]:
            move, good = _displacements(last, view, at - window.corner, size)
            good &= np.minimum(score[t - 1], score[t]) >= SURE
            moves[t - 1] = np.where(good[:, None], move, points[t] - points[t - 1])
            gone = np.linalg.norm(at + moves[t - 1] - points[t], axis=1) > ASTRAY * size
            ends[t - 1] = gone | _cut(last, view)
            carried = at + moves[t - 1]
            at = np.where(ends[t - 1][:, None], points[t], carried + pull * (points[t] - carried))
        else:
            at = points[t]
        last = view
    return moves, ends


def _height(points: np.ndarray, score: np.ndarray) -> float:
    """How tall the person is, in pixels, as far as their joints (T,V,2) show: the median over frames."""
    shown = np.where((score > 0)[..., None], points, np.nan)
    shown = shown[np.isfinite(shown).all(-1).sum(1) > 1]
    if not len(shown):
        return 1.0
    return max(1.0, float(np.median((np.nanmax(shown, 1) - np.nanmin(shown, 1)).max(1))))


class _Window:
    """The part of the frame in which the person is throughout: the rest need not be looked at."""

    def __init__(self, points: np.ndarray, size: float):
        margin = size * (REACH + 2 * WINDOW) + 2**LEVELS
        flat = points.reshape(-1, 2)
        self.corner = np.floor(np.maximum(0, flat.min(0) - margin))
        self._end = np.ceil(flat.max(0) + margin).astype(int)

    def grey(self, frame: np.ndarray) -> np.ndarray:
        """That part of a BGR frame, in grey."""
        left, top = self.corner.astype(int)
        area = frame[top : max(top + 1, self._end[1]), left : max(left + 1, self._end[0])]
        return cv2.cvtColor(area, cv2.COLOR_BGR2GRAY) if area.size else np.zeros((16, 16), np.uint8)


def _cut(one: np.ndarray, other: np.ndarray) -> bool:
    """True where two neighbouring frames show different scenes."""
    small = [cv2.resize(v, (24, 24), interpolation=cv2.INTER_AREA).astype(float).ravel() for v in (one, other)]
    a, b = (v - v.mean() for v in small)
    power = np.sqrt((a @ a) * (b @ b))
    return bool(power > 0 and a @ b < CUT * power)


def _displacements(one: np.ndarray, other: np.ndarray, at: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """How points `at` (V,2) move from grey picture `one` to `other`: (V,2), and (V,) whether that can be believed."""
    reach, side = max(3.0, REACH * size), max(9, round(WINDOW * size) | 1)
    grid = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), -1).reshape(-1, 2) * reach
    start = (at[:, None] + grid).reshape(-1, 1, 2).astype(np.float32)
    how: dict[str, Any] = {"winSize": (side, side), "maxLevel": LEVELS, "minEigThreshold": TEXTURE}
    flow: Any = cv2.calcOpticalFlowPyrLK  # OpenCV's stubs want the points that it is to find
    there, found, _ = flow(one, other, start, None, **how)
    back, returned, _ = flow(other, one, there, None, **how)
    true = (found & returned).ravel() & (np.linalg.norm((back - start)[:, 0], axis=1) < RETURN)
    true = true.reshape(-1, len(grid)).astype(bool)
    steps = (there - start).reshape(*true.shape, 2).astype(float)
    good = true.sum(1) >= AGREE
    move = np.zeros((len(at), 2))
    for v in np.flatnonzero(good):
        mine = steps[v, true[v]]
        move[v] = np.median(mine, 0)
        good[v] = np.median(np.linalg.norm(mine - move[v], axis=1)) < SCATTER
    return move, good
