"""What `mma82 emotion-tree` finds of what `mma82 synth --kind emotion` planted, what `emotion-mlp` costs, and how sure it may be.

    .venv/bin/python tests/bench/emotion.py [SEEDS]    (default 100)

Planted are the 35 pairs of Fig. 6. A clip's actions are drawn, so what is really more or less likely is known for every pair:
`wrong` are findings (q < 0.05) on the wrong side of that. An action that one emotion calls for is really rarer in the others,
and neutral clips, which call for nothing, really have more of all the rest; hence what is found beyond what was planted.
"""

import math
import sys
import time
from functools import cache

import numpy as np

from mma82cli.emotion import clustered, mlp, nested, ratio, trials
from mma82cli.emotion.clips import Clips
from mma82cli.emotion.tfidf import tfidf
from mma82cli.emotion.trees import Growth, importances, selected
from mma82cli.synth import dataset, make
from mma82cli.taxonomy import load_taxonomy

CLIPS = 800
SURE = ratio.SURE
fisher = cache(ratio.fisher)  # the same few tables come again and again


def planted(facts: dataset.Facts, actions, emotions) -> tuple[np.ndarray, np.ndarray]:
    """(E, C) bool: the pairs of Fig. 6; and (E, C) the true log R of every pair, from what synth draws by."""
    background = np.sqrt(facts.instances) / np.sqrt(facts.instances).sum()
    place = {name: i for i, name in enumerate(facts.labels)}
    pairs, chance = np.zeros((len(emotions), len(actions)), bool), np.zeros((len(emotions), len(actions)))
    for name, about in facts.emotions.items():
        e, weights = emotions.id(name), np.zeros(len(actions))
        for label in about["actions"]:
            pairs[e, place[label]] = True
            weights[place[label]] = 2.5 if label == about["strongest"] else 1.0
        pull = make.EMOTION_PULL if about["actions"] else 0.0
        drawn = (1 - pull) * background + pull * weights / max(weights.sum(), 1)
        chance[e] = 1 - (1 - drawn) * np.exp(-make.EMOTION_MORE * drawn)  # in a clip of 1 + Poisson draws
    others = (chance.sum(0) - chance) / (len(emotions) - 1)
    return pairs, np.log(chance / others)


def tests(table, emotions: int, by_subject: bool) -> tuple[np.ndarray, np.ndarray]:
    """q and log R (E, C) as emotion-tree gives them."""
    cells = ratio.presence(table.counts, table.emotion, emotions)
    if by_subject:
        p = clustered.interval(table.counts, table.emotion, table.person, emotions)[2]
    else:
        p = np.vectorize(fisher)(*(x.astype(object) for x in np.broadcast_arrays(*cells))).astype(float)
    return ratio.benjamini_hochberg(p.ravel()).reshape(p.shape), np.log(ratio.smoothed(*cells))


def read(facts, actions, emotions, seed: int):
    """The clips of one seed as arrays."""
    clips = Clips(actions, emotions)
    for record in make.emotions(facts, np.arange(len(actions)), CLIPS, None, seed):
        clips.add(record)
    return clips.table()


