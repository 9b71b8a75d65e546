"""Three annotators of a source video: each with a way of placing bounds, misses, and confusions inside a body group."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mma82cli.synth.perform import Deed

NAMES = ("A1", "A2", "A3")
MISS, CONFUSE = 0.04, 0.025
SHORTEST = 0.25  # seconds; nobody marks less


def annotate(deeds: list[Deed], duration: float, neighbours: Callable[[str], list[str]], rng: np.random.Generator) -> list[dict]:
    """What the three write down for the `deeds` of a video of `duration` seconds: start, end, label, annotator.

    `neighbours(label)` are the labels it may be taken for. Bounds are off by a part of the action's length and by the
    annotator's own habit; small times are to the millisecond. Where all three would miss an action the first doesn't.
    """
    lines = []
    habits = rng.normal(0, 0.05, (len(NAMES), 2))  # seconds that each begins late and ends late
    missed = rng.random((len(NAMES), len(deeds))) < MISS
    missed[0] &= ~missed.all(0)
    for a, name in enumerate(NAMES):
        for i, d in enumerate(deeds):
            length = d.end - d.start
            off = habits[a] + rng.normal(0, 0.03 + 0.035 * length, 2)
            confused, pick = rng.random() < CONFUSE, rng.random()
            if missed[a, i]:
                continue
            others = neighbours(d.label)
            label = others[int(pick * len(others))] if confused and others else d.label
            start = min(max(0.0, d.start + off[0]), duration - SHORTEST)
            end = min(max(start + SHORTEST, d.end + off[1]), duration)
            lines.append({"start": round(start, 3), "end": round(end, 3), "label": label, "annotator": name})
    return lines
