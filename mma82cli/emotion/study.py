"""From emotion clips to a line for each emotion and action."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from mma82cli.emotion import bootstrap, clustered, ratio, trees
from mma82cli.emotion.clips import Clips, Table
from mma82cli.emotion.held_out import held_out
from mma82cli.emotion.laban import elements
from mma82cli.emotion.tfidf import tfidf
from mma82cli.emotion.trees import Growth
from mma82cli.records import DataError, show


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


def lines(clips: Clips, study: Study, watch: Callable[[Iterable], Iterable] = lambda x: x) -> Iterator[dict]:
    """{"emotion", "label", …} for every emotion and action, in the order of the label sets. An emotion without clips has
    figures that are None, and is not among the tests that q corrects for. `watch` wraps the loop over resamples.

    Raises DataError where there are no clips of the baseline.
    """
    emotions, actions = clips.emotions.names, clips.actions.names
    if not clips.sizes()[study.baseline]:
        raise DataError(f"no clips of the baseline {show(emotions[study.baseline])} among {len(clips.rows)}; expected some")
    table = clips.table()
    features = tfidf(table.counts, study.variant)
    figures = {"lma": [[found or None for found in elements(clips.actions)]] * len(emotions)}
    figures |= _importances(features, table.emotion, len(emotions), study)
    figures |= _held_out(features, table, len(emotions), study)
    figures |= _associations(table, len(emotions), clips.by_subject)
    if study.resamples:
        figures |= _resampled(table, features, len(emotions), study, watch)
    for e, name in enumerate(emotions):
        for j, label in enumerate(actions):
            yield {"emotion": name, "label": label, **{key: _plain(values[e][j]) for key, values in figures.items()}}


def grow(clips: Clips, study: Study) -> dict[str, object]:
    """The tree of each emotion that has clips against the baseline, scikit-learn's: {emotion: tree}."""
    table = clips.table()
    features = tfidf(table.counts, study.variant)
    grown = {}
    for e in sorted(set(table.emotion.tolist()) - {study.baseline}):
        mine = (table.emotion == e) | (table.emotion == study.baseline)
        grown[clips.emotions.names[e]] = trees.tree(features[mine], table.emotion[mine] == e, study.growth, study.seed)
    return grown


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


def _held_out(features, table: Table, emotions: int, study: Study) -> dict:
    """importance_held_out of each action, and accuracy_held_out of the emotion's tree."""
    case = features, table.emotion, table.person, emotions, study.baseline, study.growth, study.seed
    accuracy, importance = held_out(*case)
    return {"importance_held_out": importance, "accuracy_held_out": np.broadcast_to(accuracy[:, None], importance.shape)}


def _associations(clips: Table, emotions: int, by_subject: bool) -> dict:
    """The 2 x 2 tables, and what Eq. 7 and the tests make of them."""
    counts, emotion = clips.counts, clips.emotion
    table = a, n, b, m = ratio.presence(counts, emotion, emotions)
    n, m = np.broadcast_to(n, a.shape), np.broadcast_to(m, a.shape)
    some = (n > 0) & (m > 0)
    if by_subject:
        low, high, p = clustered.interval(counts, emotion, clips.unit, emotions)
    else:
        low, high = ratio.katz(*table)
        p = np.full(a.shape, np.nan)
        p[some] = [ratio.fisher(*map(int, cell)) for cell in zip(a[some], n[some], b[some], m[some], strict=True)]
    tested = some & ~np.isnan(p)
    q = np.full(a.shape, np.nan)
    q[tested] = ratio.benjamini_hochberg(p[tested])
    shown = np.where(some, ratio.smoothed(*table), np.nan)
    figures = {"clips": a, "n": n, "other_clips": b, "other_n": m}
    if by_subject:
        figures |= {"subjects": _people(counts, emotion, clips.unit, emotions)}
    figures |= {"ratio": ratio.ratio(*table), "ratio_smoothed": shown}
    figures |= {"ci": _pairs(low, high, tested), "p": p, "q": q, "phi": ratio.phi(*table)}
    return figures | {"direction": ratio.direction(*table)}


def _people(counts, emotion, person, emotions: int) -> np.ndarray:
    """(E, C) how many people have the action in a clip of the emotion."""
    does = np.zeros((int(person.max()) + 1, emotions, counts.shape[1]), bool)
    clip, action = np.nonzero(counts)
    does[person[clip], emotion[clip], action] = True
    return does.sum(0)


def _resampled(table: Table, features, emotions: int, study: Study, watch) -> dict:
    """stability and ci_bootstrap; None where there is one unit, which can't be resampled, or no clips."""
    counts, emotion, unit = table.counts, table.emotion, table.unit
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
