"""The statistics: values by hand or from published tables, and their promises proved by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.statistics import intervals
from analysis.statistics.intervals import (
    Estimate,
    break_even,
    break_even_interval,
    clopper_pearson,
    holm,
    mismatch_bound,
    outlying,
    paired_interval,
    paired_p,
    pooled_sd,
    sd_interval,
    shuffles_decide,
    student_p,
    t_interval,
    welch_interval,
    welch_p,
    win_probability,
)
from analysis.statistics.nested import seeds_and_runs
from analysis.statistics.permutation import permutation_p, sign_flip_p
from analysis.statistics.rankings import rank_intervals


def test_t_interval_by_hand():
    """The interval of 1, 2, 3 is 2 plus and minus t(2 degrees, 97.5 %) times 1/sqrt(3)."""
    estimate = t_interval([1.0, 2.0, 3.0])
    assert estimate.value == 2.0
    assert estimate.high - 2.0 == pytest.approx(4.302652729911275 / math.sqrt(3))
    assert estimate.low == pytest.approx(2.0 - 2.4841377118)
    assert estimate.n == 3


@pytest.mark.parametrize("values", [[0.5], [0.25, 0.25, 0.25], [0.1 + 0.2, 0.3]])
def test_no_spread_gives_no_interval(values):
    """A single value, or values without any spread, do not make certainty: the interval is unbounded."""
    estimate = t_interval(values)
    assert not estimate.bounded
    assert not estimate.excludes(0.0)


def test_no_values_are_not_a_number_without_an_interval():
    """The mean of nothing is nan, with n = 0."""
    estimate = t_interval([])
    assert math.isnan(estimate.value)
    assert (estimate.n, estimate.bounded) == (0, False)


def test_t_interval_covers_the_truth_at_its_rate():
    """In 2,000 simulated studies of 5 seeds the 95 % interval holds the true mean in 95 % of them, within 4 SE."""
    rng = np.random.default_rng(1)
    hits = sum(e.low <= 0.3 <= e.high for e in map(t_interval, rng.normal(0.3, 2.0, size=(2000, 5))))
    assert hits / 2000 == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 2000))


def test_estimates_move_to_another_scale():
    """The exponential of an interval of log-ratios is the interval of the ratio."""
    ratio = Estimate(value=0.0, low=math.log(0.5), high=math.log(2.0), n=4).map(math.exp)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((1.0, 0.5, 2.0))
    assert not ratio.excludes(1.0)
    assert ratio.excludes(0.4)


def test_clopper_pearson_by_hand():
    """0 of 10 leaves up to 1 - 0.025^(1/10); 10 of 10 mirrors it; 0 of 0 leaves everything."""
    assert clopper_pearson(0, 10).high == pytest.approx(1 - 0.025**0.1)
    assert clopper_pearson(10, 10).low == pytest.approx(0.025**0.1)
    nothing = clopper_pearson(0, 0)
    assert (nothing.low, nothing.high) == (0.0, 1.0)


@pytest.mark.parametrize("n", [1, 2, 5, 14, 30])
@pytest.mark.parametrize("p", [0.003, 0.1, 0.37, 0.5, 0.95])
def test_exact_bounds_are_never_too_narrow(n, p):
    """Over every possible count, weighted by its probability, both exact bounds hold the true rate at least at 95 %."""
    weights = stats.binom.pmf(range(n + 1), n, p)
    two_sided = [e.low <= p <= e.high for e in (clopper_pearson(k, n) for k in range(n + 1))]
    one_sided = [p <= mismatch_bound(k, n) for k in range(n + 1)]
    assert np.dot(weights, two_sided) >= 0.95
    assert np.dot(weights, one_sided) >= 0.95


@pytest.mark.parametrize(("n", "bound"), [(3, 0.63), (10, 0.26), (29, 0.098), (59, 0.050)])
def test_the_bound_after_no_mismatch(n, bound):
    """After 0 of n the one-sided bound is 1 - 0.05^(1/n): the four values that the claims quote."""
    assert mismatch_bound(0, n) == pytest.approx(1 - 0.05 ** (1 / n))
    assert mismatch_bound(0, n) == pytest.approx(bound, abs=0.005)


def test_the_bound_without_pairs_is_no_bound():
    """No pair says nothing: up to every pair may differ."""
    assert mismatch_bound(0, 0) == 1.0
    assert mismatch_bound(4, 4) == 1.0


def test_pooled_sd_by_hand():
    """Groups (1, 3) and (10, 10, 13) have squares 2 and 6 around their means, over 3 degrees of freedom."""
    sd, degrees = pooled_sd([1, 3, 10, 10, 13], ["a", "a", "b", "b", "b"])
    assert degrees == 3
    assert sd == pytest.approx(math.sqrt(8 / 3))


def test_identical_values_scatter_by_exactly_zero():
    """Bit-identical repeats give a standard deviation of 0, not the rounding of a mean; groups of one give nan."""
    assert pooled_sd([0.1] * 3 + [0.7] * 3, [0, 0, 0, 1, 1, 1]) == (0.0, 4)
    sd, degrees = pooled_sd([1.0, 2.0], [0, 1])
    assert (math.isnan(sd), degrees) == (True, 0)


def test_variance_components_find_the_truth():
    """From 2,000 seeds with 3 replicates the run-to-run SD 0.3 and the seed SD 0.5 come back within 3 %."""
    rng = np.random.default_rng(2)
    seeds = np.repeat(np.arange(2000), 3)
    values = rng.normal(0, 0.5, 2000)[seeds] + rng.normal(0, 0.3, 6000)
    assert pooled_sd(values, seeds)[0] == pytest.approx(0.3, rel=0.03)
    assert seeds_and_runs(values, seeds, seeds * 0).seed.value == pytest.approx(0.5, rel=0.03)


def test_sd_interval_covers_the_truth_at_its_rate():
    """The interval of an SD from 10 degrees of freedom holds the truth in 95 % of 2,000 simulations, within 4 SE."""
    rng = np.random.default_rng(3)
    draws = rng.normal(0, 2.0, size=(2000, 11)).std(axis=1, ddof=1)
    hits = sum(e.low <= 2.0 <= e.high for e in (sd_interval(sd, 10) for sd in draws))
    assert hits / 2000 == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 2000))


def test_paired_p_by_hand():
    """Differences 1, 2, 3 have t = 2 sqrt(3) on 2 degrees of freedom: p = 0.0742."""
    assert paired_p([1.0, 2.0, 3.0]) == pytest.approx(0.0741799, abs=1e-6)


def test_paired_p_where_there_is_no_spread():
    """Five equal differences are worth an exact sign-flip test, 2/2^5; no difference at all is worth nothing."""
    assert paired_p([0.2] * 5) == 0.0625
    assert paired_p([0.0] * 5) == 1.0
    assert paired_p([3.0]) == 1.0


TAME = [0.3, -0.1, 0.2, 0.4, 0.0, 0.25, 0.15]


def test_outlying_by_hand():
    """1 to 5 and 20: median 3.5, median distance 1.5, so that beyond 7 x 1.4826 x 1.5 = 15.57 it is far."""
    assert outlying([1, 2, 3, 4, 5, 20]).tolist() == [False] * 5 + [True]
    assert outlying([1, 2, 3, 4, 5, 19.06]).tolist() == [False] * 6
    assert outlying([[1, 2, 3, 4, 5, 20], [1, 2, 3, 4, 5, -14]]).sum(axis=1).tolist() == [1, 1]
    assert outlying([]).tolist() == []


def test_outlying_is_scipys_median_deviation():
    """On random values the rule is the distance from the median over scipy's normal-scaled deviation, above 7."""
    rng = np.random.default_rng(8)
    for n in (1, 2, 3, 6, 7, 20, 31):
        values = rng.standard_t(1.5, n)
        far = np.abs(values - np.median(values)) > 7 * stats.median_abs_deviation(values, scale=1 / 1.4826)
        assert outlying(values).tolist() == far.tolist()


