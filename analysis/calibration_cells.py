"""The rates of each method: on simulated studies, one cell at a time, and on real A/A rows.

A cell is one shape of noise at one number of seeds, and draws from a generator of its own: any can be drawn again
without the others. What this does *not* do: say what a rate means (`analysis.calibration` does).
"""

import math
from itertools import combinations

import numpy as np
import pandas as pd

from analysis.statistics.bootstrap import bca_each
from analysis.statistics.intervals import CONFIDENCE, FROM_PAIRS, holm, outlying
from analysis.statistics.noise import NOISES, arms, rivals, strangers
from analysis.statistics.permutation import NUM_RANDOM, permutation_each, sign_flip_each
from analysis.statistics.power import smallest_detectable, smallest_margin

SEEDS = (3, 5, 6, 10, 20, 30)
LEVEL, PLANNED = 0.05, 0.8
BOTH, ONE, STRANGERS, SIX = "both noisy", "one noisy", "no shared seeds", "six against one"
FALSE, COVERAGE, FOUND = "false positives", "coverage", "planted effect found"
AT_MARGIN, SHOWN = "called equivalent at the margin", "equal arms shown equivalent"
FAMILY, PART = "any false positive of six", "any false positive of three, three being real"
# what decides: t, and shuffled labels where a value lies far outside of the others
PAIRED, UNPAIRED = "t or sign flips", "Welch's t or shuffles"
TOST, HOLM = "two one-sided t", "Holm on t or sign flips"
STUDENT, WELCH = "Student's t", "Welch's t"
SIGN_FLIP, PERMUTATION, BCA = "sign-flip", "permutation", "BCa bootstrap"
MANY, SOME, FEW = 8_000, 2_000, 500  # studies: in closed form, with shuffles, with resamples
NUM_SHUFFLES, NUM_RESAMPLES = 999, 999


def paired_cells(noise: str, n: int, num_noisy: int = 2) -> list[tuple]:
    """Return the rates of the paired methods in studies of n seeds."""
    rng, shape, sd = _rng("paired", noise, n, num_noisy), NOISES[noise], math.sqrt(num_noisy)
    effect, margin = smallest_detectable(sd, n), smallest_margin(sd, n)

    def differences(effect: float) -> np.ndarray:
        better, worse = arms(rng, shape, (MANY, n), effect, num_noisy)
        return better - worse

    same, planted, edge = differences(0.0), differences(effect), differences(margin)
    some = MANY if n <= 6 else SOME
    flips = {"seed": n, "num_random": NUM_SHUFFLES}
    p_same, p_truth, p_planted = (paired_each(values, **flips) for values in (same, planted - effect, planted))
    low, high = bca_each((planted[:FEW],), seed=n, num_resamples=NUM_RESAMPLES)
    where = (noise, BOTH if num_noisy == 2 else ONE, n)
    student = (STUDENT, *where)
    flipped = (SIGN_FLIP, *where)
    deciding = (PAIRED, *where)
    found = [
        _cell(deciding, FALSE, p_same < LEVEL, LEVEL),
        _cell(deciding, COVERAGE, p_truth >= LEVEL, CONFIDENCE),
        _cell(deciding, FOUND, (p_planted < LEVEL) & (planted.mean(axis=1) > 0), PLANNED),
        _cell(student, FALSE, t_p(same) < LEVEL, LEVEL),
        _cell(student, COVERAGE, t_p(planted - effect) >= LEVEL, CONFIDENCE),
        _cell(student, FOUND, (t_p(planted) < LEVEL) & (planted.mean(axis=1) > 0), PLANNED),
        _cell(flipped, FALSE, sign_flip_each(same[:some], **flips) < LEVEL, LEVEL),
        _cell(flipped, COVERAGE, sign_flip_each(planted[:some] - effect, **flips) >= LEVEL, CONFIDENCE),
        _cell(flipped, FOUND, sign_flip_each(planted[:some], **flips) < LEVEL, PLANNED),
        _cell((BCA, *where), COVERAGE, (low <= effect) & (effect <= high), CONFIDENCE),
    ]
    if num_noisy == 2:
        tost = (TOST, *where)
        found += [
            _cell(tost, AT_MARGIN, tost_each(edge, margin) < LEVEL, LEVEL),
            _cell(tost, SHOWN, tost_each(same, margin) < LEVEL, PLANNED),
        ]
    return found


