"""The statistics of spread, on published examples, values by hand, and simulated truth."""

import math

import numpy as np
import pytest

from analysis.statistics.variance import (
    binomial_sd,
    crossed_components,
    distribution_sd,
    independent_error_sd,
    ratio_of_means,
    share_of_columns,
)

# Shrout and Fleiss (1979), table 2: six targets, four judges; their ICC(2,1) is 0.29, its interval 0.019 to 0.761
SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def test_the_components_of_a_published_table():
    """Mean squares 11.24, 32.49 and 1.02 (Shrout and Fleiss, table 3) give the variances of rows, columns and rest."""
    found = crossed_components(SHROUT_FLEISS)
    assert found.rows == pytest.approx((11.2417 - 1.0194) / 4, abs=1e-3)
    assert found.columns == pytest.approx((32.4861 - 1.0194) / 6, abs=1e-3)
    assert found.rest == pytest.approx(1.0194, abs=1e-3)


def test_the_share_of_a_published_table():
    """1 - ICC(2,1) of that table, and its published interval."""
    found = share_of_columns(SHROUT_FLEISS)
    assert found.value == pytest.approx(1 - 0.29, abs=0.002)
    assert (found.low, found.high) == (pytest.approx(1 - 0.761, abs=0.002), pytest.approx(1 - 0.019, abs=0.002))


def layout(rng, rows: float, columns: float, rest: float, shape=(12, 3)) -> np.ndarray:
    """A crossed layout with these standard deviations."""
    n, k = shape
    return rng.normal(0, rows, (n, 1)) + rng.normal(0, columns, (1, k)) + rng.normal(0, rest, (n, k))


@pytest.mark.parametrize("sds", [(1.0, 2.0, 0.5), (0.0, 0.0, 1.0), (2.0, 0.0, 0.1)])
def test_components_are_unbiased(sds):
    """Over 2,000 simulated layouts the mean of each component is the variance that was put in."""
    rng = np.random.default_rng(1)
    found = [crossed_components(layout(rng, *sds)) for _ in range(2_000)]
    for name, sd in zip(("rows", "columns", "rest"), sds, strict=True):
        values = [getattr(each, name) for each in found]
        assert np.mean(values) == pytest.approx(sd**2, abs=5 * np.std(values) / math.sqrt(len(values)) + 1e-12)


@pytest.mark.parametrize("sds", [(0.0, 0.0, 1.0), (1.0, 0.0, 1.0), (2.0, 0.3, 0.5)])
def test_the_interval_of_a_share_holds_the_truth(sds):
    """In at least 93 % of 600 simulated layouts the interval of the share holds the true one, be it 1, a half or 0.08;
    the middle of the estimates lies near it."""
    rng = np.random.default_rng(2)
    rows, columns, rest = (sd**2 for sd in sds)
    truth = (columns + rest) / (rows + columns + rest)
    found = [share_of_columns(layout(rng, *sds)) for _ in range(600)]
    assert np.mean([each.low <= truth <= each.high for each in found]) >= 0.93
    assert np.median([each.value for each in found]) == pytest.approx(truth, abs=0.08)


def test_a_stream_that_moves_nothing_has_no_share():
    """Columns that are the same in every row have share 0 exactly, without an interval; equal values everywhere tell
    nothing."""
    rows = np.repeat([[0.9], [0.8], [0.95]], 3, axis=1)
    found = share_of_columns(rows)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)
    nothing = share_of_columns(np.full((3, 3), 0.9))
    assert math.isnan(nothing.value)
    assert not nothing.bounded


def test_a_layout_has_two_of_each():
    """One column has no interaction to tell from noise, and is refused."""
    with pytest.raises(ValueError, match="at least 2 rows and 2 columns"):
        crossed_components([[1.0], [2.0]])


# ---------------------------------------------------------------------------------------------------- the test images


def test_predicted_spreads_by_hand():
    """Two runs, four images, one of them right in the first run only: variance 1/2 on that image, so √(1/2) / 4."""
    right = [[True, True, False, True], [True, True, False, False]]
    assert independent_error_sd(right) == pytest.approx(math.sqrt(0.5) / 4)
    assert binomial_sd(0.75, 4) == pytest.approx(math.sqrt(0.1875 / 4))
    assert math.isnan(independent_error_sd(right[:1]))
    assert math.isnan(distribution_sd(right[:1]))


def test_independent_errors_are_predicted_and_shared_ones_are_not():
    """Where images are got wrong independently the prediction is the SD of accuracy, and nothing is left for endless
    test images; where half of the runs are bad on every image the SD is larger, and most of it is left."""
    rng = np.random.default_rng(7)
    chances = rng.beta(8, 1, size=400)
    apart = rng.random((800, 400)) < chances
    assert independent_error_sd(apart) == pytest.approx(apart.mean(axis=1).std(ddof=1), rel=0.1)
    assert distribution_sd(apart) < 0.004
    quality = rng.choice([-0.1, 0.0], size=(800, 1))
    together = rng.random((800, 400)) < chances + quality
    assert together.mean(axis=1).std(ddof=1) > 2 * independent_error_sd(together)
    assert distribution_sd(together) == pytest.approx(0.05, rel=0.1)


def test_the_binomial_formula_ignores_that_images_differ():
    """Images that are always right or always wrong give no spread at all, where the binomial formula still has some."""
    right = np.repeat([[True] * 9 + [False]], 5, axis=0)
    assert independent_error_sd(right) == 0.0
    assert binomial_sd(0.9, 10) > 0.09


# -------------------------------------------------------------------------------------------------- repeat and reseed


def test_a_ratio_of_means_repeats_for_its_seed_alone():
    """The same seed gives the same interval, another a different one; the value is the plain ratio of the means."""
    above = np.array([0.11, 0.23, 0.05, 0.31, 0.17, 0.29])
    below = np.array([0.41, 0.37, 0.52, 0.33, 0.48, 0.29])
    first, again, other = (ratio_of_means(above, below, seed)[0] for seed in (0, 0, 1))
    assert first == again
    assert (first.low, first.high) != (other.low, other.high)
    assert first.value == pytest.approx(1.16 / 2.4)
    assert first.low < first.value < first.high


def test_a_ratio_to_nothing_is_unknown():
    """Without any difference below there is no ratio, and no warning either."""
    found, draws = ratio_of_means([0.1, 0.2], [0.0, 0.0])
    assert math.isnan(found.value)
    assert np.isnan(draws).all()
