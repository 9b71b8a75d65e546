"""TF-IDF, trees and ratios of emotion clips: by hand, against scikit-learn and SciPy, and what must never matter."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mma82cli.emotion import bootstrap, clustered, ratio, trees
from mma82cli.emotion.clips import Clips
from mma82cli.emotion.folds import folds
from mma82cli.emotion.held_out import held_out
from mma82cli.emotion.laban import elements
from mma82cli.emotion.study import Growth, Study, lines
from mma82cli.emotion.tfidf import count, tfidf
from mma82cli.records import DataError, WrongUsage
from mma82cli.share import share_dir
from mma82cli.taxonomy import load_taxonomy

ACTIONS, EMOTIONS = load_taxonomy(), load_taxonomy("emotion8")
NEUTRAL = EMOTIONS.id("neutral")

clip = st.fixed_dictionaries(
    {
        "emotion": st.sampled_from(["neutral", "anger", "sad"]),
        "actions": st.lists(st.sampled_from([0, 1, 2, 3, 81]), max_size=4),
        "subject": st.sampled_from("abc"),
    }
)
streams = st.lists(clip, max_size=24).map(lambda clips: [{"emotion": "neutral", "actions": [0], "subject": "a"}, *clips])
tables = st.tuples(*[st.integers(0, 40)] * 4).filter(lambda t: t[0] + t[1] > 0 and t[2] + t[3] > 0)


def study(records, unit=None, **options):
    clips = Clips(ACTIONS, EMOTIONS, by_subject=unit == "subject")
    for record in records:
        clips.add(record)
    return list(lines(clips, Study(NEUTRAL, growth=Growth(3, 1), **options)))


def test_tfidf_by_hand():
    counts = count([[0, 0, 1], [1], []], 3)
    assert counts.tolist() == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]
    idf = [math.log(4 / 2) + 1, math.log(4 / 3) + 1]
    assert tfidf(counts)[0].tolist() == pytest.approx([2 / 3 * idf[0], idf[1] / 3, 0])
    assert tfidf(counts)[2].tolist() == tfidf(counts, "sklearn")[2].tolist() == [0, 0, 0]
    with pytest.raises(WrongUsage, match="expected clip or sklearn"):
        tfidf(counts, "raw")


@given(st.lists(st.lists(st.integers(0, 5), max_size=6), min_size=1, max_size=8))
def test_tfidf_is_scikit_learns(actions):
    from sklearn.feature_extraction.text import TfidfTransformer

    counts = count(actions, 6)
    assert np.allclose(tfidf(counts, "sklearn"), TfidfTransformer().fit_transform(counts).toarray(), rtol=1e-13, atol=0)


@given(tables)
def test_fisher_is_scipys(table):
    from scipy.stats import fisher_exact

    a, rest, b, others = table
    assert ratio.fisher(a, a + rest, b, b + others) == pytest.approx(fisher_exact([[a, rest], [b, others]]).pvalue, rel=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_benjamini_hochberg_is_scipys_and_keeps_order(p):
    from scipy.stats import false_discovery_control

    p = np.array(p)
    q = ratio.benjamini_hochberg(p)
    assert np.allclose(q, false_discovery_control(p), rtol=1e-12, atol=0)
    assert (q >= p).all() and (q <= 1).all() and (np.diff(q[np.argsort(p)]) >= 0).all()


def test_ratio_by_hand():
    table = np.array([3, 2, 0, 0, 1]), 10, np.array([1, 0, 2, 0, 2]), 20
    assert ratio.ratio(*table).tolist() == pytest.approx([6, math.inf, 0, math.nan, 1], nan_ok=True)
    assert ratio.direction(*table).tolist() == ["more", "more", "less", None, "equal"]
    middle, (low, high) = ratio.smoothed(*table), ratio.katz(*table)
    assert middle[0] == pytest.approx(3.5 / 11 / (1.5 / 21)) and (low < middle).all() and (middle < high).all()
    half = 1.959963984540054 * math.sqrt(1 / 3.5 - 1 / 11 + 1 / 1.5 - 1 / 21)
    assert high[0] == pytest.approx(middle[0] * math.exp(half)) and low[0] == pytest.approx(middle[0] * math.exp(-half))
    assert ratio.phi(*table)[0] == pytest.approx(np.corrcoef([1] * 10 + [0] * 20, [1] * 3 + [0] * 7 + [1] + [0] * 19)[0, 1])


def test_a_tree_names_what_tells_the_emotions_apart():
    records = [{"emotion": "anger", "actions": [7, i % 3]} for i in range(12)]
    records += [{"emotion": "neutral", "actions": [9, i % 3]} for i in range(12)]
    rows = {x["label"]: x for x in study(records) if x["emotion"] == "anger"}
    best = [x for x in rows.values() if x["top"]]
    assert len(best) == 1 and best[0]["rank"] == 1 and best[0]["importance"] == 1  # one split is enough
    assert {rows[ACTIONS.names[i]]["importance_mean"] > 0.2 for i in (7, 9)} == {True}  # either action would have done
    assert (rows[ACTIONS.names[7]]["ratio"], rows[ACTIONS.names[9]]["ratio"]) == ("inf", 0)
    assert sorted(x["rank"] for x in rows.values()) == list(range(1, 83))


def test_what_is_not_defined_is_null():
    rows = study([{"emotion": "neutral", "actions": []}, {"emotion": "sad", "actions": [5, 5]}], resamples=3)
    assert len(rows) == 8 * 82
    by = {(x["emotion"], x["label"]): x for x in rows}
    none = by["anger", ACTIONS.names[5]]
    assert {k for k, v in none.items() if v is not None} == {"emotion", "label", "lma", "clips", "n", "other_clips", "other_n"}
    base = by["neutral", ACTIONS.names[5]]
    assert base["importance"] is base["rank"] is base["stability"] is None and base["ratio"] == 0 and base["direction"] == "less"
    unseen = by["sad", ACTIONS.names[6]]
    assert unseen["ratio"] is unseen["phi"] is unseen["direction"] is None and unseen["p"] == unseen["q"] == 1
    assert by["sad", ACTIONS.names[5]]["ratio"] == "inf"
    assert all(math.isfinite(v) for x in rows for v in x.values() if isinstance(v, float))
    alone = study([{"emotion": "neutral", "actions": [1]}])
    assert all(x["ratio"] is x["p"] is x["q"] is x["ci"] is None for x in alone)
    with pytest.raises(DataError, match='no clips of the baseline "neutral" among 1'):
        study([{"emotion": "sad", "actions": []}])


@settings(max_examples=25)
@given(streams, st.randoms(use_true_random=False), st.sampled_from([None, "subject"]))
def test_neither_the_order_of_clips_nor_of_actions_matters(records, random, unit):
    mixed = [r | {"actions": random.sample(r["actions"], len(r["actions"]))} for r in records]
    random.shuffle(mixed)
    assert study(mixed, unit, resamples=2) == study(records, unit, resamples=2)


@settings(max_examples=25)
@given(streams)
def test_figures_stay_in_their_bounds(records):
    rows = study(records, resamples=2)
    tested = sorted((x["p"], x["q"]) for x in rows if x["p"] is not None)
    assert all(0 <= p <= q <= 1 for p, q in tested) and [q for _, q in tested] == sorted(q for _, q in tested)
    for emotion in {r["emotion"] for r in records} - {"neutral"}:
        mine = [x for x in rows if x["emotion"] == emotion]
        total = sum(x["importance"] for x in mine)
        assert total == pytest.approx(1) or total == 0
        assert all(0 <= x["stability"] <= 1 for x in mine) and sum(x["top"] for x in mine) <= 5


def test_resampling_people_is_wider_than_resampling_their_clips():
    records = [{"emotion": "anger", "actions": [7] * (s < 3), "subject": f"a{s}"} for s in range(6) for _ in range(8)]
    records += [{"emotion": "neutral", "actions": [7] * (s < 1), "subject": f"n{s}"} for s in range(6) for _ in range(8)]

    def width(unit):
        found = next(x for x in study(records, unit, resamples=200) if x["clips"] == 24)
        return math.log(found["ci_bootstrap"][1] / found["ci_bootstrap"][0])

    assert width("subject") > 1.5 * width(None)


def test_people_are_what_counts_however_many_their_clips():
    rng = np.random.default_rng(5)
    counts, emotion, person = rng.random((60, 30)) < 0.3, np.arange(60) % 3, np.arange(60) // 2
    low, high, p = clustered.interval(counts, emotion, person, 3)
    katz = np.log(ratio.katz(*ratio.presence(counts, emotion, 3)))
    assert (np.log(high / low) >= katz[1] - katz[0]).all()  # never surer than of so many people
    copied = [np.repeat(x, 5, 0) for x in (counts, emotion, person)]
    again = clustered.interval(*copied, 3)
    naive = np.log(ratio.katz(*ratio.presence(*copied[:2], 3)))
    assert np.median(np.log(again[1] / again[0]) / np.log(high / low)) > 0.9
    assert np.median((naive[1] - naive[0]) / (katz[1] - katz[0])) < 0.55  # as if there were five times the evidence
    assert ((p < 0.05) == ((low > 1) | (high < 1))).all()


@settings(max_examples=14)
@given(streams)
def test_intervals_over_people_are_rao_and_scotts(records):
    """The variance of log R is Katz's times how much more people vary than clips do; phi is the correlation."""
    from scipy import stats

    for x in study(records, unit="subject"):
        mine = np.array([r["emotion"] == x["emotion"] for r in records])
        has = np.array([ACTIONS.id(x["label"]) in r["actions"] for r in records])
        if 0 < has.sum() < len(has) and 0 < mine.sum() < len(has):
            assert x["phi"] == pytest.approx(np.corrcoef(mine, has)[0, 1], abs=1e-9)
        people = np.array([r["subject"] for r in records])
        freedom = min(len(set(people[mine])), len(set(people[~mine]))) - 1
        if freedom < 1 or not has.any():
            assert (x["ci"] is x["p"] is None) if freedom < 1 else x["p"] == 1
            continue
        (a, n), (b, m) = ((has[side].sum() + 0.5, side.sum() + 1) for side in (mine, ~mine))
        pull = np.where(mine, (has - a / n) / a, -(has - b / m) / b)
        together = sum(pull[people == who].sum() ** 2 for who in set(people))
        error = math.sqrt((1 / a - 1 / n + 1 / b - 1 / m) * max(1, together / (pull**2).sum()))
        half, r = stats.t.ppf(0.975, freedom) * error, math.log(a / n / (b / m))
        assert np.log(x["ci"]) == pytest.approx([r - half, r + half], abs=1e-7)
        assert x["p"] == pytest.approx(2 * stats.t.sf(abs(r) / error, freedom), abs=1e-9)


