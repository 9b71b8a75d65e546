"""Records of untrimmed videos into films: whose frames, and what happens when."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mma82cli.detections import Columns
from mma82cli.records import MISSING, DataError, length_of, number, record_id, wrong
from mma82cli.taxonomy import Taxonomy
from mma82cli.training.rgb.data import clip_of
from mma82cli.video import Clip, Source
from mma82cli.video.clips import NEAR, step_of


@dataclass
class Film:
    """An untrimmed video, or a window of one. Times are in seconds from the clip's start, as records have them."""

    name: str
    clip: Clip
    segments: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))  # (N, 2) start and end
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # (N,) ids
    times: np.ndarray | None = None  # (moments,) of the frames that the detector sees, once the file was looked into
    frames: int = 0  # of the file within the clip
    length: float | None = None  # seconds, as the record has it

    def look(self, source: Source, stride: int) -> None:
        """Finds when the frames are. Raises DataError where the file can't be read, or segments lie behind its end."""
        stamps = source.stamps(self.clip)
        fit(self.segments, float(stamps[-1]) - self.clip.start + step_of(stamps))
        self.frames, self.times = len(stamps), stamps[::stride] - self.clip.start

    @property
    def step(self) -> float:
        """Seconds from one moment to the next."""
        return step_of(self.times)


def fit(segments: np.ndarray, duration: float) -> None:
    """Cuts segments (N, 2), in place, to `duration` seconds. Raises DataError where that is more than a slip."""
    late = np.flatnonzero(segments[:, 1] > duration + NEAR).tolist()
    if late:
        i = late[0]
        raise wrong(f"segments[{i}].end", round(float(segments[i, 1]), 6), f"a time within the {duration:.6g} s of the video")
    for i in np.flatnonzero(segments[:, 0] >= duration).tolist():
        raise wrong(f"segments[{i}].start", float(segments[i, 0]), f"a time before the video's end ({duration:.6g} s)")
    np.minimum(segments, duration, out=segments)


def film_of(record: dict, root: str, taxonomy: Taxonomy | None = None) -> Film:
    """The film of a record; with a taxonomy its `segments` too. Raises DataError where something is wrong."""
    film = Film(record_id(record), clip_of(record, root))
    film.length = length_of(record)
    if taxonomy is None:
        return film
    columns = Columns(scored=False)
    columns.add(record.get("segments", MISSING), taxonomy, "segments")
    truth = columns.spans()
    for i, (start, end) in enumerate(truth.segments.tolist()):
        if start < 0:
            raise wrong(f"segments[{i}].start", start, "a time of at least 0 s")
        if end <= start:
            raise wrong(f"segments[{i}].end", end, f"a time after 'start' ({start:g} s)")
    film.segments, film.labels = truth.segments, truth.label.astype(np.int64)
    duration = number(record, "duration", None, above=0)
    if duration is not None:
        fit(film.segments, duration)
    return film


def readable(film: Film, source: Source, stride: int) -> DataError | None:
    """Looks into the film; -> what is wrong with it."""
    try:
        film.look(source, stride)
    except DataError as error:
        return DataError(str(error) if str(error).startswith(film.clip.path) else f"{film.clip.path}: {error}")
    return None
