"""All repeats of the nested cross-validation, those on permuted emotions too, and the figures of Table VIII from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from mma82cli.emotion import bootstrap
from mma82cli.emotion.clips import Table
from mma82cli.emotion.nested import CONDITIONS, Parts, Plan, Tried, attempt, cross_parts, permuted
from mma82cli.metrics.confidence import interval, mcnemar
from mma82cli.metrics.recognition import Margins, metrics

METRICS = ("top1", "mca", "macro-f1")
_REPEAT, _PERMUTED = 4, 5  # what a stream of random numbers is for


class Effort(NamedTuple):
    """repeats of the cross-validation, `folds` in each, permutations of the emotions, resamples of an interval."""

    repeats: int
    folds: int
    permutations: int
    resamples: int
    seed: int


class Trials(NamedTuple):
    """What the repeats came to.

    truth     (n,) class of each tested clip, and unit (n,) what it is drawn with when it is resampled
    guesses   (R, 3, n) class that each repeat's network says, under each of CONDITIONS
    chance    {metric: (P, 3)} the same figures on permuted emotions
    used      (3,) how many actions a network was given, on average
    """

    truth: np.ndarray
    unit: np.ndarray
    guesses: np.ndarray
    chance: dict[str, np.ndarray]
    used: np.ndarray


def run(
    table: Table, plan: Plan, recipe, effort: Effort, given: Parts | None = None,
    keep: Callable[[int, Tried], None] | None = None, watch: Callable[[Iterable], Iterable] = lambda x: x,
) -> Trials:  # fmt: skip
    """Tries the networks `repeats` times on the clips, and `permutations` times on the clips with permuted emotions.

    given  the parts of every repeat, in place of a cross-validation
    keep   takes the number and the outcome of every repeat; validation clips are asked about for it, where parts are given
    watch  wraps the loop over repeats and permutations
    """
    repeats, chance = [], []
    for purpose, i in watch([(_REPEAT, r) for r in range(effort.repeats)] + [(_PERMUTED, p) for p in range(effort.permutations)]):
        root = np.random.SeedSequence(effort.seed, spawn_key=(purpose, i))
        deal, cut, start = root.spawn(3)
        clips = permuted(table, deal) if purpose == _PERMUTED else table
        parts = [given] if given else cross_parts(clips, effort.folds, cut)
        number = int(start.generate_state(1)[0]) >> 1
        tried = attempt(clips, parts, plan, recipe, number, ask_val=keep is not None and given is not None)
        if purpose == _PERMUTED:
            chance.append(_figures(_classes(clips, plan)[tried.tested], _guesses(tried)))
        else:
            repeats.append(tried)
            if keep:
                keep(i, tried)
    tested = repeats[0].tested  # every repeat tests the same clips: those of a class, or those of the test part given
    truth = _classes(table, plan)[tested]
    everyone = {m: np.array([figures[m] for figures in chance]).reshape(-1, len(CONDITIONS)) for m in METRICS}
    used = np.concatenate([tried.used for tried in repeats]).mean(0)
    return Trials(truth, table.person[tested], np.stack([_guesses(tried) for tried in repeats]), everyone, used)


def _classes(table: Table, plan: Plan) -> np.ndarray:
    return np.searchsorted(plan.classes, table.emotion)


def _guesses(tried: Tried) -> np.ndarray:
    """(3, n)"""
    return tried.scores[:, tried.tested].argmax(2)


def _figures(truth: np.ndarray, guesses: np.ndarray) -> dict[str, np.ndarray]:
    """{metric: (…)} of truth (n,) and guesses (…, n)."""
    margins = _margins(truth, guesses, np.zeros(len(truth), np.int64))
    return {metric: values[0] for metric, values in metrics(margins).items()}


def _margins(truth: np.ndarray, guesses: np.ndarray, unit: np.ndarray) -> Margins:
    """(U, …, K) each: what the clips of each unit add up to."""
    ids = np.arange(int(max(truth.max(), guesses.max())) + 1)
    owner = (np.arange(int(unit.max()) + 1)[:, None] == unit).astype(float)  # (U, n)
    said = guesses[..., None] == ids  # (…, n, K)
    true = np.broadcast_to((truth[:, None] == ids), said.shape)

    def summed(what: np.ndarray) -> np.ndarray:
        each = np.moveaxis(what, -2, 0)  # (n, …, K)
        return (owner @ each.reshape(len(each), -1)).reshape(-1, *each.shape[1:])

    hits = summed(said & true)
    return Margins(summed(true), summed(said), hits, hits)


def lines(trials: Trials, effort: Effort) -> list[dict]:
    """{"actions", "metric", "level", "value", …} under each condition: means over the repeats, with intervals over what is
    independent, what permuted emotions gave, and how the conditions before differ from this one."""
    values = _figures(trials.truth, trials.guesses)  # (R, 3) each
    unit = np.unique(trials.unit, return_inverse=True)[1]
    some = effort.resamples > 0 and unit.max() > 0  # one unit is all there is: nothing to resample
    drawn = [_resampled(trials, effort, u) for u in (unit, np.arange(len(unit)))] if some else []
    made = []
    for metric in METRICS:
        mean = values[metric].mean(0)
        for c, name in enumerate(CONDITIONS):
            line = {"actions": name, "metric": metric, "level": "action", "value": float(mean[c])}
            line |= {"sd": float(values[metric][:, c].std(ddof=1)) if effort.repeats > 1 else None}
            line |= {"ci": _wider([d[metric][:, c].clip(0, 1) for d in drawn]), "n": len(trials.truth), "runs": effort.repeats}
            line |= {"used": float(trials.used[c]), **_chance(trials.chance[metric][:, c], mean[c])}
            against = {}
            for other in range(c):
                samples = [d[metric][:, c] - d[metric][:, other] for d in drawn]
                delta = {"delta": float(mean[c] - mean[other]), "ci": _wider(samples)}
                against[CONDITIONS[other]] = delta | (_mcnemar(trials, c, other) if metric == "top1" else {})
            made.append(line | {"against": against})
    return made


def _resampled(trials: Trials, effort: Effort, unit: np.ndarray) -> dict[str, np.ndarray]:
    """{metric: (B * R, 3)} the means over repeats as they would be of other units (n,): other people, or other clips.

    Repeats bring no new people: what resampling does is taken from each repeat alone, and not from their mean, whose
    intervals would miss what another training set does to the actions that are selected, and be too narrow. Of few clips
    some are then below 0 or above 1.
    """
    drawn = bootstrap.multiplicities(int(unit.max()) + 1, effort.resamples, effort.seed).astype(float)
    whole = _margins(trials.truth, trials.guesses, unit)
    again = Margins(*((drawn @ m.reshape(len(m), -1)).reshape(-1, *m.shape[1:]) for m in whole))  # whole numbers: exact
    values, others = _figures(trials.truth, trials.guesses), metrics(again)
    return {m: (others[m] - values[m] + values[m].mean(0)).reshape(-1, len(CONDITIONS)) for m in METRICS}


def _wider(samples: list[np.ndarray]) -> list[float] | None:
    """The longest of the intervals of the samples (S,): a person's clips tell no more than as many of several people."""
    return max(map(interval, samples), key=lambda ci: ci[1] - ci[0], default=None)


def _chance(permuted: np.ndarray, value: float) -> dict:
    """What permuted emotions (P,) gave, and how often as much as the true ones."""
    if not len(permuted):
        return {"permuted": None, "p": None}
    return {"permuted": float(permuted.mean()), "p": float((1 + (permuted >= value).sum()) / (1 + len(permuted)))}


def _mcnemar(trials: Trials, one: int, other: int) -> dict:
    """Clips that only one of two conditions gets right, a repeat on average, and McNemar's exact p of a repeat. Twice the
    median of repeats that are not independent is a p again (Rüger 1978)."""
    right = trials.guesses == trials.truth  # (R, 3, n)
    mine, yours = right[:, one], right[:, other]
    p = [mcnemar(a, b) for a, b in zip(mine, yours, strict=True)]
    combined = p[0] if len(p) == 1 else min(1.0, 2 * float(np.median(p)))
    gained, lost = (mine & ~yours).sum(1).mean(), (yours & ~mine).sum(1).mean()
    return {"gained": float(gained), "lost": float(lost), "mcnemar": combined}
