"""Whether a person is there, and what becomes of the frames where nobody was found."""

from __future__ import annotations

import numpy as np

FACE_AND_SHOULDERS = 5  # joints that a close view of a person shows at least
LONGEST_GAP = 0.5  # seconds


def found(keypoints: np.ndarray, min_score: float) -> np.ndarray:
    """(T,) True where the mean score of the five best joints of (T,V,3) is at least `min_score`."""
    scores = np.sort(keypoints[..., 2], axis=-1)[:, -FACE_AND_SHOULDERS:]
    return scores.mean(-1) >= min_score


def fill_gaps(keypoints: np.ndarray, seen: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Fills the frames between two that are `seen` (T,) with the straight line from one to the other, at score 0.

    A gap longer than LONGEST_GAP from the last frame seen to the next, and one at either end, stays unseen.
    Returns keypoints (T,V,3), seen (T,) and the number of frames filled.
    """
    keypoints, seen = keypoints.copy(), seen.copy()
    at = np.flatnonzero(seen)
    filled = 0
    for a, b in zip(at[:-1], at[1:], strict=True):
        if b - a < 2 or times[b] - times[a] > LONGEST_GAP + 1e-6:
            continue
        share = ((times[a + 1 : b] - times[a]) / (times[b] - times[a]))[:, None, None]
        keypoints[a + 1 : b, :, :2] = (1 - share) * keypoints[a, :, :2] + share * keypoints[b, :, :2]
        keypoints[a + 1 : b, :, 2] = 0
        seen[a + 1 : b] = True
        filled += b - a - 1
    return keypoints, seen, int(filled)
