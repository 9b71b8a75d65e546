"""What is in front of the camera: a person, deeds in time, a view; and the records that come of it.

Every scene has a generator of its own, made of the seed and the scene's number, so that it is the same
whichever process makes it, and in whatever order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from mma82cli.synth import body
from mma82cli.synth.domains import DOMAINS, Domain, View, view
from mma82cli.synth.motions import ACTIONS, Reach, Shift
from mma82cli.synth.perform import Deed, deed, fidgets, perform
from mma82cli.synth.subjects import Subject, subject

PEOPLE, CLIPS, VIDEOS, DETECTION, EMOTION = 1, 2, 3, 4, 5  # what the numbers of a seed are for
LEGS = (3, 6)  # body groups (lower limb, leg-hand) that a camera makes room for
REST = (0.9, 1.3)  # seconds between the actions of a source video


@dataclass
class Scene:
    """`t` (T,) in seconds from the start of the file; `deeds` those that bear a label."""

    person: Subject
    domain: Domain
    t: np.ndarray
    deeds: list[Deed]
    skeleton: body.Skeleton
    view: View
    rng: np.random.Generator  # for what comes after: noise, looks of the place

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.t) / self.domain.fps

    def file_fields(self) -> dict:
        """The record's fields about the file."""
        d, seconds = self.domain, round(self.duration, 3)
        return {"fps": d.fps, "width": d.width, "height": d.height, "duration": seconds, "num_frames": len(self.t)}


def generator(seed: int, *numbers: int) -> np.random.Generator:
    """The generator of one thing, whatever came before it."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=numbers))


@lru_cache(maxsize=1024)
def person(seed: int, domain: str, name: str) -> Subject:
    """The subject `name` (its number ends the name), as people are in that domain."""
    d = DOMAINS[domain]
    number = (PEOPLE, list(DOMAINS).index(domain), int(name[3:]))
    who = subject(name, np.random.SeedSequence(seed, spawn_key=number), d.habits)
    return replace(who, tempo=who.tempo * d.tempo, amplitude=who.amplitude * d.amplitude)


def _rest(who: Subject, deeds: list[Deed], rng: np.random.Generator) -> str:
    """Where the hands rest: where this person likes to, unless a deed must begin elsewhere."""
    rest = who.rests[rng.integers(len(who.rests))]
    for d in deeds:
        if d.action.rests and rest not in d.action.rests:
            rest = d.action.rests[rng.integers(len(d.action.rests))]
    return rest


def _scene(who, domain, seconds, deeds, shots, rng) -> Scene:
    t = np.arange(max(2, int(np.ceil(seconds * domain.fps - 1e-6)))) / domain.fps
    camera = view(domain, t, shots, rng)
    doing = deeds + fidgets(who, 0.0, seconds, rng)
    skeleton = perform(who, doing, t, _rest(who, deeds, rng), rng)
    return Scene(who, domain, t, deeds, skeleton, camera, rng)


def clip(seed: int, index: int, label: str, legs: bool, domain: str, name: str) -> Scene:
    """A trimmed clip of one action; its bounds are off by what annotators disagree in."""
    rng, d, who = generator(seed, CLIPS, index), DOMAINS[domain], person(seed, domain, name)
    lead, tail = np.clip(rng.normal(0.04, 0.07, 2), -0.1, 0.25)
    did = deed(label, who, rng, float(lead))
    seconds = did.end + float(tail)
    shots = [(0.0, legs)]
    if rng.random() < d.cuts * seconds:
        shots.append((seconds * rng.uniform(0.3, 0.7), legs))
    return _scene(who, d, seconds, [did], shots, rng)


def source(seed: int, index: int, labels: list[str], legs: list[bool], domain: str, name: str) -> Scene:
    """A source video: one action after the other, with rest between."""
    rng, d, who = generator(seed, VIDEOS, index), DOMAINS[domain], person(seed, domain, name)
    now, deeds, shots = rng.uniform(*REST), [], [(0.0, legs[0] if d.cuts else any(legs))]
    for i, label in enumerate(labels):
        if i and d.cuts and rng.random() < 0.5:
            shots.append((now - 0.5, legs[i]))
        elif d.cuts:
            shots[-1] = (shots[-1][0], shots[-1][1] or legs[i])
        deeds.append(deed(label, who, rng, now))
        now = deeds[-1].end + rng.uniform(*REST)
    return _scene(who, d, now, deeds, shots, rng)


def untrimmed(seed: int, index: int, labels: list[str], legs: list[bool], domain: str, name: str) -> Scene:
    """A video of actions that may overlap, where they need different parts of the body."""
    rng, d, who = generator(seed, DETECTION, index), DOMAINS[domain], person(seed, domain, name)
    deeds: list[Deed] = []
    span = 4.0 + 2.6 * len(labels)
    for label in labels:
        for attempt in range(40):
            new = deed(label, who, rng, float(rng.uniform(0.8, span + attempt * 0.2)))
            if all(_apart(new, other) for other in deeds):
                deeds.append(new)
                break
    deeds.sort(key=lambda new: new.start)
    seconds = max(new.end for new in deeds) + rng.uniform(0.5, 2.0)
    return _scene(who, d, seconds, deeds, [(0.0, any(legs))], rng)


def _apart(one: Deed, other: Deed) -> bool:
    """True where two deeds don't get in each other's way."""
    if one.end + 0.9 < other.start or other.end + 0.9 < one.start:
        return True
    return not needs(one) & needs(other)


def needs(d: Deed) -> set[str]:
    """The parts of the body that a deed moves."""
    out = set()
    for move in ACTIONS[d.label].moves:
        if isinstance(move, Reach):
            both = move.who == "ab" or (move.who == "some" and d.both)
            out |= {"hand0", "hand1"} if both else {f"hand{d.side if move.who != 'b' else 1 - d.side}"}
        elif isinstance(move, Shift) and abs(move.size) < 0.02:
            continue
        else:
            out.add({"head": "head", "trunk": "trunk", "root": "trunk", "slump": "trunk", "shrug": "trunk"}.get(
                move.channel.split("_")[0], "legs"))  # fmt: skip
    return out
