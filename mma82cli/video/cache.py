"""Packs of JPEGs, one a clip: a training that sees each clip fifty times decodes its video once.

A pack is named after all that its frames depend on: the file's path, size and time, the clip's bounds, the frames' size
and quality. It appears whole or not at all, so that any number of processes can make and read packs in one folder.

    "mma82jpg" | frames N, 8 bytes | N + 1 offsets into the file, 8 bytes each | N times in seconds, doubles | JPEG | JPEG | …

All little-endian; times are those of the video file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from mma82cli.records import DataError
from mma82cli.replacing import Replacing
from mma82cli.video.clips import Clip, Frames

MAGIC = b"mma82jpg"
# colour at full resolution: what is left of a hand where what stands still is taken away is a few pixels
JPEG = (cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
SUFFIX = ".jpegs"


class Cache:
    """Frames of clips by number, as `Frames` gives them, from packs in `folder`, which are made where they are missing."""

    def __init__(self, folder: str | os.PathLike, side: int):
        self.folder, self.frames = Path(folder), Frames(side)
        self._offsets: dict[Clip, tuple[Path, np.ndarray]] = {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{self.folder}: {error.strerror}; expected a folder for decoded frames") from None

    @property
    def side(self) -> int:
        """The frames' shorter side in pixels."""
        return self.frames.side

    def path(self, clip: Clip) -> Path:
        """Where the clip's pack is or will be. Raises DataError where its video is missing."""
        try:
            about = os.stat(clip.path)
        except OSError as error:
            raise DataError(f"{clip.path}: {error.strerror}") from None
        file = [os.path.realpath(clip.path), about.st_size, about.st_mtime_ns]
        key = json.dumps([2, *file, clip.start, clip.end, self.side, *JPEG])
        return self.folder / (hashlib.blake2b(key.encode(), digest_size=16).hexdigest() + SUFFIX)

    def count(self, clip: Clip) -> int:
        """See `Frames.count`."""
        return len(self._pack(clip)[1]) - 1

    def stamps(self, clip: Clip) -> np.ndarray:
        """See `Frames.stamps`."""
        path, offsets = self._pack(clip)
        with path.open("rb") as file:
            file.seek(len(MAGIC) + 8 * (1 + len(offsets)))
            return np.frombuffer(file.read(8 * (len(offsets) - 1)), "<f8")

    def stream(self, clip: Clip, every: int = 1) -> Iterator[tuple[float, np.ndarray]]:
        """See `Frames.stream`."""
        for number, time in enumerate(self.stamps(clip).tolist()):
            if number % every == 0:
                yield time, self.pick(clip, [number])[0]

    def pick(self, clip: Clip, wanted: Sequence[int]) -> list[np.ndarray]:
        """See `Frames.pick`."""
        path, offsets = self._pack(clip)
        found: dict[int, np.ndarray] = {}
        with path.open("rb") as file:
            for number in wanted:
                if number not in found:
                    file.seek(offsets[number])
                    data = np.frombuffer(file.read(offsets[number + 1] - offsets[number]), np.uint8)
                    found[number] = cv2.imdecode(data, cv2.IMREAD_COLOR)
                if found[number] is None:
                    raise DataError(f"{path}: a damaged pack of {clip}; remove it, and it is made anew")
        return [found[number] for number in wanted]

    def make(self, clip: Clip) -> int:
        """Makes the clip's pack unless there is one; -> its size in bytes. Raises DataError."""
        path = self.path(clip)
        if not path.exists():
            times, pictures = [], []
            for time, frame in self.frames.all(clip):
                times.append(time)
                pictures.append(cv2.imencode(".jpg", frame, JPEG)[1])
            sizes = [len(picture) for picture in pictures]
            start = len(MAGIC) + 8 * (2 * len(sizes) + 2)
            offsets = np.concatenate(([start], start + np.cumsum(sizes)))
            head = MAGIC + np.array([len(sizes), *offsets], "<i8").tobytes() + np.array(times, "<f8").tobytes()
            try:
                with Replacing(path) as temporary, open(temporary, "xb") as file:
                    file.write(head + b"".join(picture.tobytes() for picture in pictures))
            except OSError as error:
                raise DataError(f"{self.folder}: {error.strerror}; expected room for decoded frames") from None
        return path.stat().st_size

    def missing(self, clips: Iterable[Clip]) -> list[Clip]:
        """Those of the clips that have no pack yet."""
        return [clip for clip in clips if not self.path(clip).exists()]

    def _pack(self, clip: Clip) -> tuple[Path, np.ndarray]:
        """The pack's path, and where its JPEGs begin and the last one ends."""
        if clip not in self._offsets:
            self.make(clip)
            path = self.path(clip)
            offsets = np.empty(0, "<i8")
            with path.open("rb") as file:
                head = file.read(len(MAGIC) + 8)
                count = int.from_bytes(head[len(MAGIC) :], "little")
                if head.startswith(MAGIC) and count < 1 << 30:
                    offsets = np.frombuffer(file.read(8 * (count + 1)), "<i8")
            if not len(offsets) or len(offsets) != count + 1 or offsets[-1] != path.stat().st_size:
                raise DataError(f"{path}: a damaged pack of {clip}; remove it, and it is made anew")
            self._offsets[clip] = path, offsets
        return self._offsets[clip]
