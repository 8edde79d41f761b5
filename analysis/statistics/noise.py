"""Simulated studies whose truth is known: two arms, their seeds, and five shapes of noise. For `analysis.calibration`.

Scores are in units of one arm's noise SD, lifted by what all arms of a seed share. What this does *not* do: judge.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

NUM_IMAGES, ACCURACY = 360, 0.93  # the test images of digits, and an accuracy as its short trainings reach
SEED_SD = 0.75  # of what arms share on a seed, in noise SDs: one point of accuracy
BAD_SEEDS, BAD_BY = 0.05, 10.0  # one seed in twenty fails, and ends ten ordinary SDs lower


@dataclass(frozen=True, kw_only=True)
class Noise:
    """A shape of noise. `draw(rng, level)` gives scores around an array of levels, with an SD of 1 at level 0."""

    name: str
    about: str
    draw: Callable[[np.random.Generator, np.ndarray], np.ndarray]


def _normal(rng, level):
    return level + rng.normal(size=level.shape)


def _skewed(rng, level):
    sigma = 0.5
    mean, variance = math.exp(sigma**2 / 2), (math.exp(sigma**2) - 1) * math.exp(sigma**2)
    return level + (rng.lognormal(0.0, sigma, level.shape) - mean) / math.sqrt(variance)


def _heavy(rng, level):
    return level + rng.standard_t(3, level.shape) / math.sqrt(3)


def _lumpy(rng, level):
    sd = math.sqrt(ACCURACY * (1 - ACCURACY) / NUM_IMAGES)
    hits = rng.binomial(NUM_IMAGES, np.clip(ACCURACY + sd * level, 0.0, 1.0))
    return (hits / NUM_IMAGES - ACCURACY) / sd


def _bad_seeds(rng, level):
    sd = math.sqrt(1 + BAD_BY**2 * BAD_SEEDS * (1 - BAD_SEEDS))
    bad = rng.random(level.shape) < BAD_SEEDS
    return level + (rng.normal(size=level.shape) - BAD_BY * (bad - BAD_SEEDS)) / sd


NOISES: dict[str, Noise] = {
    noise.name: noise
    for noise in (
        Noise(name="normal", about="a bell", draw=_normal),
        Noise(name="skewed", about="lognormal, sigma 0.5", draw=_skewed),
        Noise(name="heavy tails", about="Student's t with 3 degrees of freedom", draw=_heavy),
        Noise(name="lumpy", about=f"right answers of {NUM_IMAGES}, binomial around {ACCURACY}", draw=_lumpy),
        Noise(name="rare bad seeds", about="one seed in twenty ends ten SDs lower", draw=_bad_seeds),
    )
}


def arms(rng: np.random.Generator, noise: Noise, shape: tuple[int, ...], effect: float = 0.0, num_noisy: int = 2):
    """Draw two arms of studies, seeds shared: (studies, n) and (studies, n), the first better by `effect` in truth.

    With `num_noisy` 1 the second arm has no noise beyond the seeds': the differences then have the shape of the noise
    itself, while those of two noisy arms are symmetric whatever the shape.
    """
    seeds = SEED_SD * rng.normal(size=shape)
    better = noise.draw(rng, seeds + effect / 2)
    return better, (noise.draw(rng, seeds - effect / 2) if num_noisy == 2 else seeds - effect / 2)


def strangers(rng: np.random.Generator, noise: Noise, n: tuple[int, int], num_studies: int, effect: float = 0.0):
    """Draw two arms that share no seed: (studies, n[0]) and (studies, n[1]), the first better by `effect` in truth."""
    return (
        noise.draw(rng, np.full((num_studies, n[0]), effect / 2)),
        noise.draw(rng, np.full((num_studies, n[1]), -effect / 2)),
    )


def rivals(rng: np.random.Generator, noise: Noise, num_studies: int, n: int, effects: np.ndarray) -> np.ndarray:
    """Draw arms less a baseline, seeds shared: (studies, arms, n) differences whose true means are `effects`."""
    seeds = SEED_SD * rng.normal(size=(num_studies, 1, n))
    return noise.draw(rng, seeds + effects[None, :, None]) - noise.draw(rng, seeds)
