"""The five words: the truth table line by line, and what each judgement rests on, by hand."""

import math

import numpy as np
import pytest

from analysis.statistics import verdicts
from analysis.statistics.equivalence import tost_p
from analysis.statistics.intervals import clopper_pearson, paired_p, t_interval
from analysis.statistics.permutation import sign_flip_p
from analysis.statistics.power import settling, smallest_detectable
from analysis.statistics.verdicts import VERDICTS, judge, meaningful, seed_sd, verdict

AHEAD = [0.010, 0.012, 0.008, 0.011, 0.009, 0.010]
CLOSE = [0.001, -0.001, 0.0005, -0.0005, 0.001, -0.001]
TORN = [0.03, -0.02, 0.01, -0.03, 0.02, 0.0]


@pytest.mark.parametrize("higher_is_better", [True, False])
@pytest.mark.parametrize("equivalence_p", [0.01, 0.05, 0.5])
@pytest.mark.parametrize("corrected_p", [0.01, 0.05, 0.5])
@pytest.mark.parametrize("value", [-0.1, 0.1])
@pytest.mark.parametrize("n", [0, 1, 2, 30])
def test_the_truth_table_has_no_hole(n, value, corrected_p, equivalence_p, higher_is_better):
    """Every combination earns exactly the word that the table in the module's docstring writes for it."""
    lines = {
        "not testable here": n < 2,
        "better": n >= 2 and corrected_p < 0.05 and (value > 0) is higher_is_better,
        "worse": n >= 2 and corrected_p < 0.05 and (value > 0) is not higher_is_better,
        "equivalent within margin": n >= 2 and corrected_p >= 0.05 and equivalence_p < 0.05,
        "inconclusive": n >= 2 and corrected_p >= 0.05 and equivalence_p >= 0.05,
    }
    assert [word for word, holds in lines.items() if holds] == [
        verdict(n, value, corrected_p, equivalence_p, higher_is_better)
    ]


def test_the_table_in_the_docstring_has_every_word():
    """The written table names the five words, each in one line, and no other."""
    written = [line.split("|")[2].strip() for line in verdicts.__doc__.splitlines() if line.startswith("|")]
    assert sorted(written[2:]) == sorted(VERDICTS)


@pytest.mark.parametrize(
    ("differences", "margin", "higher_is_better", "word"),
    [
        (AHEAD, 0.005, True, "better"),
        (AHEAD, 0.005, False, "worse"),
        ([-d for d in AHEAD], 0.005, True, "worse"),
        (CLOSE, 0.005, True, "equivalent within margin"),
        (CLOSE, 0.0005, True, "inconclusive"),
        (TORN, 0.005, True, "inconclusive"),
        (CLOSE, math.nan, True, "inconclusive"),
        ([0.0] * 6, 0.005, True, "equivalent within margin"),
        ([0.0] * 4, 0.005, True, "inconclusive"),
        ([0.01] * 6, 0.005, True, "better"),
        ([0.01] * 5, 0.005, True, "inconclusive"),
        ([0.01], 0.005, True, "not testable here"),
        ([], 0.005, True, "not testable here"),
    ],
)
def test_words_for_seeds_as_they_come(differences, margin, higher_is_better, word):
    """A clear lead, a tie, a muddle, bit-identical arms, a constant lead, and too few seeds get their words."""
    assert judge(differences, margin=margin, higher_is_better=higher_is_better).verdict == word


def test_a_judgement_rests_on_the_named_statistics():
    """Each field is the statistic of its name, by itself at 5 %."""
    found = judge(TORN, margin=0.005)
    assert found.estimate == t_interval(TORN)
    assert found.p == found.corrected_p == paired_p(TORN)
    assert found.sign_flip_p == sign_flip_p(TORN)
    assert found.equivalence_p == tost_p(TORN, 0.005)
    assert found.better_share == clopper_pearson(3.5, 6)  # three wins and a tie
    assert found.detectable == smallest_detectable(np.std(TORN, ddof=1), 6)
    assert (found.seeds_to_settle, found.settled_as) == settling(TORN, 0.005)
    assert (found.n, found.margin, found.identical, found.told_apart) == (6, 0.005, False, False)


def test_the_corrected_p_decides():
    """A p that does not survive its family's correction takes the word away, and nothing else."""
    alone, among = judge(AHEAD, margin=0.005), judge(AHEAD, margin=0.005, corrected_p=0.06)
    assert (alone.verdict, among.verdict) == ("better", "inconclusive")
    assert (alone.p, alone.estimate) == (among.p, among.estimate)


