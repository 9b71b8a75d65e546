"""Association against brute force; merging against its own symmetries; agreement against hand-made cases."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import combinations
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mma82cli.annotation import association, ceiling, crowds
from mma82cli.annotation.agreement import Marks, measure
from mma82cli.annotation.association import associate
from mma82cli.annotation.merging import RULES, merge
from mma82cli.annotation.spans import microseconds, seconds, tiou

spans = st.tuples(st.integers(0, 30), st.integers(1, 12)).map(lambda p: (p[0] * 100_000, (p[0] + p[1]) * 100_000))


def total(groups, of):
    """The exact value of a grouping."""
    pairs = [tiou(of[i], of[j]) for group in groups for i, j in combinations(group, 2)]
    return sum((Fraction(*pair) for pair in pairs), Fraction(0))


def partitions(items, fits):
    """Every way of grouping `items` in which each group passes `fits`."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for n in range(len(rest) + 1):
        for others in combinations(rest, n):
            group = [first, *others]
            if fits(group):
                for remaining in partitions([i for i in rest if i not in others], fits):
                    yield [group, *remaining]


def brute_force(of, owners):
    def fits(group):
        return all(not owners[i] & owners[j] and tiou(of[i], of[j])[0] > 0 for i, j in combinations(group, 2))

    return max(total(groups, of) for groups in partitions(list(range(len(of))), fits))


@settings(max_examples=120)
@given(st.lists(st.tuples(spans, st.integers(0, 3)), min_size=1, max_size=7))
def test_association_is_optimal_and_loses_nothing(items):
    of, owners = [span for span, _ in items], [1 << owner for _, owner in items]
    groups = associate(of, owners)
    assert sorted(i for group in groups for i in group) == list(range(len(items)))
    for group in groups:
        for i, j in combinations(group, 2):
            assert not owners[i] & owners[j] and tiou(of[i], of[j])[0] > 0
    assert total(groups, of) == brute_force(of, owners)


@settings(max_examples=60)
@given(st.lists(st.tuples(spans, st.integers(0, 2)), min_size=4, max_size=7))
def test_a_narrow_beam_is_made_good(items):
    of, owners = [span for span, _ in items], [1 << owner for _, owner in items]
    for states in (association.STATES, 1):  # the second pass, and the integer program
        with mock.patch.multiple(association, BEAM=1, STATES=states):
            groups = associate(of, owners)
        assert total(groups, of) == brute_force(of, owners)


def crowd(people, annotators=3):
    """People who do the same at once, as annotators mark them; and who is who."""
    rng = random.Random(people)
    of, owners = [], []
    for _ in range(people):
        start, length = 10 + rng.uniform(0, 1), rng.uniform(2, 4)
        for annotator in range(annotators):
            span = start + rng.gauss(0, 0.1), start + length + rng.gauss(0, 0.1)
            of.append(tuple(microseconds(t) for t in span))
            owners.append(1 << annotator)
    return of, owners


@pytest.mark.parametrize("people", [4, 7, 13])
def test_a_crowd_is_grouped_for_certain(people):
    of, owners = crowd(people)
    unproven = []
    groups = associate(of, owners, unproven=unproven)
    assert sorted(i for group in groups for i in group) == list(range(len(of))) and not unproven
    assert total(groups, of) >= total([list(range(i, i + 3)) for i in range(0, len(of), 3)], of)


def test_too_large_a_crowd_is_told_of():
    of, owners = crowd(9)
    unproven = []
    with mock.patch.multiple(association, BEAM=8, STATES=8), mock.patch.object(crowds, "MOST_GROUPS", 100):
        groups = associate(of, owners, unproven=unproven)
    assert unproven == [27] and sorted(i for group in groups for i in group) == list(range(27))


def test_a_long_chain_is_one_component_and_quick():
    of, owners = [], []
    for n in range(600):  # three annotators, each annotation overlapping the next one of the others
        of.append((n * 400_000, n * 400_000 + 1_000_000))
        owners.append(1 << (n % 3))
    groups = associate(of, owners)
    assert sum(map(len, groups)) == 600 and max(map(len, groups)) == 3


instances = st.lists(spans, min_size=1, max_size=5)


@given(instances, st.sampled_from(RULES), st.integers(0, 10**9))
def test_merging_moves_with_time(of, rule, shift):
    here = merge(of, rule)
    there = merge([(a + shift, b + shift) for a, b in of], rule)
    assert (there.start, there.end, there.tie) == (here.start + shift, here.end + shift, here.tie)
    assert there.agreement == here.agreement


@given(instances.flatmap(lambda of: st.tuples(st.just(of), st.permutations(of))), st.sampled_from(RULES))
def test_but_for_ties_the_order_of_annotators_is_nothing(both, rule):
    here, there = (merge(of, rule) for of in both)
    assert here.tie == there.tie and here.agreement == there.agreement
    if not here.tie:
        assert here == there


def equations(of, rule, threshold):
    """Start, end and tie by Eq. 1-4 as they are printed, in exact fractions, for two spans or more."""
    iou = [[Fraction(*tiou(a, b)) for b in of] for a in of]
    alpha = [sum(row) / len(of) for row in iou]
    j = alpha.index(max(alpha))
    near = {k: value for k, value in enumerate(iou[j]) if k != j}
    k = max(near, key=near.__getitem__)
    tie = alpha.count(alpha[j]) > 1 or list(near.values()).count(near[k]) > 1
    both = [of[j], of[k]] if iou[j][k] > threshold else [of[k if rule == "paper" else j]]
    return min(a for a, _ in both), max(b for _, b in both), tie


