"""How far people get: each annotator scored as a system against the merge, by the metrics that systems are scored by; and
which rule of merging comes nearest to an annotator who had no part in the merge."""

from __future__ import annotations

from fractions import Fraction
from math import fsum

import numpy as np

from mma82cli.annotation.merging import HALF, RULES, merge
from mma82cli.annotation.spans import Span, tiou
from mma82cli.metrics import detection, recognition
from mma82cli.metrics.detection import TIOUS, Spans


def detections(truth: Spans, found: Spans, body: np.ndarray | None) -> list[dict]:
    """Lines of what an annotator found: the mAP that `score` prints, and precision, recall and F1 from the same matches.
    Annotators give no scores: all are equal, and count in their order."""
    if not len(truth.video):
        return []
    levels = {"action": (truth, found)}
    if body is not None:
        levels["body"] = (detection.mapped(truth, body), detection.mapped(found, body))
    lines, ap, n, order = [], {}, {}, np.arange(len(found.video))
    for level, (real, given) in levels.items():
        real = real.take(detection.admitted(real, "opentad"))
        n[level] = len(real.video)
        hits = detection.match(real, given, order=order) >= 0
        ap[level] = detection.average_precision(given, hits, np.bincount(real.label), order)
        right = hits.sum(0)
        shares = [2 * right / (len(real.video) + len(given.video)), right / max(1, len(given.video)), right / len(real.video)]
        for threshold, *figures in zip(TIOUS, *(share.tolist() for share in shares), strict=True):
            names = dict(zip(("value", "precision", "recall"), figures, strict=True))
            lines.append({"metric": "f1", "level": level, "tiou": threshold, **names, "n": n[level]})
    for (threshold, level), value in detection.values(ap, TIOUS).items():
        lines.append({"metric": "map", "level": level, "tiou": threshold, "value": value, "n": n.get(level, n["action"])})
    return lines


def labels(confusion: np.ndarray, body: np.ndarray | None) -> list[dict]:
    """Lines of the labels that an annotator gave: `confusion` (C, C) instances by the merge's label and by theirs."""
    n = int(confusion.sum())
    if not n:
        return []
    none = np.zeros(len(confusion), np.int64)
    margins = {"action": recognition.Counts(confusion, none).margins}
    if body is not None:
        groups = np.zeros((int(body.max()) + 1,) * 2, np.int64)
        np.add.at(groups, (body[:, None], body), confusion)
        margins["body"] = recognition.Counts(groups, none[: len(groups)]).margins
    values = recognition.values(margins, "sklearn", {"action", "body"})
    return [{"metric": metric, "level": level, "value": float(value), "n": n} for (metric, level), value in values.items()]


def rules(instances: list[list[Span]], threshold: Fraction = HALF) -> list[dict]:
    """A line a rule, over instances that two annotators or more have seen.

    tiou       mean tIoU of the merged segment with its own annotations
    held_out   mean tIoU of an annotation with the merge of the others, of which there are two or more: unlike the first,
               it favours no rule that leans towards what it is made of
    length     mean length of the merged segment as a share of its annotations' mean length
    """
    lines = []
    for rule in RULES:
        near, held, length = [], [], []
        for spans in instances:
            merged = merge(spans, rule, threshold)[:2]
            near += [_tiou(merged, span) for span in spans]
            length.append(len(spans) * (merged[1] - merged[0]) / fsum(b - a for a, b in spans))
            if len(spans) > 2:
                held += [_tiou(merge(spans[:k] + spans[k + 1 :], rule, threshold)[:2], span) for k, span in enumerate(spans)]
        means = {"tiou": _mean(near), "held_out": _mean(held), "length": _mean(length)}
        lines.append({"rule": rule, **means, "n": len(length)})
    return lines


def _tiou(a: Span, b: Span) -> float:
    shared, union = tiou(a, b)
    return shared / union


def _mean(values: list[float]) -> float | None:
    # the same in every Python: what sum() does with floats changed in 3.12
    return fsum(values) / len(values) if values else None