def test_habits_of_people_pass_for_feelings_only_where_clips_are_taken_as_independent():
    rng = np.random.default_rng(6)
    people, actions = 60, 250  # each action is a trial: people have a habit or not, and no emotion calls for it
    person = np.repeat(np.arange(people), 12)
    emotion = rng.integers(0, 8, people)[person]
    counts = rng.random((len(person), actions)) < rng.beta(0.5, 4.5, (people, actions))[person]
    p = clustered.interval(counts, emotion, person, 8)[2]
    a, n, b, m = ratio.presence(counts, emotion, 8)
    naive = [ratio.fisher(int(a[e, j]), int(n[e, 0]), int(b[e, j]), int(m[e, 0])) for e in range(8) for j in range(60)]
    assert np.nanmean(p < 0.05) < 0.06 and np.nanmean(p < 0.01) < 0.02
    assert np.mean(np.array(naive) < 0.05) > 0.15


def test_two_people_are_no_evidence_and_one_is_none():
    counts, emotion = np.array([[1]] * 20 + [[0]] * 20), np.repeat([0, 1], 20)
    low, high, p = clustered.interval(counts, emotion, np.repeat([0, 1, 2, 3], 10), 2)
    assert p[0, 0] > 0.2 and low[0, 0] < 1 < high[0, 0]
    alone = clustered.interval(counts, emotion, np.repeat([0, 1, 2], [20, 10, 10]), 2)
    assert np.isnan(alone).all()


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 3)), min_size=2, max_size=60), st.integers(2, 5))
def test_folds_keep_people_whole_and_are_even(clips, parts):
    person = np.unique([who for who, _ in clips], return_inverse=True)[1]
    emotion = np.array([e for _, e in clips])
    part = folds(person, emotion, parts, np.random.default_rng(0))
    assert all(len(set(part[person == who])) == 1 for who in person) and part.max() < parts
    alone = folds(np.arange(len(clips)), emotion, parts, np.random.default_rng(0))
    sizes = np.bincount(alone, minlength=parts)
    assert sizes.max() - sizes.min() <= len(set(emotion.tolist()))
    for e in set(emotion.tolist()):
        spread = np.bincount(alone[emotion == e], minlength=parts)
        assert spread.max() - spread.min() <= 2


