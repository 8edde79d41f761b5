"""Numbers that others have published, from what they published: means, SDs and sample sizes, not runs."""

import numpy as np
import pytest

from analysis.statistics.intervals import welch_interval, welch_p
from analysis.statistics.power import pairs_for_share


def with_summary(mean: float, sd: float, n: int = 5) -> np.ndarray:
    """Return n values that have this mean and this standard deviation."""
    values = np.arange(n) - (n - 1) / 2
    return mean + sd * values / values.std(ddof=1)


def test_twenty_nine_pairs_show_three_wins_of_four():
    """Bouthillier et al. (2103.03098): P(A > B) of 0.75 at 5 % and 95 % takes 29 pairs, by Noether's formula."""
    assert pairs_for_share(0.75, level=0.05, probability=0.95) == 29
    # (1.6449 + 1.6449)^2 / (6 x 0.4^2) = 11.27
    assert pairs_for_share(0.9) == 12
    assert pairs_for_share(0.5) == pairs_for_share(0.3) == 0


def test_a_warm_up_that_pays():
    """pytorch_warmup, ResNet20, AdamW at 0.1, 5 seeds: error 13.15 ± 0.75 without a warm-up, 8.52 ± 0.11 with.

    The difference is 4.63 points with a standard error of √(0.75² / 5 + 0.11² / 5) = 0.339 at
    0.1149² / (0.1125² / 4 + 0.00242² / 4) = 4.17 degrees of freedom (Welch), where t is 2.732: 3.70 to 5.56.
    """
    without, warmed = with_summary(13.15, 0.75), with_summary(8.52, 0.11)
    found = welch_interval(without, warmed)
    assert found.value == pytest.approx(4.63)
    assert (found.low, found.high) == pytest.approx((3.70, 5.56), abs=0.01)
    assert welch_p(without, warmed) < 0.001
