"""What is said of a clip that can't be extracted as it was asked for: errors, and the lines of its `warnings`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mma82cli.pose.task import Clip
from mma82cli.records import DataError
from mma82cli.video.clips import fewer, short

if TYPE_CHECKING:
    from mma82cli.video.opening import AnyVideo

WHOLE_FRAME = "no 'box' and no --detector: the whole frame was taken for the person's"


def check_span(clip: Clip, video: AnyVideo) -> None:
    """A clip most of which lies behind the end of its video is a mistake; one that ends a little late is life."""
    if clip.end is None or not video.duration:
        return
    inside = min(clip.end, video.duration) - clip.start
    if inside < 0.5 * (clip.end - clip.start):
        raise DataError(_outside(clip, video.duration, video.path))


def _outside(clip: Clip, duration: float, path: str) -> str:
    return f"the clip {clip.start:g}-{clip.end:g} s is outside its video; {path} lasts {duration:g} s"


def empty(clip: Clip, video: AnyVideo) -> str:
    """Why there is no frame in a clip."""
    if clip.end is None:
        return f"{clip.path}: no frame after {clip.start:g} s"
    if video.ended:
        tail = f" ({video.expected} frames by its header)" if video.expected else ""
        return f"{clip.path}: nothing can be decoded at {clip.start:g}-{clip.end:g} s; the file ends before{tail}"
    return f"{clip.path}: no frame's time stamp lies in {clip.start:g}-{clip.end:g} s; expected a clip of at least a frame"


def tail(clip: Clip, video: AnyVideo, times: np.ndarray) -> list[str]:
    """What is missing at the end, by the file's header where it counts frames, else by the record: `truncated: …`."""
    if not video.ended or not video.fps:
        return []
    duration = max(video.expected / video.fps, float(times[-1]) + 1 / video.fps)
    end = min(duration, clip.end or duration)
    expected = video.expected if clip.end is None else round((end - clip.start) * video.fps)
    if len(times) < expected - 1 and times[-1] + 1.5 / video.fps < end:
        return [fewer(len(times), expected)]
    if clip.end is None:
        return short(clip.path, clip.length, duration)
    if clip.end > duration + 1.5 / video.fps:
        return [f"the clip ends at {clip.end:g} s, its video at {duration:g} s"]
    return []


def absent(seen: np.ndarray, filled: int) -> list[str]:
    """In how many of the frames `seen` (T,) nobody is, and how many were `filled`."""
    lines = []
    if not seen.any():
        lines.append("no person found")
    elif not seen.all():
        lines.append(f"no person in {int((~seen).sum())}/{len(seen)} frames")
    if filled:
        lines.append(f"{filled} frames filled between neighbours, score 0")
    return lines