def test_trees_are_tried_on_people_they_have_not_seen():
    rng = np.random.default_rng(1)
    person = np.repeat(np.arange(40), 5)
    emotion = np.array([0, NEUTRAL])[rng.integers(0, 2, 200)]
    features = np.zeros((200, 12))
    features[:, 0] = (emotion == 0) ^ (rng.random(200) < 0.1)
    features[:, 1:] = rng.random((200, 11)) < 0.2
    accuracy, importance = held_out(features, emotion, person, 8, NEUTRAL, trees.Growth(), 0)
    assert 0.8 < accuracy[0] < 0.95 and 0.3 < importance[0, 0] < 0.5 and np.abs(importance[0, 1:]).max() < 0.05
    assert np.isnan(accuracy[1:]).all() and np.isnan(importance[1:]).all()
    habits = rng.permutation(40)[:, None] == np.arange(40)  # each person has an action of their own
    emotion = np.array([0, NEUTRAL])[np.arange(40) % 2][person]
    learnt = held_out(habits[person].astype(float), emotion, person, 8, NEUTRAL, trees.Growth(0, 1), 0)[0][0]
    known = held_out(habits[person].astype(float), emotion, np.arange(200), 8, NEUTRAL, trees.Growth(0, 1), 0)[0][0]
    assert learnt <= 0.6 and known > 0.95  # a person's other clips give away who it is
    assert np.isnan(held_out(features, emotion, np.zeros(200, int), 8, NEUTRAL, trees.Growth(), 0)[0]).all()