def unpaired_cells(noise: str, n: int) -> list[tuple]:
    """Return the rates of the unpaired methods in studies of n seeds in each arm, no seed in both."""
    rng, effect = _rng("unpaired", noise, n), 1.0
    same, planted = (strangers(rng, NOISES[noise], (n, n), MANY, size) for size in (0.0, effect))
    centred = (planted[0] - effect, planted[1])
    low, high = bca_each([arm[:FEW] for arm in planted], seed=n, num_resamples=NUM_RESAMPLES)
    shuffles = {"seed": n, "num_random": NUM_SHUFFLES}
    shuffled = permutation_each(*(arm[:SOME] for arm in same), **shuffles)
    where = (noise, STRANGERS, n)
    return [
        _cell((UNPAIRED, *where), FALSE, unpaired_each(*same, **shuffles) < LEVEL, LEVEL),
        _cell((UNPAIRED, *where), COVERAGE, unpaired_each(*centred, **shuffles) >= LEVEL, CONFIDENCE),
        _cell((WELCH, *where), FALSE, welch_each(*same) < LEVEL, LEVEL),
        _cell((WELCH, *where), COVERAGE, welch_each(*centred) >= LEVEL, CONFIDENCE),
        _cell((PERMUTATION, *where), FALSE, shuffled < LEVEL, LEVEL),
        _cell((BCA, *where), COVERAGE, (low <= effect) & (effect <= high), CONFIDENCE),
    ]


