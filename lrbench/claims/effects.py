"""What the statistical claims on flags stand on: a ratio of times, equivalence, a ratio of spreads, a word for each.

Pure functions of arrays; each is held to simulated truth by its test. What this does *not* do: measure anything, or
choose what is compared.
"""

import math
from dataclasses import dataclass

LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """One time over another: the geometric mean over n independent units, its 95 % interval, p of "there is none".

    `smallest` is the ratio above 1 that so many units would have found four times in five; inf where it is not known.
    """

    value: float
    low: float
    high: float
    n: int
    p: float
    smallest: float

    def __str__(self) -> str:
        ends = f" [{self.low:.3f}, {self.high:.3f}]" if math.isfinite(self.high) else " [no interval]"
        return f"{self.value:.3f}{ends}"


def ratio_of(log_ratios) -> Ratio:
    """Return the ratio whose logarithm these n units have on average: logarithms, as speeds scatter by factors.

    >>> ratio = ratio_of([math.log(2.0), math.log(2.0), math.log(4.0), math.log(1.0)])
    >>> round(ratio.value, 3), ratio.low < 1 < ratio.high, ratio.n
    (2.0, True, 4)
    """
    import numpy as np

    from analysis.statistics.intervals import no_spread, paired_interval, paired_p
    from analysis.statistics.power import smallest_detectable

    log_ratios = np.asarray(log_ratios, dtype=float)
    found = paired_interval(log_ratios).map(np.exp)
    known = len(log_ratios) > 1 and not no_spread(log_ratios)
    smallest = math.exp(smallest_detectable(float(log_ratios.std(ddof=1)), len(log_ratios))) if known else math.inf
    p = paired_p(log_ratios)
    return Ratio(value=found.value, low=found.low, high=found.high, n=found.n, p=p, smallest=smallest)


def word_for(ratio: Ratio, wanted: str) -> str:
    """Return the verdict on "the ratio is above 1" or "below 1", by the interval alone.

    >>> word_for(Ratio(value=1.2, low=1.1, high=1.3, n=5, p=0.01, smallest=1.1), "above 1")
    'supported'
    """
    assert wanted in ("above 1", "below 1")
    above, below = ratio.low > 1, ratio.high < 1
    if not above and not below:
        return "inconclusive"
    return "supported" if above is (wanted == "above 1") else "refuted"


def told(ratio: Ratio) -> str:
    """Return a ratio in words, with the smallest effect that could have been seen where none was."""
    missed = "" if ratio.low > 1 or ratio.high < 1 else f"; {findable([ratio])}"
    return f"{ratio} ({ratio.n} blocks{missed})"


def findable(ratios) -> str:
    """Return in words which ratio would have been found in every one of several comparisons.

    >>> findable([Ratio(value=1.0, low=0.9, high=1.1, n=5, p=0.5, smallest=1.2)])
    'a ratio of 1.200 would have been found four times in five'
    """
    smallest = max(ratio.smallest for ratio in ratios)
    if math.isinf(smallest):
        return "too few blocks, or too alike, to say what would have been found"
    return f"a ratio of {smallest:.3f} would have been found four times in five"


@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """Two one-sided t-tests at 5 % each: the mean difference, its 90 % interval, the margin, and the larger p."""

    value: float
    low: float
    high: float
    margin: float
    p: float
    n: int
    word: str


def equivalence(differences, margin: float) -> Equivalence:
    """Return whether the mean of n paired differences lies inside ±margin. Schuirmann, J. Pharmacokin. 15 (1987).

    "equivalent within margin" where the 90 % interval lies inside, "refuted" where it lies outside, else
    "inconclusive". Differences that are all zero are equivalent whatever the margin, and have no p-value (p is nan);
    fewer than two pairs, or a margin of 0 with any difference, tell nothing.
    """
    import numpy as np
    from scipy import stats

    differences = np.asarray(differences, dtype=float)
    n, mean = len(differences), float(np.mean(differences))
    if n >= 2 and not differences.any():
        word = "equivalent within margin"
        return Equivalence(value=0.0, low=0.0, high=0.0, margin=margin, p=math.nan, n=n, word=word)
    error = float(differences.std(ddof=1)) / math.sqrt(n) if n >= 2 else 0.0
    if error == 0 or margin == 0:
        return Equivalence(
            value=mean, low=-math.inf, high=math.inf, margin=margin, p=math.nan, n=n, word="inconclusive"
        )
    half = float(stats.t.ppf(1 - LEVEL, n - 1)) * error
    p = float(max(stats.t.sf((mean + margin) / error, n - 1), stats.t.cdf((mean - margin) / error, n - 1)))
    if p < LEVEL:
        word = "equivalent within margin"
    else:
        word = "refuted" if mean - half > margin or mean + half < -margin else "inconclusive"
    return Equivalence(value=mean, low=mean - half, high=mean + half, margin=margin, p=p, n=n, word=word)


def sd_ratio(sd: float, degrees: int, other_sd: float, other_degrees: int):
    """Return sd / other_sd with its 95 % interval (analysis.statistics.intervals.Estimate): independent SDs of normal
    values.

    The ratio of variances follows F; where one is exactly 0 the interval is that value alone, as bits and not chance
    made it. No degree of freedom, or other_sd 0: no bound.
    """
    from scipy import stats

    from analysis.statistics.intervals import Estimate

    if min(degrees, other_degrees) < 1 or other_sd == 0 or math.isnan(sd + other_sd):
        return Estimate(value=math.nan, low=0.0, high=math.inf, n=min(degrees, other_degrees))
    ratio = sd / other_sd
    low, high = (stats.f.ppf(q, degrees, other_degrees) for q in (0.975, 0.025))
    return Estimate(
        value=ratio, low=ratio / math.sqrt(low), high=ratio / math.sqrt(high), n=min(degrees, other_degrees)
    )


def different(p_values) -> list[bool]:
    """Return which of several comparisons stand at 5 % for all of them together (Holm 1979).

    >>> different([0.01, 0.04, 0.5])
    [True, False, False]
    """
    from analysis.statistics.intervals import holm

    return [bool(p < LEVEL) for p in holm(p_values)]