def test_every_action_of_the_laban_table_is_one():
    found = dict(zip(ACTIONS.names, elements(ACTIONS), strict=True))
    assert found["Bowing head"] == ["Head-Drop"] and found["Spreading hands"] == ["Spread"] and found["Pointing"] == []
    data = json.loads((share_dir() / "emotion" / "laban.json").read_text())
    named = [action for of in data["elements"].values() for action in of["actions"]]
    assert set(named) <= set(ACTIONS.names) and sum(map(len, found.values())) == len(named) and "our reading" in data["about"]


def test_bootstrap_interval_is_that_of_clips_drawn_again():
    rng = np.random.default_rng(3)
    counts, emotion, unit = rng.integers(0, 2, (30, 4)), rng.integers(0, 3, 30), rng.integers(0, 7, 30)
    drawn = bootstrap.multiplicities(7, 50, 0)
    assert (drawn.sum(1) == 7).all()
    samples = []
    for times in drawn:
        rows = np.repeat(np.arange(30), times[unit])
        samples.append(ratio.smoothed(*ratio.presence(counts[rows], emotion[rows], 3)))
    expected = np.quantile(samples, (0.025, 0.975), axis=0)
    assert np.allclose(bootstrap.ratio_interval(drawn, unit, counts, emotion, 3), expected, rtol=1e-12)


def test_ranks_of_ties_go_by_label():
    assert trees.ranks(np.array([0.0, 0.5, 0.0, 0.5])).tolist() == [3, 1, 4, 2]
    assert trees.selected(np.array([0.0, 0.5, 0.0, 0.1]), 3).tolist() == [False, True, False, True]


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"actions": []}, "field 'emotion' is missing; expected a label of emotion8"),
        ({"emotion": "bored", "actions": []}, "field 'emotion' is \"bored\""),
        ({"emotion": "sad"}, "field 'actions' is missing; expected a list of labels of mma82"),
        ({"emotion": "sad", "actions": "Nodding"}, "field 'actions' is \"Nodding\""),
        ({"emotion": "sad", "actions": [1, "Noding"]}, "field 'actions[1]' is \"Noding\""),
        ({"emotion": "sad", "actions": [82]}, "field 'actions[0]' is 82"),
        ({"emotion": "sad", "actions": [True]}, "field 'actions[0]' is true"),
        ({"emotion": "sad", "actions": []}, "field 'subject' is missing; expected a string"),
    ],
)
def test_bad_clips_are_named(record, words):
    with pytest.raises(DataError) as error:
        Clips(ACTIONS, EMOTIONS, by_subject=True).add(record)
    assert words in str(error.value)


def test_a_clip_counts_once():
    clips = Clips(ACTIONS, EMOTIONS)
    clips.add({"id": "a", "emotion": "sad", "actions": []})
    clips.add({"id": "a", "run": 1, "emotion": "sad", "actions": []})
    with pytest.raises(DataError, match='id "a" occurs twice'):
        clips.add({"id": "a", "emotion": "sad", "actions": []})
    assert len(clips.rows) == 2
