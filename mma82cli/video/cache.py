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
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, BinaryIO, NamedTuple

import cv2
import numpy as np

from mma82cli.records import DataError
from mma82cli.replacing import Replacing
from mma82cli.video.clips import Clip, Frames, counted

MAGIC = b"mma82jpg"
# colour at full resolution: what is left of a hand where what stands still is taken away is a few pixels
JPEG = (cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
SUFFIX = ".jpegs"
HELD = 1 << 26  # bytes of JPEGs that are held in memory while a pack is made; those of longer films wait in a file


class NoRoom(DataError):
    """The folder takes no more packs."""


class Contents(NamedTuple):
    """Where a pack's JPEGs begin, and the last one ends (N + 1,), in bytes; and their times (N,) in seconds."""

    offsets: np.ndarray
    times: np.ndarray


def contents(file: BinaryIO) -> Contents | None:
    """What the pack `file`, open at its beginning, says of itself; None where that can't be."""
    head, size = file.read(len(MAGIC) + 8), os.fstat(file.fileno()).st_size
    count = int.from_bytes(head[len(MAGIC) :], "little")
    start = len(MAGIC) + 8 * (2 * count + 2)
    if not head.startswith(MAGIC) or not count or start > size:
        return None
    found = Contents(np.frombuffer(file.read(8 * (count + 1)), "<i8"), np.frombuffer(file.read(8 * count), "<f8"))
    whole = (found.offsets[0], found.offsets[-1]) == (start, size) and (np.diff(found.offsets) > 0).all()
    return found if whole and (np.diff(found.times) > 0).all() and np.isfinite(found.times).all() else None


class Cache:
    """Frames of clips by number, as `Frames` gives them, from packs in `folder`, which are made where they are missing or
    torn."""

    kind = "packs"

    def __init__(self, folder: str | os.PathLike, side: int):
        self.folder, self.frames = Path(folder), Frames(side)
        self._paths: dict[Clip, Path] = {}  # of packs that were there: whatever becomes of the video then, they stay its frames
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

    def check(self, clip: Clip) -> None:
        """See `Frames.check`; a pack that is there will do."""
        if not self.path(clip).exists():
            self.frames.check(clip)

    def count(self, clip: Clip) -> int:
        """See `Frames.count`."""
        return len(self.stamps(clip))

    recount = count  # packs give what they promise

    def end(self, clip: Clip) -> float:
        """See `Frames.end`."""
        return counted(clip, self.stamps(clip)).end

    def stamps(self, clip: Clip) -> np.ndarray:
        """See `Frames.stamps`."""
        with self._opened(clip) as (_, found):
            return found.times

    def stream(self, clip: Clip, every: int = 1) -> Iterator[tuple[float, np.ndarray]]:
        """See `Frames.stream`."""
        with self._opened(clip) as (file, found):
            for number in range(0, len(found.times), every):
                yield float(found.times[number]), self._picture(clip, file, found, number)

    def last(self, clip: Clip) -> float:
        """See `Frames.last`."""
        return float(self.stamps(clip)[-1])

    def pick(self, clip: Clip, wanted: Sequence[int]) -> list[np.ndarray]:
        """See `Frames.pick`."""
        with self._opened(clip) as (file, found):
            frames = {number: self._picture(clip, file, found, number) for number in dict.fromkeys(wanted)}
        return [frames[number] for number in wanted]

    def _picture(self, clip: Clip, file: BinaryIO, found: Contents, number: int) -> np.ndarray:
        begin, end = found.offsets[number : number + 2].tolist()
        file.seek(begin)
        picture = cv2.imdecode(np.frombuffer(file.read(end - begin), np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            raise self._damaged(clip)
        return picture

    def make(self, clip: Clip) -> int:
        """Makes the clip's pack unless there is one; -> its size in bytes. Raises DataError, NoRoom where it can't be kept."""
        path = self.path(clip)
        if not _whole(path):
            try:
                with SpooledTemporaryFile(HELD, dir=str(self.folder)) as pictures:
                    head = self._encode(clip, pictures)
                    with Replacing(path) as temporary, open(temporary, "xb") as file:
                        file.write(head)
                        shutil.copyfileobj(pictures, file)
            except OSError as error:
                raise NoRoom(f"{self.folder}: {error.strerror}; expected room for decoded frames") from None
        return path.stat().st_size

    def _encode(self, clip: Clip, pictures: IO[bytes]) -> bytes:
        """Writes the clip's JPEGs into the file `pictures`, to be read from its beginning; -> what comes before them."""
        times, ends = [], [0]
        for time, frame in self.frames.all(clip):
            times.append(time)
            pictures.write(cv2.imencode(".jpg", frame, JPEG)[1].tobytes())
            ends.append(pictures.tell())
        pictures.seek(0)
        offsets = len(MAGIC) + 8 * (2 * len(times) + 2) + np.array(ends, "<i8")
        return MAGIC + len(times).to_bytes(8, "little") + offsets.tobytes() + np.array(times, "<f8").tobytes()

    def missing(self, clips: Iterable[Clip]) -> list[Clip]:
        """Those of the clips that have no pack yet."""
        return [clip for clip in clips if not self.path(clip).exists()]

    @contextmanager
    def _opened(self, clip: Clip) -> Iterator[tuple[BinaryIO, Contents]]:
        """The clip's pack. It is looked through each time: another process may just have put its own in the place."""
        if clip not in self._paths:
            self.make(clip)
            self._paths[clip] = self.path(clip)
        try:
            with self._paths[clip].open("rb") as file:
                found = contents(file)
                if found is None:
                    raise self._damaged(clip)
                yield file, found
        except OSError as error:
            raise DataError(f"{self._paths[clip]}: {error.strerror}; expected the pack of {clip}") from None

    def _damaged(self, clip: Clip) -> DataError:
        return DataError(f"{self._paths[clip]}: a damaged pack of {clip}; remove it, and it is made anew")


def _whole(path: Path) -> bool:
    """Whether there is a pack, from its first byte to its last."""
    try:
        with path.open("rb") as file:
            return contents(file) is not None
    except OSError:
        return False