def test_equal_values_and_their_rounding_are_not_outlying():
    """Where half are equal the mean distance counts: one of 9 lies 1 / (1.2533 / 9) = 7.2 SDs off, one of 8 but 6.4.

    What only rounding parts is equal.
    """
    assert outlying([0.2] * 8 + [0.3]).tolist() == [False] * 8 + [True]
    assert not outlying([0.2] * 7 + [0.3]).any()
    assert not outlying([1, 1, 1, 1, 1, 1, 0, 0]).any()
    assert not outlying([0.2] * 5 + [0.1 + 0.1 + 1e-17, 0.30000000000000004 - 0.1]).any()


def test_normal_values_are_hardly_ever_outlying():
    """Of bells, at most 3 studies in 100 of 6 values have one, and 1 in 100 of 10; t decides there as it always did."""
    rng = np.random.default_rng(9)
    assert outlying(rng.normal(size=(20_000, 6))).any(axis=1).mean() < 0.035
    assert outlying(rng.normal(size=(20_000, 10))).any(axis=1).mean() < 0.012


@pytest.mark.parametrize("scale", [1.0, -3.0, 1e-9, 1e9])
def test_whether_shuffles_decide_knows_no_unit_and_no_side(scale):
    """Other units, or b less a, change nothing; a shift neither: the interval is that of any hypothesis."""
    for values in (np.array(TAME), np.array([*TAME, 9.0])):
        assert shuffles_decide(scale * values) == shuffles_decide(values) == (len(values) == 8)
        assert shuffles_decide(values + 5.0) == shuffles_decide(values)


