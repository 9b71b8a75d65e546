"""A video file decoded forward, kept open from clip to clip.

Exactness comes before speed: the frames of a clip are those whose own time stamp lies in [start, end), whatever the
rate, and a jump is trusted only where the frame it lands on says that nothing wanted was passed. OpenCV's frame count
comes from the header (most containers only guess it, and damaged files have fewer), so nothing relies on it but warnings.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import cv2
import numpy as np

from mma82cli.records import DataError

NEAR = 4.0  # seconds: a clip that begins this much later is reached by decoding on, not by a jump
LEAD = 1.0  # seconds: a jump lands this much before the clip, so that frames decoded right after it are not used
HEAD = 4096  # bytes that tell a container
_MATROSKA, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_OPEN = 1 << 32  # the length of an AVI that was never finished
_INDEXED = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # mp4 and mov begin with one of these at byte 4


def micro(seconds: float) -> float:
    """A time stamp rounded so that equal ones are equal."""
    return round(seconds, 6)


class Video:
    """One file. `fps`, `width`, `height` (rotation applied), `duration` (seconds by its header, 0: unknown; longer than the
    pictures where the sound is), `expected` (frames by its header, 0: it holds no count).

    Raises DataError where the file is missing, is no video, or where not one frame of it can be decoded.
    """

    last = 0.0  # time stamp of the last frame that `frames` came to, given or passed over
    _time: float | None

    def __init__(self, path: str):
        self.path = path
        if not os.path.isfile(path):
            reason = "Not a regular file" if os.path.exists(path) else "No such file or directory"
            raise DataError(f"{path}: {'Is a directory' if os.path.isdir(path) else reason}")
        try:
            with open(path, "rb") as file:
                head = file.read(HEAD)
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}") from None
        self._stamped = head[:4] != b"RIFF"  # AVI holds no time stamps: a frame's time is its number by the rate
        self._jumps = head[4:8] in _INDEXED or head[:4] == _MATROSKA
        self._open()
        get = self._capture.get
        fps, count = get(cv2.CAP_PROP_FPS), get(cv2.CAP_PROP_FRAME_COUNT)
        self.fps = round(fps, 6) if math.isfinite(fps) and fps > 0 else 0.0
        count = int(count) if math.isfinite(count) and 0 < count < 1e12 else 0
        self.duration = count / self.fps if self.fps else 0.0
        codec = int(get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        ok, frame = self._capture.retrieve() if self._grab() else (False, None)
        if not ok:
            name = codec.to_bytes(4, "little").decode("ascii", "replace").strip("\0 ")
            raise DataError(f"{path}: not one frame can be decoded (codec '{name}'); expected a video that OpenCV decodes")
        self.height, self.width = frame.shape[:2]
        self.expected = count if _counts(head) or cut_off(head, os.path.getsize(path)) else 0

    def close(self) -> None:
        """Lets the file go."""
        self._capture.release()

    def frames(
        self, start: float = 0.0, end: float | None = None, every: int = 1, reuse: bool = False
    ) -> Iterator[tuple[float, np.ndarray]]:
        """(time stamp in seconds, BGR frame (H,W,3) uint8) of every frame in [start, end), or the first of `every` so
        many; `end` None: to the last. With `reuse` each frame overwrites the one before it, which is quicker.

        Calls may follow in any order; they are quick when each begins after the one before it. A damaged tail ends
        the frames early and quietly: `ended` then says that the file gave no more.
        """
        self._go_to(start)
        number, frame = 0, None
        while self._time is not None and (end is None or self._time < micro(end)):
            self.last = self._time
            if number % every == 0:
                ok, frame = self._capture.retrieve(frame if reuse else None)
                if not ok:
                    self._time = None
                    return
                yield self._time, frame
            number += 1
            self._grab()

    def times(self, start: float = 0.0, end: float | None = None) -> list[float]:
        """Time stamps (seconds) of all frames in [start, end): counted by decoding, not read from a header."""
        self._go_to(start)
        stamps = []
        while self._time is not None and (end is None or self._time < micro(end)):
            stamps.append(self._time)
            self._grab()
        return stamps

    def pick(self, wanted: Sequence[int], start: float = 0.0, end: float | None = None) -> list[np.ndarray]:
        """BGR frames (H,W,3) uint8 number `wanted` (ascending, from 0, perhaps repeated) of those in [start, end).

        Frames between are decoded but not converted, and what follows the last one is not touched. Fewer come back
        where the clip has fewer frames.
        """
        self._go_to(start)
        found: list[np.ndarray] = []
        index = 0
        for i, number in enumerate(wanted):
            if i and number == wanted[i - 1]:
                found.append(found[-1])
                continue
            while index < number and self._time is not None:
                self._grab()
                index += 1
            inside = self._time is not None and (end is None or self._time < micro(end))
            ok, frame = self._capture.retrieve() if inside else (False, None)
            if not ok:
                break
            found.append(frame)
        return found

    @property
    def ended(self) -> bool:
        """True when the last call of `frames` came to the end of what can be decoded."""
        return self._time is None

    # -- the decoder -----------------------------------------------------------------------------------------

    def _open(self) -> None:
        threads = getattr(cv2, "CAP_PROP_N_THREADS", None)
        options = [] if threads is None else [threads, 1]
        self._capture = cv2.VideoCapture(self.path, cv2.CAP_FFMPEG, options)
        if not self._capture.isOpened():
            raise DataError(f"{self.path}: not a video that can be opened (damaged, or no video at all)")
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        self._index, self._time = -1, -math.inf

    def _grab(self) -> bool:
        """Decodes the next frame; `_time` is then its time stamp, or None at the end."""
        if self._time is None or not self._capture.grab():
            self._time = None
            return False
        self._index += 1
        step = 1.0 / self.fps if self.fps else 0.04
        time = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0 if self._stamped else self._index * step
        if not math.isfinite(time) or time <= self._time:  # a frame without a time stamp comes one step after the last
            time = max(self._time, -step) + step
        self._time = micro(time)
        return True

    def _go_to(self, start: float) -> None:
        """Makes the frame that was grabbed last the first one at or after `start`."""
        start = micro(start)
        if self._time is not None and 0 <= start - self._time <= NEAR:
            self._forward(start)
            if self._time is not None:
                return  # else there is damage before the clip: what a fresh look finds counts
        if self._jumps and start > NEAR and self._jump(start):
            return
        if self._time is None or self._time > start:
            self._restart()
        self._forward(start)

    def _forward(self, start: float) -> None:
        while self._time is not None and self._time < start:
            self._grab()

    def _restart(self) -> None:
        self._capture.release()
        self._open()
        self._grab()

    def _jump(self, start: float) -> bool:
        """Jumps to just before `start`. False, and back at the beginning, where the landing can't be trusted."""
        self._capture.release()
        self._open()
        if self._capture.set(cv2.CAP_PROP_POS_MSEC, 1000.0 * (start - LEAD)) and self._grab() and self._time <= start:
            self._forward(start)
            if self._time is not None:
                return True
        self._restart()
        return False


