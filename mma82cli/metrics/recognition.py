"""Recognition metrics from counts that add up (paper's Tables III and IV; MAC challenge's F1-mean).

A file, a shard or a group of clips is a `Counts`; counts of parts sum to the counts of the whole, and every
metric is a function of the sum, so that any sharding and any order give the same bits.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mma82cli.metrics import METRICS

LABEL_RULES = ("sklearn", "present", "union", "all")
_START = {"max": -np.inf, "mapped": -np.inf, "sum": 0.0}  # of each rule: what an empty group scores


@dataclass
class Counts:
    """What a set of predictions at one level adds up to.

    confusion  (C, C) int64, clips by true label (row) and best-scored label (column)
    top5       (C,) int64, clips by true label whose truth is among the five best
    ties       clips whose true label shares its score with another
    unknown    clips whose `topk` is too short to tell whether the truth is among the five best
    """

    confusion: np.ndarray
    top5: np.ndarray
    ties: int = 0
    unknown: int = 0

    @classmethod
    def empty(cls, classes: int) -> Counts:
        """No clips yet."""
        return cls(np.zeros((classes, classes), np.int64), np.zeros(classes, np.int64))

    def __iadd__(self, other: Counts) -> Counts:
        self.confusion += other.confusion
        self.top5 += other.top5
        self.ties += other.ties
        self.unknown += other.unknown
        return self

    @property
    def n(self) -> int:
        """Number of clips."""
        return int(self.confusion.sum())

    @property
    def margins(self) -> Margins:
        """What the metrics are functions of."""
        return Margins(self.confusion.sum(1), self.confusion.sum(0), self.confusion.diagonal(), self.top5)


class Margins(NamedTuple):
    """Clips by label, all (…, C); leading axes are resamples. `truths`: by true label, `guesses`: by best-scored
    label, `hits`: by true label where it is also the best-scored, `top5`: where it is among the five best."""

    truths: np.ndarray
    guesses: np.ndarray
    hits: np.ndarray
    top5: np.ndarray


@dataclass
class Ranked:
    """N predictions compared with their truth, all (N,): true and best-scored ids, the truth's rank from 0,
    whether it is tied with another label, and whether a short `topk` leaves open if it is among the best five."""

    truth: np.ndarray
    predicted: np.ndarray
    rank: np.ndarray
    tied: np.ndarray
    unknown: np.ndarray

    def counts(self, classes: int, where=slice(None)) -> Counts:
        """The counts of the clips that `where` selects."""
        truth, predicted = self.truth[where], self.predicted[where]
        confusion = np.bincount(truth * classes + predicted, minlength=classes * classes)
        top5 = np.bincount(truth[self.rank[where] < 5], minlength=classes)
        ties, unknown = int(self.tied[where].sum()), int(self.unknown[where].sum())
        return Counts(confusion.reshape(classes, classes), top5, ties, unknown)


def rank(truth: np.ndarray, scores: np.ndarray) -> Ranked:
    """Where the true label stands among all: `truth` (N,) ids, `scores` (N, C), any monotone scale.

    The rank is the number of labels that beat the truth; a label with an equal score beats it if its id is lower.
    Counting needs no sort, and is exact about ties.
    """
    classes = scores.shape[1]
    own = scores[np.arange(len(truth)), truth][:, None]  # (N, 1)
    higher, equal = _count(scores > own), scores == own
    places, tied = higher.copy(), _count(equal) > 1
    shared = np.flatnonzero(tied)  # few
    places[shared] += _count(equal[shared] & (np.arange(classes) < truth[shared, None]))
    left_out = np.isneginf(own[:, 0])
    return Ranked(truth, scores.argmax(1), places, tied & ~left_out, left_out & (higher < min(5, classes - 1)))


def _count(mask: np.ndarray) -> np.ndarray:
    """(N,) how many are true in each row of `mask` (N, C)."""
    if mask.shape[1] > 255:
        return mask.sum(1)
    return np.einsum("nc->n", mask.view(np.uint8)).astype(int)  # adds bytes: half the time of a sum


def rank_bodies(truth: np.ndarray, scores: np.ndarray, body: np.ndarray, rule: str = "max") -> Ranked:
    """`rank` on body groups: `truth` (N,) action ids, `scores` (N, C) of actions, `body` (C,) group of each action.

    rule "max": a group scores as its best action; "sum": as the sum of its actions' probabilities;
    "mapped": the five best actions are mapped to their groups, repeats and all (MA-52's packer).
    Actions that a `topk` record leaves out score -inf.
    """
    groups = int(body.max()) + 1
    combine = np.add.reduce if rule == "sum" else np.maximum.reduce
    grouped = np.stack([combine(scores[:, body == g], axis=1, initial=_START[rule]) for g in range(groups)], 1)  # (N, G)
    result = rank(body[truth], grouped)
    if rule == "mapped":
        best = np.argsort(-scores, axis=1, kind="stable")[:, :5]  # (N, 5) actions, ties lowest id first
        hit = body[best] == body[truth][:, None]
        result.rank = np.where(hit.any(1), hit.argmax(1), 5)
        result.unknown = ~hit.any(1) & (np.isfinite(scores).sum(1) < 5)
    return result


def metrics(margins: Margins, rule: str = "sklearn") -> dict[str, np.ndarray]:
    """Every metric of one level as fractions, (…) each.

    `rule` says over which labels mca and macro-F1 are averaged. sklearn: mca over labels that occur as truth
    (balanced_accuracy_score), macro-F1 over labels seen in truth or prediction (f1_score). present: truth only.
    union: truth or prediction, a label without truth counts 0 (mean_class_accuracy of mmaction2 and pyskl).
    all: every label, absent ones count 0. With one label a clip, micro-F1 is top-1.
    """
    return {name: metric.function(margins, rule) for name, metric in METRICS.items() if name != "f1-mean"}


def top1(margins: Margins, rule: str) -> np.ndarray:
    """(…) the share of clips whose best-scored label is the true one."""
    return margins.hits.sum(-1) / margins.truths.sum(-1)


def top5(margins: Margins, rule: str) -> np.ndarray:
    """(…) the share of clips whose true label is among the five best."""
    return margins.top5.sum(-1) / margins.truths.sum(-1)


def mca(margins: Margins, rule: str) -> np.ndarray:
    """(…) the mean of the labels' recalls."""
    counted = _averaged(margins, rule, seen=rule == "union")
    return (margins.hits / np.maximum(margins.truths, 1) * counted).sum(-1) / counted.sum(-1)


def macro_f1(margins: Margins, rule: str) -> np.ndarray:
    """(…) the mean of the labels' F1."""
    counted = _averaged(margins, rule, seen=rule in ("union", "sklearn"))
    return (f1(margins) * counted).sum(-1) / counted.sum(-1)


def _averaged(margins: Margins, rule: str, seen: bool) -> np.ndarray:
    """(…, C) which labels a mean is over: all, those with truth, or those that are `seen` in truth or prediction."""
    if rule not in LABEL_RULES:
        raise KeyError(rule)
    present = margins.truths > 0
    if rule == "all":
        return np.ones_like(present)
    return present | (margins.guesses > 0) if seen else present


def f1(margins: Margins) -> np.ndarray:
    """(…, C) F1 of each label; 0 for a label that neither occurs nor is predicted."""
    return 2 * margins.hits / np.maximum(margins.truths + margins.guesses, 1)


def per_class(counts: Counts) -> dict[str, np.ndarray]:
    """recall, top5 and f1 of each label, (C,) with NaN for labels without truth; and their support, (C,) int."""
    support = counts.confusion.sum(1)
    absent = support == 0
    share = np.where(absent, 1, support)
    values = {"recall": counts.confusion.diagonal() / share, "top5": counts.top5 / share, "f1": f1(counts.margins)}
    return {name: np.where(absent, np.nan, v) for name, v in values.items()} | {"support": support}


def f1_mean(action: dict[str, np.ndarray], body: dict[str, np.ndarray]) -> np.ndarray:
    """The challenge's number: mean of macro- and micro-F1 over both levels, from two results of `metrics`."""
    return (body["macro-f1"] + body["micro-f1"] + action["macro-f1"] + action["micro-f1"]) / 4


def values(margins: dict[str, Margins], rule: str, short: Set[str] = frozenset()) -> dict[tuple[str, str], np.ndarray]:
    """{(metric, level): value} in the order of a report, from the margins a level; `short` levels have no top5."""
    figures = {level: metrics(part, rule) for level, part in margins.items()}
    result = {}
    for metric in METRICS:
        if metric == "f1-mean":
            if len(figures) == 2:
                result[metric, "avg"] = f1_mean(figures["action"], figures["body"])
            continue
        for level in figures:
            if metric != "top5" or level not in short:
                result[metric, level] = figures[level][metric]
    return result


def evaluate(labels, scores, body=None, rule: str = "sklearn", body_rule: str = "max") -> dict[tuple[str, str], float]:
    """Every metric of N predictions, as {(metric, level): fraction}: what `mma82 score` prints.

    labels  (N,) true ids; scores (N, C), any monotone scale (probabilities for body_rule "sum")
    body    (C,) group of each label, or None: then there is no level of groups
    """
    labels, scores = np.asarray(labels), np.asarray(scores)
    margins = {"action": rank(labels, scores).counts(scores.shape[1]).margins}
    if body is not None:
        body = np.asarray(body)
        margins["body"] = rank_bodies(labels, scores, body, body_rule).counts(int(body.max()) + 1).margins
    return {key: float(value) for key, value in values(margins, rule).items()}
