"""Ranks over tables: a published example, scipy, and simulated truth."""

import math

import numpy as np
import pytest

from analysis.statistics.ranks import block_ranks, cliques, critical_difference, friedman, rank_intervals

# Demšar (JMLR 7, 2006), table 6: AUC of C4.5, with m, with cf, with both, on 14 data sets; where the table rounds two
# alike and ranks them apart, the second is a little less here
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.975, 0.9749],
        [0.957, 0.978, 0.946, 0.970],
    ]
)


def test_the_published_example():
    """Mean ranks 3.143, 2.000, 2.893, 1.964, chi-square 9.28, and a critical difference of 1.25, as printed there."""
    found = friedman(DEMSAR)
    assert found.mean_ranks == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    assert found.uncorrected == pytest.approx(9.28, abs=5e-3)
    corrected_f = 13 * found.uncorrected / (14 * 3 - found.uncorrected)
    assert corrected_f == pytest.approx(3.69, abs=5e-3)
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=5e-3)
    assert critical_difference(4, 14, level=0.1) == pytest.approx(1.12, abs=5e-3)


def test_the_groups_of_the_published_diagram():
    """At 10 % the plain algorithm is told from the two with m, and stays with cf: the two bars of figure 1."""
    found = friedman(DEMSAR)
    assert cliques(found.mean_ranks, critical_difference(4, 14, level=0.1)) == [(3, 1, 2), (2, 0)]


def test_friedman_is_that_of_scipy():
    """Chi-square, ties taken into account, agrees on 50 random tables with ties; p is near where blocks are many."""
    from scipy import stats

    rng = np.random.default_rng(1)
    for _ in range(50):
        scores = rng.integers(0, 6, size=(int(rng.integers(3, 20)), int(rng.integers(3, 7)))) / 10
        ours, theirs = friedman(scores), stats.friedmanchisquare(*(-scores).T)
        assert ours.chi_square == pytest.approx(float(theirs.statistic))
    for num_blocks, most in ((40, 0.02), (50, 1e-12)):
        scores = rng.normal([0.0, 0.1, 0.2, 0.5], size=(num_blocks, 4))
        assert friedman(scores).p == pytest.approx(float(stats.friedmanchisquare(*(-scores).T).pvalue), abs=most)


def test_nemenyi_is_that_of_scikit_posthocs():
    """Two mean ranks that differ by just the critical difference have Nemenyi's p of 5 %, as another library says."""
    posthocs = pytest.importorskip("scikit_posthocs", reason="scikit-posthocs is not installed")
    found = friedman(DEMSAR)
    p_values = np.asarray(posthocs.posthoc_nemenyi_friedman(-DEMSAR))
    apart = np.abs(np.subtract.outer(found.mean_ranks, found.mean_ranks)) > critical_difference(4, 14)
    assert (p_values < 0.05).tolist() == apart.tolist()


def test_nemenyi_at_its_difference_is_five_per_cent():
    """The studentized range of √2 times the critical difference in its own error has a tail of exactly 5 %."""
    from scipy import stats

    for num_arms, num_blocks in ((2, 6), (4, 14), (7, 3)):
        error = math.sqrt(num_arms * (num_arms + 1) / (6 * num_blocks))
        q = critical_difference(num_arms, num_blocks) / error * math.sqrt(2)
        assert float(stats.studentized_range.sf(q, num_arms, np.inf)) == pytest.approx(0.05, abs=1e-4)


def test_exact_p_by_hand():
    """Two blocks of three arms in one order: of the 6 orders of the second, 1 gives sums of ranks as uneven."""
    assert friedman([[3, 2, 1], [3, 2, 1]]).p == pytest.approx(1 / 6)
    assert friedman([[3, 2, 1], [1, 2, 3]]).p == 1.0


@pytest.mark.parametrize(("num_blocks", "num_arms"), [(3, 4), (6, 3), (9, 5)])
def test_equal_arms_are_rarely_ordered(num_blocks, num_arms):
    """Of 300 tables without any truth at most 8 % have p up to 5 %: nominal, and Monte-Carlo error."""
    rng = np.random.default_rng(3)
    tables = rng.normal(size=(300, num_blocks, num_arms))
    assert np.mean([friedman(table, num_permutations=400).p <= 0.05 for table in tables]) <= 0.08


def test_a_planted_order_is_found():
    """Arms that stand one SD apart are ordered in nine of ten tables of ten blocks."""
    rng = np.random.default_rng(4)
    tables = rng.normal(size=(60, 10, 4)) + np.arange(4)
    assert np.mean([friedman(table, num_permutations=400).p < 0.05 for table in tables]) >= 0.9


def test_ties_everywhere_order_nothing():
    """Arms that are equal in every block have no chi-square, and p 1."""
    found = friedman(np.ones((4, 3)))
    assert (math.isnan(found.chi_square), found.p) == (True, 1.0)
    assert block_ranks([[0.5, 0.5, 0.5]]).tolist() == [[2, 2, 2]]


def test_places_by_hand():
    """1.0 is told from 3.0 and 3.1, and 1.8 from 3.1 alone: so many places are left to each."""
    assert rank_intervals([3.1, 1.0, 3.0, 1.8], 1.25) == [(3, 4), (1, 2), (2, 4), (1, 3)]


def test_nothing_told_apart_leaves_every_place_open():
    """Where the difference exceeds all gaps, each arm may have any place."""
    assert rank_intervals([1.0, 2.0, 3.0], 3.0) == [(1, 3)] * 3


@pytest.mark.parametrize("gap", [0.0, 0.3, 1.0])
def test_rank_intervals_hold_the_true_places(gap):
    """In at least 95 % of 400 studies of 15 workloads, less Monte-Carlo error, all four true places lie inside.

    Equal arms share their places: any is true of them.
    """
    rng, held = np.random.default_rng(5), 0
    difference = critical_difference(4, 15)
    for _ in range(400):
        ranks = block_ranks(rng.normal([3 * gap, 2 * gap, gap, 0.0], size=(15, 4))).mean(axis=0)
        found = rank_intervals(ranks, difference)
        truth = [(1, 4)] * 4 if gap == 0 else [(place, place) for place in (1, 2, 3, 4)]
        held += all(low <= first and last <= high for (low, high), (first, last) in zip(found, truth, strict=True))
    assert held / 400 >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 400)


def test_arms_far_apart_have_one_place_each():
    """Four arms in the same order in each of 60 workloads are told apart, all pairs: the intervals can close."""
    assert rank_intervals([1.0, 2.0, 3.0, 4.0], critical_difference(4, 60)) == [(1, 1), (2, 2), (3, 3), (4, 4)]


def test_a_randomised_p_repeats_for_its_seed_alone():
    """The same seed gives the same p, another one another."""
    scores = np.random.default_rng(6).normal(size=(8, 5))
    assert friedman(scores, seed=1).p == friedman(scores, seed=1).p != friedman(scores, seed=2).p
