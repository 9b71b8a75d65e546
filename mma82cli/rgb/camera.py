"""The camera's own movement in a clip, found in its frames and undone.

Each frame is brought to the middle one by a similarity (shift, growth, turn): Gauss-Newton on the differences of grey levels at
points with texture, the gradients being those of the middle frame (Baker and Matthews, Lucas-Kanade 20 Years On, IJCV 2004,
section 3.2). What moves by itself shall not count: a point's weight falls with its distance from where the camera would put it
(Geman and McClure's weights), measured along its gradient, so that strong and weak contrasts have the same say.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

SIDES, ROUNDS = (36, 72), 4  # pixels of the shorter side, coarse to fine; rounds at each
CELL = 3  # pixels: a point of each cell, so that a busy corner is not all that counts
TEXTURE = 1.0  # grey levels a pixel: below, there is nothing to hold on to
FEWEST = 16  # points, below which a picture tells nothing
NOISE = 0.1  # pixels: distances as small as that say nothing
RIDGE = 1e-3  # of the least that FEWEST points tell: what no point tells stays as it was
NEARER = 0.8  # of what most points are off by may be left, or it was no movement of the camera's
FARTHEST = 0.15  # of the shorter side: a frame that would have to move farther is of another place


class Points(NamedTuple):
    """N points of the middle frame: `places` (N, 2), x and y in pixels; `away` (N, 2) from its middle in shorter sides; the grey
    `levels` and their `slopes` (N,), a pixel; and what a level changes by with each of the four parameters, `jacobian` (N, 4)."""

    places: np.ndarray
    away: np.ndarray
    levels: np.ndarray
    slopes: np.ndarray
    jacobian: np.ndarray


def steadied(frames: np.ndarray) -> np.ndarray:
    """Frames (T, H, W, 3) uint8 as a camera sees them that stands where it stood in the middle one; at the edges the last pixels
    are repeated. A frame of another shot stays as it is."""
    out, size = frames.copy(), frames.shape[2:0:-1]
    for frame, matrix, steady in zip(frames, movements(frames), out, strict=True):
        if not np.array_equal(matrix, np.eye(2, 3)):
            cv2.warpAffine(frame, matrix, size, steady, cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, cv2.BORDER_REPLICATE)
    return out


def movements(frames: np.ndarray) -> np.ndarray:
    """Frames (T, H, W, 3) uint8 -> (T, 2, 3): from a pixel (x, y, 1) of the middle one to the same thing in each frame."""
    height, width = frames.shape[1:3]
    unit = min(height, width)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    found = np.zeros((len(frames), 4))  # shift along x and y, in shorter sides; growth and turn about the middle
    for side in SIDES:
        size = tuple(max(1, round(n * min(1, side / unit))) for n in (width, height))
        small = [cv2.resize(one, size, interpolation=cv2.INTER_AREA).astype(np.float32) for one in grey]
        found = _fitted([cv2.blur(one, (3, 3)) for one in small], found)
    found[np.abs(found).max(1) > FARTHEST] = 0
    x, y, growth, turn = found.T
    linear = np.stack([1 + growth, -turn, turn, 1 + growth], -1).reshape(-1, 2, 2)
    middle = np.array([width - 1, height - 1]) / 2
    return np.dstack([linear, middle - linear @ middle + unit * np.stack([x, y], -1)]).astype(np.float32)


def _fitted(frames: list[np.ndarray], start: np.ndarray) -> np.ndarray:
    """The parameters (T, 4) of grey frames (H, W) float32, from `start` on; 0 where they don't bring most points nearer to where
    the middle one has them."""
    points, unit = _textured(frames[len(frames) // 2]), min(frames[0].shape)
    found, still = start, np.zeros_like(start)
    if len(points.places) < FEWEST:
        return still
    rest = _off(frames, points, still, unit)[1]
    if rest.max() <= NOISE:
        return still
    ridge = RIDGE * FEWEST * (TEXTURE * unit) ** 2 * np.eye(4)
    for _ in range(ROUNDS):
        off, usual, weights = _off(frames, points, found, unit)
        weighted = np.swapaxes(weights[:, :, None] * points.jacobian, 1, 2)  # (T, 4, N)
        found = found - np.linalg.solve(weighted @ points.jacobian + ridge, weighted @ off[:, :, None])[:, :, 0]
    usual = _off(frames, points, found, unit)[1]
    return np.where((rest > NOISE) & (usual < NEARER * rest), found, still)


def _off(frames: list[np.ndarray], points: Points, found: np.ndarray, unit: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """If `found` is right, how far the grey levels (T, N) of the points are off, the median (T, 1) of what that is in pixels, and
    the points' weights (T, N)."""
    off = _levels(frames, points, found, unit) - points.levels
    pixels = np.abs(off) / points.slopes
    usual = np.median(pixels, 1, keepdims=True)
    return off, usual, (1 + (pixels / np.maximum(1.5 * usual, NOISE)) ** 2) ** -2


def _levels(frames: list[np.ndarray], points: Points, found: np.ndarray, unit: int) -> np.ndarray:
    """Grey levels (T, N) of each frame where it shows the points, if `found` is right."""
    x, y = points.away.T
    shift, growth, turn = found[:, None, :2], found[:, None, 2:3], found[:, None, 3:]
    places = points.places + unit * (shift + growth * points.away + turn * np.stack([-y, x], -1))
    out = np.empty((len(frames), len(points.levels)), np.float32)
    for frame, at, seen in zip(frames, places.astype(np.float32), out, strict=True):
        cv2.remap(frame, at[None], None, cv2.INTER_LINEAR, seen[None], cv2.BORDER_REPLICATE)
    return out


def _textured(frame: np.ndarray) -> Points:
    """Where a grey frame (H, W) changes most in each cell, if it does."""
    dx, dy = (cv2.Sobel(frame, cv2.CV_32F, *order, ksize=1, scale=0.5) for order in ((1, 0), (0, 1)))
    slopes = np.hypot(dx, dy)
    rows, columns = (n // CELL for n in frame.shape)
    cells = slopes[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL).swapaxes(1, 2)
    down, right = np.divmod(cells.reshape(rows, columns, CELL * CELL).argmax(-1), CELL)
    at = (down + CELL * np.arange(rows)[:, None], right + CELL * np.arange(columns))
    at = tuple(each[slopes[at] >= TEXTURE] for each in at)
    places, unit = np.stack(at[::-1], -1), min(frame.shape)
    x, y = away = ((places - np.array(frame.shape[::-1]) / 2 + 0.5) / unit).T
    dx, dy = unit * dx[at], unit * dy[at]
    jacobian = np.stack([dx, dy, dx * x + dy * y, dy * x - dx * y], -1)
    return Points(places, away.T, frame[at], slopes[at], jacobian)
