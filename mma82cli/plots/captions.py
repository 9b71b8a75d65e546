"""Words below the frames of a video."""

from __future__ import annotations

import cv2
import numpy as np

TALLEST = 720  # pixels of a frame of the video
CAPTION = 24  # pixels a line
UNICODE = int(cv2.__version__.split(".")[0]) >= 5  # fonts of OpenCV 4 have ASCII alone
INK = (235, 235, 235)  # BGR


def captioned(picture: np.ndarray, words: list[str]) -> np.ndarray:
    """`picture` (H,W,3) with a line of words each below it."""
    if not words:
        return picture
    strip = np.full((CAPTION * len(words), picture.shape[1], 3), 24, np.uint8)
    for line, text in enumerate(words):
        place = (8, CAPTION * line + CAPTION - 7)
        drawn = text if UNICODE else text.encode("ascii", "replace").decode()
        cv2.putText(strip, drawn, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, INK, 1, cv2.LINE_AA)
    return np.concatenate([picture, strip])
