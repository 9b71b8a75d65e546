"""Hands in the picture: what fingers show (OK, V, thumbs up, …) is drawn here, and is in no joint, as in life."""

from __future__ import annotations

import numpy as np

from mma82cli.synth.paint import bgr, disc, limb, stroke

# fingers of a shape: (angle from the hand's line in degrees, length in hand lengths), thumb side positive
FINGERS = {
    "": ((-14, 0.50), (0, 0.55), (14, 0.50), (50, 0.34)),
    "index": ((4, 0.66), (52, 0.24)),
    "v": ((-15, 0.64), (15, 0.66), (60, 0.22)),
    "thumb": (),
    "fist": (),
    "grip": ((-8, 0.30), (10, 0.30), (60, 0.28)),
    "call": ((78, 0.52), (-46, 0.56)),
    "open": ((-30, 0.52), (-10, 0.60), (10, 0.62), (30, 0.56), (68, 0.42)),
    "limp": ((-10, 0.46), (12, 0.46), (40, 0.30)),
    "lace": ((-24, 0.34), (-8, 0.38), (8, 0.38), (24, 0.34)),
    "object": ((0, 0.42), (40, 0.34)),
    "watch": ((-10, 0.40), (10, 0.40)),
}


def draw(image, wrist, tip, turned: float, form: str, beat: float, skin, scale: float) -> None:
    """One hand from `wrist` to `tip` (pixels). `turned` is 1 or -1, the side of the thumb; `form` a finger shape;
    `beat` 0..1 where in its cycle the action is; `scale` pixels a metre."""
    wrist, tip = np.asarray(wrist, dtype=float), np.asarray(tip, dtype=float)
    line = tip - wrist
    length = max(float(np.hypot(*line)), 0.075 * scale)
    line = line / max(float(np.hypot(*line)), 1e-6)
    if form == "turn":
        line = _rotate(line, 55 * np.sin(2 * np.pi * beat))
        form = "open"
    palm = wrist + line * length * 0.42
    edge, fill = bgr(skin, 0.72), bgr(skin)
    closed = form in ("fist", "thumb")
    knuckles = (0.046 if closed else 0.034) * scale
    limb(image, wrist, palm, 0.024 * scale + 0.7, knuckles + 0.7, edge)
    ends = [palm + _rotate(line, turned * angle) * length * (reach + 0.34) for angle, reach in _fingers(form, beat)]
    for colour, width in ((edge, 0.019 * scale + 2.0), (fill, 0.019 * scale)):
        for end in ends:
            stroke(image, (palm, end), colour, width)
    limb(image, wrist, palm, 0.024 * scale, knuckles, fill)
    if form == "thumb":  # the thumb points up, whichever way the hand lies
        root = palm + np.array([turned * 0.02 * scale, -0.02 * scale])
        limb(image, root, root - [0, 0.085 * scale], 0.020 * scale + 0.8, 0.016 * scale + 0.8, edge)
        limb(image, root, root - [0, 0.085 * scale], 0.020 * scale, 0.016 * scale, fill)
    elif form == "ok":
        ring = palm + _rotate(line, turned * 42) * length * 0.52
        disc(image, ring, 0.036 * scale + 0.8, edge)
        disc(image, ring, 0.036 * scale, fill)
        disc(image, ring, 0.018 * scale, bgr(skin, 0.45))
    elif form == "object":
        limb(image, tip + _rotate(line, 90) * 0.05 * scale, tip - _rotate(line, 90) * 0.05 * scale,
             0.022 * scale, 0.022 * scale, bgr((58, 60, 66)))  # fmt: skip
    elif form == "watch":
        across = _rotate(line, 90) * 0.03 * scale
        band = wrist - line * 0.04 * scale
        stroke(image, [band - across, band + across], bgr((44, 44, 48)), 0.03 * scale)


def _fingers(form: str, beat: float):
    """The fingers to draw; shapes that move do so with the beat."""
    if form == "ok":
        return ((-26, 0.50), (-10, 0.58), (6, 0.58))
    if form == "twiddle":  # thumbs roll around each other
        return (*FINGERS["lace"], (60 + 35 * np.sin(2 * np.pi * beat), 0.34 + 0.12 * np.cos(2 * np.pi * beat)))
    if form == "pick":
        return ((-14 + 16 * np.sin(2 * np.pi * beat), 0.40), (10, 0.44), (36 + 20 * np.cos(2 * np.pi * beat), 0.34))
    if form == "fist":
        open_hand = 0.5 + 0.5 * np.cos(2 * np.pi * beat)
        return tuple((angle, reach * open_hand) for angle, reach in FINGERS[""]) if open_hand > 0.25 else ()
    return FINGERS.get(form, FINGERS[""])


def _rotate(vector: np.ndarray, degrees: float) -> np.ndarray:
    a = np.radians(degrees)
    c, s = np.cos(a), np.sin(a)
    return np.array([c * vector[0] - s * vector[1], s * vector[0] + c * vector[1]])
