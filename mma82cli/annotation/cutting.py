"""From the segments of source videos to what recognition and detection take: trimmed clips, and untrimmed windows.

Both name their place by `video`, `start` and `end` in the source. A window's `segments` are in its own time, and its
`duration` is its length; the annotations that a segment cites (`sources`) stay in the time of the source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mma82cli.annotation.spans import Span, microseconds, seconds
from mma82cli.annotation.windows import Limits, tile
from mma82cli.records import DataError, number, record_id, show, span, text, wrong
from mma82cli.taxonomy import Taxonomy

NEAR = 1_000  # microseconds: times are written with three decimals
OF_AN_INSTANCE = ("id", "start", "end", "label", "instance", "annotators", "sources", "agreement", "status", "tie")
OF_A_FILE = ("num_frames", "times")  # what is not true of a part of it


@dataclass
class Source:
    """A video, or the part of one that begins at `offset` and is `length` long (microseconds; None: not known): what all
    its segments share, and the segments, in the time of the file."""

    video: str
    shared: dict
    segments: list[dict]
    offset: int = 0
    length: int | None = None

    @property
    def spans(self) -> list[Span]:
        """Where the segments lie, in microseconds from the source's beginning."""
        times = [(microseconds(s["start"]), microseconds(s["end"])) for s in self.segments]
        return [(start - self.offset, end - self.offset) for start, end in times]

    def join(self, other: Source) -> None:
        """Takes in the segments of another record of the same video. Raises DataError."""
        if None not in (self.length, other.length) and self.length != other.length:
            before, now = seconds(self.length), seconds(other.length)
            raise wrong("duration", now, f"{before:g}, as before for video {show(self.video)}")
        self.length = other.length if self.length is None else self.length
        absent = object()
        self.shared = {k: v for k, v in self.shared.items() if other.shared.get(k, absent) == v}
        self.segments += other.segments


def source_of(record: dict, labels: Taxonomy) -> Source:
    """The source that one record tells of: a segment, or a video (or a window of one) with `segments`. Raises DataError."""
    length = number(record, "duration", None, above=0)
    length = None if length is None else microseconds(length)
    shared = {k: v for k, v in record.items() if k not in OF_AN_INSTANCE and k != "segments"}
    if "segments" not in record:
        return Source(text(record, "video"), shared, [_segment(record, labels, 0, length)], 0, length)
    video, offset = text(record, "video", None) or record_id(record), 0
    if record.get("start") is not None:
        offset, end = (microseconds(t) for t in span(record))
        length = end - offset
        shared.pop("duration", None)  # it is not the file's
    source = Source(video, {"video": video, **shared}, [], offset, length)
    if not isinstance(record["segments"], list):
        raise wrong("segments", record["segments"], 'a list of {"start","end","label"}')
    for i, segment in enumerate(record["segments"]):
        try:
            source.segments.append(_segment(segment, labels, offset, length))
        except DataError as error:
            raise DataError(f"segments[{i}]: {error}") from None
    return source


def _segment(segment: dict, labels: Taxonomy, offset: int, length: int | None) -> dict:
    """The segment in the time of the file, with the label's name. Raises DataError."""
    if not isinstance(segment, dict):
        raise DataError(f"found {show(segment)}; expected an object with start, end and label")
    start, end = span(segment)
    if length is not None and microseconds(end) > length + NEAR:
        raise wrong("end", end, f"a time within the {seconds(length):g} s of the video")
    label = labels.names[labels.id(segment.get("label"))]
    return {**segment, **{"start": _later(start, offset), "end": _later(end, offset), "label": label}}


def _later(time: float, offset: int) -> float:
    return seconds(microseconds(time) + offset) if offset else time


def clips(source: Source, labels: Taxonomy) -> Iterator[dict]:
    """A trimmed clip a segment."""
    for segment in source.segments:
        clip = segment if "video" in segment else {**source.shared, **segment}
        yield clip if "id" in clip else {"id": record_id(clip, labels.id), **clip}


def windows(source: Source, limits: Limits) -> Iterator[dict]:
    """The windows that tile the source (without a length: up to its last instance), each with the segments in it."""
    spans = source.spans
    length = max([source.length or 0, *(end for _, end in spans)])
    if not length:
        return
    order = sorted(range(len(spans)), key=lambda i: (spans[i], source.segments[i]["label"]))
    at = 0
    for begin, end in tile(spans, length, limits):
        first = at
        while at < len(order) and spans[order[at]][0] < end:
            at += 1
        segments = [_in_window(source, i, spans[i], begin) for i in order[first:at]]
        place = {"video": source.video, "start": seconds(begin + source.offset), "end": seconds(end + source.offset)}
        shared = {k: v for k, v in source.shared.items() if k not in OF_A_FILE}
        yield {"id": record_id(place), **place, **shared, "duration": seconds(end - begin), "segments": segments}


def _in_window(source: Source, i: int, times: Span, begin: int) -> dict:
    """Segment i in the time of a window that begins at `begin`, without what the window says for all."""
    segment = {k: v for k, v in source.segments[i].items() if k not in source.shared and k != "segments"}
    return {**segment, "start": seconds(times[0] - begin), "end": seconds(times[1] - begin)}
