"""DETAD's diagnosis of temporal detections (Alwassel et al., ECCV 2018): what is missed, what is wrong, what it costs.

All figures stand on the normalised average precision AP_N, which does not favour frequent labels: with R the recall at
a rank, FP the false positives up to it and N the mean number of true segments a label, precision is R*N / (R*N + FP).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mma82cli.metrics.detection import Spans
from mma82cli.metrics.diagnosis_matching import match
from mma82cli.records import DataError

ERRORS = ("double", "wrong-label", "localization", "confusion", "background")
RIGHT = len(ERRORS)  # what a prediction that is no error counts as
BUCKETS = ("XS", "S", "M", "L", "XL")
SLICES = 10  # false positives are told in slices of as many predictions a label as it has true segments
NEAR = 0.1  # a tIoU below it is background
LEAST_PRECISION = 0.05  # what is found at a lower one counts as missed

# Upper ends of the buckets, each included: DETAD's settings for its two data sets. The first tell nothing of the length
# of micro-actions (all are XS), the second nothing of their coverage (92 % are XL) and number (all are S).
ACTIVITYNET = {
    "coverage": (0.2, 0.4, 0.6, 0.8, 1.0),  # share of the video
    "length": (30.0, 60.0, 120.0, 180.0, np.inf),  # seconds
    "num-instances": (1, 4, 8, np.inf),  # true segments in the video
}
THUMOS = {
    "coverage": (0.02, 0.04, 0.06, 0.08, 1.0),
    "length": (3.0, 6.0, 12.0, 18.0, np.inf),
    "num-instances": (1, 40, 80, np.inf),
}
BORDERS = {"mma82": ACTIVITYNET | {"length": THUMOS["length"]}, "thumos": THUMOS, "activitynet": ACTIVITYNET}


@dataclass(frozen=True)
class Axis:
    """A way to sort true segments: its name, its buckets' names, and the bucket of each segment (G,)."""

    name: str
    buckets: tuple[str, ...]
    bucket: np.ndarray


def sort_into_buckets(truth: Spans, durations: np.ndarray, borders: dict) -> tuple[Spans, list[Axis]]:
    """The usable truth and its axes in order. Segments that don't end after their start, or are longer than their video,
    are left out, though they count among its instances; so is coverage where a video's duration is not known.

    durations  (V,) seconds, NaN where not known
    borders    one of BORDERS
    """
    length, video = truth.segments[:, 1] - truth.segments[:, 0], durations[truth.video]
    usable = (length > 0) & ~(length > video)
    coverage = length / np.where(usable, video, 1)
    values = {"coverage": coverage, "length": length, "num-instances": np.bincount(truth.video)[truth.video]}
    known = [name for name, value in values.items() if not np.isnan(value[usable]).any()]
    axes = [Axis(name, BUCKETS[: len(borders[name])], np.searchsorted(borders[name], values[name][usable])) for name in known]
    return truth.take(usable), axes


