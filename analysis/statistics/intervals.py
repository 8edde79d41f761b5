"""The statistics, as small functions on arrays of named shape: an estimate, its uncertainty, the question it answers.

Where values do not differ at all there is nothing to test: bit-identical results are counts with exact bounds
(`clopper_pearson`, `mismatch_bound`) and never get a p-value. What this does *not* do: choose rows, or word findings.
"""

import math
from dataclasses import dataclass

import numpy as np

from analysis.statistics.permutation import permutation_interval, permutation_p, sign_flip_interval, sign_flip_p

CONFIDENCE = 0.95
FAR_OUT = 7.0  # in SDs of a bell, from the median: a value beyond lies outside of the others
FROM_PAIRS = 6  # with fewer a sign-flip test cannot get below 5 %
_SD_BY_MEDIAN, _SD_BY_MEAN = 1.4826, 1.2533  # of a bell: its SD over the median and over the mean absolute deviation


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value with a two-sided 95% interval over n independent units; without a bound it is -inf or inf."""

    value: float
    low: float
    high: float
    n: int

    @property
    def bounded(self) -> bool:
        """Whether both ends are known; not from a single unit, say."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def excludes(self, value: float) -> bool:
        return self.value != value and not self.low <= value <= self.high

    def map(self, function) -> "Estimate":
        """The same on another scale; `function` must be increasing."""
        with np.errstate(over="ignore"):
            return Estimate(
                value=float(function(self.value)),
                low=float(function(self.low)),
                high=float(function(self.high)),
                n=self.n,
            )


def no_spread(values) -> bool:
    """Return whether values are equal up to the rounding of sums of them."""
    values = np.asarray(values, dtype=float)
    return bool(np.ptp(values) <= 1e-12 * np.abs(values).max()) if len(values) else True


def t_interval(values, confidence: float = CONFIDENCE) -> Estimate:
    """Where does the mean of the population lie that these n values were drawn from? (n,) → Estimate. Student (1908).

    With one value, or several that show no spread at all, the interval is unbounded: t would claim certainty from
    nothing. With none the value is nan.
    """
    from scipy import special

    values = np.asarray(values, dtype=float)
    n = len(values)
    if n == 0:
        return Estimate(value=math.nan, low=-math.inf, high=math.inf, n=0)
    mean = float(values.mean())
    if n == 1 or no_spread(values):
        return Estimate(value=mean, low=-math.inf, high=math.inf, n=n)
    half = float(special.stdtrit(n - 1, (1 + confidence) / 2) * values.std(ddof=1) / math.sqrt(n))
    return Estimate(value=mean, low=mean - half, high=mean + half, n=n)


def clopper_pearson(num_hits: float, n: int) -> Estimate:
    """Which probabilities are compatible with so many hits in n independent tries? Exact; Clopper and Pearson (1934).

    Never too narrow, whatever the probability. A tie may count as half a hit. n = 0 gives 0 to 1.
    """
    from scipy import stats

    if n == 0:
        return Estimate(value=math.nan, low=0.0, high=1.0, n=0)
    tail = (1 - CONFIDENCE) / 2
    low = float(stats.beta.ppf(tail, num_hits, n - num_hits + 1)) if num_hits > 0 else 0.0
    high = float(stats.beta.ppf(1 - tail, num_hits + 1, n - num_hits)) if num_hits < n else 1.0
    return Estimate(value=num_hits / n, low=low, high=high, n=n)


def mismatch_bound(num_mismatches: int, n: int) -> float:
    """How often could two runs still differ, at most? The one-sided 95% bound after k mismatches in n pairs; exact.

    After no mismatch it is 1 - 0.05^(1/n): 63 % for 3 pairs, 26 % for 10, 5 % for 59. n = 0 bounds nothing: 1.
    """
    from scipy import stats

    if num_mismatches >= n:
        return 1.0
    return float(stats.beta.ppf(CONFIDENCE, num_mismatches + 1, n - num_mismatches))


def sd_interval(sd: float, degrees: int) -> Estimate:
    """Which standard deviations are compatible with this one, of normal values, at so many degrees of freedom?"""
    from scipy import stats

    if degrees < 1 or sd == 0:
        return Estimate(value=sd, low=0.0, high=math.inf if degrees < 1 else sd, n=degrees)
    tail = (1 - CONFIDENCE) / 2
    low, high = (sd * math.sqrt(degrees / stats.chi2.ppf(q, degrees)) for q in (1 - tail, tail))
    return Estimate(value=sd, low=float(low), high=float(high), n=degrees)


