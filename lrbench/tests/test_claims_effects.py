"""The statistics that the claims on flags stand on, held to simulated truth and to values by hand."""

import math

import numpy as np
import pytest

from lrbench.claims import deterministic
from lrbench.claims.effects import Ratio, different, equivalence, ratio_of, sd_ratio, told, word_for


@pytest.mark.parametrize(("n", "truth"), [(3, 1.0), (6, 1.04), (18, 0.8)])
def test_the_interval_of_a_ratio_covers_the_truth(n, truth):
    """The 95 % interval of a ratio of times holds the true ratio in 95 % of 1,000 studies, for any number of blocks."""
    rng = np.random.default_rng(n)
    studies = math.log(truth) + 0.05 * rng.standard_normal((1_000, n))
    covered = sum(found.low <= truth <= found.high for found in map(ratio_of, studies))
    assert abs(covered - 950) < 4 * math.sqrt(1_000 * 0.95 * 0.05)


def test_a_ratio_says_what_it_could_have_seen():
    """A true ratio of the size called `smallest` is told apart in four studies of five."""
    rng = np.random.default_rng(0)
    smallest = math.exp(1.2 * 0.05)  # noncentral t: an effect of 1.199 SDs is found by 8 pairs with power 0.8
    found = [ratio_of(math.log(smallest) + 0.05 * rng.standard_normal(8)) for _ in range(1_000)]
    assert abs(np.mean([ratio.low > 1 for ratio in found]) - 0.8) < 0.05
    assert np.median([ratio.smallest for ratio in found]) == pytest.approx(smallest, rel=0.01)


def test_equal_times_have_no_interval():
    """From times without any spread, or from one block, no certainty is claimed."""
    for values in ([0.1, 0.1, 0.1], [0.1]):
        ratio = ratio_of(values)
        assert (ratio.low, ratio.high, ratio.smallest) == (0.0, math.inf, math.inf)
        assert word_for(ratio, "above 1") == "inconclusive"


@pytest.mark.parametrize(
    ("low", "high", "above", "below"),
    [
        (1.1, 1.3, "supported", "refuted"),
        (0.7, 0.9, "refuted", "supported"),
        (0.9, 1.1, "inconclusive", "inconclusive"),
    ],
)
def test_the_word_is_the_intervals(low, high, above, below):
    """A ratio is above or below 1 where its whole interval is; where 1 lies in it, the text says what was findable."""
    ratio = Ratio(value=(low * high) ** 0.5, low=low, high=high, n=5, p=0.5, smallest=1.2)
    assert (word_for(ratio, "above 1"), word_for(ratio, "below 1")) == (above, below)
    assert ("would have been found" in told(ratio)) == (above == "inconclusive")


def test_tost_errs_in_one_study_of_twenty_at_most():
    """Where the truth lies exactly at the margin, at most 5 % of 2,000 studies of 18 pairs call it equivalent; where
    there is no difference, and runs scatter by one margin, four of five do (18 pairs were chosen for that)."""
    rng = np.random.default_rng(1)
    noise = math.sqrt(2) * rng.standard_normal((2_000, 18))  # of a difference of two runs of SD 1
    wrong = sum(equivalence(1.0 + row, 1.0).word == "equivalent within margin" for row in noise)
    right = sum(equivalence(row, 1.0).word == "equivalent within margin" for row in noise)
    assert wrong / 2_000 < 0.05 + 4 * math.sqrt(0.05 * 0.95 / 2_000)
    assert 0.75 < right / 2_000 < 0.85


def test_tost_with_an_estimated_margin_errs_little_more():
    """The margin of C2e is the SD of 18 seeds: that its error is ignored costs little: 6 % and not 5 % err."""
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(2_000):
        on, off = rng.standard_normal((2, 18))
        wrong += equivalence(1.0 + on - off, float(on.std(ddof=1))).word == "equivalent within margin"
    assert wrong / 2_000 < 0.06 + 4 * math.sqrt(0.06 * 0.94 / 2_000)


def test_equivalence_by_hand():
    """Differences 1, 2, 3 (mean 2, error 0.577, t 2.92): 90 % interval 0.314 to 3.686; margins say the rest."""
    found = equivalence([1.0, 2.0, 3.0], 4.0)
    assert (found.value, found.word) == (2.0, "equivalent within margin")
    assert (found.low, found.high) == (pytest.approx(0.3141, abs=1e-4), pytest.approx(3.6859, abs=1e-4))
    assert equivalence([1.0, 2.0, 3.0], 3.0).word == "inconclusive"
    assert equivalence([1.0, 2.0, 3.0], 0.3).word == "refuted"


def test_bit_identical_pairs_have_no_p_value():
    """Differences that are all zero are equivalent whatever the margin and get no p; one pair tells nothing."""
    same = equivalence([0.0] * 18, 0.0)
    assert (same.word, same.low, same.high) == ("equivalent within margin", 0.0, 0.0)
    assert math.isnan(same.p)
    assert equivalence([0.1], 1.0).word == "inconclusive"
    assert equivalence([0.1, 0.2], 0.0).word == "inconclusive"


def test_the_interval_of_a_ratio_of_sds_covers_the_truth():
    """The 95 % interval of a ratio of two SDs (18 and 17 degrees of freedom) holds the truth in 95 % of 1,000."""
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(1_000):
        sd, other = 0.5 * rng.standard_normal(19), rng.standard_normal(18)
        found = sd_ratio(float(sd.std(ddof=1)), 18, float(other.std(ddof=1)), 17)
        covered += found.low <= 0.5 <= found.high
    assert abs(covered - 950) < 4 * math.sqrt(1_000 * 0.95 * 0.05)


def test_a_ratio_of_sds_at_its_edges():
    """Repeats that are bit-identical have ratio 0 exactly; over an SD of 0 nothing is told."""
    assert (sd_ratio(0.0, 18, 0.1, 17).low, sd_ratio(0.0, 18, 0.1, 17).high) == (0.0, 0.0)
    assert sd_ratio(0.1, 18, 0.0, 17).high == math.inf
    assert deterministic.spread_word(0.0, math.inf) == "inconclusive"


def test_many_comparisons_are_held_together():
    """Of 20 comparisons at p = 0.04 none stands; one at 0.001 does."""
    assert not any(different([0.04] * 20))
    assert different([0.001, *[0.04] * 19]) == [True, *[False] * 19]
