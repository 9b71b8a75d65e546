"""The same frames through PyAV (`pip install 'mma82[fast]'`): frames that nothing refers to and nobody wants stay undecoded.

The packets of a file are read first, without decoding, for their time stamps. H.264 and HEVC can then leave out every
unwanted frame that no other frame is predicted from; what comes out is bit for bit what OpenCV gives. AV1, which OpenCV's
wheels can't decode, is read too. All else is OpenCV's, `Unsuited` here: containers without an index of true stamps (AVI, MPEG),
turned or deep pictures or those of odd size, whose colours the two interpolate differently, and damaged files.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence

import av
import numpy as np

from mma82cli.video.reader import HEAD, Video, cut_off, micro

PLAIN = ("yuv420p", "yuvj420p")  # 8 bits, converted to BGR alike by both libraries
SKIPPING = ("h264", "hevc")
ONLY_HERE = ("av1",)
INDEXED = {"mp4", "matroska"}  # FFmpeg's names of the containers in which a jump lands on a key frame

av.logging.set_level(av.logging.PANIC)


class Unsuited(Exception):
    """A file that is better read through OpenCV."""


class PacketVideo:
    """One file, as `reader.Video` has it. Raises Unsuited."""

    def __init__(self, path: str):
        self.path = path
        try:
            self._open()
            self._stamps = self._read_stamps()
            frame = next(self._decoded(0, ()))
        except (av.FFmpegError, OSError, StopIteration, IndexError) as error:
            raise Unsuited(str(error)) from None
        context = self._stream.codec_context
        plain = frame.format.name in PLAIN and not (frame.width % 2 or frame.height % 2)
        if frame.rotation or not (plain or context.name in ONLY_HERE):
            raise Unsuited("turned, of other colours, or of odd size")
        rate = float(self._stream.average_rate or 0)
        self.fps = round(rate, 6) if math.isfinite(rate) else 0.0
        self.expected, self.ended = max(len(self._stamps), self._told()), False
        step = 1 / self.fps if self.fps else 0.0
        self.duration = max(self.expected * step, self._seconds(self._stamps[-1]) + step)
        self.height, self.width = frame.height, frame.width

    def close(self) -> None:
        """Lets the file go."""
        self._container.close()

    def frames(
        self, start: float = 0.0, end: float | None = None, every: int = 1, reuse: bool = False
    ) -> Iterator[tuple[float, np.ndarray]]:
        """See `Video.frames`; `reuse` changes nothing here."""
        inside = self._inside(start, end)
        wanted = None if every == 1 else set(inside[::every].tolist())
        last = self._stamps[-1]
        self.ended = inside[-1] == last if len(inside) else self._seconds(last) < micro(start)
        self.last = self._seconds(inside[-1]) if len(inside) else 0.0
        try:
            for frame in self._decoded(inside[0], wanted) if len(inside) else ():
                if frame.pts > inside[-1]:
                    return
                if frame.pts >= inside[0] if wanted is None else frame.pts in wanted:
                    yield self._seconds(frame.pts), frame.to_ndarray(format="bgr24")
        except av.FFmpegError:  # a damaged tail
            self.ended = True

    def times(self, start: float = 0.0, end: float | None = None) -> list[float]:
        """See `Video.times`; read off the packets."""
        return [self._seconds(stamp) for stamp in self._inside(start, end)]

    def pick(self, wanted: Sequence[int], start: float = 0.0, end: float | None = None) -> list[np.ndarray]:
        """See `Video.pick`."""
        inside = self._inside(start, end)
        stamps = [int(inside[number]) for number in wanted if number < len(inside)]
        missing, found = set(stamps), {}
        try:
            for frame in self._decoded(stamps[0], missing) if stamps else ():
                if frame.is_corrupt:  # it is patched from frames that were left out here
                    break
                if frame.pts in missing:
                    found[frame.pts] = frame.to_ndarray(format="bgr24")
                    missing.discard(frame.pts)
                    if not missing:
                        return [found[stamp] for stamp in stamps]
        except av.FFmpegError:
            pass
        return Video(self.path).pick(wanted, start, end)  # damage: what OpenCV makes of it counts

    # -- the decoder -----------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._container = av.open(self.path)
        self._stream = self._container.streams.video[0]
        self._stream.codec_context.thread_count = 1
        self._origin = self._stream.start_time or 0
        if not INDEXED.intersection(self._container.format.name.split(",")):
            raise Unsuited(self._container.format.name)

    def _told(self) -> int:
        """Frames by the header; 0 where it holds no count and the file is whole."""
        with open(self.path, "rb") as file:
            torn = cut_off(file.read(HEAD), os.path.getsize(self.path))
        return self._stream.frames or (round((self._container.duration or 0) / av.time_base * self.fps) if torn else 0)

    def _read_stamps(self) -> np.ndarray:
        """Presentation times of all frames, in the stream's units, ascending."""
        stamps = [packet.pts for packet in self._container.demux(self._stream) if packet.size]
        if not stamps or None in stamps or len(set(stamps)) != len(stamps):
            raise Unsuited("time stamps are missing or double")
        return np.sort(np.array(stamps))

    def _seconds(self, stamp: int) -> float:
        return micro(float((int(stamp) - self._origin) * self._stream.time_base))

    def _inside(self, start: float, end: float | None) -> np.ndarray:
        """The stamps of the frames in [start, end)."""
        seconds = np.round((self._stamps - self._origin) * float(self._stream.time_base), 6)
        first, last = np.searchsorted(seconds, [micro(start), math.inf if end is None else micro(end)])
        return self._stamps[first:last]

    def _decoded(self, first: int, wanted) -> Iterator[av.VideoFrame]:
        """Frames in their order, from the key frame before the stamp `first` on; of those not in `wanted` (None: all are)
        only what others need."""
        self._container.seek(int(first) if first else self._origin, stream=self._stream, backward=True)
        context = self._stream.codec_context
        skips = wanted is not None and context.name in SKIPPING
        for packet in self._container.demux(self._stream):
            context.skip_frame = "NONREF" if skips and packet.pts not in wanted else "DEFAULT"
            yield from packet.decode()