def _counts(head: bytes) -> bool:
    """Whether a header holds the number of frames: mp4's and mov's, but for fragments, and AVI's. Others hold at most the
    length of pictures and sound together."""
    return head[:4] == b"RIFF" or (head[4:8] in _INDEXED and b"mvex" not in head)


def cut_off(head: bytes, size: int) -> bool:
    """Whether a Matroska or AVI file of `size` bytes, which begins with `head`, is shorter than it says: it says then, too, how
    long it was."""
    if head[:4] == b"RIFF":
        return size < int.from_bytes(head[4:8], "little") + 8 < _OPEN
    if head[:4] != _MATROSKA:
        return False
    length, at = _number(head, 4)
    at += length
    if head[at : at + 4] != _SEGMENT:
        return False
    length, start = _number(head, at + 4)
    unknown = length == (1 << 7 * (start - at - 4)) - 1  # of a film that was written as it came
    return start + length > size and not unknown


def torn(path: str) -> bool:
    """Whether a Matroska, mp4, mov or AVI file is shorter than it says (not: it is gone). An mp4 may be so and open: its index
    may come first."""
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            head = file.read(HEAD)
            return _pictures_end(file, size) > size if head[4:8] in _INDEXED else cut_off(head, size)
    except OSError:
        return False


def _pictures_end(file: BinaryIO, size: int) -> int:
    """Where the last box that holds pictures and sound ends by its own word (0: it does not say), in an mp4 or mov file."""
    at = end = 0
    while at < size:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:], "big")
        if length < 8:  # 0: up to the file's end
            break
        at += length
        if head[4:8] == b"mdat":
            end = at
    return end


def _number(head: bytes, at: int) -> tuple[int, int]:
    """The number of Matroska's at `at`, and where it ends: the first byte's leading zeros say how many bytes it has."""
    width = 9 - int.from_bytes(head[at : at + 1], "big").bit_length()
    return int.from_bytes(head[at : at + width], "big") & ((1 << 7 * width) - 1), at + width