class Diagnosis:
    """The three analyses of one detector.

    truth        true segments, by video, all usable (as `sort_into_buckets` leaves them)
    predictions  in the order that settles ties (by video); those of labels without truth are left out
    axes         the ways to sort the truth
    tious        (T,) thresholds

    Raises DataError where there is no truth.
    """

    def __init__(self, truth: Spans, predictions: Spans, axes: list[Axis], tious: np.ndarray):
        if not len(truth.video):
            raise DataError("no true segments to compare with; expected records with 'segments' that end after they start")
        self.truth, self.axes, self.tious = truth, axes, tious
        positives = np.bincount(truth.label, minlength=predictions.label.max(initial=0) + 1)
        predictions = predictions.take(positives[predictions.label] > 0)
        predictions = predictions.take(np.lexsort((-predictions.scores, predictions.label)))
        self.predictions, self.positives = predictions, positives
        self.N = len(truth.video) / np.count_nonzero(positives)
        self.matches = match(truth, predictions, tious)
        # (P,): where the label's predictions begin, and the prediction's rank among them
        self.begin = np.searchsorted(predictions.label, predictions.label)
        self.rank = np.arange(len(predictions.video)) - self.begin
        self.t, self.p = np.nonzero(self.matches.found >= 0)  # the true positives, by threshold, label and rank

    # -- normalised average precision ------------------------------------------------------------------------

    def precision(
        self, hit: np.ndarray, seen: np.ndarray, positives: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of the true positives where `hit`: normalised precision, group (threshold and label), and place in the group.

        hit        (H,) bool over the true positives
        seen       (H,) predictions of its label up to and with it
        positives  (C,) true segments a label
        """
        t, label, seen = self.t[hit], self.predictions.label[self.p[hit]], seen[hit]
        group = t * len(positives) + label
        place = np.arange(len(group)) - np.searchsorted(group, group)
        right = (place + 1) / positives[label] * self.N
        return right / (right + seen - (place + 1)), group, place

    def average_precision(self, hit: np.ndarray, seen: np.ndarray, positives: np.ndarray | None = None) -> np.ndarray:
        """AP_N at each threshold (T,): the mean over labels with truth of the area under the interpolated curve."""
        positives = self.positives if positives is None else positives
        precision, group, place = self.precision(hit, seen, positives)
        curves = np.zeros((len(self.tious) * len(positives), place.max(initial=-1) + 1))
        curves[group, place] = precision
        area = np.maximum.accumulate(curves[:, ::-1], 1).sum(1).reshape(len(self.tious), -1)  # all-point interpolation
        present = positives > 0
        if not present.any():
            return np.full(len(self.tious), np.nan)
        return (area[:, present] / positives[present]).mean(1)

    def _seen(self, counted: np.ndarray) -> np.ndarray:
        """(H,): predictions that are `counted` (P,) or (T, P), of its label up to and with each true positive."""
        sums = np.zeros((*counted.shape[:-1], counted.shape[-1] + 1), np.int64)
        np.cumsum(counted, axis=-1, out=sums[..., 1:])
        rows = (self.t,) if counted.ndim == 2 else ()
        upto, before = (*rows, self.p + 1), (*rows, self.begin[self.p])
        return sums[upto] - sums[before]

    # -- the analyses ----------------------------------------------------------------------------------------

    def base(self) -> np.ndarray:
        """(T,) AP_N of all predictions."""
        return self.average_precision(np.ones(len(self.p), bool), self.rank[self.p] + 1)

    def missed(self) -> np.ndarray:
        """(T, G) bool: true segments that nothing finds at a normalised precision above LEAST_PRECISION."""
        precision, _, _ = self.precision(np.ones(len(self.p), bool), self.rank[self.p] + 1, self.positives)
        missed = np.ones((len(self.tious), len(self.truth.video)), bool)
        sure = precision > LEAST_PRECISION
        missed[self.t[sure], self.matches.found[self.t, self.p][sure]] = False
        return missed

    def slices(self) -> np.ndarray:
        """(P,) slice of each prediction from 0: its rank by the number of true segments of its label."""
        return self.rank // self.positives[self.predictions.label]

    def errors(self) -> np.ndarray:
        """(T, P) index into ERRORS, or RIGHT."""
        top, nearest = self.matches.top, self.matches.nearest
        same = (nearest >= 0) & (self.truth.label[nearest] == self.predictions.label)
        above = top >= self.tious[:, None]
        double, wrong, localization, confusion, background = range(len(ERRORS))
        near = np.where(same, localization, confusion)
        far = np.where(top >= NEAR, near, background)
        return np.where(self.matches.found >= 0, RIGHT, np.where(above, np.where(same, double, wrong), far))

    def impacts(self, errors: np.ndarray, kept: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """(error, (T,) gain in AP_N without its predictions, (T,) their number) among the predictions `kept` (P,)."""
        hit, seen = kept[self.p], self.rank[self.p] + 1
        base = self.average_precision(hit, seen)
        for error, name in enumerate(ERRORS):
            gone = (errors == error) & kept
            yield name, self.average_precision(hit, seen - self._seen(gone)) - base, gone.sum(1)

    def sensitivity(self, axis: Axis) -> Iterator[tuple[str, np.ndarray, int]]:
        """(bucket, (T,) AP_N on its true segments alone, their number). A prediction that at any of the thresholds finds
        a segment of another bucket is set aside; the rest are this bucket's."""
        found = self.matches.found
        for i, name in enumerate(axis.buckets):
            within = axis.bucket == i
            kept = ((found < 0) | within[found]).all(0)
            positives = np.bincount(self.truth.label[within], minlength=len(self.positives))
            yield name, self.average_precision(kept[self.p], self._seen(kept), positives), int(within.sum())

    # -- all of it -------------------------------------------------------------------------------------------

    def lines(self) -> Iterator[dict]:
        """A line a figure and threshold, and one for the mean over thresholds (tiou "avg"). `n` is what the value is
        taken over: true segments, or predictions; for an impact the predictions removed, in all where tiou is "avg"."""
        truths, errors, slices = len(self.truth.video), self.errors(), self.slices()
        kept = slices < SLICES
        ranks = {"axis": "rank", "bucket": f"1G-{SLICES}G"}
        yield from self._figure("base", self.base(), truths)
        yield from self._figure("base", self.average_precision(kept[self.p], self.rank[self.p] + 1), truths, **ranks)
        missed = self.missed()
        yield from self._figure("false-negative", missed.mean(1), truths)
        for axis in self.axes:
            for i, bucket in enumerate(axis.buckets):
                which = axis.bucket == i
                fields = {"axis": axis.name, "bucket": bucket}
                yield from self._figure("false-negative", _share(missed[:, which]), int(which.sum()), **fields)
        for i in [None, *range(SLICES)]:
            which = kept if i is None else slices == i
            fields = ranks if i is None else ranks | {"bucket": f"{i + 1}G"}
            for error, name in enumerate((*ERRORS, None)):
                share = _share(errors[:, which] == error)
                yield from self._figure("false-positive", share, int(which.sum()), error=name, **fields)
        for name, gain, removed in self.impacts(errors, kept):
            yield from self._figure("impact", gain, removed, error=name)
        for axis in self.axes:
            for bucket, values, n in self.sensitivity(axis):
                yield from self._figure("sensitivity", values, n, axis=axis.name, bucket=bucket)

    def _figure(self, analysis: str, values: np.ndarray, n, axis=None, bucket=None, error=None) -> Iterator[dict]:
        each = np.broadcast_to(n, values.shape).tolist()
        total = n if isinstance(n, int) else sum(each)
        rows = [*zip(self.tious.tolist(), values.tolist(), each, strict=True), ("avg", float(values.mean()), total)]
        for tiou, value, count in rows:
            fields = {"analysis": analysis, "axis": axis, "bucket": bucket, "error": error, "tiou": tiou}
            yield fields | {"value": value if np.isfinite(value) else None, "n": count}


def _share(flags: np.ndarray) -> np.ndarray:
    """(T,) share of True in (T, N); NaN where N is 0."""
    return flags.mean(1) if flags.shape[1] else np.full(len(flags), np.nan)
