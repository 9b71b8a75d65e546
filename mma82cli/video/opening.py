"""Which of the two readers a file is opened with, and which files stay open."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import TYPE_CHECKING

from mma82cli.video.reader import Video

if TYPE_CHECKING:
    from mma82cli.video.packets import PacketVideo

    AnyVideo = Video | PacketVideo


@lru_cache(maxsize=1)
def has_pyav() -> bool:
    """Whether `mma82[fast]` is installed, and whole."""
    try:
        import av
    except ImportError:
        return False
    return hasattr(av, "open")  # a folder of that name beside the records is a package too


def open_video(path: str) -> AnyVideo:
    """The video at `path`, through PyAV where that is installed and does better. Raises DataError where it can't be read."""
    if has_pyav():
        from mma82cli.video.packets import PacketVideo, Unsuited

        try:
            return PacketVideo(path)
        except Unsuited:
            pass
    return Video(path)


class Reader:
    """Opens videos by path and keeps the last one open, since clips of one video come one after the other."""

    def __init__(self):
        self._video: AnyVideo | None = None

    def open(self, path: str) -> AnyVideo:
        """The video at `path`. Raises DataError where it can't be read."""
        if self._video is None or self._video.path != path:
            if self._video is not None:
                self._video.close()
            self._video = None
            self._video = open_video(path)
        return self._video


class Readers:
    """A reader for each thread that asks: decoders run side by side, each on one thread of its own."""

    def __init__(self):
        self._own = threading.local()

    def open(self, path: str) -> AnyVideo:
        """See `Reader.open`."""
        if not hasattr(self._own, "reader"):
            self._own.reader = Reader()
        return self._own.reader.open(path)
