"""What may be said of one arm against another? Paired differences in, one of five words out, and what it rests on.

| the pairs                                                    | verdict                  |
|--------------------------------------------------------------|--------------------------|
| fewer than two                                               | not testable here        |
| corrected p < level, the mean is on the better side          | better                   |
| corrected p < level, the mean is on the worse side           | worse                    |
| corrected p >= level, both one-sided tests reject the margin | equivalent within margin |
| neither                                                      | inconclusive             |

A difference that was found and is shown to be smaller than the margin is still "better" or "worse", and `negligible`.
Equivalence is not corrected for the family: of one comparison only one of the two errors can be made.

The p is the paired t-test's, and the interval Student's; where one difference lies far outside of the others, both are
those of sign flips (`analysis.statistics.intervals.shuffles_decide`). Calibration (`python -m analysis.calibration`) is
why. Among arms that scatter alike, this calls equal ones different at most at the nominal rate in every shape of noise
from 3 seeds on, and its interval covers 93 to 97 % from 6 on; t alone covers more where one seed in twenty fails. The
sign-flip test keeps its rate too and its p stands beside, but it cannot speak below 6 seeds, or below 8 in a family of
six. BCa intervals are too narrow up to 30 seeds. Where one arm alone has rare bad seeds no method that sees only the
seeds knows the mean: then the count of bad seeds is the finding. Equivalence is shown by two one-sided t-tests always.

What this does *not* do: choose rows, correct for a family (`analysis.statistics.intervals.holm`), or word sentences.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.statistics.equivalence import tost_p
from analysis.statistics.intervals import Estimate, no_spread, paired_interval, paired_p, win_probability
from analysis.statistics.permutation import sign_flip_p
from analysis.statistics.power import settling, smallest_detectable

BETTER, WORSE, EQUIVALENT = "better", "worse", "equivalent within margin"
INCONCLUSIVE, NOT_TESTABLE = "inconclusive", "not testable here"
VERDICTS = (BETTER, WORSE, EQUIVALENT, INCONCLUSIVE, NOT_TESTABLE)
LEVEL = 0.05
MEANINGFUL = 0.75  # Bouthillier et al.: of two arms worth choosing between, the better wins on three seeds in four


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """One arm less its baseline, seed by seed.

    `estimate` is the mean difference with its own 95 % interval, not widened for the family; `p` and `sign_flip_p` are
    two-sided and by themselves, `corrected_p` is within the family and decides. `better_share` is the probability that
    the arm is the better one on a seed, ties half. `detectable` is the true difference that so many pairs find four
    times in five (nan without any spread), `seeds_to_settle` the seeds in all that would settle it (0: more than
    10,000, or it cannot be said), both at the level that its family (and look) leave to it, and `settled_as` whether
    the arms would then be told apart or shown equivalent ("" where it cannot be said). Where all pairs are equal to the
    bit `identical` holds: then say the count, and no p.
    """

    verdict: str
    estimate: Estimate
    p: float
    corrected_p: float
    sign_flip_p: float
    better_share: Estimate
    meaningfully_better: bool
    equivalence_p: float
    margin: float
    detectable: float
    seeds_to_settle: int
    settled_as: str
    n: int
    identical: bool
    negligible: bool

    @property
    def told_apart(self) -> bool:
        return self.verdict in (BETTER, WORSE)


def judge(
    differences,
    *,
    margin: float,
    higher_is_better: bool = True,
    corrected_p: float | None = None,
    level: float = LEVEL,
    family: int = 1,
    look_levels: tuple[float, float] | None = None,
) -> Judgement:
    """Is an arm better than its baseline, worse, or the same for all that matters? (n,) differences → Judgement.

    Arm less baseline, one per seed and none nan (log-ratios for metrics that are ratios, with a margin alike); nan as
    margin stands for one that is not known, and shows nothing to be equivalent. Without `corrected_p` the comparison
    stands alone. `family` is the number of comparisons that share the level, for what is planned from here;
    `look_levels`, in a study of several looks, what the look leaves to one comparison in the family, and to one alone.
    """
    differences = np.asarray(differences, dtype=float)
    if np.isnan(differences).any():
        raise ValueError("differences hold nan: leave out seeds that one of the arms lacks")
    n, estimate, p = len(differences), paired_interval(differences), paired_p(differences)
    corrected_p = p if corrected_p is None else corrected_p
    equivalence_p = tost_p(differences, margin)
    share = win_probability(differences if higher_is_better else -differences)
    told_level, shown_level = look_levels or (level / family, level)
    needed, goal = settling(differences, margin, told_level, shown_level)
    found = verdict(n, estimate.value, corrected_p, equivalence_p, higher_is_better, level)
    return Judgement(
        verdict=found,
        estimate=estimate,
        p=p,
        corrected_p=corrected_p,
        sign_flip_p=sign_flip_p(differences),
        better_share=share,
        meaningfully_better=meaningful(share),
        equivalence_p=equivalence_p,
        margin=margin,
        detectable=math.nan if no_spread(differences) else _detectable(differences, told_level),
        seeds_to_settle=needed,
        settled_as=goal,
        n=n,
        identical=n > 0 and not differences.any(),
        negligible=found in (BETTER, WORSE) and equivalence_p < level,
    )


def _detectable(differences: np.ndarray, level: float) -> float:
    return smallest_detectable(float(differences.std(ddof=1)), len(differences), level=level)


def verdict(
    n: int, value: float, corrected_p: float, equivalence_p: float, higher_is_better: bool = True, level: float = LEVEL
) -> str:
    """Which of the five words do these numbers earn? The truth table at the top of this file, line by line.

    >>> verdict(10, 0.3, 0.01, 0.5), verdict(10, 0.3, 0.01, 0.5, higher_is_better=False), verdict(1, 0.3, 1.0, 1.0)
    ('better', 'worse', 'not testable here')
    >>> verdict(10, 0.01, 0.5, 0.01), verdict(10, 0.1, 0.5, 0.5)
    ('equivalent within margin', 'inconclusive')
    """
    if n < 2:
        return NOT_TESTABLE
    if corrected_p < level:
        return BETTER if (value > 0) == higher_is_better else WORSE
    return EQUIVALENT if equivalence_p < level else INCONCLUSIVE


def meaningful(better_share: Estimate) -> bool:
    """Is an arm better often enough to matter? P(better) is above a half, and may be above three quarters.

    The rule of Bouthillier et al. (2103.03098): the lower end of the interval above 0.5, the upper above 0.75.
    """
    return better_share.low > 0.5 and better_share.high > MEANINGFUL


def seed_sd(scores) -> float:
    """How much does a score scatter over seeds? (seeds,) or (seeds, arms), nan where an arm lacks one → SD.

    The root of the median of the variances of all arms with at least three seeds (with two, where none has three): an
    arm whose seeds fail now and then must not widen the margin for all. nan where no arm has two.

    As a margin it is a number with an error of its own. "Equivalent within so many points" is wrong at most at the
    level; "within the seed SD that endless seeds would show" is wrong more often, so print the number that was used.
    """
    scores = np.asarray(scores, dtype=float)
    arms = [column[~np.isnan(column)] for column in (scores[:, None] if scores.ndim == 1 else scores).T]
    enough = [arm for arm in arms if len(arm) >= 3] or [arm for arm in arms if len(arm) == 2]
    return math.sqrt(float(np.median([arm.var(ddof=1) for arm in enough]))) if enough else math.nan


def of_settings(words: Sequence[str]) -> str:
    """Return one word for all settings, or how many have which; without any setting nothing is testable.

    >>> of_settings(["better", "better"]), of_settings(["inconclusive", "better"])
    ('better', 'of 2 settings: 1 better, 1 inconclusive')
    """
    found = Counter(words)
    if len(found) < 2:
        return next(iter(found), NOT_TESTABLE)
    parts = [f"{found[word]:,} {word}" for word in VERDICTS if word in found]
    return f"of {len(words):,} settings: {', '.join(parts)}"
