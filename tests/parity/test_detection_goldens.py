"""Detection beside what three evaluators and a C++ soft-NMS computed."""

import json

import numpy as np
import pytest

from mma82cli.detection import suppress
from mma82cli.detections import Columns, read_predictions
from mma82cli.metrics import detection
from mma82cli.taxonomy import load_taxonomy

NAMES = {"opentad": "opentad", "activitynet": "activitynet", "mac": "mac2024_pointtad"}


@pytest.mark.parametrize("name", ["small", "medium", "ties"])
@pytest.mark.parametrize("evaluator", detection.SLACK)
def test_average_precision(shared, jsonl, name, evaluator):
    folder = shared / "goldens" / "detection"
    want = json.loads((folder / f"map_{name}_expected.json").read_text())[NAMES[evaluator]]
    taxonomy = load_taxonomy(str(folder / f"map_{name}_taxonomy.json"))
    truth, found = Columns(scored=False), Columns(scored=True)
    for record in jsonl(folder / f"map_{name}.jsonl"):
        truth.add(record["segments"], taxonomy, "segments")
        found.add(record["predictions"], taxonomy, "predictions")
    truth, found = truth.spans(), found.spans()
    a_class, on_mean = (0.07, 5e-4) if name == "ties" else (1e-9, 1e-9)  # the peers' order of equal scores is unstable
    average = detection.evaluate(truth, found, evaluator=evaluator)["avg", "action"]
    assert average == pytest.approx(want["average_mAP"], abs=on_mean)
    truth = truth.take(detection.admitted(truth, evaluator))
    hits = detection.match(truth, found, slack=detection.SLACK[evaluator]) >= 0
    ap = detection.average_precision(found, hits, np.bincount(truth.label, minlength=len(taxonomy)))
    assert {taxonomy.names[i] for i in np.flatnonzero(~np.isnan(ap[:, 0]))} == set(want["ap"])
    for label, values in want["ap"].items():
        assert ap[taxonomy.id(label)] == pytest.approx(values, abs=a_class), label


SETTINGS = {
    "gauss_s05_k200": {}, "gauss_s07_k2000": {"sigma": 0.7, "topk": 2000}, "gauss_s05_min001_k200": {"min_score": 0.001},
    "linear_t05_min001_k200": {"method": "linear", "min_score": 0.001}, "hard_t05_k200": {"method": "hard", "min_score": 0.001},
    "soft_method0_t05_k200": {"method": "hard", "min_score": 0.001},
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_suppression(shared, jsonl, name):
    folder, labels = shared / "goldens" / "detection", load_taxonomy()
    for record, want in zip(jsonl(folder / "nms_input.jsonl"), jsonl(folder / f"nms_{name}.jsonl"), strict=True):
        found, want = read_predictions(record, labels), want["predictions"]
        kept = suppress(found.segments, found.scores, found.label, **SETTINGS[name])
        assert len(kept.rows) == len(want)
        scores = np.array([p["score"] for p in want])
        apart = abs(np.diff(scores, prepend=2, append=-1)) > 1e-6
        same = (scores > 1e-5) & apart[1:] & apart[:-1]
        assert kept.scores == pytest.approx(np.sort(scores)[::-1], abs=5e-6)
        assert same.sum() > 50 and kept.labels[same].tolist() == [p["label"] for p, s in zip(want, same, strict=True) if s]
        assert kept.segments[same] == pytest.approx(np.array([[p["start"], p["end"]] for p in want])[same], abs=1e-5)
