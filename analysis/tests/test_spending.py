"""Alpha spending: the levels agree with published tables, and the error over all looks is what it is said to be."""

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.spending import SPENDINGS, overall_p, share_spent, spent, t_levels
from analysis.tests.looking import SHAPES, over_looks

EQUAL_LOOKS = [
    # five looks: the vignette of R's ldbounds; two: gsDesign's sfLDOF. Two-sided 5 %, as normal deviates.
    ("obrien_fleming", (1, 2), (2.9626, 1.9686)),
    ("obrien_fleming", (1, 2, 3, 4, 5), (4.8769, 3.3569, 2.6803, 2.2898, 2.0310)),
    ("pocock", (20, 40, 60, 80, 100), (2.4380, 2.4268, 2.4101, 2.3966, 2.3859)),
]
LOOKS = [(5, 10, 20), (5, 7, 9, 11, 13)]


@pytest.mark.parametrize(("spending", "looks", "published"), EQUAL_LOOKS)
def test_levels_agree_with_published_tables(spending, looks, published):
    """Four decimals of the deviates that two other programs print."""
    assert stats.norm.isf(spent(looks, spending) / 2) == pytest.approx(published, abs=2e-4)


@pytest.mark.parametrize("spending", SPENDINGS)
@pytest.mark.parametrize(("looks", "level"), [((5, 10, 20), 0.05), ((4, 5, 30), 0.05), ((6, 12), 0.05 / 6)])
def test_all_looks_together_err_at_the_level(spending, looks, level):
    """The probability to stop at any look, by the multivariate normal distribution: another way to the same number."""
    bounds = stats.norm.isf(spent(looks, spending, level) / 2)
    fractions = np.array(looks) / looks[-1]
    covariance = np.sqrt(np.minimum.outer(fractions, fractions) / np.maximum.outer(fractions, fractions))
    inside = stats.multivariate_normal(cov=covariance, seed=0, abseps=1e-8).cdf(bounds, lower_limit=-bounds)
    assert 1 - inside == pytest.approx(level, rel=1e-3)


def test_that_other_way_knows_the_classic_bounds():
    """O'Brien and Fleming's own two looks, 0.00517 and 0.0480, err at 5 %; two looks at 5 % each err at 8 %."""
    bounds = stats.norm.isf(np.array([0.00517, 0.0480]) / 2)
    normal = stats.multivariate_normal(cov=[[1, 0.5**0.5], [0.5**0.5, 1]], seed=0)
    assert 1 - normal.cdf(bounds, lower_limit=-bounds) == pytest.approx(0.05, abs=1e-4)
    bounds = stats.norm.isf(np.array([0.05, 0.05]) / 2)
    assert 1 - normal.cdf(bounds, lower_limit=-bounds) > 0.08


@pytest.mark.parametrize("spending", SPENDINGS)
def test_shares_begin_at_nothing_and_end_at_all(spending):
    """Nothing is spent on no seeds, all of it on all of them, and never less later."""
    shares = [share_spent(t, spending, 0.05) for t in (1e-9, 0.2, 0.4, 0.6, 0.8, 1.0)]
    assert shares[0] == pytest.approx(0, abs=1e-8)
    assert shares[-1] == pytest.approx(0.05)
    assert shares == sorted(shares)


@pytest.mark.parametrize("function", [spent, t_levels])
def test_one_look_has_the_whole_level(function):
    """A study whose seeds are fixed is tested at 5 %, however its error would be spent."""
    for spending in SPENDINGS:
        assert function((12,), spending) == pytest.approx([0.05])


def test_an_unknown_spending_is_no_spending():
    """A misspelt name raises; it is not taken for another."""
    with pytest.raises(ValueError, match="'pocok'"):
        spent((5, 10), "pocok")


@pytest.mark.parametrize("spending", SPENDINGS)
@pytest.mark.parametrize("look", [1, 2, 3])
@pytest.mark.parametrize("level", [0.05, 0.004])
def test_overall_p_turns_levels_back(spending, look, level):
    """A p that is just enough at a look, of a study that errs at 5 %, stands for 5 %."""
    looks = (5, 10, 20)
    nominal = t_levels(looks, spending, level)[look - 1]
    assert overall_p(nominal, looks, spending, look) == pytest.approx(level, rel=1e-3)
    assert overall_p(1.01 * nominal, looks, spending, look) > level > overall_p(0.99 * nominal, looks, spending, look)


def test_overall_p_at_its_ends():
    """One look changes nothing; certainty and none stay what they are; and what is tiny is told as 1e-10."""
    assert overall_p(0.03, (8,), "pocock", 1) == 0.03
    assert overall_p(1.0, (5, 10), "pocock", 1) == 1.0
    assert overall_p(0.0, (5, 10), "obrien_fleming", 1) == 1e-10


def test_levels_repeat_exactly():
    """The part that is held back comes from a simulation with one seed: the same in every process."""
    from analysis.statistics.spending import _parts_used

    first = t_levels((4, 9), "pocock")
    _parts_used.cache_clear()
    assert list(t_levels((4, 9), "pocock")) == list(first)


# -------------------------------------------------------------------------------------------------------------- gates


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("looks", LOOKS)
@pytest.mark.parametrize("spending", SPENDINGS)
def test_equal_arms_are_called_different_in_5_percent_of_studies_over_all_looks(spending, looks, shape):
    """Gate: of 20,000 studies without an effect, stopped at the first look that seems to find one, at most 5 % do."""
    found = over_looks(shape, looks, t_levels(looks, spending), num_studies=20_000)
    assert found.differs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 20_000)


@pytest.mark.parametrize("spending", SPENDINGS)
@pytest.mark.parametrize("shape", ["normal", "lumpy"])
def test_a_family_errs_in_5_percent_of_studies_over_all_looks(spending, shape):
    """Gate: Holm over six comparisons with one baseline, at three looks; it stops where the smallest p is enough."""
    looks, num_studies = (5, 10, 20), 10_000
    levels = t_levels(looks, spending, 0.05 / 6)
    found = over_looks(shape, looks, levels, num_studies=num_studies, num_arms=6)
    assert found.differs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / num_studies)


def test_levels_of_a_single_look_would_not_hold():
    """The gate is one that can fail: three looks at 5 % each call equal arms different in more than 9 % of studies."""
    assert over_looks("normal", (5, 10, 20), [0.05] * 3, num_studies=20_000).differs > 0.09


def test_normal_levels_alone_would_not_hold():
    """What is held back for the t-test is needed: without it 20 looks' worth of studies err above 5 %."""
    looks = (5, 7, 9, 11, 13)
    assert over_looks("normal", looks, spent(looks, "obrien_fleming"), num_studies=100_000).differs > 0.0535


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spending", SPENDINGS)
def test_arms_a_margin_apart_are_called_equivalent_in_5_percent_of_studies(spending, shape):
    """Gate: where the true difference is the margin itself, no look calls it equivalent in more than 5 % of studies."""
    looks, num_studies = (5, 10, 20), 10_000
    found = over_looks(shape, looks, t_levels(looks, spending), num_studies=num_studies, margin=1.0)
    assert found.equivalent <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / num_studies)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spending", SPENDINGS)
def test_intervals_of_all_looks_together_cover_the_truth_in_95_percent_of_studies(spending, shape):
    """Gate: the interval of whichever look a study ends at holds the truth, as those of all looks do together."""
    looks, num_studies = (5, 10, 20), 10_000
    found = over_looks(shape, looks, t_levels(looks, spending), num_studies=num_studies, effect=0.7)
    assert found.covered >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / num_studies)
