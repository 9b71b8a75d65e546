"""Recognition metrics against scikit-learn, and properties that hold for any scores."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from mma82cli.metrics import recognition
from mma82cli.metrics.confidence import Outcomes, interval, resample, weights
from mma82cli.metrics.report import metric_lines
from mma82cli.metrics.tally import Tally
from mma82cli.taxonomy import load_taxonomy

MMA82 = load_taxonomy("mma82")
BODY = np.array(MMA82.body)


def predictions(seed: int, n: int, classes: int = 82, decimals: int | None = None):
    """`n` true ids of a long-tailed distribution and scores that lean towards them."""
    rng = np.random.default_rng(seed)
    labels = np.minimum(rng.geometric(0.08, n) - 1, classes - 1)
    scores = rng.random((n, classes))
    scores[np.arange(n), labels] += rng.random(n) * 0.5
    return labels, scores if decimals is None else scores.round(decimals)


@pytest.mark.filterwarnings("ignore:A single label")
@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 60), st.sampled_from([None, 1]))
def test_defaults_equal_scikit_learn(seed, n, decimals):
    labels, scores = predictions(seed, n, decimals=decimals)
    values = recognition.metrics(recognition.rank(labels, scores).counts(82).margins)
    guesses = scores.argmax(1)
    assert values["top1"] == values["micro-f1"] == pytest.approx(accuracy_score(labels, guesses), abs=1e-12)
    present = np.isin(guesses, labels)  # scikit-learn warns where a guess never occurs as truth
    if present.all():
        assert values["mca"] == pytest.approx(balanced_accuracy_score(labels, guesses), abs=1e-12)
    assert values["macro-f1"] == pytest.approx(f1_score(labels, guesses, average="macro"), abs=1e-12)


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 40))
def test_ties_go_to_the_lowest_id(seed, n):
    labels, scores = predictions(seed, n, decimals=1)
    order = np.argsort(-scores, axis=1, kind="stable")  # equal scores keep the order of ids
    ranked = recognition.rank(labels, scores)
    assert (ranked.rank == (order == labels[:, None]).argmax(1)).all()
    assert (ranked.predicted == order[:, 0]).all()
    shared = (scores == scores[np.arange(n), labels][:, None]).sum(1) > 1
    assert (ranked.tied == shared).all()


@pytest.mark.parametrize("rule", ["max", "sum", "mapped"])
def test_body_rules_by_hand(rule):
    scores = np.zeros((1, 82))
    scores[0, [6, 7, 15, 16, 46]] = [0.30, 0.25, 0.29, 0.28, 0.1]  # head .55, upper limb .57, lower limb .1
    expected = {"max": (1, [0, 1, 2]), "sum": (2, [1, 0, 2]), "mapped": (1, [0, 1, 4])}[rule]
    for group, place in zip((1, 2, 3), expected[1], strict=True):
        truth = np.array([int(np.flatnonzero(group == BODY)[0])])
        ranked = recognition.rank_bodies(truth, scores, BODY, rule)
        assert ranked.predicted[0] == expected[0]
        assert ranked.rank[0] == place


@pytest.mark.parametrize("rule", recognition.LABEL_RULES)
def test_absent_labels_follow_the_rule(rule):
    labels, guesses = np.array([0, 0, 1, 2]), np.array([0, 3, 1, 1])
    scores = np.eye(5)[guesses]
    values = recognition.metrics(recognition.rank(labels, scores).counts(5).margins, rule)
    recall, f1 = {0: 0.5, 1: 1.0, 2: 0.0}, {0: 2 / 3, 1: 2 / 3, 2: 0.0}
    over = {"present": 3, "union": 4, "all": 5}
    assert values["mca"] == pytest.approx(sum(recall.values()) / over.get(rule, 3))
    assert values["macro-f1"] == pytest.approx(sum(f1.values()) / over.get(rule, 4))


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 50), st.data())
def test_any_sharding_and_order_adds_up_to_the_same_counts(seed, n, data):
    labels, scores = predictions(seed, n, decimals=2)
    whole = Tally(MMA82)
    whole.add(whole.rank(labels, scores), [()] * n)
    order = np.array(data.draw(st.permutations(range(n))))
    cut = data.draw(st.integers(1, n - 1))
    merged = Tally(MMA82)
    for part in (order[:cut], order[cut:]):
        shard = Tally(MMA82)
        shard.add(shard.rank(labels[part], scores[part]), [()] * len(part))
        for record in shard.to_records({"body": "max"}):
            merged.add_record(record, {"body": "max"})
    assert list(merged.to_records({})) == list(whole.to_records({}))


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 60))
def test_a_better_rank_lowers_nothing_and_names_do_not_matter(seed, n):
    labels, scores = predictions(seed, n, classes=12)
    before = recognition.evaluate(labels, scores, rule="present")
    better = scores.copy()
    rows = np.random.default_rng(seed).permutation(n)[: 1 + n // 3]
    better[rows, labels[rows]] += 0.5
    after = recognition.evaluate(labels, better, rule="present")
    assert all(after[m, "action"] >= before[m, "action"] - 1e-12 for m in ("top1", "top5", "mca", "micro-f1"))
    names = np.random.default_rng(seed + 1).permutation(12)
    renamed = np.empty_like(scores)
    renamed[:, names] = scores
    assert recognition.evaluate(names[labels], renamed) == pytest.approx(recognition.evaluate(labels, scores), abs=1e-12)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(2, 80), st.booleans())
def test_the_interval_brackets_the_value(seed, n, clustered):
    labels, scores = predictions(seed, n)
    tally = Tally(MMA82)
    ranked = tally.rank(labels, scores)
    outcomes = Outcomes(clustered)
    outcomes.add(ranked, [], [i % max(2, n // 3) for i in range(n)], ["x"] * n)
    drawn = resample([outcomes.tables()], tally.sizes, outcomes.units(), 200, seed, "sklearn")
    for level in ("action", "body"):
        value = float((ranked[level].rank == 0).mean())
        if drawn is None:  # one kind of outcome
            assert value in (0, 1)
        else:
            low, high = interval(drawn[0]["top1", level])
            assert low - 1e-9 <= value <= high + 1e-9


def test_drawing_by_unit_and_by_kind_have_the_same_moments():
    for frequency in (np.array([3, 1, 2, 1]), np.array([30, 10, 20, 10])):
        (drawn,) = weights(frequency, 4000, 0)
        units = frequency.sum()
        assert (drawn.sum(1) == units).all()
        assert drawn.mean(0) == pytest.approx(frequency, rel=0.06)
        assert drawn.var(0) == pytest.approx(frequency * (1 - frequency / units), rel=0.12)


def test_evaluate_is_the_tally_in_one_call():
    labels, scores = predictions(3, 80)
    tally = Tally(MMA82)
    tally.add(tally.rank(labels, scores), [()] * 80)
    lines = {(x["metric"], x["level"]): x["value"] for x in metric_lines(tally, ["action", "body"], "sklearn")}
    assert recognition.evaluate(labels, scores, BODY) == lines
    assert ("f1-mean", "avg") not in recognition.evaluate(labels, scores)


def test_per_class_is_null_without_truth():
    labels, scores = predictions(1, 30)
    values = recognition.per_class(recognition.rank(labels, scores).counts(82))
    absent = ~np.isin(np.arange(82), labels)
    for metric in ("recall", "top5", "f1"):
        assert (np.isnan(values[metric]) == absent).all()
    assert values["support"].sum() == 30


def test_a_short_topk_says_what_it_cannot_tell():
    scores = np.full((2, 82), -np.inf)
    scores[:, 10], scores[:, 20] = 0, -1
    ranked = recognition.rank(np.array([20, 30]), scores)
    assert ranked.rank[0] == 1 and ranked.unknown.tolist() == [False, True]
    assert ranked.counts(82).unknown == 1
    bodies = recognition.rank_bodies(np.array([20, 50]), scores, BODY)
    assert bodies.unknown.tolist() == [False, True]