@given(st.lists(spans, min_size=2, max_size=5), st.sampled_from(["paper", "epic"]), st.integers(0, 4))
def test_merging_is_its_equations(of, rule, quarters):
    assert merge(of, rule, Fraction(quarters, 4))[:3] == equations(of, rule, Fraction(quarters, 4))


@given(instances, st.sampled_from(RULES))
def test_the_result_lies_within_its_sources(of, rule):
    result = merge(of, rule)
    assert min(a for a, _ in of) <= result.start <= max(a for a, _ in of)
    assert min(b for _, b in of) <= result.end <= max(b for _, b in of)


def test_the_threshold_is_strict():
    of = [(0, 1_000_000), (0, 500_000)]  # IoU exactly 0.5
    assert merge(of, "epic")[:2] == (0, 1_000_000)  # the first by the tie, not the union: the same here
    of = of[::-1]
    assert merge(of, "epic")[:2] == (0, 500_000)
    assert merge(of, "paper")[:2] == (0, 1_000_000)
    assert merge(of, "epic", Fraction(49, 100))[:2] == (0, 1_000_000)


def test_a_tie_that_floats_break():
    third = merge([(0, 300_000), (100_000, 400_000), (200_000, 500_000)], "epic")
    assert third.tie  # 2 is nearest to both, and both are equally near to it


@pytest.mark.parametrize("time", [0.1, 0.3, 17.282, 1234567.654321])
def test_microseconds_print_as_they_were_read(time):
    assert seconds(microseconds(time)) == time


def agreement(marks, frames, raters):
    """The figures of cells from (cell, instance, rank, start, end) rows, times in frames; NaN as None."""
    columns = np.array(marks, int).reshape(-1, 5)
    columns[:, 3:] *= 100_000
    figures = measure(Marks(*columns.T), np.array(frames), raters).figures()
    return {name: np.where(np.isnan(values), None, values).tolist() for name, values in figures.items()}


def test_agreement_of_known_frames():
    # Ten frames; the first annotator has frames 0-3, the second 2-5, the third none.
    figures = agreement([(0, 0, 0, 0, 4), (0, 0, 1, 2, 6)], [10], 3)
    assert figures["dice"] == [[0.5], [0.0], [0.0]]
    assert figures["kappa"][0] == [pytest.approx((0.6 - 0.52) / 0.48)]
    assert figures["mean_tiou"] == [pytest.approx(1 / 3)] and figures["f1"] == [0.0]
    assert figures["boundary_error"] == [0.2]
    assert figures["alpha"] == [pytest.approx(1 - 29 * (12 / 2) / (8 * 22))]


def test_agreement_without_variation_is_null():
    figures = agreement([(0, 0, 0, 0, 10), (0, 0, 1, 0, 10)], [10], 2)
    assert figures["kappa"] == [[None]] and figures["alpha"] == [None]
    assert figures["dice"] == [[1.0]] and figures["f1"] == [1.0]


def plain_agreement(frames):
    """Kappa, Dice and alpha by their definitions, from the frames (R, T) that annotators see."""
    (a, b, *_), ratings = frames, frames.T
    same, p, q = (a == b).mean(), a.mean(), b.mean()
    chance = p * q + (1 - p) * (1 - q)
    coincidences = np.zeros((2, 2))
    for unit in ratings:
        for i, j in combinations(unit, 2):
            coincidences[int(i), int(j)] += 1 / (len(unit) - 1)
            coincidences[int(j), int(i)] += 1 / (len(unit) - 1)
    totals, n = coincidences.sum(1), coincidences.sum()
    alpha = 1 - (n - 1) * coincidences[0, 1] / (totals[0] * totals[1]) if totals.all() else None
    return {
        "kappa": (same - chance) / (1 - chance) if chance < 1 else None,
        "dice": 2 * (a & b).sum() / (a.sum() + b.sum()) if a.any() or b.any() else None, "alpha": alpha,
    }  # fmt: skip


marked = st.tuples(st.integers(0, 2), st.integers(0, 18), st.integers(1, 9))


@settings(max_examples=80)
@given(st.lists(st.lists(marked, min_size=1, max_size=6), min_size=1, max_size=4))
def test_agreement_equals_its_definition(cells):
    """Also where one annotator's marks overlap, reach beyond the video, or fill it to the brim beside the next cell."""
    rows = [(c, 10 * c + i, rank, a, a + n) for c, marks in enumerate(cells) for i, (rank, a, n) in enumerate(marks)]
    figures = agreement(rows, [20] * len(cells), 3)
    for c, marks in enumerate(cells):
        frames = np.zeros((3, 20), bool)
        for rank, a, n in marks:
            frames[rank, a : a + n] = True
        wanted = plain_agreement(frames)
        found = {"kappa": figures["kappa"][0][c], "dice": figures["dice"][0][c], "alpha": figures["alpha"][c]}
        assert {k: v if v is None else pytest.approx(v, abs=1e-9) for k, v in wanted.items()} == found


def test_rules_are_compared_with_an_annotator_held_out():
    of = [(0, 1_000_000), (0, 1_200_000), (0, 800_000)]
    lines = {line["rule"]: line for line in ceiling.rules([of, of[:2]])}
    assert lines["paper"]["n"] == 2 and lines["median"]["length"] == pytest.approx((1 + 1) / 2)
    assert lines["paper"]["length"] == pytest.approx((1.2 / 1.0 + 1.2 / 1.1) / 2)
    assert lines["paper"]["held_out"] == pytest.approx((1 / 1.2 + 1 / 1.2 + 0.8 / 1.2) / 3)
    assert lines["median"]["held_out"] == pytest.approx((1 / 1 + 0.9 / 1.2 + 0.8 / 1.1) / 3)
