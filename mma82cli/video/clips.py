"""A few frames of many clips, made small: straight from the video files, or from packs that were made of them (`cache`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from mma82cli.records import DataError
from mma82cli.video.opening import Readers
from mma82cli.video.reader import Video, torn

NEAR = 0.5  # seconds: what annotators and headers may differ in about a video's end


class Clip(NamedTuple):
    """The frames of the file `path` from `start` to before `end` (seconds; None: to its end)."""

    path: str
    start: float = 0.0
    end: float | None = None

    def __str__(self) -> str:
        return self.path if self.end is None else f"{self.path} from {self.start:g} to {self.end:g} s"


class Counted(NamedTuple):
    """How many frames a clip has, and when the last of them is over, in seconds of the file."""

    frames: int
    end: float


def step_of(times: Sequence[float] | np.ndarray) -> float:
    """Seconds from one of the `times` (N,) to the next, as a rule."""
    return float(np.median(np.diff(times))) if len(times) > 1 else 1.0


def counted(clip: Clip, times: Sequence[float] | np.ndarray) -> Counted:
    """What `times` (N,), seconds of the file, say of the clip. Raises DataError where there are none."""
    return Counted(_some(clip, len(times)), float(times[-1]) + step_of(times))


def short(path: str, length: float | None, end: float) -> list[str]:
    """The warning, if any, of a clip of `length` seconds (None: unknown, it is the whole file) that can be decoded up to its
    second `end` only."""
    if length is None:
        return [f"truncated: the file is cut off, {end:.6g} s can be decoded"] if torn(path) else []
    if length <= end + NEAR:
        return []
    return [f"truncated: {end:.6g} s of {length:.6g} s can be decoded"]


def fewer(found: int, expected: int) -> str:
    """The warning of a clip of `expected` frames, of which `found` can be decoded."""
    return f"truncated: {found}/{expected} frames can be decoded"


class Source(Protocol):
    """Frames of clips by number, all of one shorter side: `Frames`, or the packs of `cache.Cache`. `kind` says which."""

    kind: str

    def check(self, clip: Clip) -> None:
        """See `Frames.check`."""

    def count(self, clip: Clip) -> int:
        """See `Frames.count`."""

    def recount(self, clip: Clip) -> int:
        """See `Frames.recount`."""

    def end(self, clip: Clip) -> float:
        """See `Frames.end`."""

    def stamps(self, clip: Clip) -> np.ndarray:
        """See `Frames.stamps`."""

    def stream(self, clip: Clip, every: int = 1) -> Iterator[tuple[float, np.ndarray]]:
        """See `Frames.stream`."""

    def last(self, clip: Clip) -> float:
        """See `Frames.last`."""

    def pick(self, clip: Clip, wanted: Sequence[int]) -> list[np.ndarray]:
        """See `Frames.pick`."""


def shrink(frame: np.ndarray, side: int) -> np.ndarray:
    """`frame` (H, W, 3) with its shorter side `side` pixels long, smaller or larger than it was.

    Each pixel is the mean of those it stands for (INTER_AREA). Beyond twice as small that mean is taken over every
    second row and column or so, which costs a sixth and can hardly be seen.
    """
    height, width = frame.shape[:2]
    shorter = min(height, width)
    size = (round(width * side / shorter), round(height * side / shorter))
    if shorter == side:
        return frame
    if shorter < side:
        return cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR)
    if shorter > 2 * side:
        frame = cv2.resize(frame, (2 * size[0], 2 * size[1]), interpolation=cv2.INTER_LINEAR)
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


class Frames:
    """Frames of clips by number, their shorter side `side` pixels long, decoded anew each time. Threads may share it."""

    kind = "videos"

    def __init__(self, side: int):
        self.side = side
        self._readers = Readers()
        self._counts: dict[Clip, Counted] = {}  # a clip is counted when it is met first, which may be decoding it to its end
        self._recounts: dict[Clip, Counted] = {}

    def check(self, clip: Clip) -> None:
        """Raises DataError where `count` would, without decoding more than the first frame."""
        _some(clip, len(self._readers.open(clip.path).pick([0], clip.start, clip.end)))

    def count(self, clip: Clip) -> int:
        """How many frames the clip has. Raises DataError where that is none, or the file can't be read."""
        if clip not in self._counts:
            self._counts[clip] = counted(clip, self._readers.open(clip.path).times(clip.start, clip.end))
        return self._counts[clip].frames

    def recount(self, clip: Clip) -> int:
        """How many frames can be decoded of a clip of which `pick` gave fewer than it was asked for. Raises DataError.

        `count` stays what it was: what is drawn of a clip must not depend on what was drawn before."""
        if clip not in self._recounts:
            self._recounts[clip] = counted(clip, Video(clip.path).times(clip.start, clip.end))
        return self._recounts[clip].frames

    def end(self, clip: Clip) -> float:
        """Seconds of the file: when the last frame is over that was counted of the clip (last, where it was recounted)."""
        return self._recounts.get(clip, self._counts[clip]).end

    def stamps(self, clip: Clip) -> np.ndarray:
        """(frames,) float64 seconds of the file: when each frame is. Raises DataError as `count` does."""
        times = self._readers.open(clip.path).times(clip.start, clip.end)
        self._counts[clip] = counted(clip, times)
        return np.array(times)

    def stream(self, clip: Clip, every: int = 1) -> Iterator[tuple[float, np.ndarray]]:
        """(seconds of the file, frame (h, w, 3) BGR uint8) of the first of `every` so many frames, one at a time."""
        for time, frame in self._readers.open(clip.path).frames(clip.start, clip.end, every):
            yield time, shrink(frame, self.side)

    def last(self, clip: Clip) -> float:
        """Seconds of the file: when the last frame is of the clip that this thread has just streamed to its end."""
        return self._readers.open(clip.path).last

    def pick(self, clip: Clip, wanted: Sequence[int]) -> list[np.ndarray]:
        """The frames number `wanted` (ascending, from 0), each (h, w, 3) BGR uint8.

        Fewer come back where the file is damaged and the clip was counted by its packets (see `recount`), or is no longer.
        """
        found = self._readers.open(clip.path).pick(wanted, clip.start, clip.end)
        small: list[np.ndarray] = []
        for i, frame in enumerate(found):
            small.append(small[-1] if i and frame is found[i - 1] else shrink(frame, self.side))
        return small

    def all(self, clip: Clip) -> Iterator[tuple[float, np.ndarray]]:
        """All that `stream` gives. Raises DataError as `count` does."""
        count = 0
        for count, each in enumerate(self.stream(clip), 1):  # noqa: B007
            yield each
        _some(clip, count)


def _some(clip: Clip, count: int) -> int:
    if count == 0:
        raise DataError(f"{clip}: not one frame can be decoded there; expected some")
    return count