def test_sign_flips_decide_where_one_difference_is_far_outside():
    """Six pairs or more and one of them far outside: p and interval are those of sign flips; else of t, both."""
    wild = [*TAME[:5], -9.0]
    assert paired_p(wild) == sign_flip_p(wild) != student_p(wild)
    assert paired_interval(wild).low == -9.0
    assert (paired_p(TAME), paired_interval(TAME)) == (student_p(TAME), t_interval(TAME))
    few = [0.3, 0.1, 0.2, 0.25, 40.0]
    assert (paired_p(few), paired_interval(few)) == (student_p(few), t_interval(few))
    assert paired_interval(wild, 0.99).bounded is False  # of 2^6 signs none is rare enough


def test_the_permutation_test_decides_where_an_arm_has_a_run_far_outside():
    """Either arm may have it; six runs in each are needed, as 5 % could not be reached else."""
    wild = [*TAME[:5], -9.0]
    assert welch_p(wild, TAME) == permutation_p(wild, TAME) == welch_p(TAME, wild)
    estimate, turned = welch_interval(wild, TAME), welch_interval(TAME, wild)
    assert (estimate.low, estimate.high) == pytest.approx((-turned.high, -turned.low))
    assert welch_p(wild, TAME[:5]) == pytest.approx(stats.ttest_ind(wild, TAME[:5], equal_var=False).pvalue)


@given(
    st.lists(st.integers(-40, 40), min_size=2, max_size=11).filter(lambda found: len(set(found)) > 1),
    st.sampled_from([1.0, 1 / 360, 7.3]),
)
def test_zero_lies_outside_of_the_interval_exactly_where_p_is_below_5_percent(hits, unit):
    """Whatever the differences, ties and rounding among them, whichever of the two methods decides."""
    differences = np.array(hits) * unit
    p = paired_p(differences)
    if abs(p - 0.05) > 1e-9:
        assert paired_interval(differences).excludes(0.0) == (p < 0.05)


@pytest.mark.parametrize("sizes", [(2, 2), (4, 4), (3, 12), (20, 5)])
def test_t_and_welch_are_scipys(sizes):
    """Both p-values, and Welch's interval, are those of scipy's own tests."""
    rng = np.random.default_rng(sizes)
    a, b = rng.normal(0, 1, sizes[0]), rng.normal(0.5, 3, sizes[1])
    theirs = stats.ttest_ind(a, b, equal_var=False)
    found, interval = welch_interval(a, b), theirs.confidence_interval()
    assert (welch_p(a, b), found.low, found.high) == pytest.approx((theirs.pvalue, interval.low, interval.high))
    assert student_p(b) == pytest.approx(stats.ttest_1samp(b, 0.0).pvalue)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_t_at_another_confidence_is_scipys(confidence):
    """Where several intervals are to hold at once each is wider; scipy's own one-sample interval agrees."""
    theirs = stats.ttest_1samp(TAME, 0.0).confidence_interval(confidence)
    found = paired_interval(TAME, confidence)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))


def test_an_a_a_comparison_is_called_different_at_the_stated_rate():
    """Where nothing differs, p < 0.05 in 5 % of 4,000 simulated comparisons of 6 seeds, within 4 SE."""
    rng = np.random.default_rng(4)
    rate = np.mean([paired_p(d) < 0.05 for d in rng.normal(0, 1, size=(4000, 6))])
    assert rate == pytest.approx(0.05, abs=4 * math.sqrt(0.05 * 0.95 / 4000))


def test_holm_by_hand():
    """Holm multiplies the smallest of three by 3, the next by 2, the last by 1, and never lets the order turn."""
    assert holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert len(holm([])) == 0


def test_holm_agrees_with_statsmodels():
    """On random families, ties among them, the correction is statsmodels' own."""
    from statsmodels.stats.multitest import multipletests

    rng = np.random.default_rng(6)
    for size in (1, 2, 7, 21):
        family = rng.uniform(0, 0.1, size).round(2)
        assert holm(family) == pytest.approx(multipletests(family, method="holm")[1])


