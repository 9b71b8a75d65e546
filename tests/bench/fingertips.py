"""Fingertips of the synthetic people, as they are drawn: what an estimator of whole bodies would add to the 17 joints."""

from __future__ import annotations

import json

import numpy as np

from mma82cli import share
from mma82cli.synth import hands, scene
from mma82cli.synth.domains import DOMAINS
from mma82cli.synth.render import Figure

NAMES = ("thumb", "index", "middle", "ring", "little")
THUMB = 34  # degrees from the hand's line, from which on a finger is the thumb
CURLED = 0.2  # reach of a fingertip that is not drawn


def layout() -> dict:
    """coco17 and five fingertips a hand."""
    base = json.loads((share.share_dir() / "layouts" / "coco17.json").read_text(encoding="utf-8"))
    names = [f"{side}_{name}" for side in ("left", "right") for name in NAMES]
    return {
        "name": "coco17-fingertips",
        "joints": base["joints"] + names,
        "pairs": base["pairs"] + [[17 + i, 22 + i] for i in range(5)],
        "limbs": base["limbs"] + [[9 + k, 17 + 5 * k + i] for k in (0, 1) for i in range(5)],
    }


LAYOUT = layout()


def tips(wrist, tip, turned: float, form: str, beat: float, scale: float) -> np.ndarray:
    """Five fingertips (5, 2) in pixels of a hand that `hands.draw` draws so."""
    line = tip - wrist
    length = max(float(np.hypot(*line)), 0.075 * scale)
    line = line / max(float(np.hypot(*line)), 1e-6)
    if form == "turn":
        line, form = hands._rotate(line, 55 * np.sin(2 * np.pi * beat)), "open"
    palm = wrist + line * length * 0.42

    def end(angle, reach):
        return palm + hands._rotate(line, turned * angle) * length * (reach + 0.34)

    out = np.stack([end(angle, CURLED) for angle in (45, 14, 4, -6, -16)])
    drawn = sorted(hands._fingers(form, beat), reverse=True)
    if drawn and drawn[0][0] >= THUMB:
        out[0] = end(*drawn.pop(0))
    for i, finger in enumerate(drawn[:4]):
        out[4 if form == "call" else 1 + i] = end(*finger)
    if form == "thumb":
        out[0] = palm + np.array([turned * 0.02 * scale, -0.105 * scale])
    if form == "ok":
        out[0] = out[1] = palm + hands._rotate(line, turned * 42) * length * 0.52
        out[2:] = [end(*finger) for finger in drawn]
    return out


def with_fingertips(records: list[dict], seed: int):
    """The records of `synth --kind skeleton --seed SEED` (of no action of legs) with fingertips that tremble as wrists do."""
    for number, record in enumerate(records):
        index, domain = int(record["id"].rsplit("clip", 1)[1]), record["domain"]
        made = scene.clip(seed, index, record["label"], False, domain, record["subject"])
        figure, rng = Figure(made), np.random.default_rng([seed, number])
        frames = []
        for i, joints in enumerate(record["keypoints"]):
            sides = [(figure.joints[i, 9 + k], figure.tips[i, k], (1.0, -1.0)[k], *figure.forms[k][i]) for k in (0, 1)]
            points = np.concatenate([tips(*side, figure.scale[i]) for side in sides])
            points += rng.normal(0, 1.5 * DOMAINS[domain].noise, points.shape)
            scores = np.repeat([figure.seen[i, 9], figure.seen[i, 10]], 5)[:, None] * 0.5 + 0.38
            frames.append(joints and joints + np.concatenate([points, scores], 1).round(2).ravel().tolist())
        yield {**record, "layout": LAYOUT["name"], "keypoints": frames}
