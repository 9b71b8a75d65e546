"""MediaPipe's BlazePose, whose networks come in the wheel: joints without a download and without a box."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import Path

import cv2
import numpy as np

from mma82cli.pose import geometry
from mma82cli.pose.estimator import Estimator
from mma82cli.pose.task import Settings
from mma82cli.records import WrongUsage

COCO17 = [0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]  # BlazePose's landmark for each joint
NEEDED = "--backend mediapipe needs the extra: pip install 'mma82[mediapipe]' (mediapipe==0.10.14)"


class MediaPipeEstimator(Estimator):
    """BlazePose "full" on one clip at a time, as a video: the person found in a frame is looked for there in the next.

    Its smoothing is off: it keeps 42 % of the amplitude of a movement of 3 px, which is what a micro-action is.
    """

    layout, joints = "coco17", len(COCO17)
    min_score = 0.5  # of visibility, which is near 1 on a person; what its detector takes for one may be a table's foot

    def __init__(self):
        try:
            import mediapipe
            from mediapipe.python.solutions.pose import Pose
        except ImportError:
            raise WrongUsage(NEEDED) from None
        self._make = Pose
        network = Path(mediapipe.__file__).parent / "modules" / "pose_landmark" / "pose_landmark_full.tflite"
        digest = hashlib.sha256(network.read_bytes()).hexdigest()
        self.title = f"mediapipe-{mediapipe.__version__}-full@sha256:{digest[:12]}"
        self._pose = None

    def each(self, frames: Iterable[np.ndarray], boxes: Iterable | None = None) -> Iterator[np.ndarray]:
        """See `Estimator`; scores are visibilities, and where `boxes` yields one only that part is looked at."""
        if self._pose is None:
            self._pose = self._make(static_image_mode=False, model_complexity=1, smooth_landmarks=False)
        else:
            self._pose.reset()  # nothing is carried from one clip to the next
        for frame, box in zip(frames, repeat(None) if boxes is None else boxes, strict=False):
            yield self._joints(frame, box)

    def _joints(self, frame: np.ndarray, box) -> np.ndarray:
        left, top = 0, 0
        if box is not None:
            x, y, width, height = geometry.region(box, (round(box[2] - box[0]) or 1, round(box[3] - box[1]) or 1))
            left, top = max(0, int(x)), max(0, int(y))
            frame = frame[top : int(np.ceil(y + height)), left : int(np.ceil(x + width))]
            if not frame.size:
                return np.full((len(COCO17), 3), np.nan, np.float32)
        landmarks = self._pose.process(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)).pose_landmarks
        if landmarks is None:
            return np.full((len(COCO17), 3), np.nan, np.float32)
        height, width = frame.shape[:2]
        marks = [landmarks.landmark[i] for i in COCO17]
        return np.array([(left + m.x * width, top + m.y * height, m.visibility) for m in marks], np.float32)


def build(settings: Settings) -> MediaPipeEstimator:
    """See `pose.Backend`."""
    return MediaPipeEstimator()
