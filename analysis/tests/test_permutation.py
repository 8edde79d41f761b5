"""Shuffled labels: p by counting, as scipy's own permutation test counts it, and the promises of random shuffles."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.statistics.permutation import (
    permutation_each,
    permutation_interval,
    permutation_p,
    sign_flip_each,
    sign_flip_interval,
    sign_flip_p,
)


def test_sign_flip_by_hand():
    """Of the 8 signs of 1, 2, -4 the sums are 1, 1, 3, 3, 5, 5, 7, 7 in size, and -1 is seen: all reach it."""
    assert sign_flip_p([1.0, 2.0, -4.0]) == 1.0
    assert sign_flip_p([1.0, -2.0, 4.0]) == 6 / 8
    assert sign_flip_p([-1.0, 2.0, 4.0]) == 4 / 8
    assert sign_flip_p([1.0, 2.0, 4.0]) == 2 / 8


@pytest.mark.parametrize("n", [2, 5, 8, 12])
def test_sign_flip_agrees_with_scipy(n):
    """Up to 16 pairs the p is scipy's permutation_test of one sample, exactly, ties among them."""
    differences = np.random.default_rng(n).normal(0.5, 1.0, n).round(1)
    theirs = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", vectorized=True, n_resamples=np.inf
    )
    assert sign_flip_p(differences) == pytest.approx(theirs.pvalue, abs=1e-12)


def test_ties_of_a_lattice_are_counted_whatever_the_rounding():
    """Accuracies of k in 360 tie in exact arithmetic: their p is that of the whole numbers."""
    hits = np.array([3, -1, 2, 2, -4, 1, 0, 5, -3, 2])
    assert sign_flip_p(hits / 360) == sign_flip_p(hits * 1.0) == sign_flip_p(hits * 0.1)


def test_sign_flip_of_nothing():
    """Where all differences are zero every pattern gives the same, and none at all tell nothing."""
    assert sign_flip_p([0.0] * 7) == sign_flip_p([0.0] * 20) == sign_flip_p([]) == 1.0


def test_random_flips_count_the_one_seen():
    """Beyond 16 pairs p is never 0, is exact where all agree, repeats with its seed and moves with another."""
    assert sign_flip_p(np.arange(1.0, 21.0)) == 2 / 2**20
    assert sign_flip_p([0.0, *np.arange(1.0, 20.0)]) == 2 / 2**19
    nearly = np.array([*np.arange(1.0, 20.0) * 10, -0.1])
    assert sign_flip_p(nearly) == 1 / 20_001
    noisy = np.random.default_rng(1).normal(0.3, 1.0, 25)
    assert sign_flip_p(noisy, seed=3) == sign_flip_p(noisy, seed=3) != sign_flip_p(noisy, seed=4)


def test_random_flips_are_near_the_exact_ones():
    """With 20 pairs the random p lies within 4 SE of the exact one, which scipy counts to the last of 2^20."""
    differences = np.random.default_rng(5).normal(0.4, 1.0, 20)
    signs = 1.0 - 2.0 * ((np.arange(2**19)[:, None] >> np.arange(20)) & 1)
    exact = np.mean(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9)
    assert sign_flip_p(differences) == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000))


def test_permutation_by_hand():
    """Of the 20 splits of 1 to 6 into threes, 1 2 3 | 4 5 6 and its mirror are the furthest apart."""
    assert permutation_p([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]) == 2 / 20
    assert permutation_p([1.0, 2.0, 4.0], [3.0, 5.0, 6.0]) == 4 / 20


@pytest.mark.parametrize(("n", "m"), [(3, 5), (6, 6), (4, 2)])
def test_permutation_agrees_with_scipy(n, m):
    """Up to 20,000 splits the p is scipy's permutation_test of independent samples, in arms of unequal size too."""
    rng = np.random.default_rng(n)
    a, b = rng.normal(0, 1, n), rng.normal(1, 1, m)
    theirs = stats.permutation_test(
        (a, b),
        lambda x, y, axis: np.abs(x.mean(axis=axis) - y.mean(axis=axis)),
        n_resamples=np.inf,
        alternative="greater",
    )
    assert permutation_p(a, b) == pytest.approx(theirs.pvalue, abs=1e-12)


def test_permutation_obeys_its_seed_and_knows_nothing_of_nothing():
    """Random splits repeat with their seed and move with another; an empty arm gives 1, equal arms too."""
    rng = np.random.default_rng(2)
    a, b = rng.normal(0, 1, 20), rng.normal(0.4, 1, 20)
    assert permutation_p(a, b, seed=1) == permutation_p(a, b, seed=1) != permutation_p(a, b, seed=2)
    assert permutation_p([], [1.0]) == permutation_p([0.5] * 3, [0.5] * 4) == 1.0
    assert permutation_p(np.zeros(20), np.ones(20)) == 1 / 20_001


