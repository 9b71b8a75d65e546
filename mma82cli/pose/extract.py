"""A clip of a video as the fields of a record: decode, find the main person, estimate, decide who is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from mma82cli.pose import flow, person, words
from mma82cli.pose.task import Clip
from mma82cli.pose.tracking import SteadyBox, main_person
from mma82cli.records import DataError, WrongUsage
from mma82cli.skeleton.keypoints import to_record
from mma82cli.skeleton.layouts import load_layout
from mma82cli.video import Reader

if TYPE_CHECKING:
    from mma82cli.pose.estimator import Estimator
    from mma82cli.pose.onestage import PersonDetector
    from mma82cli.video.opening import AnyVideo

LOOKS = 10.0  # a second: how often the detector looks for people


def joints_of(layout: str, found: str) -> list[int]:
    """Where the joints of `layout` are among those of the layout `found`. Raises WrongUsage where some are not."""
    joints = load_layout(found).joints
    missing = [j for j in load_layout(layout).joints if j not in joints]
    if missing:
        raise WrongUsage(f"this model finds the joints of {found}; --layout {layout} asks for {missing[0]} too")
    return [joints.index(j) for j in load_layout(layout).joints]


class Extractor:
    """An estimator, with what finds the person for it and what refines its joints. `title` names all of that."""

    def __init__(
        self, estimator: Estimator, detector: PersonDetector | None = None, layout: str = "coco17", refine: str = "none"
    ):
        self.estimator, self.detector, self.layout, self.refine = estimator, detector, layout, refine
        self.pick = joints_of(layout, estimator.layout)
        parts = [estimator.title, *([detector.title] if detector else []), *([refine] if refine != "none" else [])]
        self.title = "+".join(parts)

    def __call__(self, clip: Clip, reader: Reader) -> dict:
        """`layout`, `keypoints`, `fps`, `width`, `height`, `num_frames`, `model`; `times` where the rate varies and
        `warnings` where there are some. Raises DataError where the file or the span gives no frame."""
        video = reader.open(clip.path)
        words.check_span(clip, video)
        joints, stamps, warnings = self._find(clip, video)
        if not len(stamps):
            raise DataError(words.empty(clip, video))
        warnings = [*words.tail(clip, video, stamps), *warnings]  # before the video is read once more
        seen = np.isfinite(joints).all((1, 2))
        joints = np.where(seen[:, None, None], joints, 0.0)
        seen &= person.found(joints, self.estimator.min_score)
        joints, seen, filled = person.fill_gaps(joints, seen, stamps)
        joints = joints[:, self.pick]
        if self.refine == "flow" and seen.any():
            frames = (frame for _, frame in video.frames(clip.start, clip.end, reuse=True))
            joints = flow.refine(frames, joints, seen, stamps)
        joints[..., 2] = np.clip(joints[..., 2], 0.0, 1.0)
        fps = video.fps or _rate(stamps)
        fields = {"layout": self.layout, "keypoints": to_record(joints, seen), "fps": fps}
        fields.update(width=video.width, height=video.height, num_frames=len(stamps))
        if _varies(stamps, fps):
            fields["times"] = stamps.tolist()
        fields["model"] = self.title
        warnings += words.absent(seen, filled)
        if warnings:
            fields["warnings"] = warnings
        return fields

    # -- whom to look at -----------------------------------------------------------------------------------------

    def _find(self, clip: Clip, video: AnyVideo) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Joints (T,V,3), NaN where nobody is, time stamps (T,), warnings."""
        estimator = self.estimator
        if clip.box is not None:
            return (*self._in_boxes(clip, video, lambda _: clip.box), [])
        if estimator.sees_all:
            return self._among_all(clip, video)
        if self.detector:
            box_at, warnings = self._main_box(clip, video)
            return (*self._in_boxes(clip, video, box_at), warnings)
        stamps: list[float] = []
        joints = estimator.infer(_noting(video.frames(clip.start, clip.end, reuse=True), stamps))
        return joints, np.array(stamps), [] if estimator.finds_person else [words.WHOLE_FRAME]

    def _in_boxes(self, clip: Clip, video: AnyVideo, box_at: Callable) -> tuple[np.ndarray, np.ndarray]:
        stamps: list[float] = []
        boxes, at = [], []

        def frames() -> Iterator[np.ndarray]:
            for time, frame in video.frames(clip.start, clip.end, reuse=True):
                stamps.append(time)
                box = box_at(time)
                if box is not None:
                    boxes.append(box)
                    at.append(len(stamps) - 1)
                    yield frame

        inside = self.estimator.infer(frames(), iter(boxes))
        joints = np.full((len(stamps), *inside.shape[1:]), np.nan)
        joints[at] = inside
        return joints, np.array(stamps)

    def _main_box(self, clip: Clip, video: AnyVideo) -> tuple[Callable, list[str]]:
        """The main person's box at any time, from looks at some of the frames."""
        every = max(1, round(video.fps / LOOKS))
        stamps: list[float] = []
        found = [self.detector.people(f) for f in _noting(video.frames(clip.start, clip.end, every, reuse=True), stamps)]
        times = np.array(stamps)
        chosen, warnings = main_person(found, times, video.width, video.height)
        boxes = [found[i].boxes[member] if member >= 0 else np.full(4, np.nan) for i, member in enumerate(chosen)]
        return SteadyBox(np.array(boxes).reshape(-1, 4), times).at, warnings

    def _among_all(self, clip: Clip, video: AnyVideo) -> tuple[np.ndarray, np.ndarray, list[str]]:
        stamps: list[float] = []
        found = [self.estimator.people(f) for f in _noting(video.frames(clip.start, clip.end, reuse=True), stamps)]
        times = np.array(stamps)
        chosen, warnings = main_person(found, times, video.width, video.height)
        joints = np.full((len(found), self.estimator.joints, 3), np.nan)
        for i, member in enumerate(chosen):
            if member >= 0:
                joints[i] = found[i].joints[member]
        return joints, times, warnings


def _noting(stamped: Iterator[tuple[float, np.ndarray]], stamps: list[float]) -> Iterator[np.ndarray]:
    for time, frame in stamped:
        stamps.append(time)
        yield frame


def _rate(times: np.ndarray) -> float:
    span = times[-1] - times[0]
    return round((len(times) - 1) / span, 6) if span > 0 else 0.0


def _varies(times: np.ndarray, fps: float) -> bool:
    """True where the number of a frame and the rate would name another frame's time."""
    even = times[0] + np.arange(len(times)) / fps if fps else times
    return bool(np.abs(times - even).max() > 0.5 / fps) if fps else False
