"""Where hands go: places on and around the body, and how the hand lies there.

A place is (part, tip, back): the fingertips' spot in the part's own axes (x outward for the side of the hand that
reaches, except where `other` swaps it), and the way from the fingertips back to the wrist. Head places are in head radii,
`thigh` and `shin` run from 0 at the upper joint to 1 at the lower one, all else is metres.
"""

from __future__ import annotations

import numpy as np

from mma82cli.synth import body

PLACES = {
    # head, in radii
    "forehead": ("head", (0.10, 0.62, 0.92), (0.70, -0.65, 0.45)),
    "eye": ("head", (0.42, 0.20, 0.98), (0.55, -0.80, 0.35)),
    "eyes": ("head", (-0.45, 0.28, 1.12), (0.95, -0.25, 0.25)),
    "bridge": ("head", (0.06, 0.22, 1.08), (0.30, -0.90, 0.40)),
    "nose": ("head", (0.04, -0.12, 1.18), (0.30, -0.90, 0.40)),
    "philtrum": ("head", (0.03, -0.32, 1.12), (0.40, -0.88, 0.40)),
    "lips": ("head", (0.05, -0.46, 1.10), (0.55, -0.80, 0.40)),
    "mouth": ("head", (-0.40, -0.40, 1.14), (0.92, -0.35, 0.30)),
    "chin": ("head", (0.05, -0.82, 0.98), (0.30, -0.90, 0.35)),
    "chin_rest": ("head", (0.45, -0.55, 0.86), (0.02, -1.00, 0.12)),
    "cheek": ("head", (0.72, -0.30, 0.72), (0.40, -0.90, 0.30)),
    "ear": ("head", (1.05, 0.0, 0.05), (0.45, -0.85, 0.30)),
    "scalp": ("head", (0.45, 0.98, 0.05), (0.85, -0.35, 0.35)),
    "hair": ("head", (0.95, 0.55, 0.0), (0.70, -0.60, 0.30)),
    "nape": ("head", (0.55, -0.72, -0.60), (0.75, -0.45, 0.25)),
    # chest axes, from the neck
    "collar": ("neck", (0.03, -0.04, 0.10), (0.55, -0.75, 0.35)),
    "shoulder_same": ("neck", (0.20, -0.02, 0.06), (0.35, -0.60, 0.70)),
    "shoulder_other": ("neck", (-0.18, -0.04, 0.08), (0.75, -0.55, 0.35)),
    "chest": ("neck", (-0.02, -0.18, 0.12), (0.85, -0.35, 0.30)),
    "belly": ("neck", (-0.02, -0.36, 0.14), (0.90, -0.15, 0.30)),
    "fold": ("neck", (-0.19, -0.20, 0.14), (0.97, -0.10, 0.20)),
    "back": ("neck", (-0.02, -0.34, -0.15), (0.80, 0.10, -0.30)),
    "behind": ("neck", (-0.06, -0.44, -0.18), (0.80, 0.30, -0.20)),
    "hip": ("neck", (0.17, -0.45, 0.05), (0.75, 0.25, -0.45)),
    "lap_join": ("neck", (-0.035, -0.44, 0.30), (0.80, 0.25, -0.40)),
    "belly_join": ("neck", (-0.03, -0.33, 0.26), (0.85, -0.10, -0.35)),
    "chest_join": ("neck", (0.005, -0.12, 0.26), (0.40, -0.85, -0.20)),
    "spire": ("neck", (0.005, -0.17, 0.30), (0.72, -0.55, -0.30)),
    "clap": ("neck", (0.09, -0.20, 0.30), (0.35, -0.45, -0.60)),
    "object": ("neck", (0.03, -0.40, 0.33), (0.55, 0.10, -0.75)),
    "watch": ("neck", (-0.15, -0.12, 0.30), (0.95, -0.05, -0.20)),
    "air": ("neck", (0.10, -0.22, 0.34), (0.25, -0.30, -0.80)),
    "gesture": ("neck", (0.16, -0.18, 0.38), (0.10, -0.45, -0.80)),
    "spread": ("neck", (0.46, -0.22, 0.30), (-0.75, -0.25, -0.60)),
    "sign": ("neck", (0.26, 0.06, 0.30), (0.05, -0.95, -0.15)),
    "wave": ("neck", (0.34, 0.16, 0.20), (-0.05, -0.98, -0.10)),
    "shake": ("neck", (0.24, -0.16, 0.34), (0.0, 0.55, -0.75)),
    "ahead": ("neck", (0.16, -0.04, 0.60), (0.0, -0.10, -0.95)),
    "aside": ("neck", (0.66, 0.00, 0.28), (-0.90, -0.10, -0.40)),
    "self": ("neck", (0.05, -0.14, 0.16), (0.75, -0.30, 0.55)),
    "stretch": ("neck", (0.20, 0.02, 0.66), (0.0, -0.05, -0.98)),
    "stretch_side": ("neck", (0.70, 0.02, 0.12), (-0.98, -0.05, -0.1)),
    # legs
    "thigh": ("thigh", (0.02, 0.08, 0.62), (0.10, 0.10, -0.95)),
    "thigh_far": ("thigh", (0.0, 0.08, 0.80), (0.10, 0.10, -0.95)),
    "thigh_out": ("thigh", (-0.05, 0.08, 0.72), (0.85, 0.15, -0.45)),
    "thigh_join": ("thigh", (-0.15, 0.09, 0.55), (0.75, 0.15, -0.55)),
    "lap": ("thigh", (-0.10, 0.09, 0.45), (0.65, 0.10, -0.70)),
    "knee": ("thigh", (0.0, 0.08, 1.00), (0.10, 0.35, -0.90)),
    "armrest": ("thigh", (0.19, 0.19, 0.55), (0.0, 0.05, -1.0)),
    "shin": ("shin", (0.03, 0.05, 0.55), (0.10, 0.80, -0.25)),
    "foot": ("shin", (0.03, 0.06, 0.98), (0.10, 0.85, -0.30)),
    # the other arm, which is placed first
    "other_arm": ("other_arm", (0.0, 0.04, 0.45), (0.70, 0.20, -0.30)),
}  # fmt: skip

