"""Suppression and average precision against their definitions, read plainly."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mma82cli.detection import suppress
from mma82cli.metrics import detection, detection_confidence
from mma82cli.metrics.detection import SLACK, Spans, admitted, evaluate, match, parse_tious, show_tious
from mma82cli.metrics.detection_report import matched
from mma82cli.records import DataError, WrongUsage

seeds = st.integers(0, 2**32 - 1)


def shared_length(a, b):
    return max(0.0, min(a[1], b[1]) - max(a[0], b[0]))


def overlap(a, b, slack=0.0):
    both = shared_length(a, b)
    return both / (a[1] - a[0] + b[1] - b[0] - both + slack) if both else 0.0


def proposals(seed, n=None, classes=3):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, 40)) if n is None else n
    start = rng.integers(0, 40, n) / 4
    segments = np.stack([start, start + rng.integers(0, 24, n) / 4], 1)  # many are alike, some empty
    return segments, rng.integers(0, 20, n) / 20, rng.integers(0, classes, n)


def plain_suppress(segments, scores, labels, method, sigma, iou, min_score, topk):
    """A step at a time, over everything."""
    left, kept = dict(enumerate(scores.tolist())), []
    while left and len(kept) < topk:
        best = max(left, key=lambda i: (left[i], -i))
        if left[best] < min_score:
            break
        kept.append((best, left.pop(best)))
        for i in list(left):
            if labels[i] != labels[best]:
                continue
            t = overlap(segments[i], segments[best])
            if method == "gauss":
                left[i] *= math.exp(-t * t / sigma)
            elif t >= iou:
                left[i] *= 1 - t
                if method == "hard":
                    del left[i]
    return kept


@settings(max_examples=150)
@given(seeds, st.sampled_from(["gauss", "linear", "hard"]), st.booleans(), st.integers(1, 30), st.sampled_from([0.0, 0.2]))
def test_suppression_is_the_plain_loop(seed, method, agnostic, topk, least):
    segments, scores, labels = proposals(seed)
    scores = scores + np.arange(len(scores)) * 1e-3  # a rounding must not decide between equal scores
    got = suppress(segments, scores, labels, method, 0.43, 0.47, least, topk, class_agnostic=agnostic)
    want = plain_suppress(segments, scores, labels * (not agnostic), method, 0.43, 0.47, least, topk)
    big = [(i, s) for i, s in want if s > 1e-3]
    assert got.rows.tolist()[: len(big)] == [i for i, _ in big] and abs(len(got.rows) - len(want)) <= (least > 0)
    assert got.scores[: len(big)] == pytest.approx([s for _, s in big], abs=1e-5)
    assert (np.diff(got.scores) <= 0).all() and (got.scores <= scores[got.rows]).all()
    assert (got.segments == segments[got.rows]).all() and (got.labels == labels[got.rows]).all()


@settings(max_examples=60)
@given(seeds, st.integers(1, 20))
def test_fewer_are_the_first_of_more(seed, topk):
    whole, part = (suppress(*proposals(seed), topk=k) for k in (0, topk))
    assert part.rows.tolist() == whole.rows[:topk].tolist() and part.scores.tolist() == whole.scores[:topk].tolist()
    assert sorted(whole.rows.tolist()) == list(range(len(proposals(seed)[1])))  # gauss takes nothing out


@settings(max_examples=60)
@given(seeds, st.booleans())
def test_voting_is_the_weighted_mean_of_its_own_label(seed, agnostic):
    segments, scores, labels = proposals(seed)
    kept = suppress(segments, scores, labels, vote=0.6, class_agnostic=agnostic)
    for span, i in zip(kept.segments, kept.rows, strict=True):
        near = [j for j in range(len(scores)) if agnostic or labels[j] == labels[i]]
        weights = [scores[j] * (overlap(segments[i], segments[j]) >= 0.6) for j in near]
        mean = np.average(segments[near], axis=0, weights=weights) if sum(weights) else segments[i]
        assert span == pytest.approx(mean)


@pytest.mark.parametrize("bad", [{"method": "x"}, {"sigma": 0}, {"sigma": math.nan}, {"iou": 0}, {"topk": -1}, {"vote": 2}])
def test_suppression_refuses_what_it_cannot_do(bad):
    with pytest.raises(WrongUsage):
        suppress([[0, 1]], [1], [0], **bad)


def data(seed, videos=4, classes=3):
    """Truth and predictions of several videos; scores and boundaries tie often."""
    rng = np.random.default_rng(seed)
    columns = []
    for most in (5, 30):
        n = int(rng.integers(1, most * videos))
        segments, scores, labels = proposals(rng, n, classes)
        video = np.sort(rng.integers(0, videos, n))
        columns.append(Spans(video, labels, segments, scores if most == 30 else None))
    return columns


def plain_ap(truth, found, label, threshold, slack):
    """The AP of one label from a walk down its predictions; None without truth."""
    free = {i for i in range(len(truth.video)) if truth.label[i] == label}
    n, hits = len(free), []
    for i in sorted((i for i in range(len(found.video)) if found.label[i] == label), key=lambda i: (-found.scores[i], i)):
        near = [(overlap(found.segments[i], truth.segments[j], slack), j) for j in free if truth.video[j] == found.video[i]]
        best = max(near, default=(0.0, -1))
        hits.append(best[0] >= threshold)
        free -= {best[1]} if hits[-1] else set()
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return sum(precision[k:].max() for k in np.flatnonzero(hits)) / n if n else None


@settings(max_examples=150)
@given(seeds, st.sampled_from(list(detection.SLACK)))
def test_map_is_the_walk_down_the_list(seed, evaluator):
    truth, found = data(seed)
    kept = truth.take(admitted(truth, evaluator))
    if not len(kept.video):
        with pytest.raises(DataError):
            evaluate(truth, found, tious=[0.3, 0.5], evaluator=evaluator)
        return
    got = evaluate(truth, found, body=[0, 1, 0], tious=[0.3, 0.5], evaluator=evaluator)
    for t in (0.3, 0.5):
        ap = [plain_ap(kept, found, label, t, SLACK[evaluator]) for label in range(3)]
        assert got[t, "action"] == pytest.approx(np.mean([a for a in ap if a is not None]), abs=1e-12)
        assert got[t, "avg"] == (got[t, "action"] + got[t, "body"]) / 2
    assert got["avg", "body"] == pytest.approx((got[0.3, "body"] + got[0.5, "body"]) / 2)


@settings(max_examples=80)
@given(seeds)
def test_every_segment_is_taken_once_and_by_its_own(seed):
    truth, found = data(seed)
    taken = match(truth, found, [0.2, 0.6])
    for t, threshold in enumerate((0.2, 0.6)):
        hits = np.flatnonzero(taken[:, t] >= 0)
        rows = taken[hits, t]
        assert len(set(rows.tolist())) == len(rows)
        assert (truth.video[rows] == found.video[hits]).all() and (truth.label[rows] == found.label[hits]).all()
        assert all(overlap(found.segments[i], truth.segments[j]) >= threshold for i, j in zip(hits, rows, strict=True))


@settings(max_examples=80)
@given(seeds, seeds)
def test_renaming_labels_and_videos_changes_nothing(seed, other):
    truth, found = data(seed)
    if not admitted(truth, "opentad").any():
        return
    rng = np.random.default_rng(other)
    found = found._replace(scores=rng.permutation(len(found.scores)) / 7)  # without ties, which hinge on the order
    names, place = rng.permutation(3), rng.permutation(4)
    again = [spans._replace(label=names[spans.label], video=place[spans.video]) for spans in (truth, found)]
    rows = rng.permutation(len(found.video))
    assert evaluate(again[0], again[1].take(rows)) == pytest.approx(evaluate(truth, found), abs=1e-12)


@settings(max_examples=80)
@given(seeds)
def test_a_better_ranking_never_lowers_ap(seed):
    truth, found = data(seed)
    found = found._replace(scores=np.random.default_rng(seed).permutation(len(found.scores)) / 100)
    if not admitted(truth, "activitynet").any():
        return
    taken = match(truth, found, [0.5])[:, 0] >= 0
    better = found._replace(scores=found.scores + taken)  # what hits keeps its order, and comes before what misses
    before, after = (evaluate(truth, f, tious=[0.5], evaluator="activitynet")["avg", "action"] for f in (found, better))
    assert after >= before - 1e-12


@settings(max_examples=80)
@given(seeds)
def test_a_resample_is_the_map_of_the_videos_it_drew(seed):
    truth, found = data(seed)
    rng = np.random.default_rng(seed)
    found = found._replace(scores=rng.permutation(len(found.scores)) / 7)
    times = rng.integers(0, 4, 4)
    drawn = []
    for spans in (truth, found):  # every copy is a video of its own
        parts = [spans.take(spans.video == v)._replace(video=None) for v in range(4) for _ in range(times[v])]
        video = np.arange(len(parts)).repeat([len(part.label) for part in parts])
        columns = [np.concatenate([getattr(p, c) for p in parts] or [np.zeros(0)]) for c in ("label", "segments")]
        scores = np.concatenate([p.scores for p in parts]) if parts and spans.scores is not None else None
        drawn.append(Spans(video, columns[0].astype(int), columns[1].reshape(-1, 2), scores))
    if not len(drawn[0].video) or not len(drawn[1].video):
        return
    wanted = evaluate(*drawn, tious=[0.3, 0.5], evaluator="activitynet")
    part = matched(truth, found, [0.3, 0.5], "activitynet")
    curves = detection_confidence._curves(part, np.arange(4), 4, 3)
    got = detection_confidence._means(*curves, times[None].astype(float), 2)[0]
    assert got.tolist() == pytest.approx([wanted[0.3, "action"], wanted[0.5, "action"]], abs=1e-12)


def test_truth_that_repeats_or_is_empty():
    truth = Spans(np.zeros(5, int), np.array([0, 0, 0, 1, 0]), np.array([[1, 2], [1.0005, 2.0005], [3, 3], [1, 2], [1, 2.1]]))
    assert admitted(truth, "opentad").tolist() == [True, False, False, True, True]
    assert admitted(truth, "activitynet").all() and admitted(truth, "mac").all()


def test_thresholds():
    assert parse_tious("0.1:0.9:0.1") == list(detection.TIOUS) and show_tious(detection.TIOUS) == "0.1:0.9:0.1"
    assert parse_tious("0.5,.7") == [0.5, 0.7] and show_tious([0.5, 0.7]) == "0.5,0.7"
    for text in ("", "0", "1.5", "0.1:0.9:0", "0.9:0.1:0.1", "a", "0.5,0.5", "nan", "0.1:0.9"):
        with pytest.raises(WrongUsage):
            parse_tious(text)
