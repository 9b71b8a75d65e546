"""MMA-52's annotations: a csv of id, video_id, start_frame, end_frame, class, total_frames, fps; frames from 0.

The traps: some copies lack `fps` or the name of the first column; the test split holds dummies, [0, 20] of class 0.
"""

from __future__ import annotations

from mma82cli.formats import base
from mma82cli.records import DataError, WrongUsage, integer, is_number, number, text

HEADER = ["id", "video_id", "start_frame", "end_frame", "class", "total_frames", "fps"]


class Reader(base.Reader):
    """A segment a row; times are frames by the frame rate, to the microsecond."""

    def __init__(self, options):
        super().__init__(options)
        self.read, self.dummies = 0, 0

    def entries(self, file, name: str):
        return base.named_rows(file, tuple(HEADER[1:6]))

    def record(self, entry) -> dict:
        base.good_row(entry)
        labels, fps = self.options.labels, self.options.fps
        if entry.get("fps", "").strip():
            fps = base.to_number(entry["fps"], "fps")
        if fps is None:
            raise WrongUsage("the table has no frame rate; expected a column fps, or --fps")
        if fps <= 0:
            raise DataError(f"field 'fps' is {fps:g}; expected a frame rate above 0")
        first, last = base.to_integer(entry["start_frame"], "start_frame"), base.to_integer(entry["end_frame"], "end_frame")
        if last <= first:
            raise DataError(f"field 'end_frame' is {last}; expected a frame after 'start_frame' ({first})")
        label = labels.id(base.to_integer(entry["class"], "class"), "class")
        frames = base.to_integer(entry["total_frames"], "total_frames", 1)
        self.read += 1
        self.dummies += (first, last, label) == (0, 20, 0)
        return {
            "video": text(entry, "video_id"), "start": round(first / fps, 6), "end": round(last / fps, 6),
            "label": labels.names[label], "fps": fps, "num_frames": frames, "duration": round(frames / fps, 6),
        }  # fmt: skip

    def notes(self) -> list[str]:
        if self.read > 1 and self.dummies == self.read:
            return [f"all {self.read} rows are frames 0 to 20 of class 0: the test split of MMA-52 holds dummies"]
        return []


class Writer(base.Writer):
    """A row a segment; times to the nearest frame."""

    KEPT = frozenset({"video", "start", "end", "label", "fps", "num_frames", "duration", "segments"})

    def begin(self) -> bytes:
        return base.cells(HEADER)

    def add(self, record: dict) -> bytes:
        fps = number(record, "fps", self.options.fps, above=0)
        if fps is None:
            raise DataError("field 'fps' is missing; expected the frame rate (or --fps)")
        video, rows = text(record, "video"), []
        total = integer(record, "num_frames", None, least=1)
        if total is None:
            total = round(number(record, "duration", above=0) * fps)
        for segment in base.segments_of(record):
            first, last = round(segment["start"] * fps), round(segment["end"] * fps)
            if last <= first:
                raise DataError(f"the segment at {segment['start']:g} s has no frame at {fps:g} per second; expected one")
            label = base.label_id(segment, self.options.labels)
            rows.append([video, first, last, label, total, int(fps) if is_number(fps) and fps == int(fps) else fps])
        numbered = enumerate(rows, self.written)
        self.written += len(rows)
        return b"".join(base.cells([i, *row]) for i, row in numbered)
