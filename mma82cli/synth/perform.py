"""Motions in time: what a person does, as the 17 joints of every frame.

A `Deed` is one action of one person at its place in time. Deeds add up, so that they may overlap; around them the
body sways, and now and then does a small thing that no label asks for.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mma82cli.synth import body
from mma82cli.synth.motions import ACTIONS, FIDGETS, Reach, Shift, Swing
from mma82cli.synth.places import locate
from mma82cli.synth.subjects import Subject

APPROACH, WITHDRAW = 0.55, 0.60  # seconds to come before an action that is held from its start, and to go after one


@dataclass
class Deed:
    """One performance of an action. Times in seconds; what chance decides is decided when it is made."""

    label: str
    start: float
    end: float
    cycles: int
    size: float
    side: int  # the acting hand or leg: 0 left, 1 right
    both: bool
    sign: float
    stay: bool  # of holds that fall either way
    variant: int
    phases: np.ndarray = field(repr=False)

    @property
    def action(self):
        """Its entry in the table of motions."""
        return ACTIONS.get(self.label) or FIDGETS[self.label]


def deed(label: str, person: Subject, rng: np.random.Generator, start: float = 0.0) -> Deed:
    """`person` decides to perform `label` at `start`."""
    action = ACTIONS.get(label) or FIDGETS[label]
    cycles = int(rng.integers(action.cycles[0], action.cycles[1] + 1))
    pace = person.tempo * np.exp(rng.normal(0, 0.10))
    if action.hertz is None:
        seconds = rng.uniform(*action.seconds)
    else:
        ways = 1.0 if any(isinstance(m, Reach) and m.hold == "return" for m in action.moves) else 0.1
        seconds = cycles / rng.uniform(*action.hertz) + ways
    seconds = max(0.5, 1.1 * seconds / pace)
    return Deed(
        label=label, start=start, end=start + seconds, cycles=cycles,
        size=person.amplitude * float(np.exp(rng.normal(0, 0.15))),
        side=person.hand if rng.random() < person.loyalty else 1 - person.hand,
        both=bool(rng.random() < 0.5), sign=1.0 if rng.random() < 0.5 else -1.0, stay=bool(rng.random() < 0.5),
        variant=int(rng.integers(1 << 16)), phases=rng.uniform(0, 1, 8),
    )  # fmt: skip


def fidgets(person: Subject, start: float, end: float, rng: np.random.Generator) -> list[Deed]:
    """Distracting movements between `start` and `end`, as often as `person` makes them."""
    names = list(FIDGETS)
    count = rng.poisson(person.fidgets * (end - start))
    return [deed(names[rng.integers(len(names))], person, rng, rng.uniform(start - 0.5, end)) for _ in range(count)]


def ease(x: np.ndarray) -> np.ndarray:
    """0 before 0, 1 after 1, smooth between (the minimum-jerk way of a reaching hand)."""
    x = np.clip(x, 0, 1)
    return x * x * x * (10 - 15 * x + 6 * x * x)


def weight(d: Deed, t: np.ndarray, hold: str) -> np.ndarray:
    """How far (T,) a move of deed `d` is in force at the times `t`; see `motions` for the holds."""
    if hold == "either":
        hold = "stay" if d.stay else "return"
    length = d.end - d.start
    if hold == "return":
        way = min(0.55, 0.36 * length)
        return ease((t - d.start) / way) * ease((d.end - t) / way)
    if hold == "stay":
        return ease((t - d.start) / (0.85 * length)) * ease(1 - (t - d.end - 0.25) / WITHDRAW)
    if hold == "from":
        return ease((t - d.start + APPROACH + 0.15) / APPROACH) * ease(1 - (t - d.start) / (0.85 * length))
    return ease((t - d.start + APPROACH) / APPROACH) * ease(1 - (t - d.end) / WITHDRAW)


def wave(d: Deed, t: np.ndarray, kind: str, within: float = 0.0, shift: float = 0.0) -> np.ndarray:
    """The oscillation (T,) of deed `d`, in -1..1 (bump: 0..1), at rest outside; `within` seconds are left at both ends."""
    length = d.end - d.start - 2 * within
    u = (t - d.start - within) / length
    fade = ease(u * (d.cycles + 1.0) * 1.5) * ease((1 - u) * (d.cycles + 1.0) * 1.5)
    angle = 2 * np.pi * d.cycles * u + shift
    if kind == "bump":
        return 0.5 * (1 - np.cos(angle)) * (u > 0) * (u < 1)
    if kind == "toss":
        return np.sin(angle) * np.exp(-1.5 * np.clip(u, 0, 1)) * fade * 1.3
    if kind == "mix":
        p = 2 * np.pi * (d.phases[:3] + shift)
        return (0.6 * np.sin(angle * 0.8 + p[0]) + 0.45 * np.sin(angle * 1.37 + p[1]) + 0.3 * np.sin(angle * 2.1 + p[2])) * fade
    return np.sin(angle) * fade


def _channels(name: str, d: Deed) -> list[str]:
    """The channels that a table's name means for this deed: `_a` acting side, `_b` other, `_ab` both, `_s` one or both."""
    stem, _, who = name.rpartition("_")
    if who == "s":
        who = "ab" if d.both else "a"
    if stem and set(who) <= {"a", "b"}:
        return [f"{stem}_{'lr'[d.side if w == 'a' else 1 - d.side]}" for w in who]
    return [name]


