"""Where the spread comes from: streams of a seed, the test images, repeats. Small functions on arrays of named shape.

Closed forms wherever there is one; each says for which values it is exact. What this does *not* do: choose rows, part
seeds from replicates (`analysis.components` does), or compare two spreads (`analysis.statistics.dispersion` does).
"""

import math
from dataclasses import dataclass

import numpy as np

from analysis.statistics.intervals import CONFIDENCE, Estimate, no_spread

_TAIL = (1 - CONFIDENCE) / 2


@dataclass(frozen=True, kw_only=True)
class Components:
    """Variances of a crossed layout: of rows, of columns, and of what neither of them explains alone (interaction)."""

    rows: float
    columns: float
    rest: float

    @property
    def total(self) -> float:
        return self.rows + self.columns + self.rest


def crossed_components(values) -> Components:
    """How much do rows, columns and their interaction add to the variance? (rows, columns) → variances, one value each.

    Two-way analysis of variance with random effects and one value in each cell, in closed form: the mean squares are
    equated with their expectations (Searle et al., Variance Components, 1992). Not cut at zero: an estimate below zero
    is a small one, and cutting would bias what is averaged from it. Fewer than two rows or columns raise ValueError.
    """
    row_square, column_square, rest = _mean_squares(values)
    num_rows, num_columns = np.shape(values)
    return Components(
        rows=(row_square - rest) / num_columns, columns=(column_square - rest) / num_rows, rest=float(rest)
    )


def share_of_columns(values, confidence: float = CONFIDENCE) -> Estimate:
    """Which share of the variance does changing the column alone give? (rows, columns) → Estimate, 0 to about 1.

    With a seed stream in the columns and all other streams in the rows this is the stream's total effect: 0 where it
    moves nothing, 1 where changing it alone is as good as changing everything. (columns + rest) / total is 1 - ICC(A,1)
    with its interval, approximate (Shrout and Fleiss, 1979; McGraw and Wong, 1996). Above 1 is chance around 1. Where
    no row varies inside it is exactly 0, as for bit-identical repeats; where nothing varies at all it is nan, without
    bounds.
    """
    from scipy import stats

    values = np.asarray(values, dtype=float)
    n, k = values.shape
    if no_spread(values.ravel()):
        return Estimate(value=math.nan, low=-math.inf, high=math.inf, n=n)
    if not np.ptp(values, axis=1).any():
        return Estimate(value=0.0, low=0.0, high=0.0, n=n)
    rows, columns, rest = _mean_squares(values)
    tied = (rows - rest) / (rows + (k - 1) * rest + k * (columns - rest) / n)
    if rest == 0:
        return Estimate(value=1 - tied, low=-math.inf, high=math.inf, n=n)
    a, b = k * tied / (n * (1 - tied)), 1 + k * tied * (n - 1) / (n * (1 - tied))
    degrees = (a * columns + b * rest) ** 2 / ((a * columns) ** 2 / (k - 1) + (b * rest) ** 2 / ((n - 1) * (k - 1)))
    tail = (1 - confidence) / 2
    below, above = stats.f.ppf(1 - tail, n - 1, degrees), stats.f.ppf(1 - tail, degrees, n - 1)
    scale = k * columns + (k * n - k - n) * rest
    low = n * (rows - below * rest) / (below * scale + n * rows)
    high = n * (above * rows - rest) / (scale + n * above * rows)
    return Estimate(value=float(1 - tied), low=float(1 - high), high=float(1 - low), n=n)


def detectable_share(num_rows: int, num_columns: int, level: float = 0.05, power: float = 0.8) -> float:
    """Up to which share of columns would a layout have shown, with this probability, that it is not all? → 0 to 1.

    One-sided F-test of the rows against the rest, where columns add nothing by themselves (Shrout and Fleiss, 1979).
    """
    from scipy import stats

    degrees = num_rows - 1, (num_rows - 1) * (num_columns - 1)
    ratio = stats.f.ppf(1 - level, *degrees) / stats.f.ppf(1 - power, *degrees)
    return float(1 - (ratio - 1) / (ratio + num_columns - 1))


def _mean_squares(values) -> tuple[float, float, float]:
    """Return the mean squares of rows, of columns and of the rest."""
    values = np.asarray(values, dtype=float)
    if values.ndim != 2 or min(values.shape) < 2:
        raise ValueError(f"a crossed layout has at least 2 rows and 2 columns, found shape {values.shape}")
    n, k = values.shape
    mean = values.mean()
    row_effects, column_effects = values.mean(axis=1) - mean, values.mean(axis=0) - mean
    rest = values - mean - row_effects[:, None] - column_effects
    return (
        float(k * (row_effects**2).sum() / (n - 1)),
        float(n * (column_effects**2).sum() / (k - 1)),
        float((rest**2).sum() / ((n - 1) * (k - 1))),
    )


