"""Algorithm 1 in batches, and Table VIII by nested cross-validation: what each fit may see."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mma82cli.emotion import fusion, mlp, nested, trials
from mma82cli.emotion.clips import Table
from mma82cli.emotion.tfidf import tfidf
from mma82cli.emotion.trees import Growth

NEUTRAL, CLASSES = 4, 8
PLAN = nested.Plan((0, 1, 2), NEUTRAL, 2, Growth(4, 2), "clip")
QUICK = mlp.Recipe(hidden=16, epochs=15)


pytestmark = pytest.mark.usefixtures("one_thread")


def table(n=120, people=30, labels=12, seed=0) -> Table:
    """Clips in which emotion e goes with action e, mostly."""
    rng = np.random.default_rng(seed)
    emotion = np.array([0, 1, 2, NEUTRAL])[rng.integers(0, 4, n)]
    counts = (rng.random((n, labels)) < 0.15).astype(int)
    counts[np.arange(n), emotion] += rng.random(n) < 0.7
    person = rng.integers(0, people, n)
    person = np.unique(person, return_inverse=True)[1]
    return Table(counts, emotion, np.arange(n), person, np.arange(n))


def parts(clips: Table) -> nested.Parts:
    which = clips.person % 4
    return nested.Parts(which > 1, which == 1, which == 0)


def random_part(rng, fits=3, clips=40, inputs=6) -> mlp.Part:
    x = torch.tensor(rng.random((fits, clips, inputs)), dtype=torch.float32)
    y = torch.tensor((x[..., 0] > 0.6).numpy() + (x[..., 1] > 0.5).numpy().astype(int))
    return mlp.Part(x, y, torch.ones(fits, clips))


def test_many_networks_are_each_alone():
    rng = np.random.default_rng(0)
    train, val = random_part(rng), random_part(rng)
    together = mlp.fit(train, val, 3, QUICK, 7, alike=3)
    for m in range(3):
        alone = mlp.fit(*(mlp.Part(*(a[m : m + 1] for a in part)) for part in (train, val)), 3, QUICK, 7)
        for a, b in zip(together, alone, strict=True):
            assert torch.allclose(a[m], b[0], atol=1e-5)
    apart = mlp.fit(train, val, 3, QUICK, 7)
    assert not torch.allclose(apart.into[0], apart.into[1], atol=1e-2)


def test_rows_that_fill_up_count_for_nothing():
    rng = np.random.default_rng(1)
    recipe = QUICK._replace(dropout=0.0)
    train, val = random_part(rng), random_part(rng)
    fill = (9, 0, 0)
    padded = [mlp.Part(*(torch.cat((a, torch.full_like(a, v)), 1) for a, v in zip(p, fill, strict=True))) for p in (train, val)]
    for a, b in zip(mlp.fit(train, val, 3, recipe, 0), mlp.fit(*padded, 3, recipe, 0), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_the_epoch_is_the_best_on_validation():
    rng = np.random.default_rng(2)
    train, val = random_part(rng), random_part(rng)
    reached = []
    for epochs in range(1, 16):
        best = mlp.fit(train, val, 3, QUICK._replace(epochs=epochs), 3)
        reached.append(mlp.macro_f1(best(val.x), val).numpy())
    assert (np.diff(reached, axis=0) >= 0).all() and (reached[-1] > reached[0]).any()


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=20))
def test_macro_f1_is_scikit_learns(pairs):
    from sklearn.metrics import f1_score

    truth, guess = np.array(pairs).T
    logits = torch.nn.functional.one_hot(torch.tensor(guess), 4)[None].float()
    part = mlp.Part(logits, torch.tensor(truth)[None], torch.ones(1, len(truth)))
    assert mlp.macro_f1(logits, part)[0].item() == pytest.approx(f1_score(truth, guess, average="macro"), abs=1e-6)


@pytest.mark.parametrize("variant", ["clip", "sklearn"])
def test_a_masked_action_is_as_if_nobody_had_ever_done_it(variant):
    clips = table(400)
    train = parts(clips).train
    features, used = nested.views(clips, train, PLAN._replace(variant=variant), 0)
    assert used.sum(1).tolist() == [12, 12 - used[2].sum(), used[2].sum()] and (used[1] != used[2]).all()
    assert {0, 1, 2} <= set(np.flatnonzero(used[2]).tolist())
    for x, left in zip(features, used, strict=True):
        counts = clips.counts[:, left]
        assert (x[:, ~left] == 0).all()
        assert np.allclose(x[train][:, left], tfidf(counts[train], variant), atol=1e-12)
    assert (features[2].sum(1) == 0).any()  # a clip that nothing is left of stays


def test_nothing_of_a_test_clip_tells_on_another():
    clips = table()
    mine = parts(clips)
    before = nested.attempt(clips, [mine], PLAN, QUICK, 5)
    rows = np.flatnonzero(mine.test)
    other = clips._replace(emotion=clips.emotion.copy(), counts=clips.counts.copy())
    classed = rows[other.emotion[rows] != NEUTRAL]
    other.emotion[classed] = np.roll(other.emotion[classed], 1)
    other.counts[rows[::2]] = 1
    after = nested.attempt(other, [mine], PLAN, QUICK, 5)
    same = rows[1::2]
    assert np.array_equal(before.scores[:, same], after.scores[:, same], equal_nan=True)
    assert (other.emotion != clips.emotion).any() and before.tested.sum() == len(classed)
    other.emotion[mine.train] = np.roll(other.emotion[mine.train], 1)
    assert not np.array_equal(nested.attempt(other, [mine], PLAN, QUICK, 5).scores, after.scores, equal_nan=True)


@settings(max_examples=20)
@given(st.integers(0, 99), st.integers(3, 6))
def test_every_clip_is_tested_once_by_strangers(seed, count):
    clips = table(60, 15, seed=seed)
    cut = nested.cross_parts(clips, count, np.random.SeedSequence(seed))
    assert (np.sum([p.test for p in cut], axis=0) == 1).all()
    for part in cut:
        assert (part.train.astype(int) + part.val + part.test == 1).all()
        assert not set(clips.person[part.test]) & set(clips.person[~part.test])
        assert not set(clips.person[part.val]) & set(clips.person[~part.val])


def test_what_permuted_emotions_teach_is_nothing():
    clips = table(160, 160, labels=60)
    made = trials.run(clips, PLAN, QUICK, trials.Effort(3, 4, 6, 100, 0))
    lines = {(x["actions"], x["metric"]): x for x in trials.lines(made, trials.Effort(3, 4, 6, 100, 0))}
    assert lines["all", "top1"]["value"] > 0.45 and lines["top-only", "top1"]["value"] > 0.5
    assert lines["without-top", "top1"]["value"] < 0.42
    assert all(abs(x["permuted"] - 1 / 3) < 0.08 for (_, metric), x in lines.items() if metric == "top1")
    assert lines["all", "top1"]["p"] == pytest.approx(1 / 7)
    habits = Table(np.eye(40, dtype=int)[np.arange(160) % 40], np.array([0, 1, 2, NEUTRAL])[np.arange(160) % 40 % 4],
                   np.arange(160), np.arange(160) % 40, np.arange(160))  # fmt: skip
    learnt = trials.lines(trials.run(habits, PLAN, QUICK, trials.Effort(2, 4, 0, 0, 0)), trials.Effort(2, 4, 0, 0, 0))
    assert learnt[0]["value"] < 0.45  # who is seen says nothing of people that have not been
    assert learnt[0]["p"] is None and learnt[0]["permuted"] is None and learnt[0]["ci"] is None


def test_figures_are_those_of_the_guesses():
    from scipy.stats import binomtest
    from sklearn.metrics import balanced_accuracy_score, f1_score

    rng = np.random.default_rng(4)
    truth = rng.integers(0, 3, 90)
    guesses = np.where(rng.random((2, 3, 90)) < np.array([0.4, 0.2, 0.6])[:, None], truth, rng.integers(0, 3, (2, 3, 90)))
    chance = {m: np.zeros((0, 3)) for m in trials.METRICS}
    made = trials.Trials(truth, np.arange(90) // 3, guesses, chance, np.array([12.0, 6, 6]))
    lines = trials.lines(made, trials.Effort(2, 5, 0, 500, 0))
    assert len(lines) == 9
    for line in lines:
        c = nested.CONDITIONS.index(line["actions"])
        figure = {"top1": lambda a, b: (a == b).mean(), "mca": balanced_accuracy_score,
                  "macro-f1": lambda a, b: f1_score(a, b, average="macro")}[line["metric"]]  # fmt: skip
        values = [figure(truth, g[c]) for g in guesses]
        assert line["value"] == pytest.approx(np.mean(values)) and line["sd"] == pytest.approx(np.std(values, ddof=1))
        assert line["ci"][0] < line["value"] < line["ci"][1] and list(line["against"]) == list(nested.CONDITIONS[:c])
    pair = lines[2]["against"]["without-top"]
    assert pair["delta"] == pytest.approx(lines[2]["value"] - lines[1]["value"]) and pair["ci"][0] > 0
    right = guesses == truth
    p = []
    for r in right:
        gained, lost = int((r[2] & ~r[1]).sum()), int((r[1] & ~r[2]).sum())
        p.append(binomtest(gained, gained + lost).pvalue)
    assert pair["mcnemar"] == pytest.approx(min(1, 2 * np.median(p)), rel=1e-9)
    assert pair["gained"] - pair["lost"] == pytest.approx(90 * pair["delta"])


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 60))
def test_no_other_weights_of_streams_are_better(seed, streams, clips):
    """At the optimum the slope is 0 where a weight is above 0, and else uphill; streams may be copies, noise or wrong."""
    rng = np.random.default_rng(seed)
    truth, z = rng.integers(0, 5, clips), rng.normal(size=(streams, clips, 5)) * rng.choice([1e-3, 1, 9], (streams, 1, 1))
    z[:, np.arange(clips), truth] += rng.choice([-3, 0, 2, 30], (streams, 1))
    z[-1] = z[0] if seed % 3 == 0 else z[-1]
    z -= z.mean(2, keepdims=True)
    weights = fusion.fit_weights(z, truth)
    chance = fusion.softmax(np.tensordot(weights, z, 1)) - np.eye(5)[truth]
    slope = (z * chance).sum((1, 2)) + weights - 1 / streams
    assert (weights >= 0).all() and (slope > -1e-6 * clips).all() and (slope[weights > 0] < 1e-6 * clips).all()
