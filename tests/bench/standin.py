"""Frames where there are no videos: what the clock is to measure is the rest."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from mma82cli.video import Clip
from mma82cli.video.cache import JPEG


class StandIn:
    """A source of frames (`mma82cli.video.Frames`) that decodes nothing: each is a copy of one picture of noise, or where it is
    `packed` that picture as a pack's JPEG. There are `rate` a second, up to a clip's end or `seconds`."""

    def __init__(self, height: int, width: int, rate: float, seconds: float = 0.0, packed: bool = False):
        self.rate, self.seconds, self.packed = rate, seconds, packed
        coarse = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
        self.picture = cv2.resize(coarse, (width, height))
        self.data = cv2.imencode(".jpg", self.picture, JPEG)[1]

    def count(self, clip: Clip) -> int:
        return len(self.stamps(clip))

    def stamps(self, clip: Clip) -> np.ndarray:
        return np.arange(round(self.rate * (self.seconds if clip.end is None else clip.end))) / self.rate

    def pick(self, clip: Clip, wanted) -> list[np.ndarray]:
        return [cv2.imdecode(self.data, cv2.IMREAD_COLOR) if self.packed else self.picture.copy() for _ in wanted]

    def stream(self, clip: Clip, every: int = 1) -> Iterator[tuple[float, np.ndarray]]:
        return ((float(time), *self.pick(clip, [0])) for time in self.stamps(clip)[::every])

    def last(self, clip: Clip) -> float:
        return float(self.stamps(clip)[-1])