# --------------------------------------------------------------------------- where several intervals hold at once


def sd_estimate(values, confidence: float = CONFIDENCE) -> Estimate:
    """Which standard deviations are compatible with these n normal values? (n,) → Estimate, from chi-square.

    `analysis.statistics.intervals.sd_interval` at another confidence, as where several intervals are to hold at once.
    """
    from scipy import stats

    values = np.asarray(values, dtype=float)
    n = len(values)
    if n < 2:
        return Estimate(value=math.nan, low=0.0, high=math.inf, n=n)
    sd = 0.0 if no_spread(values) else float(values.std(ddof=1))
    low, high = (sd * math.sqrt((n - 1) / stats.chi2.ppf((1 + sign * confidence) / 2, n - 1)) for sign in (1, -1))
    return Estimate(value=sd, low=float(low), high=float(high), n=n)


# ---------------------------------------------------------------------------------------------------- the test images


def binomial_sd(accuracy: float, num_images: int) -> float:
    """Which SD of accuracy has a model that is right on each image with the same probability? √(p (1 - p) / n).

    >>> round(binomial_sd(0.9, 100), 6)
    0.03
    """
    return math.sqrt(accuracy * (1 - accuracy) / num_images)


def independent_error_sd(right) -> float:
    """Which SD of accuracy over runs follows if each image is got wrong by chances of its own, independently?

    (runs, images) of bool → √Σ p_i (1 - p_i) / n, p_i being the share of runs that are right on image i (Jordan, arXiv
    2304.01910, section 3); each variance is the unbiased one, runs / (runs - 1) of the plain. Of one run it is nan.
    """
    right = np.asarray(right, dtype=float)
    if len(right) < 2:
        return math.nan
    return float(math.sqrt(right.var(axis=0, ddof=1).sum())) / right.shape[1]


def distribution_sd(right) -> float:
    """Which SD over runs would accuracy have on test images without end? (runs, images) of bool → SD; nan for one run.

    The variance over runs less what the choice of these n images adds to it, times n / (n - 1) (Jordan, arXiv
    2304.01910, theorem 1). An estimate of the variance below zero is returned as 0.
    """
    right = np.asarray(right, dtype=float)
    return math.sqrt(max(0.0, _distribution_variance(right))) if len(right) > 1 else math.nan


def _distribution_variance(right: np.ndarray) -> float:
    n = right.shape[1]
    return float(right.mean(axis=1).var(ddof=1) - independent_error_sd(right) ** 2) * n / (n - 1)


def distribution_gap(a, b, confidence: float = CONFIDENCE, seed: int = 0, num_resamples: int = 1_000) -> Estimate:
    """By how much is the variance on endless test images larger in a than in b? (runs, images) × 2 → Estimate.

    Row i of both is of one seed; seeds are resampled for both together (percentile bootstrap), so that the interval is
    that of the difference. Repeats exactly for the same `seed`.
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    n, rng = len(a), np.random.default_rng(seed)
    picks = [pick for pick in rng.integers(0, n, size=(num_resamples, n)) if len(set(pick.tolist())) > 1]
    draws = [_distribution_variance(a[pick]) - _distribution_variance(b[pick]) for pick in picks]
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(value=_distribution_variance(a) - _distribution_variance(b), low=float(low), high=float(high), n=n)


# -------------------------------------------------------------------------------------------------- repeat and reseed


def ratio_of_means(above, below, seed: int = 0, num_resamples: int = 2_000) -> tuple[Estimate, np.ndarray]:
    """How large is one mean as a share of another, on the same n seeds? (n,), (n,) → (Estimate, its resamples).

    Percentile bootstrap over seeds, both values of a seed together. The same `seed` and n draw the same seeds, so
    that resamples of several ratios may be compared draw by draw. A mean of zero below makes the ratio nan, unbounded.
    """
    above, below = np.asarray(above, dtype=float), np.asarray(below, dtype=float)
    n = len(above)
    picks = np.random.default_rng(seed).integers(0, n, size=(num_resamples, n)) if n else np.zeros((0, 0), dtype=int)
    if not n or not below.any():
        return Estimate(value=math.nan, low=-math.inf, high=math.inf, n=n), np.full(num_resamples, math.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = above[picks].mean(axis=1) / below[picks].mean(axis=1)
    known = draws[np.isfinite(draws)]
    low, high = np.quantile(known, [_TAIL, 1 - _TAIL]) if n > 1 else (-math.inf, math.inf)
    return Estimate(value=float(above.mean() / below.mean()), low=float(low), high=float(high), n=n), draws
