"""Every figure that DETAD's own tools give on the reference detections."""

import json
import math

import pytest

from mma82cli.metrics.diagnosis import BORDERS, ERRORS

NAMES = dict(zip(ERRORS, ["Double Detection", "Wrong Label", "Localization", "Confusion", "Background"], strict=True))
CASES = [  # detections, figures, borders, tIoUs
    ("detad_thumos14", "detad_thumos14", "thumos", "0.5"),
    ("detad_mma", "detad_mma_t50", None, "0.5"),
    ("detad_mma", "detad_mma_t1_9", None, "0.1:0.9:0.1"),
    ("detad_mma", "detad_mma_anet", "activitynet", "0.5:0.95:0.05"),
]


@pytest.mark.parametrize(("detections", "expected", "borders", "tious"), CASES)
def test_every_figure(run, shared, detections, expected, borders, tious):
    folder = shared / "goldens" / "detection"
    if not (folder / f"{expected}_expected.json").exists():
        pytest.skip(f"no {expected} among the reference data")
    want = json.loads((folder / f"{expected}_expected.json").read_text())
    borders = borders or next(
        n for n in ("thumos", "activitynet") if BORDERS[n]["coverage"][0] == want["buckets"]["coverage"]["borders"][1]
    )
    taxonomy = folder / f"{detections}_taxonomy.json"
    options = ["--taxonomy", taxonomy, "--borders", borders, "--tiou", tious]
    lines = run("diagnose", *options, folder / f"{detections}.jsonl").records
    got = {(x["analysis"], x["axis"], x["bucket"], x["error"], x["tiou"]): x for x in lines}
    checked = 0

    def equal(value, *key, axis=None, bucket=None, error=None, tiou="avg"):
        nonlocal checked
        if value == value:
            place = (*key, axis, bucket, error, tiou)
            assert got[place]["value"] == pytest.approx(value, abs=1e-9), place
            checked += 1

    equal(want["sensitivity"]["base_average_mAP_N"], "base")
    equal(want["false_positive"]["average_mAP_N"], "base", axis="rank", bucket="1G-10G")
    for axis in ("coverage", "length", "num-instances"):
        for bucket, value in want["sensitivity"][axis].items():
            equal(value, "sensitivity", axis=axis, bucket=bucket)
        for tiou, buckets in want["false_negative"][axis].items():
            at = tiou if tiou == "avg" else round(float(tiou), 9)
            for bucket, value in buckets.items():
                equal(value["unmatched"], "false-negative", axis=axis, bucket=bucket, tiou=at)
                size = got["false-negative", axis, bucket, None, at]["n"]
                assert math.isclose(size / want["n_gt"], value["all"], abs_tol=1e-12)
    for k, of in want["false_positive"]["topkG_fraction"].items():
        for tiou, shares in of.items():
            at = tiou if tiou == "avg" else round(float(tiou), 9)
            equal(shares["True Positive"], "false-positive", axis="rank", bucket=f"{k}G", tiou=at)
            for error, name in NAMES.items():
                equal(shares[name + " Err"], "false-positive", axis="rank", bucket=f"{k}G", error=error, tiou=at)
    for error, name in NAMES.items():
        equal(want["false_positive"]["average_mAP_N_gain"][name + " Err"], "impact", error=error)
        for tiou, counts in want["false_positive"]["counts"].items():
            assert got["impact", None, None, error, round(float(tiou), 9)]["n"] == counts[name + " Err"]
    assert checked > 100
