"""Two one-sided tests: values by hand, statsmodels' own, and identical values."""

import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.equivalence import tost_p, within


def test_tost_by_hand():
    """0, 1, 2 against a margin of 3: the mean is 1, its standard error 1/sqrt(3), so t = 2 sqrt(3) on 2 degrees."""
    assert tost_p([0.0, 1.0, 2.0], 3.0) == pytest.approx(stats.t.sf(2 * math.sqrt(3), 2))
    assert tost_p([0.0, 1.0, 2.0], 3.0) == pytest.approx(0.0741799 / 2, abs=1e-6)
    assert tost_p([0.0, -1.0, -2.0], 3.0) == tost_p([0.0, 1.0, 2.0], 3.0)


@pytest.mark.parametrize("n", [3, 8, 20])
def test_tost_agrees_with_statsmodels(n):
    """Against statsmodels' ttost_paired, margins above and below the mean."""
    from statsmodels.stats.weightstats import ttost_paired

    differences = np.random.default_rng(n).normal(0.2, 1.0, n)
    for margin in (0.1, 0.5, 2.0):
        theirs = ttost_paired(differences, np.zeros(n), -margin, margin)[0]
        assert tost_p(differences, margin) == pytest.approx(theirs)


def test_within_means_that_a_90_percent_interval_lies_inside():
    """Two one-sided tests at 5 % are the 90 % interval against the margin."""
    differences = np.random.default_rng(1).normal(0.1, 1.0, 12)
    reach = float(np.abs(stats.t.interval(0.9, 11, differences.mean(), stats.sem(differences))).max())
    assert within(differences, reach * 1.001)
    assert not within(differences, reach * 0.999)


def test_identical_arms_are_equivalent_from_five_seeds_on():
    """Five equal differences inside the margin are worth 1/2^5, four not enough; outside it nothing is shown."""
    assert tost_p([0.0] * 5, 0.1) == 0.03125
    assert within([0.0] * 5, 0.0)
    assert not within([0.0] * 4, 0.1)
    assert tost_p([0.2] * 9, 0.1) == 1.0


def test_what_cannot_be_told_is_not_equivalent():
    """One pair, or a margin that is not known, shows nothing."""
    assert tost_p([0.0], 1.0) == tost_p([], 1.0) == tost_p([0.1, 0.2, 0.1], math.nan) == 1.0
