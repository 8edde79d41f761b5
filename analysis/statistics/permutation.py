"""Tests that shuffle labels, and their intervals: exact where all can be counted, else random, the seen one among them.

They need no shape of noise, only that the labels could have been swapped. What this does *not* do: choose when they
decide. `analysis.statistics.intervals.paired_p` does: where one difference lies far outside of the others. Elsewhere
Student's t says more, as with few seeds a sign-flip test cannot get below 2 / 2^n however large the difference is: in a
family of six it needs eight seeds to say anything.
"""

import math
from functools import cache, lru_cache
from itertools import combinations

import numpy as np

EXACT_PAIRS = 16
EXACT_SPLITS = 20_000
NUM_RANDOM = 20_000
_ROUNDING = 1e-12  # of the sum of magnitudes: sums that differ by less are equal


def sign_flip_p(differences, seed: int = 0) -> float:
    """How often would random signs give so large a mean? (n,) paired differences → two-sided p. Fisher (1935).

    Every pattern of signs is counted up to 16 pairs; beyond, 20,000 random ones and the seen one (Phipson and Smyth,
    2010), so that p is never 0. Where all differences have one sign the exact p is known for any n: 2 / 2^n. All zero,
    or none: 1. Symmetric noise is assumed, and nothing else about it. Repeats exactly for the same `seed`.

    >>> sign_flip_p([1.0, 2.0, 3.0]), sign_flip_p([0.2] * 6), sign_flip_p([0.0] * 6)
    (0.25, 0.03125, 1.0)
    """
    return float(sign_flip_each(np.asarray(differences, dtype=float)[None, :], seed)[0])


def sign_flip_each(differences: np.ndarray, seed: int = 0, num_random: int = NUM_RANDOM) -> np.ndarray:
    """The same for many studies at once: (studies, n) → (studies,) p; beyond 16 pairs all studies share the signs."""
    num_studies, n = differences.shape
    if n == 0:
        return np.ones(num_studies)
    exact = n <= EXACT_PAIRS
    signs = _all_signs(n) if exact else _random_signs(n, seed, num_random)
    seen = np.abs(differences.sum(axis=1)) - _ROUNDING * np.abs(differences).sum(axis=1)
    reached = _num_reached(differences, signs, seen)
    if exact:
        return reached / signs.shape[1]
    one_sided = (differences >= 0).all(axis=1) | (differences <= 0).all(axis=1)
    known = np.minimum(1.0, np.exp2(1.0 - np.count_nonzero(differences, axis=1)))
    return np.where(one_sided, known, (reached + 1) / (num_random + 1))


def permutation_p(a, b, seed: int = 0) -> float:
    """How often would random labels give means so far apart? (n,), (m,) of independent runs → two-sided p.

    Every split is counted where there are at most 20,000 (9 against 7, say); beyond, 20,000 random ones and the seen
    one. An empty arm: 1. Two arms that scatter differently and differ in size are told apart too easily: then Welch's
    test is the better one. Repeats exactly for the same `seed`.

    >>> permutation_p([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    0.1
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if not len(a) or not len(b):
        return 1.0
    return float(permutation_each(a[None, :], b[None, :], seed)[0])


def permutation_each(a: np.ndarray, b: np.ndarray, seed: int = 0, num_random: int = NUM_RANDOM) -> np.ndarray:
    """The same for many studies at once: (studies, n), (studies, m) → (studies,) p, all sharing the random splits."""
    both = np.concatenate([a, b], axis=1)
    both = both - both.mean(axis=1, keepdims=True)  # the sum of one arm then says how far apart the means are
    n, total = a.shape[1], both.shape[1]
    exact = math.comb(total, n) <= EXACT_SPLITS
    chosen = _all_splits(n, total) if exact else _random_splits(n, total, seed, num_random)
    seen = np.abs(both[:, :n].sum(axis=1)) - _ROUNDING * np.abs(both).sum(axis=1)
    reached = _num_reached(both, chosen, seen)
    return reached / chosen.shape[1] if exact else (reached + 1) / (num_random + 1)


# ---------------------------------------------------------------------------------------------------------- intervals


def sign_flip_interval(differences, confidence: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Which mean differences would random signs not call surprising? (n,) paired differences → lowest, highest.

    A value lies outside exactly where `sign_flip_p` of the differences less it is below 1 - confidence. In closed form:
    signs reach the seen mean where the mean of the flipped, or of the kept, does not lie above the value (Hartigan,
    JASA 1969, typical values), so an end is one of these means. Too few pairs for the confidence, five for 95 %: -inf
    and inf. Repeats exactly for the same `seed`.

    >>> sign_flip_interval([1.0, 2.0, 3.0, 4.0, 5.0, 60.0])
    (1.0, 60.0)
    """
    differences = np.asarray(differences, dtype=float)
    n, level = len(differences), 1 - confidence
    if n == 0:
        return -math.inf, math.inf
    exact = n <= EXACT_PAIRS
    signs = _all_signs(n) if exact else _random_signs(n, seed, NUM_RANDOM)
    mean = float(differences.mean())
    kept_sum = (differences - mean) @ signs / 2  # around the mean: the sum of the flipped is this, below zero
    num_kept = np.count_nonzero(signs > 0, axis=0)
    low, high = _ends(-kept_sum, n - num_kept, kept_sum, num_kept, level, all_counted=exact)
    low, high = mean + low, mean + high
    if not exact and 2.0 / 2.0**n < level:  # where all have one sign the p is known, and below the level
        low, high = max(low, float(differences.min())), min(high, float(differences.max()))
    return low, high