@pytest.mark.parametrize("n", [6, 20])
def test_many_studies_at_once_are_each_of_them(n):
    """The p of a study does not depend on the studies beside it."""
    a, b = np.random.default_rng(n).normal(size=(2, 70, n))
    assert sign_flip_each(a)[[0, 69]].tolist() == [sign_flip_p(a[0]), sign_flip_p(a[69])]
    assert permutation_each(a, b)[[0, 69]].tolist() == [permutation_p(a[0], b[0]), permutation_p(a[69], b[69])]


# ---------------------------------------------------------------------------------------------------------- intervals


def test_the_interval_of_sign_flips_by_hand():
    """Of 1, 2, 4, 8, 16, 32 at 80 %: 32 patterns, 7 have to reach; the seven lowest are the seen one, 1, 1.5, 2, 2.33,
    2.5 and 3, from above 32, 24, 20, 18.67, 18 and 17.33. At 95 % the second ones, the smallest and the largest value.
    """
    values = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
    assert sign_flip_interval(values, 0.8) == pytest.approx((3.0, 52 / 3))
    assert sign_flip_interval(values) == pytest.approx((1.0, 32.0))


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.95, 0.99])
@pytest.mark.parametrize("n", [3, 5, 6, 9, 12, 16, 17, 25])
def test_ends_of_sign_flips_part_what_p_rejects(n, confidence):
    """Just beyond an end p of the differences less it is below the level, just inside it is not; few pairs: no end."""
    rng = np.random.default_rng(n)
    differences = rng.normal(0.3, 1.0, n)
    differences[0] += 20.0 * (n % 2)
    ends = sign_flip_interval(differences, confidence)
    assert (ends == (-math.inf, math.inf)) == (2 / 2**n >= 1 - confidence)
    for end, side in zip(ends, (-1, 1), strict=True):
        if math.isfinite(end):
            assert sign_flip_p(differences - end - side * 1e-9) < 1 - confidence
            assert sign_flip_p(differences - end + side * 1e-9) >= 1 - confidence


@given(st.lists(st.integers(-30, 30), min_size=1, max_size=9), st.integers(-30, 30), st.sampled_from([0.8, 0.95]))
def test_a_value_lies_outside_exactly_where_its_p_is_below_the_level(values, value, confidence):
    """Whole numbers, so that ties are ties: every one of them, at the ends too."""
    low, high = sign_flip_interval(values, confidence)
    rejected = sign_flip_p(np.array(values) - value) < 1 - confidence
    assert rejected == (not low - 1e-9 <= value <= high + 1e-9)


@pytest.mark.parametrize(("n", "m"), [(3, 3), (4, 4), (6, 6), (6, 8), (8, 6), (5, 9), (9, 7), (10, 10), (20, 13)])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_ends_of_shuffled_labels_part_what_p_rejects(n, m, confidence):
    """The same of two samples, of unequal size too, whether all splits are counted or random ones."""
    rng = np.random.default_rng(n * m)
    a, b = rng.normal(0.3, 1.0, n), rng.normal(0.0, 2.0, m)
    a[0] += 15.0
    ends, level = permutation_interval(a, b, confidence), 1 - confidence - 1e-9  # of 20 splits, 2 are 10 %
    assert math.isinf(ends[0]) == math.isinf(ends[1]) == (permutation_p(a - 1e6, b) > level)
    for end, side in zip(ends, (-1, 1), strict=True):
        if math.isfinite(end):
            assert permutation_p(a - end - side * 1e-9, b) < level
            assert permutation_p(a - end + side * 1e-9, b) >= level


def test_intervals_of_shuffles_turn_with_the_arms_and_obey_their_seed():
    """b less a is a less b turned round; random shuffles repeat with their seed and move with another."""
    rng = np.random.default_rng(3)
    a, b = rng.standard_t(2, (2, 20))
    low, high = sign_flip_interval(a - b)
    assert sign_flip_interval(b - a) == pytest.approx((-high, -low))
    assert sign_flip_interval(a - b, seed=1) == sign_flip_interval(a - b, seed=1) != (low, high)
    low, high = permutation_interval(a, b, seed=1)
    assert (low, high) == permutation_interval(a, b, seed=1) != permutation_interval(a, b, seed=2)
    assert low < a.mean() - b.mean() < high


def test_intervals_of_nothing_are_unbounded():
    """No pair, or an empty arm, leaves everything possible."""
    nothing = (-math.inf, math.inf)
    assert sign_flip_interval([]) == permutation_interval([], [1.0]) == permutation_interval([1.0], []) == nothing


def test_one_sided_differences_beyond_16_have_their_smallest_as_an_end():
    """Where all have one sign p is 2 / 2^n, below any random p: the end is the smallest difference, at 99.999 % too."""
    assert sign_flip_interval(np.arange(1.0, 21.0), 0.99999) == (1.0, 20.0)
    assert sign_flip_p(np.arange(1.0, 21.0)) < 1e-5 < sign_flip_p(np.arange(1.0, 21.0) - 1.5)
