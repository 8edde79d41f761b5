"""The statistics of orders, by hand and on simulated truth: what is planted is found, and what is not is not."""

import math

import numpy as np
import pytest

from analysis.statistics.rankings import kendall_tau, misranking, misranking_interval, moved, tau_interval


@pytest.mark.parametrize(
    ("first", "second", "tau"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4], 1.0),
        ([1, 2, 3, 4], [2, 1, 3, 4], 4 / 6),  # one of six pairs turned: (5 - 1) / 6
        ([1, 2, 3], [1, 1, 2], 2 / math.sqrt(6)),  # one tie: two pairs agree, √(3 · 2)
    ],
)
def test_tau_by_hand(first, second, tau):
    """Kendall's tau-b counts pairs of arms, ties taken into account."""
    assert kendall_tau(first, second) == pytest.approx(tau)


def test_no_order_has_no_tau():
    """Arms that all tie in one list have no order to agree on."""
    assert math.isnan(kendall_tau([1, 1, 1], [1, 2, 3]))


def scores(means, num_seeds: int = 20, sd: float = 0.01, seed: int = 0) -> np.ndarray:
    return np.asarray(means) + np.random.default_rng(seed).normal(0, sd, (num_seeds, len(means)))


def test_the_same_order_twice_is_found_and_a_turned_one_too():
    """Two samples of arms that lie far apart have tau 1 and nothing moved; with the ends swapped they are named."""
    means = [0.95, 0.90, 0.85]
    first, second = scores(means), scores(means, seed=1)
    same = tau_interval(first, second)
    assert (same.value, same.low, same.high) == (1.0, 1.0, 1.0)
    assert moved(first, second) == []
    turned = scores(means[::-1], seed=2)
    assert tau_interval(first, turned).value == -1.0
    assert moved(first, turned) == [0, 2]


def test_arms_that_are_equal_in_truth_are_not_said_to_move():
    """Of 60 pairs of samples of four equal arms at most 5 have any that moved: chance order is no movement."""
    alarms = sum(bool(moved(scores([0.9] * 4, seed=2 * i), scores([0.9] * 4, seed=2 * i + 1))) for i in range(60))
    assert alarms <= 5


def test_misranking_by_hand():
    """Of the 9 pairs of one run each 3 are turned round (4 > 2, 5 > 2, 5 > 4) and one ties, which counts half."""
    assert misranking([2.0, 4.0, 6.0], [1.0, 4.0, 5.0]) == pytest.approx(3.5 / 9)
    assert misranking([1.0, 1.0], [1.0, 1.0]) == 0.5


def test_misranking_is_that_of_the_normal_distribution():
    """Arms one SD apart are misranked with probability Φ(-1/√2) = 0.2398, and the interval holds it."""
    rng = np.random.default_rng(3)
    pairs = [(rng.normal(1, 1, 200), rng.normal(0, 1, 200)) for _ in range(3)]
    found = misranking_interval(pairs)
    assert found.value == pytest.approx(0.2398, abs=0.03)
    assert found.low < 0.2398 < found.high
    assert math.isnan(misranking_interval([]).value)
