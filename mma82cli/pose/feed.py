"""Pictures on their way into a network: crops of frames, then normalised planes."""

from __future__ import annotations

import cv2
import numpy as np

from mma82cli.pose.model import Model


class Feed:
    """Room for `count` crops of a completed model's input size, and for a batch of them as the network takes it."""

    def __init__(self, model: Model, count: int, batch: int = 1):
        width, height = model.input
        self.crops = np.empty((count, height, width, 3), np.uint8)
        self._planes = [np.empty((height, width), np.uint8) for _ in range(3)]
        self._input = np.empty((batch, 3, height, width), np.float32)
        order = model.channel_order  # the channels of a BGR frame, each normalised by a table of its 256 values
        self._tables = [
            (order.index(c), ((np.arange(256) - model.mean[order.index(c)]) / model.std[order.index(c)]).astype(np.float32))
            for c in "bgr"
        ]

    def __call__(self, places: range) -> np.ndarray:
        """The crops at `places` as (N,3,h,w) float32, valid until the next call."""
        for row, place in enumerate(places):
            cv2.split(self.crops[place], self._planes)
            for plane, (channel, table) in zip(self._planes, self._tables, strict=True):
                cv2.LUT(plane, table, dst=self._input[row, channel])
        return self._input[: len(places)]
