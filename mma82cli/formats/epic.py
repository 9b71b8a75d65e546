"""EPIC-KITCHENS-100's csv: one action a row, times as HH:MM:SS.ss, frames from 1, the action in `verb` and `verb_class`."""

from __future__ import annotations

import math

from mma82cli.formats import base
from mma82cli.records import DataError, number, span, text

HEADER = [
    "narration_id", "participant_id", "video_id", "narration_timestamp", "start_timestamp", "stop_timestamp", "start_frame",
    "stop_frame", "narration", "verb", "verb_class", "noun", "noun_class", "all_nouns", "all_noun_classes",
]  # fmt: skip
NEEDED = ("video_id", "start_timestamp", "stop_timestamp")


class Reader(base.Reader):
    """A segment a row: id, video, start, end, label, subject. The label is `verb`, or where that is empty `verb_class`."""

    def entries(self, file, name: str):
        return base.named_rows(file, NEEDED)

    def record(self, entry) -> dict:
        base.good_row(entry)
        record = {"id": entry.get("narration_id"), "video": text(entry, "video_id")}
        record["start"] = base.to_seconds(entry["start_timestamp"], "start_timestamp")
        record["end"] = base.to_seconds(entry["stop_timestamp"], "stop_timestamp")
        label = entry.get("verb") or entry.get("verb_class") or entry.get("narration")
        record["label"] = base.label_name(label, self.options.labels, "verb")
        record["subject"] = entry.get("participant_id")
        return base.good_span({field: value for field, value in record.items() if value not in (None, "")})


class Writer(base.Writer):
    """A row a segment; times to the millisecond; frames where the frame rate is known (`fps`, `--fps`)."""

    KEPT = frozenset({"id", "video", "start", "end", "label", "subject", "fps"})

    def begin(self) -> bytes:
        return base.cells(HEADER)

    def add(self, record: dict) -> bytes:
        start, end = span(record)
        if round(start * 1000) >= round(end * 1000):
            raise DataError(f"the segment at {start:g} s is shorter than a millisecond; expected a longer one")
        labels, video = self.options.labels, text(record, "video")
        label = base.label_id(record, labels)
        name = labels.names[label]
        fps = number(record, "fps", self.options.fps, above=0)
        frames = (math.floor(start * fps) + 1, math.ceil(end * fps)) if fps else ("", "")
        self.written += 1
        row = [
            text(record, "id", None) or f"{video}_{self.written}", text(record, "subject", None), video, base.clock(start),
            base.clock(start), base.clock(end), *frames, name.lower(), name, label, "", "", "[]", "[]",
        ]  # fmt: skip
        return base.cells(row)