def permutation_interval(a, b, confidence: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Which distances between two means would random labels not call surprising? (n,), (m,) → lowest, highest.

    A distance lies outside exactly where `permutation_p` of a less it, and b, is below 1 - confidence. In closed form,
    as for signs: each exchange of as many runs has two distances from which on it reaches the seen one. Too few runs
    for the confidence, three in each arm for 95 %, or an empty arm: -inf and inf. Repeats exactly for the same `seed`.

    >>> permutation_interval([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0])
    (-3.0, 3.0)
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    n, m, level = len(a), len(b), 1 - confidence
    if not n or not m:
        return -math.inf, math.inf
    exact = math.comb(n + m, n) <= EXACT_SPLITS
    chosen = _all_splits(n, n + m) if exact else _random_splits(n, n + m, seed, NUM_RANDOM)
    apart = float(a.mean() - b.mean())
    moved = -(np.concatenate([a - a.mean(), b - b.mean()]) @ chosen)  # what a gives away less what it gets
    num_moved = np.count_nonzero(chosen[n:], axis=0)
    scale = 1 / n + 1 / m
    low, high = _ends(moved, num_moved, -moved, 2 / scale - num_moved, level, all_counted=exact)
    return apart + low, apart + high


def _ends(one, one_size, other, other_size, level: float, all_counted: bool) -> tuple[float, float]:
    """Return the ends, less the estimate, of what a test by shuffles lets stand at `level`.

    A shuffle reaches the seen value, for any hypothesis below the estimate, from the lower of one / one_size and other
    / other_size on, and above it up to the higher. The seen one itself, a size of 0, is always reached.
    """
    seen = (one_size < 1e-9) | (other_size < 1e-9)
    ratios = np.stack([one / np.where(seen, 1.0, one_size), other / np.where(seen, 1.0, other_size)])
    below = np.where(seen, -np.inf, ratios.min(axis=0))
    above = np.where(seen, -np.inf, -ratios.max(axis=0))
    if not all_counted:
        below, above = np.append(below, -np.inf), np.append(above, -np.inf)
    # the fewest that have to reach it; rounded, as 0.05 times a whole number may be one
    fewest = max(1, math.ceil(round(level * len(below), 6)))
    low, high = (float(np.partition(points, fewest - 1)[fewest - 1]) for points in (below, above))
    return low, -high


# ------------------------------------------------------------------------------------------------------------ shuffles


def _num_reached(values: np.ndarray, shuffles: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Count for each study the shuffles (n, shuffles) that give a sum as large as the one seen."""
    at_once = max(1, 2_000_000 // shuffles.shape[1])  # studies, for the memory
    parts = [slice(start, start + at_once) for start in range(0, max(1, len(values)), at_once)]
    return np.concatenate(
        [np.count_nonzero(np.abs(values[part] @ shuffles) >= seen[part, None], axis=1) for part in parts]
    )


@cache
def _all_signs(n: int) -> np.ndarray:
    """Every pattern of signs whose first is +: (n, 2^(n-1)). The other half mirrors them and says the same."""
    bits = np.arange(2 ** (n - 1))[None, :] >> np.arange(n)[:, None]
    return 1.0 - 2.0 * (bits & 1)


@lru_cache(maxsize=8)
def _random_signs(n: int, seed: int, num_random: int) -> np.ndarray:
    return 1.0 - 2.0 * np.random.default_rng(seed).integers(0, 2, size=(n, num_random))


@cache
def _all_splits(n: int, total: int) -> np.ndarray:
    """Every choice of n among all: (total, choices) of 0 and 1."""
    picks = np.array(list(combinations(range(total), n)))
    chosen = np.zeros((total, len(picks)))
    chosen[picks.T, np.arange(len(picks))] = 1.0
    return chosen


@lru_cache(maxsize=8)
def _random_splits(n: int, total: int, seed: int, num_random: int) -> np.ndarray:
    order = np.random.default_rng(seed).random((total, num_random)).argsort(axis=0)
    return (order < n).astype(float)
