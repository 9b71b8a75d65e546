"""A clip of a video as the fields of a record: decode, estimate, decide who is there."""

from __future__ import annotations

import numpy as np

from mma82cli.pose import person
from mma82cli.pose.task import Clip
from mma82cli.records import DataError
from mma82cli.skeleton.keypoints import to_record
from mma82cli.video import Reader, Video


def extract_clip(clip: Clip, reader: Reader, estimator) -> dict:
    """`layout`, `keypoints`, `fps`, `width`, `height`, `num_frames`, `model`; `times` where the rate varies and
    `warnings` where there are some. Raises DataError where the file or the span gives no frame."""
    video = reader.open(clip.path)
    _check_span(clip, video)
    times: list[float] = []

    def frames():
        for time, frame in video.frames(clip.start, clip.end):
            times.append(time)
            yield frame

    boxes = None if clip.box is None else iter(lambda: clip.box, None)
    joints = estimator.infer(frames(), boxes)
    if not times:
        raise DataError(_empty(clip, video))
    stamps = np.array(times)
    seen = np.isfinite(joints).all((1, 2))
    joints = np.where(seen[:, None, None], joints, 0.0)
    seen &= person.found(joints, estimator.min_score)
    filled = 0
    if not seen.all():
        joints, seen, filled = person.fill_gaps(joints, seen, stamps)
    joints[..., 2] = np.clip(joints[..., 2], 0.0, 1.0)
    fps = video.fps or _rate(stamps)
    fields = {"layout": clip.layout, "keypoints": to_record(joints, seen), "fps": fps}
    fields.update(width=video.width, height=video.height, num_frames=len(times))
    if _varies(stamps, fps):
        fields["times"] = times
    fields["model"] = estimator.title
    warnings = [*_tail(clip, video, stamps), *_whole(clip, estimator), *_absent(seen, filled)]
    if warnings:
        fields["warnings"] = warnings
    return fields


def _check_span(clip: Clip, video: Video) -> None:
    """A clip most of which lies behind the end of its video is a mistake; one that ends a little late is life."""
    if clip.end is None or not video.duration:
        return
    inside = min(clip.end, video.duration) - clip.start
    if inside < 0.5 * (clip.end - clip.start):
        raise DataError(_outside(clip, video.duration, video.path))


def _outside(clip: Clip, duration: float, path: str) -> str:
    return f"the clip {clip.start:g}-{clip.end:g} s is outside its video; {path} lasts {duration:g} s"


def _empty(clip: Clip, video: Video) -> str:
    if clip.end is None:
        return f"{clip.path}: no frame after {clip.start:g} s"
    if video.ended:
        tail = f" ({video.expected} frames by its header)" if video.expected else ""
        return f"{clip.path}: nothing can be decoded at {clip.start:g}-{clip.end:g} s; the file ends before{tail}"
    return f"{clip.path}: no frame's time stamp lies in {clip.start:g}-{clip.end:g} s; expected a clip of at least a frame"


def _rate(times: np.ndarray) -> float:
    span = times[-1] - times[0]
    return round((len(times) - 1) / span, 6) if span > 0 else 0.0


def _varies(times: np.ndarray, fps: float) -> bool:
    """True where the number of a frame and the rate would name another frame's time."""
    even = times[0] + np.arange(len(times)) / fps if fps else times
    return bool(np.abs(times - even).max() > 0.5 / fps) if fps else False


def _tail(clip: Clip, video: Video, times: np.ndarray) -> list[str]:
    """What is missing at the end: `truncated: got/expected` frames."""
    if not video.ended or not video.duration:
        return []
    end = min(video.duration, clip.end or video.duration)
    expected = video.expected if clip.end is None else round((end - clip.start) * video.fps)
    if len(times) < expected - 1 and times[-1] + 1.5 / video.fps < end:
        return [f"truncated: {len(times)}/{expected} frames can be decoded"]
    if clip.end is not None and clip.end > video.duration + 1.5 / video.fps:
        return [f"the clip ends at {clip.end:g} s, its video at {video.duration:g} s"]
    return []


def _whole(clip: Clip, estimator) -> list[str]:
    model = getattr(estimator, "model", None)
    if clip.box is None and not estimator.finds_person and not model.whole_frame:
        return ["no 'box': the whole frame was taken for the person's"]
    return []


def _absent(seen: np.ndarray, filled: int) -> list[str]:
    lines = []
    if not seen.any():
        lines.append("no person found")
    elif not seen.all():
        lines.append(f"no person in {int((~seen).sum())}/{len(seen)} frames")
    if filled:
        lines.append(f"{filled} frames filled between neighbours, score 0")
    return lines
