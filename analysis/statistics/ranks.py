"""Ranks over several tables: Friedman's test, Nemenyi's critical difference, and places that hold over workloads.

What this does *not* do: choose rows or word findings (`analysis.across` does), or compare two orders
(`analysis.statistics.rankings` does).
"""

import math
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from analysis.statistics.intervals import CONFIDENCE

MANY_BLOCKS = 50
_MOST_EXACT = 20_000


@dataclass(frozen=True, kw_only=True)
class Friedman:
    """(arms,) mean ranks over the blocks, 1 the best; chi-square with and without ties, and its permutation p."""

    mean_ranks: np.ndarray
    chi_square: float
    uncorrected: float
    p: float
    num_blocks: int


def block_ranks(scores) -> np.ndarray:
    """Which place has each arm in each block? (blocks, arms), higher is better → ranks, ties sharing their mean.

    >>> block_ranks([[0.9, 0.8, 0.9]]).tolist()
    [[1.5, 3.0, 1.5]]
    """
    scores = np.round(np.asarray(scores, dtype=float), 12)
    above = (scores[:, None, :] > scores[:, :, None]).sum(axis=2)
    equal = (scores[:, None, :] == scores[:, :, None]).sum(axis=2)
    return above + (equal + 1) / 2


def friedman(scores, seed: int = 0, num_permutations: int = 10_000) -> Friedman:
    """Do the arms stand in one order over blocks? (blocks, arms), higher is better → Friedman (1937).

    p is of permutations inside the blocks: exact where there are at most 20,000 of them, else of so many random ones,
    the one that was seen counted among them; from MANY_BLOCKS on chi-square's, which would be wrong for few. Arms that
    tie in every block have nothing to order: chi-square nan, p 1. Repeats exactly for the same `seed`.
    """
    from scipy import stats

    ranks = block_ranks(scores)
    num_blocks, num_arms = ranks.shape
    uncorrected = _chi_square(ranks.sum(axis=0), num_blocks, num_arms)
    spread = _unevenness(ranks)
    if spread == 0:
        return Friedman(
            mean_ranks=ranks.mean(axis=0), chi_square=math.nan, uncorrected=0.0, p=1.0, num_blocks=num_blocks
        )
    if num_blocks >= MANY_BLOCKS:
        p = float(stats.chi2.sf(uncorrected / spread, num_arms - 1))
    else:
        sums, seen = _permuted_sums(ranks, seed, num_permutations), float((ranks.sum(axis=0) ** 2).sum())
        as_large = int(((sums**2).sum(axis=1) >= seen - 1e-9).sum())
        p = as_large / len(sums) if _is_exact(ranks) else (as_large + 1) / (len(sums) + 1)
    return Friedman(
        mean_ranks=ranks.mean(axis=0),
        chi_square=uncorrected / spread,
        uncorrected=uncorrected,
        p=p,
        num_blocks=num_blocks,
    )


def _chi_square(sums: np.ndarray, num_blocks: int, num_arms: int) -> float:
    return float(12 / (num_blocks * num_arms * (num_arms + 1)) * (sums**2).sum() - 3 * num_blocks * (num_arms + 1))


def _unevenness(ranks: np.ndarray) -> float:
    """Return the divisor that ties ask for: 1 without ties, 0 where every block ties all arms."""
    num_blocks, num_arms = ranks.shape
    most = num_blocks * num_arms * (num_arms**2 - 1) / 12
    return float(((ranks - (num_arms + 1) / 2) ** 2).sum() / most) if most else 0.0


def _is_exact(ranks: np.ndarray) -> bool:
    """Can every way to deal out the ranks be tried? The first block may stay as it is: all orders are alike."""
    return (len(ranks) - 1) * math.lgamma(ranks.shape[1] + 1) <= math.log(_MOST_EXACT)


def _permuted_sums(ranks: np.ndarray, seed: int, num_permutations: int) -> np.ndarray:
    """Return (permutations, arms): sums of ranks after each block but the first was dealt out anew."""
    if _is_exact(ranks):
        orders = np.array(list(permutations(range(ranks.shape[1]))))
        sums = ranks[:1]
        for block in ranks[1:]:
            sums = (sums[:, None, :] + block[orders][None]).reshape(-1, ranks.shape[1])
        return sums
    rng = np.random.default_rng(seed)
    sums = np.tile(ranks[0], (num_permutations, 1))
    for block in ranks[1:]:
        sums = sums + rng.permuted(np.tile(block, (num_permutations, 1)), axis=1)
    return sums


def critical_difference(num_arms: int, num_blocks: int, level: float = 1 - CONFIDENCE) -> float:
    """How far apart must two mean ranks be to be told apart, all pairs taken into account? Nemenyi (1963).

    q √(k (k + 1) / 6 N), q of the studentized range at infinite degrees over √2 (Demšar, JMLR 7, 2006).

    >>> round(critical_difference(4, 14), 2), round(critical_difference(2, 6), 2)
    (1.25, 0.8)
    """
    from scipy import stats

    q = float(stats.studentized_range.ppf(1 - level, num_arms, np.inf)) / math.sqrt(2)
    return q * math.sqrt(num_arms * (num_arms + 1) / (6 * num_blocks))


def cliques(mean_ranks, difference: float) -> list[tuple[int, ...]]:
    """Which arms are not told apart? (arms,) → the longest runs, in order of rank, that lie within the difference.

    These are the bars of the diagram; a run inside another is left out, and so is an arm by itself.

    >>> cliques([1.0, 1.8, 3.0, 3.1], 1.25)
    [(0, 1), (1, 2), (2, 3)]
    >>> cliques([1.0, 4.0], 1.0)
    []
    """
    order = np.argsort(mean_ranks, kind="stable")
    found: list[tuple[int, ...]] = []
    for start, arm in enumerate(order):
        end = max(i for i in range(len(order)) if mean_ranks[order[i]] - mean_ranks[arm] <= difference + 1e-12)
        if end > start and not any(set(order[start : end + 1]) <= set(run) for run in found):
            found.append(tuple(int(each) for each in order[start : end + 1]))
    return found


def rank_intervals(mean_ranks, difference: float) -> list[tuple[int, int]]:
    """Which places could each arm have, over all workloads such as these? (arms,) → the first and last for each arm.

    An arm stands behind those that it is told from as worse, and before those that it is told from as better; about
    the others nothing is known. As no pair is told apart wrongly in 95 % of studies (`critical_difference`), all
    intervals hold at once at least as often (Mogstad, Romano, Shaikh and Wilhelm, Inference for Ranks, 2024).

    >>> rank_intervals([1.0, 1.8, 3.0, 3.1], 1.25), rank_intervals([1.0, 1.5], 2.0)
    ([(1, 2), (1, 3), (2, 4), (3, 4)], [(1, 2), (1, 2)])
    """
    gaps = np.subtract.outer(np.asarray(mean_ranks, dtype=float), np.asarray(mean_ranks, dtype=float))
    told = np.abs(gaps) >= difference
    before, behind = (told & (gaps > 0)).sum(axis=1), (told & (gaps < 0)).sum(axis=1)
    return [(1 + int(ahead), len(gaps) - int(after)) for ahead, after in zip(before, behind, strict=True)]
