"""The person's crop: which part of a frame a network sees, and how its coordinates go back to the frame.

A region is (left, top, width, height) in frame pixels with the aspect of the network's input. `align` says what the
input's corners stand for: `classic` maps region widths to input widths (mmpose's top-down affine), `udp` maps them to
input width - 1 (unbiased data processing, Huang et al. 2020, which ViTPose follows). Taking one for the other costs
half a heatmap cell: 5.8 px for a person of 720 px.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np


def region(box, size: Sequence[int], padding: float = 1.25) -> np.ndarray:
    """The region (4,) around `box` (x1,y1,x2,y2): enlarged by `padding`, then widened or heightened to the aspect of
    `size` (width, height), with the same centre."""
    x1, y1, x2, y2 = (float(v) for v in box)
    width, height = (x2 - x1) * padding, (y2 - y1) * padding
    aspect = size[0] / size[1]
    if width > height * aspect:
        height = width / aspect
    else:
        width = height * aspect
    return np.array([(x1 + x2 - width) / 2, (y1 + y2 - height) / 2, width, height])


def pixels(size: Sequence[int], align: str) -> np.ndarray:
    """What a region's width and height measure in the input: its size, or its size - 1 (`udp`)."""
    return np.asarray(size, float) - (align == "udp")


def crop(frame: np.ndarray, area: np.ndarray, size, align: str = "classic", out=None, border=(0, 0, 0)) -> np.ndarray:
    """The region `area` (4,) of a frame (H,W,3), resampled bilinearly to `size` (width, height), into `out` where given;
    outside the frame all is `border`."""
    scale = pixels(size, align) / area[2:]
    matrix = np.array([[scale[0], 0.0, -area[0] * scale[0]], [0.0, scale[1], -area[1] * scale[1]]])
    return cv2.warpAffine(frame, matrix, size, dst=out, flags=cv2.INTER_LINEAR, borderValue=border)


def to_frame(points: np.ndarray, areas: np.ndarray, size: Sequence[int], align: str = "classic") -> np.ndarray:
    """Points (N,V,2) in input pixels as points in frame pixels, for regions `areas` (N,4)."""
    return points * (areas[:, None, 2:] / pixels(size, align)) + areas[:, None, :2]
