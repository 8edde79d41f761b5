"""Studies that are looked at several times, drawn with a known truth: how often does any look go wrong?"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from analysis.calibration_cells import paired_each

SHAPES = ("normal", "lognormal", "heavy", "lumpy", "bad seeds")


@dataclass(frozen=True, kw_only=True)
class Found:
    """Shares of studies: in which any look called arms different, or equivalent; whose intervals all held the truth."""

    differs: float
    equivalent: float
    covered: float


def over_looks(
    shape: str, looks, levels, *, num_studies: int, num_arms: int = 1, effect: float = 0.0, margin: float = 0.0, seed=0
) -> Found:
    """Draw studies of so many arms and a baseline that scatter alike, and test each at each look's level.

    `effect` and `margin` are in SDs of the differences; with a margin the true difference is the margin.
    """
    rng = np.random.default_rng(seed)
    scores = np.stack([draw(shape, (num_studies, looks[-1]), rng) for _ in range(num_arms + 1)])
    spread = (scores[1:] - scores[0]).std()
    truth = spread * (margin or effect)
    differences = scores[1:] - scores[0] + truth
    differs, equal = np.zeros((2, num_arms, num_studies), dtype=bool)
    covered = np.ones((num_arms, num_studies), dtype=bool)
    for n, level in zip(looks, levels, strict=True):
        part = differences[..., :n]
        mean, error = part.mean(axis=-1), part.std(axis=-1, ddof=1) / np.sqrt(n)
        p = _p_values(part)
        # without any spread the t-test has no say: a sign-flip test answers, which these levels are out of reach of
        spreads = error > 0
        differs |= spreads & (p < level)
        covered &= ~spreads | ((_p_values(part - truth) if truth else p) >= level)
        one_sided = -special.stdtrit(n - 1, level) * error
        equal |= spreads & (np.abs(mean) + one_sided < spread * margin)
    return Found(
        differs=float(differs.any(axis=0).mean()),
        equivalent=float(equal.any(axis=0).mean()),
        covered=float(covered.all(axis=0).mean()),
    )


def _p_values(differences: np.ndarray) -> np.ndarray:
    """As reports have them: of the t-test, or of sign flips (fewer random ones than theirs, for the time)."""
    return paired_each(differences.reshape(-1, differences.shape[-1]), num_random=999).reshape(differences.shape[:-1])


def draw(shape: str, size, rng: np.random.Generator) -> np.ndarray:
    """Draw scores of one arm: their scatter over seeds."""
    if shape == "lognormal":
        return np.exp(rng.normal(size=size))
    if shape == "heavy":
        return rng.standard_t(3, size=size)
    if shape == "lumpy":  # right ones of 360 test images, with a seed effect
        return rng.binomial(360, np.clip(0.95 + 0.01 * rng.normal(size=size), 0, 1)) / 360
    if shape == "bad seeds":
        return rng.normal(size=size) - 8 * (rng.random(size) < 0.05)
    return rng.normal(size=size)
