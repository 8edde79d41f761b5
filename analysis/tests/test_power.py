"""Plans: values from published tables and from statsmodels, and what was planned is what simulated studies find."""

import math

import numpy as np
import pytest

from analysis.statistics.equivalence import tost_p
from analysis.statistics.intervals import paired_p
from analysis.statistics.power import (
    SHOWN,
    TOLD,
    equivalence_power,
    pairs_needed,
    power,
    seeds_to_settle,
    settling,
    smallest_detectable,
    smallest_margin,
    smallest_sign_flip_p,
)


def test_sign_flip_floor():
    """Five seeds cannot reach 0.05, six can."""
    assert smallest_sign_flip_p(5) == 0.0625
    assert smallest_sign_flip_p(6) == 0.03125
    assert smallest_sign_flip_p(0) == 1.0


@pytest.mark.parametrize("n", [2, 3, 6, 30])
@pytest.mark.parametrize("effect", [0.0, 0.3, 1.0, -1.5])
@pytest.mark.parametrize("level", [0.05, 0.05 / 6])
def test_power_is_that_of_statsmodels(n, effect, level):
    """The power of a two-sided paired t-test is what statsmodels gives, whatever the sign of the effect."""
    from statsmodels.stats.power import TTestPower

    assert power(effect, n, level) == pytest.approx(TTestPower().power(abs(effect), n, level), abs=1e-6)


def test_power_at_its_ends():
    """No effect is found at the level, a huge one always, and one pair finds nothing."""
    assert power(0.0, 12) == pytest.approx(0.05)
    assert power(1e4, 30) == 1.0
    assert power(1e4, 1) == 0.0


def test_pairs_needed_as_in_the_tables():
    """Cohen's tables for a paired t-test at 5 %, power 0.8: 34 pairs for half an SD, 10 for a whole one."""
    assert pairs_needed(0.5, 1.0) == 34
    assert pairs_needed(-1.0, 1.0) == 10
    assert pairs_needed(0.0, 1.0) == 0
    assert pairs_needed(0.001, 1.0) == 0  # more than are worth naming


def test_pairs_without_any_spread_are_those_of_a_sign_flip():
    """A difference that is the same on every seed needs six pairs at 5 %, and eight in a family of six."""
    assert pairs_needed(0.2, 0.0) == 6
    assert pairs_needed(0.2, 0.0, level=0.05 / 6) == 8


@pytest.mark.parametrize("n", [2, 3, 5, 10, 34])
def test_the_smallest_detectable_difference_is_detected_four_times_in_five(n):
    """A difference of that size is found in 80 % of 2,000 simulated studies of n seeds, within 4 SE."""
    rng = np.random.default_rng(n)
    difference = smallest_detectable(0.02, n)
    found = np.mean([paired_p(d) < 0.05 for d in rng.normal(difference, 0.02, size=(2000, n))])
    assert found == pytest.approx(0.8, abs=4 * math.sqrt(0.8 * 0.2 / 2000))


def test_a_stricter_level_needs_a_larger_difference():
    """What six comparisons share leaves each of them less to see; one pair, or none, could have seen nothing."""
    assert smallest_detectable(1.0, 8, level=0.05 / 6) > smallest_detectable(1.0, 8)
    assert smallest_detectable(1.0, 1) == math.inf
    assert smallest_detectable(0.0, 8) == 0.0


@pytest.mark.parametrize("n", [3, 6, 20])
@pytest.mark.parametrize("effect", [0.0, 0.5])
def test_equivalence_is_shown_as_often_as_planned(n, effect):
    """Two one-sided tests show a true difference inside the margin as often as planned, of 2,000 studies, in 4 SE."""
    rng, margin = np.random.default_rng(n), smallest_margin(1.0, n)
    shown = np.mean([tost_p(d, margin) < 0.05 for d in rng.normal(effect, 1.0, size=(2000, n))])
    planned = equivalence_power(effect, margin, n)
    assert shown == pytest.approx(planned, abs=4 * math.sqrt(planned * (1 - planned) / 2000))


def test_equivalence_of_many_seeds_is_normal():
    """With 2,000 pairs t is normal: equal arms are shown within m SDs with 2 Φ(m sqrt(n) - 1.645) - 1."""
    from scipy import stats

    assert equivalence_power(0.0, 0.06, 2000) == pytest.approx(
        2 * stats.norm.cdf(0.06 * math.sqrt(2000) - 1.645) - 1, abs=2e-3
    )


def test_equivalence_at_its_ends():
    """No margin and one pair show nothing; the smallest margin of 80 % is met with 80 %; no SD needs no margin."""
    assert equivalence_power(0.0, 0.0, 10) == equivalence_power(0.0, 5.0, 1) == 0.0
    assert equivalence_power(0.0, smallest_margin(1.0, 7), 7) == pytest.approx(0.8)
    assert (smallest_margin(0.0, 7), smallest_margin(1.0, 1)) == (0.0, math.inf)


def test_seeds_to_settle_a_difference():
    """Differences of mean 1 and SD 1, with a margin too small to show: the 10 pairs of Cohen's table."""
    seen = 1.0 + np.array([-1.0, 0.0, 1.0])
    assert seeds_to_settle(seen, margin=0.01) == 10
    assert seeds_to_settle(seen, margin=0.01, told_level=0.05 / 6) == pairs_needed(1.0, 1.0, level=0.05 / 6) > 10
    assert seeds_to_settle(-seen, margin=math.nan) == 10  # a margin that is not known shows nothing


def test_seeds_to_settle_an_equivalence():
    """Differences of mean 0 and SD 1 within one SD: the first n whose planned power reaches 80 %, 11 by the plan."""
    seen = np.array([-1.0, 0.0, 1.0])
    found = seeds_to_settle(seen, margin=1.0)
    assert equivalence_power(0.0, 1.0, found) >= 0.8 > equivalence_power(0.0, 1.0, found - 1)
    assert found == 11
    assert seeds_to_settle(seen, margin=1.0, told_level=0.05 / 6) == 11  # equivalence is shown at the level itself


def test_what_is_settled_first_is_named():
    """Mean 0.3, SD 1: told apart needs 90 pairs; within a margin of one SD equivalence comes first, in 0.2 SD not."""
    seen = 0.3 + np.array([-1.0, 0.0, 1.0])
    assert settling(seen, margin=0.2) == (pairs_needed(0.3, 1.0), TOLD)
    needed, goal = settling(seen, margin=1.0)
    assert goal == SHOWN
    assert needed < pairs_needed(0.3, 1.0)
    assert settling([0.3], margin=1.0) == (0, "")
    assert settling([0.3] * 3, margin=0.1) == (6, TOLD)


def test_seeds_to_settle_where_it_cannot_be_said():
    """One difference tells nothing, nor would 10,000 seeds; equal ones need as many as agree by chance at 5 %."""
    assert seeds_to_settle([0.3], margin=1.0) == 0
    assert seeds_to_settle([-1.0, 0.0, 1.0], margin=0.001) == 0
    assert seeds_to_settle([0.3] * 3, margin=0.1) == 6
    assert seeds_to_settle([0.0] * 3, margin=0.1) == 5
