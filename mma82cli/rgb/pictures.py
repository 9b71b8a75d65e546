"""Cut, resized and mirrored frames as one array, and the numbers a network reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

cv2.setNumThreads(1)  # threads of ours cut a clip each; OpenCV's, at work on each picture, would make them wait for one another

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels in [0, 1], R, G and B


def cut(frames: list[np.ndarray], box: tuple[int, int, int, int], size: int, flip: bool = False) -> np.ndarray:
    """The part `box` (x, y, width, height) of each BGR frame, perhaps mirrored -> RGB uint8 (T, size, size, 3)."""
    x, y, width, height = box
    whole, area = (height, width) == (size, size), min(width, height) > 2 * size
    out = np.empty((len(frames), size, size, 3), np.uint8)
    for i, frame in enumerate(frames):
        part = frame[y : y + height, x : x + width]
        if i and frame is frames[i - 1]:
            out[i] = out[i - 1]
        elif whole:
            cv2.cvtColor(part, cv2.COLOR_BGR2RGB, dst=out[i])
        else:
            cv2.resize(part, (size, size), dst=out[i], interpolation=cv2.INTER_AREA if area else cv2.INTER_LINEAR)
    high = out.reshape(-1, size, 3)  # all frames as one picture: threads wait for one another at every call
    if not whole:
        cv2.cvtColor(high, cv2.COLOR_BGR2RGB, dst=high)
    return cv2.flip(high, 1).reshape(out.shape) if flip else out


def normalise(pictures: Tensor, still: str = "keep") -> Tensor:
    """RGB uint8 (B, T, H, W, 3) -> float32 (B, T, 3, H, W), channels-last in memory as it was: as for ImageNet (`still`
    "keep"), or `moving` ("remove")."""
    from mma82cli.devices import upload

    if still == "remove":
        return moving(pictures).movedim(-1, 2)
    mean, std = (255 * upload(values, pictures.device) for values in (MEAN, STD))
    return ((pictures - mean) / std).movedim(-1, 2)


def moving(frames: Tensor, length: int | None = None) -> Tensor:
    """Frames (..., T, H, W, 3) uint8 -> float32: less their mean picture, over the root mean square of what is left. Of the T
    frames `length` count for both; the others only fill up.

    What is left in frames that stand still is noise of less than a grey level, and is not made greater."""
    left = frames - frames[..., :length, :, :, :].float().mean(-4, keepdim=True)
    scale = left[..., :length, :, :, :].square().mean((-4, -3, -2, -1), keepdim=True).sqrt()
    return left / scale.clamp(min=1.0)
