"""From the record of a line to an `Annotation`: the checks, the label's name, the annotator's rank."""

from __future__ import annotations

from mma82cli.annotation.instances import Annotation
from mma82cli.annotation.spans import microseconds
from mma82cli.records import span, text, wrong
from mma82cli.taxonomy import Taxonomy

NUMBERS = (float, int)
CENTURY = 3_200_000_000.0  # seconds; up to here a float holds a microsecond
PLACES = 8  # places of left out annotations that are kept for the message


class Reader:
    """Reads annotations and keeps what the whole input says: annotators in order of appearance, what was left out.

    ranks     {annotator: rank}
    too_short how many annotations were not longer than `min_duration` (microseconds); `places` has the first of them
    """

    def __init__(self, taxonomy: Taxonomy, min_duration: int):
        self.taxonomy, self.min_duration = taxonomy, min_duration
        self.ranks: dict[str, int] = {}
        self.too_short, self.places = 0, []
        self._names: dict[str, str] = {}

    @property
    def names(self) -> list[str]:
        """Annotators, by rank."""
        return list(self.ranks)

    def read(self, record: dict, file: str, number: int) -> Annotation | None:
        """The annotation on a line; None where it is too short. Raises DataError on a bad one."""
        start, end = record.get("start"), record.get("end")
        if not (type(start) in NUMBERS and type(end) in NUMBERS and 0 <= start < end < CENTURY):
            start, end = _span(record)
        given, annotator, instance = record.get("label"), record.get("annotator"), record.get("instance")
        label = self._names.get(given) if type(given) is str else None
        if label is None:
            label = self.taxonomy.names[self.taxonomy.id(given)]
            if type(given) is str:
                self._names[given] = label
        video = record.get("video")
        if type(video) is not str or not video:
            text(record, "video")
        if type(annotator) is not str or not annotator:
            text(record, "annotator")
        if instance is not None and (type(instance) is not str or not instance):
            text(record, "instance")
        rank = self.ranks.get(annotator)
        if rank is None:
            rank = self.ranks[annotator] = len(self.ranks)
        duration = record.get("duration")
        if type(duration) in NUMBERS and not duration < CENTURY:
            raise wrong("duration", duration, "seconds within a century")
        begin, stop = microseconds(start), microseconds(end)
        if stop - begin <= self.min_duration:
            self.too_short += 1
            if len(self.places) < PLACES:
                self.places.append(f"{file}:{number}")
            return None
        return Annotation((begin, stop), rank, label, record, file, number)


def _span(record: dict) -> tuple[float, float]:
    """The checks of `span` for the few that need them. Raises DataError."""
    start, end = span(record)
    if end >= CENTURY:
        raise wrong("end", end, "seconds within a century")
    return start, end
