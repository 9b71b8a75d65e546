"""What resamples of videos add to the lines of a report: intervals, and the comparison of two detectors.

A label of few segments has a higher AP in a resample, which repeats what it holds of them, and none where it holds none:
resamples lie above the value by more than their spread where many labels are rare. So an interval is that of their
deviations from their mean, laid around the value.
"""

from __future__ import annotations

import numpy as np

from mma82cli.metrics import confidence
from mma82cli.metrics.detection_confidence import resample
from mma82cli.metrics.detection_report import MatchTally
from mma82cli.metrics.detection_report import lines as figures
from mma82cli.metrics.report import aligned, compare, of_group


def add_intervals(lines: list[dict], tally: MatchTally, resamples: int, seed: int) -> int:
    """Adds `ci` to the lines of map, [lo, hi] or null where one unit is all there is. Returns how many groups were so."""
    degenerate, units = 0, tally.units()
    for fields, levels in tally.ordered():
        drawn = resample([levels], _sizes(tally), tally.tious, units, resamples, seed)
        degenerate += drawn is None
        for line in _of(lines, tally, fields):
            samples = drawn and _around(line["value"], drawn[0][line["tiou"], line["level"]]).clip(0, 1)
            line["ci"] = confidence.interval(samples) if drawn else None
    return degenerate


def add_comparison(lines: list[dict], tally: MatchTally, other: MatchTally, resamples: int, seed: int) -> None:
    """Adds `other` (its value on the same videos), `delta`, `delta_ci` and `p` (paired bootstrap) to the lines of map. Raises
    DataError where the systems' videos differ."""
    places, units = aligned([key[0] for key in tally.keys], [key[0] for key in other.keys], "videos"), tally.units()
    rank = np.empty(len(places), int)
    rank[places] = np.arange(len(places))
    other.groups = tally.groups  # a video belongs where the first system's record says
    other.parts = {level: [parts[0].in_order(rank)] for level, parts in other.parts.items()}
    theirs = {_key(line, tally): line["value"] for line in figures(other, [*other.parts, "avg"], False)}
    for (fields, mine), (_, levels) in zip(tally.ordered(), other.ordered(), strict=True):
        drawn = resample([mine, levels], _sizes(tally), tally.tious, units, resamples, seed)
        for line in _of(lines, tally, fields):
            key = line["tiou"], line["level"]
            there = theirs[_key(line, tally)]
            compare(line, there, drawn and _around(line["value"] - there, drawn[0][key] - drawn[1][key]))


def _around(value: float, samples: np.ndarray) -> np.ndarray:
    """The samples (R,) moved so that their mean is the value."""
    return samples + (value - samples.mean())


def _sizes(tally: MatchTally) -> dict[str, int]:
    return {level: len(tally.names[level]) for level in tally.parts}


def _key(line: dict, tally: MatchTally) -> tuple:
    return tuple(line[field] for field in (*tally.by, "tiou", "level"))


def _of(lines: list[dict], tally: MatchTally, fields: dict):
    figures = (line for line in lines if line["metric"] == "map" and line["value"] is not None)
    return of_group(figures, tally.by, tuple(fields.values()))
