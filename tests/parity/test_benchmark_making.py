"""Merging, association, agreement and splits against references."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from mma82cli.annotation.spans import microseconds, tiou
from mma82cli.protocol.report import divergence


@pytest.mark.parametrize("rule", ["paper", "epic"])
def test_rules(run, shared, jsonl, rule):
    folder = shared / "goldens" / "merge"
    result = run("merge-annotations", "--rule", rule, "--min-duration", "0", folder / "annotations.jsonl")
    got = {x["video"]: (x["start"], x["end"], x["tie"]) for x in result.records}
    assert got == {x["video"]: (x["start"], x["end"], x["tie"]) for x in jsonl(folder / f"expected_{rule}.jsonl")}


def test_association_and_agreement(run, shared, jsonl, tmp_path):
    folder = shared / "goldens"
    out = tmp_path / "agreement.jsonl"
    annotations = folder / "associate" / "annotations.jsonl"
    result = run("merge-annotations", "--min-duration", "0", "--agreement", out, annotations)
    assert result.code == 0
    totals = {}
    for x in result.records:
        spans = [(microseconds(s["start"]), microseconds(s["end"])) for s in x["sources"]]
        value = sum(shared / union for shared, union in (tiou(a, b) for a, b in combinations(spans, 2)))
        totals[x["video"]] = totals.get(x["video"], 0.0) + value
    for want in jsonl(folder / "associate" / "expected.jsonl"):
        assert totals[want["video"]] == pytest.approx(want["max_total_tiou"], abs=1e-9)
    figures = {x["video"]: x for x in jsonl(out)}
    assert None in figures
    for want in jsonl(folder / "agreement" / "expected.jsonl"):
        got = figures[want["video"]]
        assert got["alpha"] == pytest.approx(want["alpha_nominal"], abs=1e-6)
        for n, pair in enumerate(("a1|a2", "a1|a3", "a2|a3")):
            for name in ("kappa", "dice"):
                value = want[f"{name}_pairs"][n]
                assert got[name][pair] == (value if value is None else pytest.approx(value, abs=1e-6))


def test_splits_are_better_than_stratified_group_k_fold(run, shared):
    result = run("make-splits", shared / "goldens" / "splits" / "clips.jsonl.gz")
    assert result.code == 0 and result.err == ""
    names, ratio = ("train", "val", "test"), np.array([0.6, 0.2, 0.2])
    labels, domains, home, counts, parts = {}, {}, {}, np.zeros((3, 200)), np.zeros((3, 9))
    for r in result.records:
        assert home.setdefault(r["subject"], r["split"]) == r["split"]
        counts[names.index(r["split"]), labels.setdefault(r["label"], len(labels))] += 1
        parts[names.index(r["split"]), domains.setdefault(r["domain"], len(domains))] += 1
    assert len(result.records) == 39816 and (counts[:, : len(labels)] > 0).all()
    parts = parts[:, : len(domains)]
    assert 100 * abs(counts.sum(1) / counts.sum() - ratio).max() <= 0.03  # StratifiedGroupKFold: 0.53
    assert 100 * abs(parts / parts.sum(0) - ratio[:, None]).max() <= 0.5  # 17.4
    assert max(divergence(a, b) for a, b in combinations(counts, 2)) <= 0.0025  # 0.0075
