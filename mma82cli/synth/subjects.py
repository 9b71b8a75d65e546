"""People: each with their own proportions, posture, tempo, amplitude, handedness, and looks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mma82cli.synth.body import Proportions
from mma82cli.synth.places import RESTS

SKIN = ((236, 205, 184), (222, 184, 158), (198, 156, 128), (160, 120, 96), (120, 90, 74))
HAIR = ((52, 44, 42), (74, 58, 50), (104, 82, 66), (150, 128, 98), (126, 126, 128))
CLOTHES = ((92, 104, 124), (124, 108, 100), (100, 118, 104), (138, 132, 122), (84, 86, 94), (136, 112, 116), (112, 120, 140))
TROUSERS = ((66, 70, 84), (84, 78, 72), (58, 62, 66), (98, 96, 94), (76, 84, 98))


@dataclass(frozen=True)
class Subject:
    """One person. `tempo` divides durations, `amplitude` multiplies sizes, `hand` is 0 (left) or 1 (right)."""

    name: str
    size: Proportions
    tempo: float
    amplitude: float
    hand: int
    loyalty: float  # how often the preferred hand acts
    slump: float
    lean: float  # degrees
    elbow_out: float
    knee_out: float
    stance: float  # metres that the feet stand further apart, and further ahead
    sway: float  # size of what the body does when it does nothing
    fidgets: float  # distracting movements a second
    rests: tuple[str, ...]  # where the hands like to rest
    skin: tuple[int, int, int]
    hair: tuple[int, int, int]
    top: tuple[int, int, int]
    legs: tuple[int, int, int]
    long_hair: bool
    glasses: bool


def subject(name: str, seed: np.random.SeedSequence, habits: float = 1.0) -> Subject:
    """The person that `seed` stands for. `habits` scales how far people of a domain are from the average."""
    rng = np.random.default_rng(seed)
    stature = rng.normal(0, 0.045)
    bones = {field: value * np.exp(stature + rng.normal(0, 0.04)) for field, value in vars(Proportions()).items()}
    bones["head"] = Proportions.head * np.exp(rng.normal(0, 0.03))
    tints = {"skin": SKIN, "hair": HAIR, "top": CLOTHES, "legs": TROUSERS}
    looks = {part: _tint(rng, colours) for part, colours in tints.items()}
    if abs(sum(looks["hair"]) - sum(looks["skin"])) < 130:  # hair is told from skin
        looks["hair"] = _colour(0.45 * v for v in looks["hair"])
    first, second = rng.choice(len(RESTS), 2, replace=False)
    return Subject(
        name=name,
        size=Proportions(**bones),
        tempo=float(np.exp(rng.normal(0, 0.17 * habits))),
        amplitude=float(np.exp(rng.normal(-0.05, 0.22 * habits))),
        hand=int(rng.random() > 0.13),
        loyalty=rng.uniform(0.65, 0.95),
        slump=float(np.clip(rng.normal(0.25, 0.22), 0, 0.9)),
        lean=rng.normal(0, 3.0 * habits),
        elbow_out=float(np.clip(rng.normal(0.12, 0.10), 0, 0.5)),
        knee_out=float(np.clip(rng.normal(0.10, 0.07), 0, 0.3)),
        stance=rng.normal(0, 0.03),
        sway=float(np.exp(rng.normal(0, 0.35))),
        fidgets=float(rng.gamma(2.0, 0.07)) * habits,
        rests=(RESTS[first], RESTS[first], RESTS[second]),
        long_hair=bool(rng.random() < 0.45),
        glasses=bool(rng.random() < 0.3),
        **looks,
    )


def _tint(rng, colours) -> tuple[int, int, int]:
    chosen = np.array(colours[rng.integers(len(colours))], dtype=float)
    return _colour(np.clip(chosen * rng.uniform(0.9, 1.08) + rng.normal(0, 3, 3), 20, 235))


def _colour(values) -> tuple[int, int, int]:
    first, second, third = (int(v) for v in values)
    return first, second, third
