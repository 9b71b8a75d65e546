"""Small pictures of a video."""

from __future__ import annotations

import os

import numpy as np

from mma82cli.records import DataError, record_id, video_path


def film_of(record: dict, root: str) -> str | None:
    """The path of a record's video, None where it has none, or the file isn't there. Raises DataError for what is no name."""
    path = video_path(record, root) if record.get("video") else ""
    return path if os.path.isfile(path) else None


def film_needed(record: dict, root: str) -> str:
    """The path of a record's video. Raises DataError where there is none."""
    path = film_of(record, root)
    if path is None:
        raise DataError(f"{record_id(record)}: there is no {video_path(record, root)}; expected the video (--root)")
    return path


def moments(start: float, end: float, count: int) -> np.ndarray:
    """(count,) seconds: the middles of `count` equal parts of the time from `start` to `end`."""
    return start + (np.arange(count) + 0.5) * (end - start) / count


def stills(path: str, start: float, end: float, count: int, side: int) -> list[np.ndarray]:
    """RGB frames (h, w, 3) at the `moments` of a video, fewer where it ends before; the shorter side is `side` pixels."""
    from mma82cli.video.clips import shrink
    from mma82cli.video.opening import open_video

    video = open_video(path)
    found = [video.pick([0], float(moment)) for moment in moments(start, end, count)]
    return [shrink(frames[0], side)[..., ::-1] for frames in found if frames]
