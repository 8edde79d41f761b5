"""How much can so many seeds tell? Power, the smallest difference that would have been found, the seeds that settle.

All of it plans for the paired t-test and for two one-sided t-tests, in closed form or by quadrature: nothing is drawn.
`analysis.calibration` holds the plans against simulated studies. What this does *not* do: test anything.
"""

import math
from functools import cache

import numpy as np

from analysis.statistics.intervals import no_spread

MOST = 10_000  # seeds that nobody runs: an answer above is "more than that"
PROBABILITY = 0.8  # what "would find" means, unless told otherwise
TOLD, SHOWN = "told apart", "shown equivalent"  # the two ends of an open question


def power(effect_sds: float, n: int, level: float = 0.05) -> float:
    """How often would n pairs find a true difference of so many SDs of the differences? Paired t-test, both sides.

    From the noncentral t distribution (Cohen, 1988); at no effect it is `level`. Fewer than 2 pairs find nothing: 0.

    >>> round(power(1.0, 10), 3), round(power(0.0, 10), 3), power(1.0, 1)
    (0.803, 0.05, 0.0)
    """
    from scipy import special

    if n < 2:
        return 0.0
    critical, shift = float(special.stdtrit(n - 1, 1 - level / 2)), abs(effect_sds) * math.sqrt(n)
    # scipy's noncentral t loses its digits far out in the tail: where the shift dwarfs the critical value it is 1
    below, above = special.nctdtr(n - 1, shift, -critical), special.nctdtr(n - 1, shift, critical)
    return 1.0 if math.isnan(above) else 1.0 - float(above) + (0.0 if math.isnan(below) else float(below))


def smallest_detectable(sd: float, n: int, probability: float = PROBABILITY, level: float = 0.05) -> float:
    """Which true difference would n pairs have found with this probability, their differences having this SD?

    In the unit of `sd`. Fewer than 2 pairs could have found none: inf.
    """
    from scipy import optimize

    if n < 2:
        return math.inf
    if sd == 0:
        return 0.0
    # two pairs at a level of 0.0001 need 2,000 SDs: the far end leaves room
    effect = optimize.brentq(lambda sds: power(sds, n, level) - probability, 0.0, 1e5, xtol=1e-9)
    return sd * float(effect)


def pairs_needed(
    difference: float, sd: float, probability: float = PROBABILITY, most: int = MOST, level: float = 0.05
) -> int:
    """How many pairs find a true difference of this size with this probability? Paired t-test, at least 2.

    0 stands for "more than `most`", as for a difference of zero. Without any SD it is the number of pairs from which on
    a sign-flip test can reach `level`.
    """
    if difference == 0:
        return 0
    if sd == 0:
        return _flips_needed(level)
    return _first(lambda n: power(difference / sd, n, level) >= probability, most)


def smallest_sign_flip_p(n: int) -> float:
    """What is the smallest p that a paired sign-flip test of n pairs can give? 2 / 2^n: 0.0625 for 5, 0.031 for 6."""
    return min(1.0, 2.0 / 2.0**n)


def pairs_for_share(share: float = 0.75, level: float = 0.05, probability: float = 0.95) -> int:
    """How many pairs tell that A beats B so often, if it does? Noether (1987), one-sided; Bouthillier et al. take 29.

    The share of pairs that A wins is taken for normal, as Noether does. A share of a half or less is never told: 0.

    >>> pairs_for_share(), pairs_for_share(0.9), pairs_for_share(0.5)
    (29, 12, 0)
    """
    from scipy.stats import norm

    if share <= 0.5:
        return 0
    return math.ceil(((norm.ppf(1 - level) + norm.ppf(probability)) / (math.sqrt(6) * (share - 0.5))) ** 2)


def equivalence_power(effect_sds: float, margin_sds: float, n: int, level: float = 0.05) -> float:
    """How often would n pairs show a true difference to lie within a margin, both in SDs of the differences?

    Two one-sided paired t-tests (`analysis.statistics.equivalence`). Given the sample's SD the mean is normal; the mean
    over that SD's chi distribution is taken at 400 quantiles, good to three digits. Fewer than 2 pairs show nothing: 0.
    """
    from scipy import special

    if n < 2 or margin_sds <= 0:
        return 0.0
    root = math.sqrt(n)
    room = margin_sds - special.stdtrit(n - 1, 1 - level) * _sample_sds(n) / root
    inside = special.ndtr((room - effect_sds) * root) - special.ndtr((-room - effect_sds) * root)
    return float(np.where(room > 0, inside, 0.0).mean())


@cache
def _sample_sds(n: int) -> np.ndarray:
    """Return 400 quantiles of the SD of n normal values, in SDs. Searches for n ask for the same ones again."""
    from scipy import special

    half = (n - 1) / 2
    return np.sqrt(special.gammaincinv(half, (np.arange(400) + 0.5) / 400) / half)


def smallest_margin(sd: float, n: int, probability: float = PROBABILITY, level: float = 0.05) -> float:
    """Within which margin would n pairs show two equal arms to be equivalent, with this probability? In `sd`'s unit.

    Fewer than 2 pairs show none: inf.
    """
    from scipy import optimize

    if n < 2:
        return math.inf
    if sd == 0:
        return 0.0
    return sd * float(optimize.brentq(lambda sds: equivalence_power(0.0, sds, n, level) - probability, 1e-6, 1e5))


def seeds_to_settle(differences, margin: float, told_level: float = 0.05, shown_level: float = 0.05) -> int:
    """How many seeds in all would settle it, if the truth is what was seen? The first part of `settling`."""
    return settling(differences, margin, told_level, shown_level)[0]


def settling(differences, margin: float, told_level: float = 0.05, shown_level: float = 0.05) -> tuple[int, str]:
    """How many seeds in all would settle it, and as which? (n,) → seeds, with a probability of 80 %, and TOLD or SHOWN.

    Settled is a difference found at the level `told_level` (what a family, and a look, leave to each comparison), or
    shown to lie within the margin at `shown_level`, whichever needs fewer. As the truth is not what was seen but near
    it, this is a plan and no promise. (0, "") where more than 10,000 would be needed; fewer than 2 differences tell
    nothing, and have the same. Differences without any spread need as many as an exact sign-flip test does.
    """
    differences = np.asarray(differences, dtype=float)
    if len(differences) < 2:
        return 0, ""
    mean, flat = abs(float(differences.mean())), no_spread(differences)
    if flat:
        told, shown = (
            (_flips_needed(told_level) if mean else 0),
            (_flips_needed(2 * shown_level) if mean <= margin else 0),
        )
    else:
        sd = float(differences.std(ddof=1))
        told = pairs_needed(mean, sd, level=told_level)
        shown = _equivalence_needed(mean / sd, margin / sd, shown_level)
    return min(((n, goal) for n, goal in ((told, TOLD), (shown, SHOWN)) if n), default=(0, ""))


def _equivalence_needed(effect_sds: float, margin_sds: float, level: float) -> int:
    if not effect_sds < margin_sds:
        return 0
    return _first(lambda n: equivalence_power(effect_sds, margin_sds, n, level) >= PROBABILITY, MOST)


def _flips_needed(level: float) -> int:
    """How many pairs that all agree put an exact sign-flip test below this level?"""
    return next(n for n in range(2, MOST) if smallest_sign_flip_p(n) < level)


def _first(enough, most: int) -> int:
    """Return the first n from 2 on for which `enough` holds, which must go on holding; 0 where none up to `most`."""
    if not enough(most):
        return 0
    low, high = 2, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low
