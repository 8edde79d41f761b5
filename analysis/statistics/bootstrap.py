"""Bootstrap intervals, bias-corrected and accelerated (BCa; Efron, 1987), of a mean, a median or an interquartile mean.

Calibration (`python -m analysis.calibration`) finds that they cover the truth too seldom for every number of seeds up
to 30 in some shape of noise or other, and for 6 seeds or fewer in all of them. So no verdict rests on them: they are
for quantities that have no interval of their own, and for looking. What this does *not* do: decide.
"""

import math
import warnings

import numpy as np

from analysis.statistics.intervals import CONFIDENCE, Estimate

NUM_RESAMPLES = 9_999


def mean(values, axis=-1):
    return np.mean(values, axis=axis)


def median(values, axis=-1):
    return np.median(values, axis=axis)


def iqm(values, axis=-1):
    """Return the mean of the middle half: a quarter of the values is cut off at each end, rounded down.

    >>> float(iqm([0.0, 1.0, 2.0, 90.0])), float(iqm([1.0, 2.0, 6.0]))
    (1.5, 3.0)
    """
    values = np.moveaxis(np.sort(np.asarray(values, dtype=float), axis=axis), axis, -1)
    cut = values.shape[-1] // 4
    return values[..., cut : values.shape[-1] - cut].mean(axis=-1)


STATISTICS = {"mean": mean, "median": median, "iqm": iqm}


def bca_paired(differences, statistic: str = "mean", seed: int = 0) -> Estimate:
    """Where does the mean (median, IQM) of all paired differences lie? (n,) → Estimate.

    Unbounded where nothing can be told: fewer than two differences, none that spread, or a statistic that stays the
    same whichever difference is left out (often a median of few values). Repeats exactly for the same `seed`.
    """
    differences = np.asarray(differences, dtype=float)
    return _estimate((differences,), statistic, seed)


def bca_unpaired(a, b, statistic: str = "mean", seed: int = 0) -> Estimate:
    """How far apart are the means (medians, IQMs) of two arms whose runs share no seed? (n,), (m,) → a less b.

    n is that of the smaller arm. Unbounded as `bca_paired` is. Repeats exactly for the same `seed`.
    """
    return _estimate((np.asarray(a, dtype=float), np.asarray(b, dtype=float)), statistic, seed)


def bca_each(samples, statistic: str = "mean", seed: int = 0, num_resamples: int = NUM_RESAMPLES):
    """The same for many studies at once: 1 or 2 samples (studies, n) → ((studies,) low, (studies,) high).

    -inf and inf where nothing can be told. All studies share the resamples.
    """
    from scipy import stats

    function = STATISTICS[statistic]
    low, high = (np.full(len(samples[0]), sign * math.inf) for sign in (-1, 1))
    told = np.any([np.ptp(sample, axis=1) > 1e-12 * np.abs(sample).max(axis=1) for sample in samples], axis=0)
    if min(sample.shape[1] for sample in samples) < 2 or not told.any():
        return low, high
    difference = (
        function if len(samples) == 1 else lambda a, b, axis=-1: function(a, axis=axis) - function(b, axis=axis)
    )
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # said by an unbounded interval instead: the jackknife, or all resamples, agree
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            tuple(sample[told] for sample in samples),
            difference,
            axis=-1,
            vectorized=True,
            method="BCa",
            confidence_level=CONFIDENCE,
            n_resamples=num_resamples,
            batch=max(1, 2_000_000 // sum(sample[told].size for sample in samples)),
            rng=np.random.default_rng(seed),
        ).confidence_interval
    known = np.isfinite(found.low) & np.isfinite(found.high)
    low[told], high[told] = np.where(known, found.low, -math.inf), np.where(known, found.high, math.inf)
    return low, high


def _estimate(samples, statistic: str, seed: int) -> Estimate:
    n = min(len(sample) for sample in samples)
    if n == 0:
        return Estimate(value=math.nan, low=-math.inf, high=math.inf, n=0)
    function = STATISTICS[statistic]
    value = function(samples[0]) - (function(samples[1]) if len(samples) == 2 else 0.0)
    low, high = bca_each(tuple(sample[None, :] for sample in samples), statistic, seed)
    return Estimate(value=float(value), low=float(low[0]), high=float(high[0]), n=n)
