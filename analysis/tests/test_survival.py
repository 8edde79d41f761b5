"""Times to an event, censored: by hand, against statsmodels, and on simulated truth."""

import math
import warnings

import numpy as np
import pytest

from analysis.statistics.survival import kaplan_meier, median_time


def test_the_curve_by_hand():
    """Of five trials two reach it at 1 and 3, one is lost at 2, two never: 4/5 wait after 1, and 4/5 · 2/3 after 3."""
    found = kaplan_meier([1, 2, 3, 4, 4], [True, False, True, False, False])
    assert found.times.tolist() == [1, 3]
    assert found.waiting == pytest.approx([0.8, 0.8 * 2 / 3])
    greenwood = 0.8 * 2 / 3 * math.sqrt(1 / (5 * 4) + 1 / (3 * 2))
    assert found.errors[1] == pytest.approx(greenwood)


def test_a_trial_that_never_will_stays_at_risk():
    """One that diverged is censored at infinity: the share that reached it ends at 3 of 4, not at 1."""
    found = kaplan_meier([1, 2, 3, math.inf], [True, True, True, False])
    assert found.waiting == pytest.approx([0.75, 0.5, 0.25])


def censored(rng, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return whole times with ties, some of them censored."""
    times, ends = np.ceil(rng.exponential(4, n)), np.ceil(rng.exponential(8, n))
    return np.minimum(times, ends), times <= ends


def test_the_curve_is_that_of_statsmodels():
    """In 100 samples with ties and censoring the curve, its errors and the interval of the median agree."""
    from statsmodels.duration.survfunc import SurvfuncRight

    rng, compared = np.random.default_rng(1), 0
    for _ in range(100):
        times, reached = censored(rng, int(rng.integers(6, 30)))
        ours, theirs = kaplan_meier(times, reached), SurvfuncRight(times, reached.astype(int))
        steps = theirs.n_events > 0
        assert ours.times == pytest.approx(theirs.surv_times[steps])
        assert ours.waiting == pytest.approx(theirs.surv_prob[steps])
        before = ours.waiting > 1e-9  # at 0 theirs has no error
        assert ours.errors[before] == pytest.approx(theirs.surv_prob_se[steps][before])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # theirs takes the logarithm of 0 where all have reached it
            ends = theirs.quantile_ci(0.5)
        if np.isnan(ends).any() or (np.abs(ours.waiting - 0.5) < 1e-9).any():  # theirs waits until below a half
            continue
        found = median_time(times, reached)
        assert (found.value, found.low, found.high) == (theirs.quantile(0.5), *ends)
        compared += 1
    assert compared > 60


@pytest.mark.parametrize("n", [6, 10, 20, 30])
@pytest.mark.parametrize("horizon", [math.inf, 1.0])
def test_the_interval_of_the_median_holds_the_truth(n, horizon):
    """In at least 92 % of 500 samples of exponential times, cut at the horizon or not, it holds the median, ln 2."""
    rng, held = np.random.default_rng(n), 0
    for times in rng.exponential(1, (500, n)):
        found = median_time(np.minimum(times, horizon), times <= horizon)
        held += found.low <= math.log(2) <= found.high
    assert held / 500 >= 0.92


def test_a_half_that_never_gets_there_has_no_median():
    """With two of six there the median is infinite; with none the interval begins at the end of what was seen."""
    found = median_time([1, 2, 5, 5, 5, 5], [True, True, False, False, False, False])
    assert (found.value, found.high) == (math.inf, math.inf)
    none = median_time([5] * 6, [False] * 6)
    assert (none.value, none.low, none.high) == (math.inf, 5, math.inf)


def test_few_trials_bound_nothing():
    """Five trials have a median and no interval; six that are all alike have one value for all three."""
    few = median_time([1, 2, 3, 4, 5], [True] * 5)
    assert (few.value, few.low, few.high) == (3, -math.inf, math.inf)
    alike = median_time([2] * 6, [True] * 6)
    assert (alike.value, alike.low, alike.high) == (2, 2, 2)
