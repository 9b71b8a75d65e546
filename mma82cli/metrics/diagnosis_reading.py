"""Records of untrimmed videos, with `segments` and `predictions`, as columns."""

from __future__ import annotations

from math import isfinite

import numpy as np

from mma82cli.metrics.diagnosis_matching import Segments
from mma82cli.records import MISSING, DataError, is_number, number, record_id, show, wrong
from mma82cli.taxonomy import Taxonomy

_NUMBERS = {int, float}


class Videos:
    """Truth and predictions of all videos that were added. Neither the videos' order nor their number of files matters:
    columns lie by `id`, and in a video as its record has them."""

    def __init__(self, taxonomy: Taxonomy):
        self.taxonomy = taxonomy
        self._videos: dict[tuple[str, str], tuple[str, float, tuple, tuple]] = {}  # (id, run): place, duration, columns

    def __len__(self) -> int:
        return len(self._videos)

    def add(self, record: dict, place: str) -> None:
        """Adds a record read at `place`. Raises DataError where it is not a video with truth and predictions."""
        name = (record_id(record, self.taxonomy.id), show(record.get("run"), 200))
        if name in self._videos:
            raise DataError(f"id {show(name[0])} was read before, at {self._videos[name][0]}; expected a record a video")
        duration = number(record, "duration", None, above=0) if record.get("duration") is not None else np.nan
        truth = self._columns(record, "segments", ("start", "end"))
        predictions = self._columns(record, "predictions", ("start", "end", "score"))
        self._videos[name] = place, duration, truth, predictions

    def _columns(self, record: dict, field: str, numbers: tuple[str, ...]) -> tuple[list, ...]:
        """Label ids, then a list a number, of the segments in a field."""
        found = record.get(field)
        try:
            columns = [[segment[name] for segment in found] for name in numbers]
            labels = [segment["label"] for segment in found]
            straight = all(set(map(type, c)) <= _NUMBERS and isfinite(sum(c)) for c in columns) and bool not in map(type, labels)
            if straight and isinstance(found, list):
                return [self.taxonomy.ids[label] for label in labels], *columns
        except (KeyError, TypeError, OverflowError):
            pass
        return self._checked(record, field, numbers)

    def _checked(self, record: dict, field: str, numbers: tuple[str, ...]) -> tuple[list, ...]:
        """The same, slowly, for odd but valid labels, and for an error that says what is wrong."""
        if not isinstance(record.get(field), list):
            shape = ", ".join(f'"{name}"' for name in ("start", "end", "label", "score") if name == "label" or name in numbers)
            raise wrong(field, record.get(field, MISSING), f"a list of {{{shape}}}")
        rows = []
        for i, segment in enumerate(record[field]):
            place = f"{field}[{i}]"
            if not isinstance(segment, dict):
                raise wrong(place, segment, "an object")
            for name in numbers:
                if not is_number(segment.get(name)):
                    raise wrong(f"{place}.{name}", segment.get(name, MISSING), "a finite number")
            rows.append((self.taxonomy.id(segment.get("label", MISSING), f"{place}.label"), *(segment[name] for name in numbers)))
        return tuple(map(list, zip(*rows, strict=True))) or ([],) * (1 + len(numbers))

    def columns(self) -> tuple[Segments, Segments, np.ndarray]:
        """Truth, predictions, and the videos' durations (V,) in seconds (NaN: not known); video ids count in `id` order."""
        ordered = [self._videos[name][1:] for name in sorted(self._videos)]
        durations = np.array([duration for duration, _, _ in ordered], float)
        return _joined([t for _, t, _ in ordered]), _joined([p for _, _, p in ordered]), durations


def _joined(videos: list[tuple[list, ...]]) -> Segments:
    labels, *columns = (np.concatenate([np.zeros(0), *parts]) for parts in zip(*videos, strict=True))
    video = np.repeat(np.arange(len(videos)), [len(columns[0]) for columns in videos])
    start, end, *score = columns
    return Segments(video, start, end, labels.astype(int), *score)
