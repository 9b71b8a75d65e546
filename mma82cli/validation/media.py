"""The faults of the files that records name: missing, no video, cut off, another frame rate, too short."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache

from mma82cli.records import DataError, is_number
from mma82cli.validation.fields import SPREAD, Fault, wrong
from mma82cli.video import Video
from mma82cli.video.clips import fewer
from mma82cli.video.reader import torn

LATE = 0.1  # seconds beside two frames: headers round


class Media:
    """Opens each file once, and remembers what it said."""

    def __init__(self, root: str):
        self.root = root
        self._known: dict[str, tuple[Fault | None, float, float]] = {}  # video -> fault, fps, duration

    def faults(self, record: dict) -> Iterator[Fault]:
        """The faults of the file of a record."""
        video = record.get("video")
        if not isinstance(video, str) or not video:
            return
        if video not in self._known:
            self._known[video] = self._look(video)
        fault, fps, duration = self._known[video]
        if fault is not None:
            yield fault
            return
        said = record.get("fps")
        if is_number(said) and fps and abs(said - fps) > SPREAD * fps:
            yield wrong("fps", "fps-mismatch", said, f"{fps:g}, the file's")
        latest = max((s["end"] for s in _spans(record) if is_number(s.get("end"))), default=0)
        if duration and latest > duration + (2 / fps if fps else 0) + LATE:
            yield wrong("end", "beyond-duration", latest, f"a time within the {duration:g} s of the file")

    def _look(self, name: str) -> tuple[Fault | None, float, float]:
        path = os.path.join(self.root, name)
        if not os.path.exists(path):
            near = _with_ending(os.path.dirname(path) or ".").get(os.path.basename(path))
            hint = f"; there is {near}" if near else ""
            return Fault("video", "missing-file", f"{path}: No such file or directory{hint}", name), 0.0, 0.0
        try:
            video = Video(path)
        except DataError as error:
            return Fault("video", "unreadable-file", str(error), name), 0.0, 0.0
        try:
            found = len(video.times()) if torn(path) else video.expected  # the torn alone are decoded
            if found < video.expected:
                said = f"{path}: {fewer(found, video.expected)}; expected a whole file"
                return Fault("video", "truncated-file", said, name), 0.0, 0.0
            return None, video.fps, video.duration
        finally:
            video.close()


@cache
def _with_ending(folder: str) -> dict[str, str]:
    """{name without its ending: name} of the files in a folder; none where there is no such folder."""
    try:
        return {os.path.splitext(name)[0]: name for name in sorted(os.listdir(folder))}
    except OSError:
        return {}


def _spans(record: dict) -> list[dict]:
    segments = record.get("segments")
    inside = [s for s in segments if isinstance(s, dict)] if isinstance(segments, list) else []
    return [record, *inside]