RESTS = ("thigh", "lap", "armrest", "thigh_far")


def locate(skeleton: body.Skeleton, name: str, i: int, nudge=(0.0, 0.0, 0.0)) -> tuple[np.ndarray, np.ndarray]:
    """Wrist (T, 3) and hand's line (T, 3) of hand `i` (0 left) at a place; `nudge` moves it, metres, x outward."""
    part, tip, back = PLACES[name]
    s, size, joints = body.SIDES[i], skeleton.size, skeleton.joints
    mirror = np.array([s, 1.0, 1.0])
    tip, back, nudge = np.array(tip) * mirror, np.array(back) * mirror, np.asarray(nudge, dtype=float) * mirror
    back /= np.sqrt(back @ back)
    if part == "head":
        frame = skeleton.head
        point = skeleton.head_centre + body.turn(frame, tip * size.head)
    elif part == "neck":
        frame = skeleton.trunk
        scale = np.array([size.shoulders / 0.39, size.trunk / 0.50, 1.0])
        point = skeleton.neck + body.turn(frame, tip * scale)
    else:
        frame = skeleton.trunk
        upper, lower = {
            "thigh": (body.HIPS[i], body.KNEES[i]), "shin": (body.KNEES[i], body.ANKLES[i]),
            "other_arm": (body.ELBOWS[1 - i], body.WRISTS[1 - i]),
        }[part]  # fmt: skip
        a, b = joints[:, upper], joints[:, lower]
        point = a + (b - a) * tip[2] + np.array([tip[0], tip[1], 0.0])
        if part == "shin":
            point = point + [0, 0, 0.05]
    line = body.turn(frame, -back)
    return point + body.turn(frame, nudge) - line * size.hand, line