def pooled_sd(values, groups) -> tuple[float, int]:
    """How much do values scatter inside their group? (n,), (n,) → (standard deviation, degrees of freedom).

    The root of the within-group mean square. Groups of one add nothing; with no degree of freedom the value is nan.
    """
    values, (_, index) = np.asarray(values, dtype=float), np.unique(np.asarray(groups), return_inverse=True)
    if not len(values):
        return math.nan, 0
    sizes = np.bincount(index)
    means = np.bincount(index, weights=values) / sizes
    degrees = int(len(values) - len(sizes))
    if degrees == 0:
        return math.nan, 0
    squares = np.sum((values - means[index]) ** 2)
    # equal values must give exactly 0, not the rounding of their mean
    spread = max(np.ptp(values[index == group]) for group in range(len(sizes)))
    return (0.0 if spread == 0 else float(math.sqrt(squares / degrees))), degrees


# ------------------------------------------------------------------------------------------ two arms, paired or not


def outlying(values) -> np.ndarray:
    """Which values lie far outside of the others? (…, n) → (…, n) of bool: 7 SDs of a bell or more from the median.

    The SD is 1.4826 times the median absolute deviation, which a few bad values do not move, or where half of the
    values are equal 1.2533 times the mean one: Iglewicz and Hoaglin's (1993) modified z-score, at twice their 3.5, so
    that of normal values next to none is called so.
    """
    values = np.asarray(values, dtype=float)
    if values.shape[-1] == 0:
        return np.zeros(values.shape, dtype=bool)
    distance = np.abs(values - _median(values))
    rounding = 1e-12 * np.abs(values).max(axis=-1, keepdims=True)
    middle, mean = _median(distance), distance.mean(axis=-1, keepdims=True)
    sd = np.where(middle > rounding, _SD_BY_MEDIAN * middle, _SD_BY_MEAN * mean)
    return distance > np.maximum(FAR_OUT * sd, rounding)


