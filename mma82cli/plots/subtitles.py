"""Untrimmed videos with what happens, and what a detector says, written below each frame."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from mma82cli.plots.captions import TALLEST, captioned
from mma82cli.plots.stills import film_needed
from mma82cli.plots.timeline import Bars, bars, best_of
from mma82cli.records import optional_span, record_id
from mma82cli.video import Video
from mma82cli.video.writer import LETTERS, RATE, write_frames

WORDS = 3  # labels a line
NARROWEST = 320  # pixels of a frame, so that words can be read


def write(record: dict, root: str, folder: str) -> str:
    """Writes `overlay-ID.mp4` from the record's video, `segments` and `predictions`; returns its path. Raises DataError."""
    name = record_id(record)
    truth, found = bars(record, "segments"), bars(record, "predictions")
    path = film_needed(record, root)
    video, (start, end) = Video(path), optional_span(record)
    found = best_of(found, truth) if found else None
    parts = [(word, part) for word, part in (("truth", truth), ("found", found)) if part is not None]
    scale = max(min(1.0, TALLEST / video.height), NARROWEST / video.width)
    size = tuple(2 * round(side * scale / 2) for side in (video.width, video.height))

    def painted() -> Iterator[np.ndarray]:
        for time, frame in video.frames(start, end, reuse=True):
            picture = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
            yield captioned(picture, [f"{word}: {_at(part, time - start)}" for word, part in parts])

    out = Path(folder) / ("overlay-" + re.sub(r"[^\w.-]+", "_", name) + ".mp4")
    height = captioned(np.zeros((size[1], size[0], 3), np.uint8), [""] * len(parts)).shape[0]
    write_frames(out, painted(), video.fps or RATE, (size[0], height), LETTERS[".mp4"])
    return str(out)


def _at(part: Bars, time: float) -> str:
    """The labels at that time, each once, the best first."""
    now = np.flatnonzero((part.spans[:, 0] <= time) & (time < part.spans[:, 1])).tolist()
    scored = {}
    for i in now:
        scored.setdefault(part.labels[i], part.scores[i])
    return ", ".join(f"{label} {score:.2f}" if score < 1 else label for label, score in list(scored.items())[:WORDS])
