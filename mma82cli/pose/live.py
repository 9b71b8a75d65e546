"""A camera or a stream, frame by frame as it comes."""

from __future__ import annotations

import time
from collections.abc import Iterator

import cv2
import numpy as np

from mma82cli.pose import person
from mma82cli.pose.extract import LOOKS, Extractor
from mma82cli.pose.tracking import Follower
from mma82cli.pose.words import WHOLE_FRAME
from mma82cli.records import DataError
from mma82cli.skeleton.keypoints import to_record


def live(address: str, extract: Extractor, box=None) -> Iterator[dict]:
    """The fields of each frame of a camera (a number, or /dev/video0) or a stream (a pipe, or a URL that OpenCV opens).

    `time` is in seconds from the first frame: by the stream's own stamps, by the clock for a camera. Nobody is waited
    for: a person is chosen as they come and followed until lost. Raises DataError where nothing comes.
    """
    capture = cv2.VideoCapture(int(address)) if address.isdecimal() else cv2.VideoCapture(address)
    if not capture.isOpened():
        raise DataError(f"{address}: no camera and no stream that can be opened")
    camera = address.isdecimal() or address.startswith("/dev/")
    watch = _Watch(extract, box)
    times: list[float] = []

    def frames() -> Iterator[np.ndarray]:
        while True:
            ok, frame = capture.read()
            if not ok:
                return
            stamp = time.monotonic() if camera else capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            times.append(stamp)
            watch.look(frame, stamp)
            yield frame

    try:
        for joints in watch.joints(frames()):
            yield watch.fields(joints, times[-1] - times[0])
        if not times:
            raise DataError(f"{address}: not one frame can be decoded")
    finally:
        capture.release()


class _Watch:
    """Who is looked at, frame after frame."""

    def __init__(self, extract: Extractor, box):
        self._extract, self._box, self._given = extract, box, box is not None
        self._finder = None if self._given else extract.detector or (extract.estimator if extract.estimator.sees_all else None)
        self._follower, self._looked, self._found, self._shape = Follower(), -1e9, None, (0, 0)

    def look(self, frame: np.ndarray, stamp: float) -> None:
        """Finds the person in a frame where it is time to; in every frame where that gives the joints too."""
        self._shape = frame.shape[:2]
        if self._finder is None or (not self._extract.estimator.sees_all and stamp - self._looked < 1 / LOOKS - 1e-6):
            return
        self._looked = stamp
        people = self._finder.people(frame)
        member = self._follower.follow(people, stamp, frame.shape[1], frame.shape[0])
        self._box = self._follower.box
        self._found = None if member < 0 or people.joints is None else people.joints[member]

    def joints(self, frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """The joints (V,3) of each frame, NaN where nobody is."""
        estimator = self._extract.estimator
        nobody = np.full((estimator.joints, 3), np.nan)
        if estimator.sees_all and not self._given:
            for _ in frames:
                yield nobody if self._found is None else self._found
        elif self._finder is not None:
            for frame in frames:
                yield nobody if self._box is None else next(estimator.each([frame], [self._box]))
        else:
            yield from estimator.each(frames, iter(lambda: self._box, 0))

    def fields(self, joints: np.ndarray, stamp: float) -> dict:
        """A frame's fields of a record."""
        here = bool(np.isfinite(joints).all())
        shown = np.where(here, joints, 0.0)[None]
        here = here and bool(person.found(shown, self._extract.estimator.min_score)[0])
        shown = shown[:, self._extract.pick]
        shown[..., 2] = np.clip(shown[..., 2], 0.0, 1.0)
        estimator = self._extract.estimator
        guessed = self._box is None and self._finder is None and not estimator.finds_person
        fields = {"time": round(stamp, 6), "layout": self._extract.layout, "keypoints": to_record(shown, [here])}
        fields.update(width=self._shape[1], height=self._shape[0], num_frames=1, model=self._extract.title)
        return {**fields, "warnings": [WHOLE_FRAME]} if guessed else fields
