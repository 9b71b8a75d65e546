"""Association against brute force; merging against its own symmetries; agreement against hand-made cases."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mma82cli.annotation import association
from mma82cli.annotation.agreement import measure
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


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(spans, st.integers(0, 3)), min_size=1, max_size=7))
def test_association_is_optimal_and_loses_nothing(items):
    of, owners = [span for span, _ in items], [1 << owner for _, owner in items]
    groups = associate(of, owners)
    assert sorted(i for group in groups for i in group) == list(range(len(items)))
    for group in groups:
        for i, j in combinations(group, 2):
            assert not owners[i] & owners[j] and tiou(of[i], of[j])[0] > 0
    assert total(groups, of) == brute_force(of, owners)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(spans, st.integers(0, 2)), min_size=4, max_size=7))
def test_a_narrow_beam_is_made_good(items):
    of, owners = [span for span, _ in items], [1 << owner for _, owner in items]
    kept = association.BEAM
    association.BEAM = 1
    try:
        groups = associate(of, owners)
    finally:
        association.BEAM = kept
    assert total(groups, of) == brute_force(of, owners)


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


def test_agreement_of_known_frames():
    # Ten frames; the first annotator has frames 0-3, the second 2-5, the third none.
    groups = [[(0, (0, 400_000)), (1, (200_000, 600_000))]]
    figures = measure(groups, 3, 10).figures(["a", "b", "c"])
    assert figures["dice"] == {"a|b": 0.5, "a|c": 0.0, "b|c": 0.0}
    assert figures["kappa"]["a|b"] == pytest.approx((0.6 - 0.52) / 0.48)
    assert figures["mean_tiou"] == pytest.approx(1 / 3) and figures["f1"] == 0.0
    assert figures["boundary_error"] == 0.2
    assert figures["alpha"] == pytest.approx(1 - 29 * (12 / 2) / (8 * 22))


def test_agreement_without_variation_is_null():
    figures = measure([[(0, (0, 1_000_000)), (1, (0, 1_000_000))]], 2, 10).figures(["a", "b"])
    assert figures["kappa"] == {"a|b": None} and figures["alpha"] is None
    assert figures["dice"] == {"a|b": 1.0} and figures["f1"] == 1.0
