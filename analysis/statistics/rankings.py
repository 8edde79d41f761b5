"""Orders of schedulers: whether two agree, and how often one run turns one round.

What this does *not* do: test single differences (`analysis.comparisons` does), or choose rows.
"""

import math

import numpy as np

from analysis.statistics.intervals import CONFIDENCE, Estimate

_ENDS = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]


def rank_intervals(scores, seed: int = 0, num_resamples: int = 2_000) -> tuple[np.ndarray, np.ndarray]:
    """Which places could each arm take with other seeds? (seeds, arms) → ((arms, 2) ranks, (arms,) share of firsts).

    Seeds are resampled with all their arms together (paired bootstrap); rank 1 is the highest mean, equal means share
    the lower number and share a first place. The ranks are the 2.5 % and 97.5 % quantiles. Repeats exactly for the
    same `seed`.
    """
    scores = np.asarray(scores, dtype=float)
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(scores), size=(num_resamples, len(scores)))
    means = scores[picks].mean(axis=1)
    means = np.round(means, 12)  # equal arms must tie whatever the order of summation
    ranks = 1 + (means[:, None, :] > means[:, :, None]).sum(axis=2)
    ends = np.quantile(ranks, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0, method="nearest")
    firsts = ranks == 1
    return ends.T.astype(int), (firsts / firsts.sum(axis=1, keepdims=True)).mean(axis=0)


def kendall_tau(first, second) -> float:
    """How far do two lists order the same arms alike? (arms,), (arms,) → tau-b, from -1 (reversed) to 1 (the same).

    Kendall (1945); ties are taken into account. Where a list ties all of its arms there is no order to agree on: nan.

    >>> kendall_tau([0.9, 0.8, 0.7], [0.95, 0.5, 0.1]), kendall_tau([3, 2, 1], [1, 2, 3])
    (1.0, -1.0)
    """
    signs = [np.sign(np.subtract.outer(values, values)) for values in (np.asarray(first), np.asarray(second))]
    scale = math.sqrt(float((signs[0] ** 2).sum()) * float((signs[1] ** 2).sum()))
    return round(float((signs[0] * signs[1]).sum()) / scale, 12) if scale else math.nan


def tau_interval(first, second, seed: int = 0, num_resamples: int = 1_000) -> Estimate:
    """How far do two orders of the arms agree, and how sure is that? (seeds, arms) × 2 → Kendall's tau of the means.

    Seeds are resampled with all their arms, and those of both tables together (percentile bootstrap). Noise turns
    orders round, so the estimate lies below the truth where arms are nearly equal: below 1 is not yet a difference.
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    value, n = kendall_tau(*(_means(table) for table in (first, second))), len(first)
    if n < 2:
        return Estimate(value=value, low=-1.0, high=1.0, n=n)
    picks = np.random.default_rng(seed).integers(0, n, size=(num_resamples, n))
    taus = np.array([kendall_tau(_means(first[pick]), _means(second[pick])) for pick in picks])
    taus = taus[~np.isnan(taus)]
    low, high = np.quantile(taus, _ENDS) if len(taus) else (-1.0, 1.0)
    return Estimate(value=value, low=float(low), high=float(high), n=n)


def _means(scores: np.ndarray) -> np.ndarray:
    return np.round(scores.mean(axis=0), 12)  # equal arms must tie whatever the order of summation


def moved(first, second) -> list[int]:
    """Which arms stand in other places in two tables? (seeds, arms) × 2 → arms whose rank intervals do not overlap.

    Each table's places are `rank_intervals`, at 95 %: two that do not meet differ at less
    than 5 %.
    """
    (a, _), (b, _) = rank_intervals(first), rank_intervals(second)
    return [arm for arm in range(len(a)) if a[arm][1] < b[arm][0] or b[arm][1] < a[arm][0]]


def misranking(better, worse) -> float:
    """How often does one run of the worse arm beat one run of the better? (n,), (m,) → probability, ties half.

    Every run of one against every run of the other: the mean over all resamples of one run each, without drawing any.

    >>> misranking([3.0, 5.0], [1.0, 4.0]), misranking([1.0], [1.0])
    (0.25, 0.5)
    """
    gaps = np.subtract.outer(np.asarray(worse, dtype=float), np.asarray(better, dtype=float))
    return float(((gaps > 0) + 0.5 * (gaps == 0)).mean())


def misranking_interval(pairs, seed: int = 0, num_resamples: int = 1_000) -> Estimate:
    """How often is one run wrong, on average over pairs of arms? [(better (n,), worse (n,))] → Estimate.

    Seeds are resampled, the same for all arms (percentile bootstrap); arms of several lengths are cut to the shortest.
    No pair gives nan, 0 to 1.
    """
    if not pairs:
        return Estimate(value=math.nan, low=0.0, high=1.0, n=0)
    n = min(len(better) for better, _ in pairs)
    pairs = [(better[:n], worse[:n]) for better, worse in pairs]
    gaps = [
        np.subtract.outer(np.asarray(worse, dtype=float), np.asarray(better, dtype=float)) for better, worse in pairs
    ]
    wrong = np.mean([(gap > 0) + 0.5 * (gap == 0) for gap in gaps], axis=0)
    picks = np.random.default_rng(seed).integers(0, n, size=(num_resamples, n))
    draws = [wrong[np.ix_(pick, pick)].mean() for pick in picks]
    low, high = np.quantile(draws, _ENDS)
    return Estimate(value=float(wrong.mean()), low=float(low), high=float(high), n=n)
