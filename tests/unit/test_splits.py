"""The optimiser of the splits: groups whole, ratios sane, the price of a move what the move costs."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mma82cli.protocol.counting import Clips, leaks
from mma82cli.protocol.plan import Plan
from mma82cli.protocol.report import divergence
from mma82cli.protocol.shots import support_runs
from mma82cli.protocol.splits import Search, _features, assign


def table(groups, classes, seed):
    random = np.random.default_rng(seed)
    counts = random.integers(0, 4, (groups, classes))
    counts[:, 0] += 1
    return counts


@settings(max_examples=25)
@given(st.integers(1, 25), st.integers(1, 6), st.integers(0, 99), st.sampled_from([[3, 1, 1], [1, 1], [8, 1, 1]]))
def test_every_group_has_one_split_and_the_largest_share_is_the_largest(groups, classes, seed, ratio):
    counts = table(groups, classes, seed)
    found = assign(counts, np.zeros((groups, 0)), ratio, seed)
    assert found.shape == (groups,) and set(found) <= set(range(len(ratio)))
    assert (found == assign(counts, np.zeros((groups, 0)), ratio, seed)).all()
    if groups >= 15:
        share = np.array([counts[found == s].sum() for s in range(len(ratio))]) / counts.sum()
        assert abs(share - np.array(ratio) / sum(ratio)).max() < 0.12


@given(st.integers(3, 12), st.integers(0, 99))
def test_fixed_groups_stay(groups, seed):
    fixed = np.random.default_rng(seed).integers(-1, 3, groups)
    found = assign(table(groups, 3, seed), np.zeros((groups, 0)), [3, 1, 1], seed, fixed)
    assert (found[fixed >= 0] == fixed[fixed >= 0]).all()


def test_prices_are_what_moves_cost():
    counts = table(9, 4, 5)
    features, share = _features(counts, counts[:, :2]), np.array([0.6, 0.2, 0.2])
    search = Search(features, share, np.full(9, -1))
    goal = np.round(share[:, None] * features.sum(0))

    def cost(split):
        return sum(((features[split == s].sum(0) - goal[s]) ** 2).sum() / share[s] for s in range(3)) / 4096.0**2

    before = cost(search.split)
    for g in range(9):
        for to in {0, 1, 2} - {int(search.split[g])}:
            others = np.flatnonzero(search.split == to)
            prices = search.prices(g, to, others, search.inner(g))
            for pick, price in enumerate(prices):
                after = search.split.copy()
                after[g] = to
                if pick:
                    after[others[pick - 1]] = search.split[g]
                assert np.isclose(cost(after) - before, price)


def test_a_class_of_three_groups_reaches_every_split():
    counts = np.zeros((40, 2))
    counts[:, 0] = 50
    counts[:3, 1] = 1
    found = assign(counts, np.zeros((40, 0)), [3, 1, 1])
    assert sorted(found[:3]) == [0, 1, 2]


def test_many_groups_take_the_quick_way():
    counts = np.eye(5)[np.arange(4000) % 5]
    found = assign(counts, np.zeros((4000, 0)), [3, 1, 1])
    assert np.bincount(found).tolist() == [2400, 800, 800]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(1, 6), st.integers(0, 9))
def test_support_leaves_a_query_in_every_class(cells, shots, seed):
    runs = support_runs([(0, c) for c in cells], shots, 3, seed)
    for run in range(3):
        for c in set(cells):
            n = cells.count(c)
            assert sum(run in r for r, cell in zip(runs, cells, strict=True) if cell == c) == min(shots, n - 1)


def test_divergence():
    p = np.array([1, 1, 0])
    assert divergence(p, p) == 0 and divergence(p, np.array([0, 0, 5])) == 1 and divergence(p, p * 0) is None


clip = st.tuples(st.integers(0, 7), st.integers(0, 2))  # subject, whose domain is its number by three; label


@settings(max_examples=60)
@given(st.lists(clip, min_size=1, max_size=60), st.sampled_from(["in-domain", "zero-shot", "few-shot"]), st.integers(0, 3))
def test_no_subject_is_in_two_splits_ever(items, protocol, queries):
    clips, common, disjoint = Clips(), queries & 1, queries & 2
    for n, (subject, label) in enumerate(items):
        clips.add({"subject": f"s{subject}", "label": label, "domain": f"d{subject % 3}"}, f"x:{n}")
    options = {"source": ["d0"], "common_queries": common, "disjoint": disjoint} if protocol != "in-domain" else {}
    if options and "d0" not in clips.domains.numbers:
        return
    plan = Plan(protocol, shots=2, runs=3, **options)
    plan.check()
    made = plan.make(clips, {"train": 0.6, "val": 0.2, "test": 0.2}, {})
    named = [(clips.groups.values[g], s) for g, s in zip(clips.group, made.splits, strict=True) if s is not None]
    assert not leaks([group for group, _ in named], [split for _, split in named])
    kept = {g for g, s, runs in zip(clips.group, made.splits, made.support, strict=True) if s is None and runs is not None}
    if disjoint:
        assert not kept & {g for g, s in zip(clips.group, made.splits, strict=True) if s is not None}
    cells = {(d, c) for d, c, s in zip(clips.domain, clips.classes, made.splits, strict=True) if s is not None}
    assert cells == set(zip(clips.domain, clips.classes, strict=True))  # every class of a domain keeps a clip that is scored
