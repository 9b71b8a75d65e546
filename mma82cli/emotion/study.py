"""From emotion clips to a line for each emotion and action."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from mma82cli.emotion import bootstrap, ratio, trees
from mma82cli.emotion.tfidf import count, tfidf
from mma82cli.emotion.trees import Growth
from mma82cli.records import MISSING, DataError, show, text, wrong
from mma82cli.taxonomy import Taxonomy


class Study(NamedTuple):
    """What is asked of the clips.

    baseline   id of the emotion that every other is held against in a tree
    top        how many actions count as an emotion's own
    variant    of TF-IDF, `clip` or `sklearn`
    growth     of the trees
    resamples  of the bootstrap; 0: none
    """

    baseline: int
    top: int = 5
    variant: str = "clip"
    growth: Growth = Growth()
    resamples: int = 0
    seed: int = 0


class Clips:
    """Emotion clips as they are read. `actions` and `emotions` are label sets; `target` the field of the emotion; `unit`
    the field whose values the bootstrap draws (None: clips)."""

    def __init__(self, actions: Taxonomy, emotions: Taxonomy, target: str = "emotion", unit: str | None = None):
        self.actions, self.emotions, self.target, self.unit = actions, emotions, target, unit
        self.rows: list[tuple[int, list[int], str]] = []
        self._seen: set = set()

    def add(self, record: dict) -> None:
        """Takes a clip: `emotion`, `actions` (a list, repeats count, may be empty). Raises DataError."""
        emotion = self.emotions.id(record.get(self.target, MISSING), self.target)
        found = record.get("actions", MISSING)
        if type(found) is not list:
            raise wrong("actions", found, f"a list of labels of {self.actions.name}")
        ids = sorted(self.actions.id(label, f"actions[{i}]") for i, label in enumerate(found))
        unit = text(record, self.unit) if self.unit else ""
        if "id" in record:
            name = (text(record, "id"), show(record.get("run")))
            if name in self._seen:
                raise DataError(f"id {show(name[0])} occurs twice; expected each clip once")
            self._seen.add(name)
        self.rows.append((emotion, ids, unit))

    def table(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """counts (N, C), emotion (N,) and unit (N,), sorted, so that no figure hinges on the order of the input."""
        rows = sorted(self.rows)
        names = {name: i for i, name in enumerate(sorted({unit for _, _, unit in rows}))}
        unit = np.array([names[u] for _, _, u in rows]) if self.unit else np.arange(len(rows))
        return count([ids for _, ids, _ in rows], len(self.actions)), np.array([e for e, _, _ in rows]), unit


def lines(clips: Clips, study: Study, watch: Callable[[Iterable], Iterable] = lambda x: x) -> Iterator[dict]:
    """{"emotion", "label", …} for every emotion and action, in the order of the label sets. An emotion without clips has
    figures that are None, and is not among the tests that q corrects for. `watch` wraps the loop over resamples.

    Raises DataError where there are no clips of the baseline.
    """
    emotions, actions = clips.emotions.names, clips.actions.names
    if not any(emotion == study.baseline for emotion, _, _ in clips.rows):
        raise DataError(f"no clips of the baseline {show(emotions[study.baseline])} among {len(clips.rows)}; expected some")
    counts, emotion, unit = clips.table()
    features = tfidf(counts, study.variant)
    figures = _importances(features, emotion, len(emotions), study)
    figures |= _associations(counts, emotion, len(emotions))
    if study.resamples:
        figures |= _resampled(counts, features, emotion, unit, len(emotions), study, watch)
    for e, name in enumerate(emotions):
        for j, label in enumerate(actions):
            yield {"emotion": name, "label": label, **{key: _plain(values[e][j]) for key, values in figures.items()}}


def _importances(features, emotion, emotions: int, study: Study) -> dict:
    """importance, importance_mean, rank and top: None for the baseline and where there are no clips."""
    shape = emotions, features.shape[1]
    single, mean, rank, top = (np.full(shape, None) for _ in range(4))
    for e in set(emotion.tolist()) - {study.baseline}:
        mine = (emotion == e) | (emotion == study.baseline)
        case = features[mine], emotion[mine] == e, study.growth, study.seed
        values = trees.importances(*case)
        single[e], mean[e], rank[e] = values, trees.mean_importances(*case), trees.ranks(values)
        top[e] = trees.selected(values, study.top)
    return {"importance": single, "importance_mean": mean, "rank": rank, "top": top}


def _associations(counts, emotion, emotions: int) -> dict:
    """The 2 x 2 tables, and what Eq. 7 and the tests make of them."""
    table = a, n, b, m = ratio.presence(counts, emotion, emotions)
    n, m = np.broadcast_to(n, a.shape), np.broadcast_to(m, a.shape)
    tested = (n > 0) & (m > 0)
    low, high = ratio.katz(*table)
    p, q = np.full(a.shape, np.nan), np.full(a.shape, np.nan)
    p[tested] = [ratio.fisher(*map(int, cell)) for cell in zip(a[tested], n[tested], b[tested], m[tested], strict=True)]
    q[tested] = ratio.benjamini_hochberg(p[tested])
    shown = np.where(tested, ratio.smoothed(*table), np.nan)
    figures = {"clips": a, "n": n, "other_clips": b, "other_n": m, "ratio": ratio.ratio(*table), "ratio_smoothed": shown}
    figures |= {"ci": _pairs(low, high, tested), "p": p, "q": q, "phi": ratio.phi(*table)}
    return figures | {"direction": ratio.direction(*table)}


def _resampled(counts, features, emotion, unit, emotions: int, study: Study, watch) -> dict:
    """stability and ci_bootstrap; None where there is one unit, which can't be resampled, or no clips."""
    shape = emotions, counts.shape[1]
    units = int(unit.max()) + 1
    if units < 2:
        return {"stability": np.full(shape, None), "ci_bootstrap": np.full(shape, None)}
    drawn = bootstrap.multiplicities(units, study.resamples, study.seed)
    size = np.bincount(emotion, minlength=emotions)[:, None]
    some = np.broadcast_to((size > 0) & (size < len(emotion)), shape)
    low, high = bootstrap.ratio_interval(drawn, unit, counts, emotion, emotions)
    resampling = drawn, unit, features, emotion, emotions, study.baseline, study.growth, study.seed, study.top
    shares = np.where(some, bootstrap.stability(*resampling, watch), np.nan)
    shares[study.baseline] = np.nan
    return {"stability": shares, "ci_bootstrap": _pairs(low, high, some)}


def _pairs(low: np.ndarray, high: np.ndarray, where: np.ndarray) -> np.ndarray:
    pairs = np.full(low.shape, None)
    for cell in zip(*np.nonzero(where), strict=True):
        pairs[cell] = [float(low[cell]), float(high[cell])]
    return pairs


def _plain(value):
    """A figure as JSON holds it: null for what is not defined, "inf" for what has no bound."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "inf"
    return value