def pose(person: Subject, deeds: list[Deed], t: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """All channels (T,) of the body, arms apart: posture, idle sway, and what the deeds add."""
    out = {name: np.zeros(len(t)) for name in body.CHANNELS}
    out["slump"] += person.slump
    out["trunk_lean"] += person.lean
    for side in "lr":
        out[f"elbow_out_{side}"] += person.elbow_out
        out[f"knee_out_{side}"] += person.knee_out
        out[f"foot_x_{side}"] += person.stance
        out[f"foot_z_{side}"] += 1.5 * person.stance
    idle = {"trunk_sway": 0.8, "trunk_lean": 0.9, "trunk_yaw": 1.5, "head_yaw": 3.0, "head_pitch": 2.2, "head_roll": 1.5,
            "knee_out_l": 0.008, "knee_out_r": 0.008}  # fmt: skip
    hertz, phase = rng.uniform(0.08, 0.55, (2, len(idle))), rng.uniform(0, 2 * np.pi, (2, len(idle)))
    angle = 2 * np.pi * t[:, None, None] * hertz + phase
    sway = np.sin(angle).sum(1) * (0.6 * person.sway)
    for i, (name, size) in enumerate(idle.items()):
        out[name] += sway[:, i] * size
    for d in deeds:
        for move in d.action.moves:
            if isinstance(move, Shift):
                value = weight(d, t, move.hold) * (move.size * d.size * (d.sign if move.signed else 1))
            elif isinstance(move, Swing):
                value = wave(d, t, move.wave) * (move.size * d.size * (d.sign if move.signed else 1))
            else:
                continue
            for name in _channels(move.channel, d):
                out[name] += value
    return out


def limits(pose: dict[str, np.ndarray]) -> None:
    """Keeps the channels within what a body can do, in place."""
    for name, low, high in (
        ("head_yaw", -75, 75), ("head_pitch", -40, 50), ("head_roll", -38, 38), ("trunk_lean", -28, 62),
        ("trunk_yaw", -65, 65), ("trunk_sway", -28, 28), ("slump", -0.1, 1.8), ("knee_out_l", -0.06, 0.62),
        ("knee_out_r", -0.06, 0.62), ("heel_l", 0, 0.14), ("heel_r", 0, 0.14),
    ):  # fmt: skip
        np.clip(pose[name], low, high, out=pose[name])


def _hands(move: Reach, d: Deed) -> list[int]:
    who = ("ab" if d.both else "a") if move.who == "some" else move.who
    return [d.side if w == "a" else 1 - d.side for w in who]


def perform(person: Subject, deeds: list[Deed], t: np.ndarray, rest: str, rng: np.random.Generator) -> body.Skeleton:
    """The body of `person` at the times `t` (T,), hands at `rest` where no deed needs them."""
    channels = pose(person, deeds, t, rng)
    limits(channels)
    skeleton = body.core(person.size, channels)
    tremble = rng.normal(0, 0.012, (2, 3))
    drift = np.sin(2 * np.pi * t[:, None, None] * rng.uniform(0.1, 0.5, (2, 3)) + rng.uniform(0, 6.3, (2, 3)))
    order = _arm_order(deeds)
    for i in order:
        place, line = locate(skeleton, rest, i, tremble[i])
        place = place + drift[:, i] * (0.004 * person.sway)
        out = channels["elbow_out_" + "lr"[i]]
        for d in deeds:
            for move in d.action.moves:
                if isinstance(move, Reach) and i in _hands(move, d):
                    place, line, out = _reach(skeleton, i, d, move, t, (place, line, out))
        body.arm(skeleton, i, place, line, out)
    return skeleton


def _arm_order(deeds: list[Deed]) -> tuple[int, int]:
    """The arm that another hand touches is placed first."""
    for d in deeds:
        if any(isinstance(m, Reach) and m.place == "other_arm" for m in d.action.moves):
            return (1 - d.side, d.side)
    return (0, 1)


def _reach(skeleton, i: int, d: Deed, move: Reach, t: np.ndarray, now):
    """Wrist, hand's line and elbow of arm `i` on its way from where it is `now` to the place of `move`."""
    place, line, out = now
    names = (move.place,) if isinstance(move.place, str) else move.place
    slack = (d.phases[3:6] - 0.5) * 0.02
    w = weight(d, t, move.hold)[:, None]
    target, target_line = locate(skeleton, names[d.variant % len(names)], i, slack)
    if any(move.stroke):
        within = min(0.55, 0.36 * (d.end - d.start)) if move.hold == "return" else 0.0
        target = target + _stroke(skeleton, i, d, move, t, within)
    middle = (4 * w * (1 - w)) * np.array([0.0, 0.02, 0.05])  # on its way a hand keeps clear of the body
    place = place * (1 - w) + target * w + body.turn(skeleton.trunk, middle)
    return place, line * (1 - w) + target_line * w, out + w[:, 0] * move.out


def _stroke(skeleton, i: int, d: Deed, move: Reach, t: np.ndarray, within: float) -> np.ndarray:
    """The oscillation (T, 3) of a hand about its place."""
    turned = np.pi if move.opposed and i != d.side else 0.0
    if move.wave == "bump":
        turned = 0.0
    scale = 0.6 + 0.4 * d.size
    axes = np.array([body.SIDES[i], 1.0, 1.0]) * move.stroke * scale
    if move.wave == "mix":
        parts = [wave(d, t, "mix", within, shift) for shift in (turned, turned + 0.37, turned + 0.71)]
    elif move.wave == "circle":
        quarter = wave(d, t, "sine", within, np.pi / 2)
        parts = [wave(d, t, "sine", within), quarter, quarter]
    else:
        parts = [wave(d, t, move.wave, within, turned)] * 3
    return body.turn(skeleton.trunk, np.stack(parts, 1) * axes)
