"""How long videos last, for records that don't say."""

from __future__ import annotations

from mma82cli.records import length_of, video_path
from mma82cli.video.clips import Clip, counted
from mma82cli.video.opening import Reader


class Durations:
    """Adds `duration` to records of the videos below `root` that have none: the file's, whose frames are counted once, or that
    of a window, which its `start` and `end` tell."""

    def __init__(self, root: str):
        self.root = root
        self._reader = Reader()
        self._known: dict[str, float] = {}

    def __call__(self, record: dict) -> dict:
        """The record with a `duration`. Raises DataError where its video can't be read."""
        if record.get("duration") is not None:
            return record
        window = length_of(record) if "segments" in record else None
        length = self._of(video_path(record, self.root)) if window is None else window
        return {**record, "duration": round(length, 6)}

    def _of(self, path: str) -> float:
        if path not in self._known:
            self._known[path] = counted(Clip(path), self._reader.open(path).times()).end
        return self._known[path]
