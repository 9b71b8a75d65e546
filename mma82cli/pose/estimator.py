"""What every backend is: the joints of one person in each frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from mma82cli.pose.people import People


class Estimator:
    """A backend.

    title          name and hash
    layout, joints what it finds, and how many
    min_score      what `person.found` asks of a frame
    finds_person   False: it must be told where the person is
    sees_all       it has `people`, and so needs nobody to find the person for it
    """

    title: str
    layout: str
    joints: int
    min_score = 0.0
    finds_person = True
    sees_all = False

    def people(self, frame: np.ndarray) -> People:
        """Everybody in a BGR frame (H,W,3) uint8 with their joints, best first, where it `sees_all`."""
        raise NotImplementedError

    def each(self, frames: Iterable[np.ndarray], boxes: Iterable | None = None) -> Iterator[np.ndarray]:
        """The joints (V,3) of each BGR frame (H,W,3) uint8 of one clip, as it comes: x and y in pixels of the frame, and a
        score; NaN where nobody is.

        `boxes` yields the person's (x1,y1,x2,y2) or None a frame, each after its frame; None, or no boxes at all: the
        backend's own choice, or the whole frame.
        """
        raise NotImplementedError

    def infer(self, frames: Iterable[np.ndarray], boxes: Iterable | None = None) -> np.ndarray:
        """What `each` gives for all T frames together: (T,V,3) float32."""
        found = list(self.each(frames, boxes))
        return np.stack(found).astype(np.float32) if found else np.zeros((0, self.joints, 3), np.float32)
