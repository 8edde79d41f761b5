"""How a gap grows: doubling times that are known come back, and where none can be told it is nan."""

import math

import numpy as np
import pytest

from analysis.statistics.growth import growth, middle

STEPS = np.arange(300)


@pytest.mark.parametrize("doubling_steps", [1.0, 5.0, 20.0])
def test_an_exact_doubling_time_comes_back(doubling_steps):
    """A gap that starts at 1e-7, doubles every so many steps and levels off at 0.01 gives that time to the digit."""
    found = growth(np.minimum(1e-7 * 2 ** (STEPS / doubling_steps), 0.01))
    assert found.doubling_steps == pytest.approx(doubling_steps)
    assert found.largest_gap == pytest.approx(min(0.01, 1e-7 * 2 ** (299 / doubling_steps)))
    assert found.first_gap == 1e-7


def test_steps_by_hand():
    """No gap in steps 1 and 2, then 1, 2, 4, …, 1024: a tenth of 1024 is first reached by 128, 7 steps on."""
    found = growth([0.0, 0.0, *(2.0**k for k in range(11))])
    assert (found.num_steps, found.doubling_steps, found.num_seen) == (7, pytest.approx(1.0), 11)


def test_scatter_around_growth():
    """Gaps that scatter by a factor of about four around a doubling each 6 steps give 6 within a fifth."""
    rng = np.random.default_rng(0)
    curve = np.minimum(1e-7 * 2 ** (STEPS / 6), 0.01) * 2 ** rng.normal(0, 2, len(STEPS))
    assert growth(curve).doubling_steps == pytest.approx(6, rel=0.2)


def test_gaps_of_zero_are_left_out():
    """A loss that happens to agree now and then does not change the slope."""
    curve = np.minimum(1e-7 * 2 ** (STEPS / 5), 0.01)
    curve[10:90:7] = 0.0
    assert growth(curve).doubling_steps == pytest.approx(5.0)


@pytest.mark.parametrize(
    "gaps",
    [
        [],
        [0.0] * 50,
        [1e-7] * 50,
        list(1e-3 * 0.9**STEPS),
        [1e-7, 1e-3],
        [math.nan] * 20,
        list(np.random.default_rng(0).uniform(1e-7, 3e-7, 300)),
    ],
    ids=["none", "equal", "constant", "shrinking", "two", "nan", "noise"],
)
def test_no_growth_is_told_where_there_is_none(gaps):
    """Without enough gaps, or without a rising line, the doubling time is nan and not a number of any kind."""
    assert math.isnan(growth(gaps).doubling_steps)


def test_the_middle_of_curves():
    """The median at each step over the gaps that are there: (1, 3) → 2, (0, 4) → 4, nothing → nan, a short curve."""
    found = middle([[1.0, 0.0, 0.0, 8.0], [3.0, 4.0, 0.0]])
    np.testing.assert_array_equal(found, [2.0, 4.0, np.nan, 8.0])