def _median(values: np.ndarray) -> np.ndarray:
    """Return what np.median does, several times faster for few values: (…, n) → (…, 1)."""
    values, n = np.sort(values, axis=-1), values.shape[-1]
    return (values[..., (n - 1) // 2, None] + values[..., n // 2, None]) / 2


def shuffles_decide(*arms) -> bool:
    """Tell whether shuffled labels answer instead of t: 6 values or more in each arm, and one of them far outside."""
    return min(map(len, arms)) >= FROM_PAIRS and any(bool(outlying(arm).any()) for arm in arms)


def paired_interval(differences, confidence: float = CONFIDENCE) -> Estimate:
    """Where does the mean lie that these n paired differences were drawn around? (n,) → Estimate.

    Student's interval; where `shuffles_decide`, that of sign flips, as t then covers more than it says: one bad seed
    widens it more than it moves the mean. 0 lies outside exactly where `paired_p` is below 1 - confidence, but for
    differences without any spread, which have no interval.
    """
    differences = np.asarray(differences, dtype=float)
    if not shuffles_decide(differences):
        return t_interval(differences, confidence)
    low, high = sign_flip_interval(differences, confidence)
    return Estimate(value=float(differences.mean()), low=low, high=high, n=len(differences))


def paired_p(differences) -> float:
    """How surprising are these n paired differences if there were none in truth? (n,) → two-sided p.

    That of the t-test; where `shuffles_decide`, of the sign-flip test, as for `paired_interval`. All differences equal
    and not zero: the t-test would claim certainty from no spread at all, so sign flips answer too, 2 / 2^n. All zero:
    1. One pair or none: 1, nothing can be told.
    """
    differences = np.asarray(differences, dtype=float)
    return sign_flip_p(differences) if shuffles_decide(differences) else student_p(differences)


def student_p(differences) -> float:
    """How surprising are these n values if their mean were 0 in truth? (n,) → two-sided p of the t-test, always.

    As `paired_p` else: for what has an interval by t of another kind, and shall agree with it.
    """
    from scipy import special

    differences = np.asarray(differences, dtype=float)
    n = len(differences)
    if n < 2 or not differences.any():
        return 1.0
    if no_spread(differences):
        return sign_flip_p(differences)
    return float(2 * special.stdtr(n - 1, -abs(differences.mean()) * math.sqrt(n) / differences.std(ddof=1)))


def welch_interval(a, b) -> Estimate:
    """How far apart are the means of two arms whose runs share no seed? (n,), (m,) → a less b. Welch (1947).

    Either arm may scatter more. Where `shuffles_decide`, the interval is that of a permutation test. n is that of the
    smaller arm. An arm of fewer than two runs, or two without any spread, leave it unbounded.
    """
    from scipy import special

    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    n = min(len(a), len(b))
    value = float(a.mean() - b.mean()) if n else math.nan
    if n < 2 or (no_spread(a) and no_spread(b)):
        return Estimate(value=value, low=-math.inf, high=math.inf, n=n)
    if shuffles_decide(a, b):
        low, high = permutation_interval(a, b, CONFIDENCE)
        return Estimate(value=value, low=low, high=high, n=n)
    error, degrees = welch_error(a, b)
    half = float(special.stdtrit(degrees, (1 + CONFIDENCE) / 2)) * error
    return Estimate(value=value, low=value - half, high=value + half, n=n)


def welch_p(a, b) -> float:
    """How surprising are two arms' means if they were equal in truth, runs sharing no seed? (n,), (m,) → two-sided p.

    Where `shuffles_decide`, or neither arm shows any spread, the permutation test answers. An arm of fewer than two
    runs: 1.
    """
    from scipy import special

    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if min(len(a), len(b)) < 2:
        return 1.0
    if (no_spread(a) and no_spread(b)) or shuffles_decide(a, b):
        return permutation_p(a, b)
    error, degrees = welch_error(a, b)
    return float(2 * special.stdtr(degrees, -abs(a.mean() - b.mean()) / error))


def welch_error(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """How far may the distance of two means be off? (n,), (m,) → its standard error and degrees of freedom. Welch.

    An arm of fewer than two runs, or no spread in both: nan.
    """
    if min(len(a), len(b)) < 2 or (no_spread(a) and no_spread(b)):
        return math.nan, math.nan
    parts = [float(arm.var(ddof=1)) / len(arm) for arm in (a, b)]
    degrees = sum(parts) ** 2 / sum(part**2 / (len(arm) - 1) for part, arm in zip(parts, (a, b), strict=True))
    return math.sqrt(sum(parts)), degrees


def holm(p_values) -> np.ndarray:
    """Which p-values stand when so many were asked at once? (…, m) → (…, m), the family-wise error held. Holm (1979).

    The same as statsmodels' multipletests(method="holm"), which collects all garbage at each call (50 ms).
    """
    p_values = np.asarray(p_values, dtype=float)
    order = np.argsort(p_values, axis=-1, kind="stable")
    factors = np.arange(p_values.shape[-1], 0, -1)
    steps = np.maximum.accumulate(np.take_along_axis(p_values, order, axis=-1) * factors, axis=-1)
    corrected = np.empty_like(p_values)
    np.put_along_axis(corrected, order, np.minimum(steps, 1.0), axis=-1)
    return corrected


def win_probability(differences) -> Estimate:
    """How often does A beat B on the same seed? (n,) → P(A > B), ties counted half. Bouthillier et al., 2103.03098."""
    differences = np.asarray(differences, dtype=float)
    return clopper_pearson(float(np.sum(differences > 0) + 0.5 * np.sum(differences == 0)), len(differences))


# ----------------------------------------------------------------------------------------------------------- break-even


def break_even(extra_first_seconds: float, saved_step_seconds: float) -> float:
    """After how many steps has a slower first step paid for itself?

    >>> break_even(1.0, 0.002), break_even(-0.5, 0.002), break_even(1.0, -0.002)
    (500.0, 0.0, inf)
    """
    if saved_step_seconds <= 0:
        return math.inf
    return max(0.0, extra_first_seconds / saved_step_seconds)


def break_even_interval(extra, saved, seed: int = 0, num_resamples: int = 2_000) -> Estimate:
    """When does a slower first step pay for itself, and how sure is that? (blocks,), (blocks,) → Estimate in steps.

    Ratio of medians; blocks are resampled (percentile bootstrap). A resample that saves nothing counts as "never": an
    end of the interval may be inf. Repeats exactly for the same `seed`.
    """
    extra, saved = np.asarray(extra, dtype=float), np.asarray(saved, dtype=float)
    if not len(extra):
        return Estimate(value=math.nan, low=-math.inf, high=math.inf, n=0)
    value = break_even(float(np.median(extra)), float(np.median(saved)))
    if len(extra) == 1:
        return Estimate(value=value, low=-math.inf, high=math.inf, n=1)
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(extra), size=(num_resamples, len(extra)))
    pairs = zip(np.median(extra[picks], axis=1), np.median(saved[picks], axis=1), strict=True)
    draws = np.sort([break_even(float(e), float(s)) for e, s in pairs])
    low, high = (float(draws[round(q * (num_resamples - 1))]) for q in (0.025, 0.975))
    return Estimate(value=value, low=low, high=high, n=len(extra))
