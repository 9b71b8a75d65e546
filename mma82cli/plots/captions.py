"""Words below the frames of a video."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

TALLEST = 720  # pixels of a frame of the video
CAPTION = 24  # pixels a line
UNICODE = int(cv2.__version__.split(".")[0]) >= 5  # fonts of OpenCV 4 have ASCII alone
INK = (235, 235, 235)  # BGR
FONT, LARGE, SMALL = cv2.FONT_HERSHEY_SIMPLEX, 0.5, 0.35  # and its sizes
MARGIN = 8  # pixels at both ends


def captioned(picture: np.ndarray, words: list[str]) -> np.ndarray:
    """`picture` (H,W,3) with a line of words each below it: smaller letters where they are many, then as many as there is
    room for."""
    if not words:
        return picture
    strip = np.full((CAPTION * len(words), picture.shape[1], 3), 24, np.uint8)
    for line, text in enumerate(words):
        drawn, size = _fitted(text if UNICODE else text.encode("ascii", "replace").decode(), picture.shape[1] - 2 * MARGIN)
        cv2.putText(strip, drawn, (MARGIN, CAPTION * line + CAPTION - 7), FONT, size, INK, 1, cv2.LINE_AA)
    return np.concatenate([picture, strip])


@lru_cache(maxsize=256)
def _fitted(text: str, room: int) -> tuple[str, float]:
    """The text, or its beginning, and the size of its letters, so that it is no wider than `room` pixels."""
    size = min(LARGE, max(SMALL, LARGE * room / max(1, _width(text, LARGE))))
    if _width(text, size) <= room:
        return text, size
    more = "…" if UNICODE else "..."
    kept = next((n for n in range(len(text), 0, -1) if _width(text[:n] + more, size) <= room), 0)
    return text[:kept] + more, size


def _width(text: str, size: float) -> int:
    return cv2.getTextSize(text, FONT, size, 1)[0][0]
