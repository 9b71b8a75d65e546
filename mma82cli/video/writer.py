"""Video files written whole or not at all, and clips of other videos among them, frame by frame."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from mma82cli.records import DataError
from mma82cli.replacing import Replacing

if TYPE_CHECKING:
    from mma82cli.video.opening import AnyVideo

LETTERS = {".mp4": "mp4v", ".avi": "FFV1"}  # the second loses nothing
RATE = 25.0  # frames a second where a file does not say


class Clip(NamedTuple):
    """A file that was written: its rate and size, and the time in the source of every frame (seconds)."""

    fps: float
    width: int
    height: int
    times: list[float]


def write_frames(path: Path, images: Iterable[np.ndarray], fps: float, size: tuple[int, int], letters: str) -> int:
    """Writes BGR images (H,W,3) uint8 of `size` (W,H) into `path`, which appears when it is whole. Returns how many.

    Raises DataError where the codec (four `letters`) or the folder takes none, or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with Replacing(path, path.suffix) as temporary:
        writer = cv2.VideoWriter(temporary, cv2.VideoWriter.fourcc(*letters), fps, size)
        if not writer.isOpened():
            raise DataError(f"{path}: cannot be written as {letters}; expected a folder that takes files")
        count = 0
        for count, image in enumerate(images, 1):  # noqa: B007
            writer.write(image)
        writer.release()
        if int(cv2.VideoCapture(temporary).get(cv2.CAP_PROP_FRAME_COUNT)) != count:
            raise DataError(f"{path}: holds fewer than its {count} frames; expected room on the disk")
    return count


def write_clip(video: AnyVideo, start: float, end: float | None, path: Path) -> Clip:
    """Writes the frames of a video whose time stamps lie in [start, end) into a file of their own, at the video's mean rate.
    Raises DataError where there are none."""
    times: list[float] = []

    def images():
        for time, image in video.frames(start, end):
            times.append(time)
            yield image

    frames = images()
    first = next(frames, None)
    if first is None:
        raise DataError(f"{video.path}: no frame from {start:g} s on; expected a clip within the video")
    fps, size = video.fps or RATE, (first.shape[1], first.shape[0])
    write_frames(path, chain([first], frames), fps, size, LETTERS[path.suffix])
    return Clip(fps, *size, times)


def to_clip_time(seconds: list[float], clip: Clip) -> list[float]:
    """Times of the source as times of the clip, so that a frame that lay in [start, end) still does, whatever the rate."""
    known = np.append(clip.times, clip.times[-1] + 1 / clip.fps)
    return np.round(np.interp(seconds, known, np.arange(len(known)) / clip.fps), 6).tolist()