def family_cells(noise: str, n: int) -> list[tuple]:
    """Return how often Holm lets a false positive through among six comparisons with one baseline."""
    rng, method = _rng("family", noise, n), (HOLM, noise, SIX, n)
    equal, real = np.zeros(6), np.repeat([0.0, 2.0], 3)
    families = (rivals(rng, NOISES[noise], MANY // 2, n, effects) for effects in (equal, real))
    p_values = (paired_each(family.reshape(-1, n), seed=n, num_random=NUM_SHUFFLES) for family in families)
    none, three = (holm(p.reshape(-1, 6)) < LEVEL for p in p_values)
    return [
        _cell(method, FAMILY, none.any(axis=1), LEVEL),
        _cell(method, PART, three[:, :3].any(axis=1), LEVEL),
    ]


def _cell(method: tuple, what: str, hits: np.ndarray, nominal: float) -> tuple:
    error = 3 * math.sqrt(nominal * (1 - nominal) / len(hits))
    return (*method, what, round(float(np.mean(hits)), 5), nominal, round(error, 5), len(hits))


def _rng(kind: str, noise: str, n: int, num_noisy: int = 2) -> np.random.Generator:
    """Return a generator for one cell alone, so that any cell can be drawn again without the others."""
    return np.random.default_rng([("paired", "unpaired", "family").index(kind), [*NOISES].index(noise), n, num_noisy])


# ----------------------------------------------------------------------------------- the deciding p, of many studies


def paired_each(differences: np.ndarray, seed: int = 0, num_random: int = NUM_RANDOM) -> np.ndarray:
    """`analysis.statistics.intervals.paired_p` of many studies at once: (studies, n) → (studies,) p.

    A study is covered where the p of its truth is not below the level: so the intervals are.
    """
    p = t_p(differences)
    far = outlying(differences).any(axis=1) & (differences.shape[1] >= FROM_PAIRS)
    p[far] = sign_flip_each(differences[far], seed, num_random)
    return p


def unpaired_each(a: np.ndarray, b: np.ndarray, seed: int = 0, num_random: int = NUM_RANDOM) -> np.ndarray:
    """`analysis.statistics.intervals.welch_p` of many studies at once: (studies, n), (studies, m) → (studies,) p."""
    p = welch_each(a, b)
    far = (outlying(a).any(axis=1) | outlying(b).any(axis=1)) & (min(a.shape[1], b.shape[1]) >= FROM_PAIRS)
    p[far] = permutation_each(a[far], b[far], seed, num_random)
    return p


def t_p(differences: np.ndarray) -> np.ndarray:
    """`analysis.statistics.intervals.student_p` of many studies at once: (studies, n) → (studies,) p."""
    from scipy import special

    n = differences.shape[1]
    mean, flat = differences.mean(axis=1), _flat(differences)
    error = np.where(flat, 1.0, differences.std(axis=1, ddof=1)) / math.sqrt(n)
    p = 2 * special.stdtr(n - 1, -np.abs(mean / error))
    return np.where(flat, np.where(differences.any(axis=1), 2.0 / 2.0**n, 1.0), p)


def tost_each(differences: np.ndarray, margin: float) -> np.ndarray:
    """`analysis.statistics.equivalence.tost_p` of many studies at once: (studies, n) → (studies,) p."""
    from scipy import special

    n = differences.shape[1]
    size, flat = np.abs(differences.mean(axis=1)), _flat(differences)
    error = np.where(flat, 1.0, differences.std(axis=1, ddof=1)) / math.sqrt(n)
    p = special.stdtr(n - 1, -(margin - size) / error)
    return np.where(flat, np.where(size <= margin, 1.0 / 2.0**n, 1.0), p)


def welch_each(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Welch's p of many studies at once, whatever lies outside: (studies, n), (studies, m) → (studies,) p."""
    from scipy import special

    flat = _flat(a) & _flat(b)
    parts = [np.where(flat, 1.0, arm.var(axis=1, ddof=1)) / arm.shape[1] for arm in (a, b)]
    degrees = (parts[0] + parts[1]) ** 2 / sum(
        part**2 / (arm.shape[1] - 1) for part, arm in zip(parts, (a, b), strict=True)
    )
    p = 2 * special.stdtr(degrees, -np.abs(a.mean(axis=1) - b.mean(axis=1)) / np.sqrt(parts[0] + parts[1]))
    return np.where(flat, permutation_each(a, b) if flat.any() else 1.0, p)


def _flat(values: np.ndarray) -> np.ndarray:
    """`analysis.statistics.intervals.no_spread` of many studies at once."""
    return np.ptp(values, axis=1) <= 1e-12 * np.abs(values).max(axis=1)


# ------------------------------------------------------------------------------------------------- real rows of digits


def digits_cells(rows: pd.DataFrame) -> list[tuple]:
    """Return the rates on real rows in which nothing differs: the flag is inert, or the labels are mixed."""
    return [*_flag_cells(rows), *_halves_cells(rows), *_mixed_cells(rows)]


def _flag_cells(rows: pd.DataFrame) -> list[tuple]:
    """Throughput with cudnn_benchmark on against off, on a CPU, by random block; the labels of each pair drawn anew."""
    from analysis.rows.conditions import paired
    from analysis.throughput import timed

    pairs = paired(timed(rows), "cudnn_benchmark", True, False, ["samples_per_second"])
    pairs = pairs.assign(ratio=np.log(pairs["samples_per_second"] / pairs["samples_per_second_reference"]))
    blocks = pairs.pivot_table(
        index=["scheduler", "cudnn_deterministic"], columns="block", values="ratio", observed=True
    )
    ratios = blocks.to_numpy()
    noise, rng = "digits: throughput, flag labels drawn anew", np.random.default_rng(0)
    found = []
    for n in (*(n for n in SEEDS if n < ratios.shape[1]), ratios.shape[1]):
        own = ratios[rng.integers(0, len(ratios), MANY)]
        picks = rng.random(own.shape).argsort(axis=1)[:, :n]
        drawn = np.take_along_axis(own, picks, axis=1) * rng.choice([-1.0, 1.0], size=(MANY, n))
        found += _false_positives((noise, BOTH, n), drawn)
    where = ("digits: throughput, flag labels as they were run", BOTH, ratios.shape[1])
    return [*found, *_false_positives(where, ratios)]


def _halves_cells(rows: pd.DataFrame) -> list[tuple]:
    """Accuracy of one half of a scheduler's seeds against the other half: every split of every scheduler."""
    scores = _accuracies(rows).T
    half = scores.shape[1] // 2
    first = np.array(list(combinations(range(scores.shape[1]), half)))
    rest = np.array([np.setdiff1d(np.arange(scores.shape[1]), split) for split in first])
    a, b = scores[:, first].reshape(-1, half), scores[:, rest].reshape(len(scores) * len(rest), -1)
    where = ("digits: accuracy, halves of the seeds", STRANGERS, half)
    return [
        _cell((UNPAIRED, *where), FALSE, unpaired_each(a, b) < LEVEL, LEVEL),
        _cell((WELCH, *where), FALSE, welch_each(a, b) < LEVEL, LEVEL),
        _cell((PERMUTATION, *where), FALSE, permutation_each(a, b) < LEVEL, LEVEL),
    ]


def _mixed_cells(rows: pd.DataFrame) -> list[tuple]:
    """Accuracy of two schedulers whose names are swapped on any of the seeds: every pair, every pattern of swaps."""
    scores = _accuracies(rows)
    n = len(scores)
    signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    pairs = [scores[:, one] - scores[:, other] for one, other in combinations(range(scores.shape[1]), 2)]
    return _false_positives(
        ("digits: accuracy, schedulers swapped at random", BOTH, n), np.concatenate([signs * pair for pair in pairs])
    )


def _accuracies(rows: pd.DataFrame) -> np.ndarray:
    """(seeds, schedulers); flags and replicates give the same bits here, and are averaged where they do not."""
    wide = rows.pivot_table(index="seed", columns="scheduler", values="final_accuracy", observed=True)
    return wide.to_numpy()


def _false_positives(where: tuple, differences: np.ndarray) -> list[tuple]:
    some = differences if differences.shape[1] <= 10 else differences[:SOME]
    flips = sign_flip_each(some, num_random=NUM_SHUFFLES)
    return [
        _cell((PAIRED, *where), FALSE, paired_each(differences, num_random=NUM_SHUFFLES) < LEVEL, LEVEL),
        _cell((STUDENT, *where), FALSE, t_p(differences) < LEVEL, LEVEL),
        _cell((SIGN_FLIP, *where), FALSE, flips < LEVEL, LEVEL),
    ]
