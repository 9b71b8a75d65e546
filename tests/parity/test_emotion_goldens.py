"""800 emotion clips: scikit-learn's trees, SciPy's tests, and the ratios of Eq. 7 on them."""

import json

import numpy as np
import pytest
import sklearn

from mma82cli.emotion import trees
from mma82cli.emotion.clips import Clips
from mma82cli.emotion.study import Growth, Study, lines
from mma82cli.emotion.tfidf import tfidf
from mma82cli.taxonomy import load_taxonomy

VARIANTS = {"sklearn": "sklearn_default", "clip": "tfnorm_smooth_idf"}


@pytest.fixture(scope="module")
def clips(shared, jsonl):
    taken = Clips(load_taxonomy(), load_taxonomy("emotion8"))
    for record in jsonl(shared / "goldens" / "emotion" / "clips.jsonl"):
        taken.add(record)
    return taken


@pytest.fixture(scope="module")
def expected(shared):
    return json.loads((shared / "goldens" / "emotion" / "expected.json").read_text())


@pytest.mark.parametrize("variant", VARIANTS)
def test_trees_that_hinge_on_nothing_are_equal(clips, expected, variant):
    counts, emotion, *_ = clips.table()
    features, names = tfidf(counts, variant), clips.emotions
    checked = 0
    for setting, wanted in expected["trees"][VARIANTS[variant]].items():
        depth, leaf = (part.split("=")[1] for part in setting.split(","))
        growth = Growth(0 if depth == "None" else int(depth), int(leaf))
        for name, facts in wanted.items():
            if not facts["unique_over_20_seeds"]:
                continue
            mine = (emotion == names.id(name)) | (emotion == names.id("neutral"))
            grown = trees.tree(features[mine], emotion[mine] == names.id(name), growth)
            assert np.allclose(grown.feature_importances_, facts["importances_seed0"], atol=1e-9, rtol=0), (setting, name)
            assert grown.tree_.feature[0] == facts["root_feature"] and grown.get_n_leaves() == facts["n_leaves"]
            assert grown.tree_.threshold[0] == pytest.approx(facts["root_threshold"], abs=1e-9)
            order = np.argsort(trees.ranks(grown.feature_importances_))[:5]
            assert order.tolist() == facts["top5_seed0"]
            checked += 1
    assert checked >= 4


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_tree_of_seed_0_and_the_mean_over_seeds(clips, expected, variant):
    if sklearn.__version__ != expected["sklearn"]:
        pytest.skip(f"trees that hinge on the order of features are those of scikit-learn {expected['sklearn']}")
    rows = {(x["emotion"], x["label"]): x for x in lines(clips, Study(clips.emotions.id("neutral"), variant=variant))}
    for emotion, facts in expected["trees"][VARIANTS[variant]]["depth=4,min_leaf=5"].items():
        mine = [rows[emotion, label] for label in clips.actions.names]
        assert np.allclose([x["importance_mean"] for x in mine], facts["mean"], atol=1e-8, rtol=0)
        assert np.allclose([x["importance"] for x in mine], facts["importances_seed0"], atol=1e-9, rtol=0)


def test_ratios_and_tests_of_all_656_pairs(clips, expected):
    rows = {(x["emotion"], x["label"]): x for x in lines(clips, Study(clips.emotions.id("neutral")))}
    assert len(rows) == 656
    for emotion, table in expected["R"].items():
        for j, label in enumerate(clips.actions.names):
            row, wanted = rows[emotion, label], table["R_presence"][j]
            assert (row["clips"], row["other_clips"]) == (table["clips_with"][j], table["other_clips_with"][j])
            assert row["ratio"] == (wanted if wanted in (None, "inf") else pytest.approx(wanted, rel=1e-9))
            assert row["ratio_smoothed"] == pytest.approx(table["R_presence_add_half"][j], rel=1e-8)
            assert row["ci"] == pytest.approx(table["log_ci95"][j], rel=5e-5)
            assert row["p"] == pytest.approx(table["fisher_p"][j], rel=1e-7)
            assert row["q"] == pytest.approx(table["bh_q"][j], rel=1e-7)