def recovery(seeds: int) -> None:
    """Prints recall and false discoveries, means over seeds."""
    facts, actions, emotions = dataset.facts(), load_taxonomy(), load_taxonomy("emotion8")
    pairs, truth = planted(facts, actions, emotions)
    neutral = emotions.id("neutral")
    rows: dict[str, list] = {}
    for seed in range(seeds):
        table = read(facts, actions, emotions, seed)
        null = table._replace(emotion=np.random.default_rng(seed).permutation(table.emotion))
        for unit in ("clip", "subject"):
            q, found = tests(table, len(emotions), unit == "subject")
            more, less = (q < SURE) & (found > 0), (q < SURE) & (found < 0)
            wrong = (more & (truth <= 0)) | (less & (truth >= 0))
            chance = (tests(null, len(emotions), unit == "subject")[0] < SURE).sum()
            every = max(1, (more | less).sum())
            recall, extra = (more & pairs).sum() / pairs.sum(), (more & ~pairs).sum()
            rows.setdefault(unit, []).append([recall, more.sum(), extra, less.sum(), wrong.sum() / every, chance > 0])
        features, top = tfidf(table.counts), np.zeros(2)
        for e in set(range(len(emotions))) - {neutral}:
            mine = (table.emotion == e) | (table.emotion == neutral)
            best = selected(importances(features[mine], table.emotion[mine] == e, Growth()), 5)
            top += (best & pairs[e]).sum(), best.sum()
        rows.setdefault("top", []).append([top[0] / pairs.sum(), top[0] / top[1]])
    print(f"{seeds} seeds of {CLIPS} clips, {int(pairs.sum())} pairs planted, q < {SURE}; means over seeds")
    print("unit      recall  more  of them unplanted  less  share wrong  seeds with any finding once emotions are permuted")
    for unit in ("clip", "subject"):
        recall, more, extra, less, wrong, chance = np.mean(rows[unit], 0)
        print(f"{unit:<9}{recall:7.2f}{more:6.1f}{extra:19.1f}{less:6.1f}{wrong:13.4f}{chance:9.2f}")
    recall, precision = np.mean(rows["top"], 0)
    print(f"top-5 of the trees: {recall:.2f} of the planted, {precision:.2f} of what they select was planted")


def coverage(sets: int) -> None:
    """Prints how often emotion-mlp's 95 % intervals hold the mean over data sets, of figures and of their differences."""
    facts, actions, emotions = dataset.facts(), load_taxonomy(), load_taxonomy("emotion8")
    neutral, effort = emotions.id("neutral"), trials.Effort(2, 5, 0, 1000, 0)
    plan = nested.Plan(tuple(e for e in range(8) if e != neutral), neutral, 5, Growth(), "clip")
    found: dict[str, list] = {}
    for seed in range(1000, 1000 + sets):
        table = read(facts, actions, emotions, seed)
        for line in trials.lines(trials.run(table, plan, mlp.Recipe(), effort), effort)[:3]:
            found.setdefault(line["actions"], []).append((line["value"], *line["ci"]))
            for other, x in line["against"].items():
                found.setdefault(f"{line['actions']} - {other}", []).append((x["delta"], *x["ci"]))
    print(f"emotion-mlp top1 over {sets} data sets        mean   deviation  of the interval  holds the mean")
    for name, rows in found.items():
        value, low, high = np.array(rows).T
        held = np.mean((low <= value.mean()) & (value.mean() <= high))
        print(f"  {name:<36}{value.mean():7.3f}{value.std(ddof=1):10.4f}{np.mean(high - low) / 3.92:14.4f}{held:15.2f}")


def cost(fits: int = 100) -> None:
    """Prints the CPU seconds of `fits` networks (with the trees that select their actions), beside one at a time."""
    facts, actions, emotions = dataset.facts(), load_taxonomy(), load_taxonomy("emotion8")
    table, neutral = read(facts, actions, emotions, 0), emotions.id("neutral")
    plan = nested.Plan(tuple(e for e in range(8) if e != neutral), neutral, 5, Growth(), "clip")
    trials.run(table, plan, mlp.Recipe(epochs=1), trials.Effort(1, 5, 0, 0, 0))  # imports
    repeats = math.ceil(fits / (5 * len(nested.CONDITIONS)))
    start = time.process_time()
    trials.run(table, plan, mlp.Recipe(), trials.Effort(repeats, 5, 0, 0, 0))
    seconds = (time.process_time() - start) / (repeats * 5 * len(nested.CONDITIONS))
    print(f"emotion-mlp, {CLIPS} clips, 60 epochs: {100 * seconds:.1f} CPU s for 100 fits")


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    cost()
    recovery(seeds)
    coverage(max(2, seeds // 8))
