"""Bootstrap intervals: scipy's own, their seed, and the samples that tell nothing."""

import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.bootstrap import STATISTICS, bca_paired, bca_unpaired, iqm

VALUES = np.random.default_rng(0).lognormal(size=15)


def test_iqm_by_hand():
    """Of eight values the two lowest and two highest go; of seven one each; of three none."""
    assert iqm([8.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 90.0]) == 4.5
    assert iqm([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 60.0]) == 3.0
    assert iqm([0.0, 3.0, 6.0]) == 3.0


def test_iqm_is_scipys_trimmed_mean():
    """Cutting a quarter at each end is scipy's trim_mean at 0.25, along any axis."""
    table = np.random.default_rng(1).normal(size=(6, 11))
    assert iqm(table, axis=0) == pytest.approx(stats.trim_mean(table, 0.25, axis=0))
    assert iqm(table, axis=1) == pytest.approx(stats.trim_mean(table, 0.25, axis=1))


@pytest.mark.parametrize("statistic", STATISTICS)
def test_bca_is_scipys(statistic):
    """Ends and value are those of scipy.stats.bootstrap with method BCa, called as its manual says."""
    functions = {"mean": np.mean, "median": np.median, "iqm": lambda x, axis: stats.trim_mean(x, 0.25, axis=axis)}
    theirs = stats.bootstrap((VALUES,), functions[statistic], method="BCa", rng=np.random.default_rng(7))
    ours = bca_paired(VALUES, statistic, seed=7)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval))
    assert ours.value == pytest.approx(functions[statistic](VALUES, axis=0))
    assert (ours.n, ours.low < ours.value < ours.high) == (15, True)


def test_the_acceleration_by_hand():
    """The ends are resampled means at the quantiles that Efron's bias z0 and acceleration a point to."""
    resamples = VALUES[np.random.default_rng(3).integers(0, 15, (9_999, 15))].mean(axis=1)
    z0 = stats.norm.ppf((np.sum(resamples < VALUES.mean()) + np.sum(resamples <= VALUES.mean())) / 2 / 9_999)
    left_out = (VALUES.sum() - VALUES) / 14
    spread = left_out.mean() - left_out
    a = np.sum(spread**3) / (6 * np.sum(spread**2) ** 1.5)
    ends = [stats.norm.cdf(z0 + (z0 + z) / (1 - a * (z0 + z))) for z in stats.norm.ppf([0.025, 0.975])]
    estimate = bca_paired(VALUES, seed=3)
    assert (estimate.low, estimate.high) == pytest.approx(tuple(np.quantile(resamples, ends)), rel=1e-3)


def test_bca_of_two_arms_is_scipys():
    """Independent arms are resampled each by itself, and the interval is of the first less the second."""
    other = np.random.default_rng(2).normal(size=9)
    theirs = stats.bootstrap(
        (VALUES, other),
        lambda x, y, axis: x.mean(axis=axis) - y.mean(axis=axis),
        method="BCa",
        rng=np.random.default_rng(0),
    )
    ours = bca_unpaired(VALUES, other)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval))
    assert (ours.value, ours.n) == (pytest.approx(VALUES.mean() - other.mean()), 9)


def test_bca_obeys_its_seed():
    """The same seed repeats exactly, another one gives other ends."""
    assert bca_paired(VALUES, seed=1) == bca_paired(VALUES, seed=1) != bca_paired(VALUES, seed=2)
    arms = VALUES[:7], VALUES[7:]
    assert bca_unpaired(*arms, seed=1) == bca_unpaired(*arms, seed=1) != bca_unpaired(*arms, seed=2)


@pytest.mark.parametrize(
    ("differences", "statistic"),
    [
        ([0.2], "mean"),
        ([0.0] * 6, "mean"),
        ([0.1 + 0.2, 0.3], "mean"),
        ([1.0, 1.0, 1.0, 1.0, 2.0], "median"),
        ([0.0] * 8 + [1.0], "iqm"),
    ],
)
def test_what_tells_nothing_is_unbounded_and_not_a_warning(differences, statistic):
    """One value, equal ones, and a jackknife whose values all agree: no interval, no nan, no warning."""
    estimate = bca_paired(differences, statistic)
    assert (estimate.low, estimate.high) == (-math.inf, math.inf)
    assert math.isfinite(estimate.value)


def test_no_values_are_not_a_number():
    """The mean of nothing is nan, with n = 0; an arm of one run leaves two arms without an interval."""
    assert math.isnan(bca_paired([]).value)
    assert math.isnan(bca_unpaired([], [1.0]).value)
    assert not bca_unpaired([1.0, 2.0, 3.0], [2.0]).bounded
    assert bca_unpaired([1.0, 2.0, 3.0], [2.0, 2.0]).bounded
