"""Recognition metrics on the reference predictions, under every rule for absent labels and for ties."""

import json

import numpy as np
import pytest

from mma82cli.metrics import recognition
from mma82cli.taxonomy import load_taxonomy

LEVELS = {"top1": "top1", "top5": "top5", "mca": "mca", "macro_f1": "macro-f1", "micro_f1": "micro-f1"}


@pytest.mark.parametrize("name", ["preds_500_f32.jsonl", "preds_500_ties.jsonl"])
def test_every_figure(shared, jsonl, name):
    want = json.loads((shared / "goldens" / "metrics" / "expected.json").read_text())[name]
    taxonomy, rows = load_taxonomy(), jsonl(shared / "goldens" / "metrics" / name)
    labels = [taxonomy.id(row["label"]) for row in rows]
    scores = np.array([row["scores"] for row in rows])
    got = recognition.evaluate(labels, scores, taxonomy.body)
    for theirs, ours in LEVELS.items():
        assert got[ours, "action"] == pytest.approx(want[theirs], abs=1e-12)
        if f"body_{theirs}" in want:
            assert got[ours, "body"] == pytest.approx(want[f"body_{theirs}"], abs=1e-12)
    for rule in ("present", "union", "all"):
        got = recognition.evaluate(labels, scores, rule=rule)
        assert got["mca", "action"] == pytest.approx(want[f"mca_{rule}"], abs=1e-12)
        if f"macro_f1_{rule}" in want:
            assert got["macro-f1", "action"] == pytest.approx(want[f"macro_f1_{rule}"], abs=1e-12)