def test_holm_holds_the_family_wise_rate():
    """Among six true nulls, any is called different in at most 5 % of 800 families, within 4 SE."""
    rng = np.random.default_rng(5)
    p_values = [[paired_p(d) for d in family] for family in rng.normal(0, 1, size=(800, 6, 5))]
    rate = np.mean([min(holm(family)) < 0.05 for family in p_values])
    assert rate <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 800)


def test_holm_of_many_families_is_holm_of_each():
    """Families in the rows of a matrix are corrected each by itself."""
    families = np.array([[0.01, 0.04, 0.03], [0.5, 0.001, 0.2]])
    assert holm(families).tolist() == [holm(family).tolist() for family in families]


def test_welch_by_hand():
    """1, 2, 3 against 4, 6, 8: means 4 apart, standard error sqrt(1/3 + 4/3), and 2.94 degrees of freedom."""
    error, degrees = math.sqrt(5 / 3), (5 / 3) ** 2 / ((1 / 3) ** 2 / 2 + (4 / 3) ** 2 / 2)
    estimate = welch_interval([1.0, 2.0, 3.0], [4.0, 6.0, 8.0])
    assert degrees == pytest.approx(2.941, abs=1e-3)
    assert (estimate.value, estimate.n) == (-4.0, 3)
    assert estimate.high == pytest.approx(-4.0 + stats.t.ppf(0.975, degrees) * error)
    assert welch_p([1.0, 2.0, 3.0], [4.0, 6.0, 8.0]) == pytest.approx(2 * stats.t.cdf(-4 / error, degrees))


def test_welch_where_nothing_spreads():
    """Arms without any spread leave the interval open, and their p to the permutation test; one run tells nothing."""
    assert not welch_interval([0.5] * 4, [0.7] * 4).bounded
    assert welch_p([0.5] * 4, [0.7] * 4) == pytest.approx(2 / 70)
    assert welch_p([0.5] * 4, [0.5] * 4) == 1.0
    assert (welch_p([1.0], [2.0, 3.0]), welch_interval([1.0], [2.0, 3.0]).bounded) == (1.0, False)


def test_win_probability_counts_ties_half():
    """Two wins, one loss and one tie are 2.5 of 4."""
    assert win_probability([1.0, 2.0, -1.0, 0.0]).value == 0.625


def test_ranks_know_a_clear_winner_from_a_tie():
    """An arm that wins on every seed is first in every resample; two equal arms share the place, and the share."""
    scores = np.array([[0.9, 0.5, 0.5], [0.8, 0.4, 0.4], [0.95, 0.6, 0.6]])
    ranks, firsts = rank_intervals(scores)
    assert ranks.tolist() == [[1, 1], [2, 2], [2, 2]]
    assert firsts.tolist() == [1.0, 0.0, 0.0]
    assert rank_intervals(scores[:, 1:])[1].tolist() == [0.5, 0.5]


def test_ranks_obey_their_seed():
    """The same seed repeats exactly, another seed gives other shares."""
    scores = np.random.default_rng(0).normal(size=(6, 4))
    first, again, other = (rank_intervals(scores, seed=s)[1].tolist() for s in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("extra", "saved", "steps"), [(1.0, 0.002, 500.0), (-0.1, 0.002, 0.0), (1.0, 0.0, math.inf), (1.0, -0.1, math.inf)]
)
def test_break_even_by_hand(extra, saved, steps):
    """A second more for the first step and 2 ms less for each pays after 500; no saving never pays."""
    assert break_even(extra, saved) == steps


def test_break_even_interval_obeys_its_seed_and_knows_never():
    """Equal seeds repeat, others differ; blocks that disagree on the sign of the saving reach to "never"."""
    rng = np.random.default_rng(7)
    extra, saved = rng.normal(1.0, 0.1, 12), rng.normal(0.002, 0.0002, 12)
    first, again, other = (break_even_interval(extra, saved, seed=s) for s in (0, 0, 1))
    assert first == again
    assert first != other
    assert first.low < first.value < first.high
    assert first.value == pytest.approx(500, rel=0.1)
    assert break_even_interval(extra[:4], [0.002, -0.002, 0.001, -0.001]).high == math.inf
    assert not break_even_interval([1.0], [0.1]).bounded
    assert math.isnan(break_even_interval([], []).value)


def test_every_function_says_which_question_it_answers():
    """The docstring of every public function that estimates ends its first sentence with a question mark."""
    names = ("t_interval", "clopper_pearson", "mismatch_bound", "sd_interval", "pooled_sd", "paired_p", "student_p")
    names += ("holm", "win_probability", "welch_interval", "welch_p", "break_even")
    names += ("outlying", "paired_interval", "break_even_interval", "welch_error")
    for name in names:
        assert "?" in getattr(intervals, name).__doc__.splitlines()[0], name