def test_a_family_sees_less():
    """Six comparisons that share the level have more to plan for; and their p is not touched by that."""
    alone, six = judge(TORN, margin=math.nan), judge(TORN, margin=math.nan, family=6)
    assert six.detectable == smallest_detectable(np.std(TORN, ddof=1), 6, level=0.05 / 6) > alone.detectable
    assert six.seeds_to_settle > alone.seeds_to_settle
    assert six.p == alone.p


def test_a_difference_that_does_not_matter_is_found_and_said_to_be_negligible():
    """A lead of a hundredth is better; with a margin of two hundredths it is negligible too, with half of one not."""
    assert judge(AHEAD, margin=0.02).verdict == "better"
    assert judge(AHEAD, margin=0.02).negligible
    assert not judge(AHEAD, margin=0.005).negligible
    assert not judge(CLOSE, margin=0.005).negligible  # nothing was found


def test_lower_may_be_better():
    """Where lower is better the share counts the seeds on which the arm is lower; the estimate keeps its sign."""
    found = judge([-1.0, -2.0, -1.5, 0.5], margin=1.0, higher_is_better=False)
    assert found.better_share.value == 0.75
    assert found.estimate.value == -1.0


def test_bit_identical_arms_are_said_to_be():
    """Equal to the bit on every seed is marked; equal leads are not."""
    assert judge([0.0] * 3, margin=0.1).identical
    assert not judge([0.1] * 3, margin=0.1).identical
    assert not judge([], margin=0.1).identical


def test_the_rule_of_bouthillier_by_hand():
    """9 of 10 wins reach from 0.55 to 0.998: meaningful; 8 of 10 start at 0.44; 58 of 94 end at 0.72: not."""
    assert meaningful(clopper_pearson(9, 10))
    assert not meaningful(clopper_pearson(8, 10))
    many = clopper_pearson(58, 94)
    assert many.low > 0.5
    assert not meaningful(many)
    assert judge([1.0] * 9 + [-0.1], margin=0.1).meaningfully_better
    assert not judge([-1.0] * 9 + [0.1], margin=0.1).meaningfully_better


def test_a_missing_seed_is_refused():
    """nan among the differences is a mistake of the caller, not a value."""
    with pytest.raises(ValueError, match="nan"):
        judge([0.1, math.nan], margin=0.1)


def test_the_seed_sd_by_hand():
    """One arm's is its SD; of three it is the root of the middle variance, whatever the arm whose seeds fail does."""
    assert seed_sd([1.0, 2.0, 3.0]) == 1.0
    scores = np.array([[1.0, 0.0, 9.0], [2.0, 2.0, 0.0], [3.0, 4.0, 90.0]])
    assert seed_sd(scores) == 2.0
    assert seed_sd(scores[:, :2]) == pytest.approx(math.sqrt(2.5))


def test_the_seed_sd_takes_arms_of_three_seeds_where_there_are_any():
    """Arms of two seeds count only where none has three, and arms of one never do."""
    scores = np.array([[1.0, 0.0], [2.0, 8.0], [3.0, math.nan]])
    assert seed_sd(scores) == 1.0
    assert seed_sd(scores[:2]) == pytest.approx(math.sqrt((0.5 + 32.0) / 2))
    assert math.isnan(seed_sd(scores[:1]))
    assert math.isnan(seed_sd([]))


def test_equivalence_within_an_estimated_margin_holds_for_the_margin_that_was_used():
    """A true difference no smaller than the margin used is called equivalent in at most 5 % of 4,000 studies, in 3 SE.

    Seeds move both arms together, so that pairs are told apart sharply and the margin is the vague part: about the SD
    that endless seeds would show, the word is wrong more than twice as often as 5 %.
    """
    rng, truth = np.random.default_rng(0), math.sqrt(10)
    seeds = 3.0 * rng.normal(size=(4_000, 1, 8))
    arms = seeds + rng.normal(size=(4_000, 2, 8)) + np.array([[0.0], [truth]])
    margins = np.sqrt(arms.var(axis=2, ddof=1).mean(axis=1))
    assert seed_sd(arms[0].T) == pytest.approx(margins[0])
    differences = arms[:, 1] - arms[:, 0]
    called = np.array([tost_p(d, m) < 0.05 for d, m in zip(differences, margins, strict=True)])
    assert np.mean(called & (margins <= truth)) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 4_000)
    assert np.mean(called) > 0.1
