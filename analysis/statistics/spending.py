"""How strict has each look at a growing study to be, so that all of them together err no oftener than one look would?

A study that adds seeds until its questions are settled looks at the same differences several times. The error that is
allowed, 5 %, is spent over the looks, each at its share of the seeds (Lan and DeMets, Discrete sequential boundaries
for clinical trials, Biometrika 1983). What this does *not* do: judge a study (`analysis.looks`).
"""

import math
from functools import lru_cache

import numpy as np

SPENDINGS = ("obrien_fleming", "pocock")
_WIDEST = 36.0  # SDs: what lies beyond is below the smallest double
_STEP = 0.05  # SDs of one look's increment between points of the grid: levels are right to four digits
_SMALLEST = 1e-10  # an overall level below this is told as this
_NUM_PATHS = 500_000  # simulated studies: a level of 5 % is known to 0.03 points
_KNOWN_LEVELS = (0.05, 0.02, 0.01, 0.005, 0.002, 0.001)


def share_spent(fraction: float, spending: str, level: float = 0.05) -> float:
    """How much of the error may be spent when this share of the seeds is there? From 0 at none to `level` at all.

    O'Brien-Fleming-like, 4 - 4Φ(z / √t) with z the normal quantile of 1 - level/4, spends next to nothing early;
    Pocock-like, level · ln(1 + (e - 1)t), spends about evenly. Half of it on each side.

    >>> round(share_spent(0.5, "pocock"), 4), round(share_spent(0.5, "obrien_fleming"), 4)
    (0.031, 0.0031)
    """
    from scipy import special

    if spending not in SPENDINGS:
        raise ValueError(f"spending is one of {SPENDINGS}, found {spending!r}")
    if spending == "pocock":
        return level * math.log1p((math.e - 1) * fraction)
    return float(4 * special.ndtr(special.ndtri(level / 4) / math.sqrt(fraction)))


def spent(looks, spending: str, level: float = 0.05) -> np.ndarray:
    """At which two-sided level is each look to be tested, so that all together err at `level`? (looks,) → (looks,).

    `looks` are numbers of seeds, ascending; one look has the whole level. For a normal statistic, by numerical
    integration over the paths that no earlier look has ended (Armitage, McPherson and Rowe, JRSS A 1969).

    >>> spent((5, 10, 20), "pocock").round(4)
    array([0.0179, 0.0179, 0.026 ])
    """
    return np.array(_spent(tuple(int(n) for n in looks), spending, float(level)))


@lru_cache(maxsize=4096)
def _spent(looks: tuple[int, ...], spending: str, level: float) -> tuple[float, ...]:
    from scipy import optimize, special

    if len(looks) == 1:
        return (level,)
    fractions = [n / looks[-1] for n in looks]
    shares = np.diff([0.0, *(share_spent(t, spending, level) for t in fractions)])
    levels, before = [], 0.0
    points, mass = np.zeros(1), np.ones(1)  # where the running sum may stand, and how probable that is
    for fraction, share in zip(fractions, shares, strict=True):
        scale = math.sqrt(fraction - before)

        def too_much(bound, points=points, mass=mass, scale=scale, fraction=fraction, share=share) -> float:
            edge = bound * math.sqrt(fraction)
            outside = special.ndtr((-edge - points) / scale) + special.ndtr((points - edge) / scale)
            # on a log scale: an early O'Brien-Fleming look spends 1e-10
            return math.log(max(float(mass @ outside), 1e-300)) - math.log(max(share, 1e-290))

        bound = optimize.brentq(too_much, 0.0, _WIDEST, xtol=1e-10)
        levels.append(float(2 * special.ndtr(-bound)))
        points, mass = _kept(points, mass, bound * math.sqrt(fraction), scale)
        before = fraction
    return tuple(levels)


def _kept(points: np.ndarray, mass: np.ndarray, edge: float, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return where the sums stand that this look does not end, and the probability of each."""
    num_points = 2 * math.ceil(edge / (_STEP * scale)) + 1
    width = 2 * edge / num_points
    new = -edge + width * (np.arange(num_points) + 0.5)
    z = (new[:, None] - points[None, :]) / scale
    return new, np.exp(-(z**2) / 2) @ mass * (width / (scale * math.sqrt(2 * math.pi)))


# ---------------------------------------------------------------------------------------------------- few seeds, and t


def t_levels(looks, spending: str, level: float = 0.05) -> np.ndarray:
    """At which level is the p of the paired t-test to be tested at each look, to err at `level` in all? → (looks,).

    The p-values of a t-test at successive looks are less alike than those of a normal statistic, so `spent` alone errs
    too often with few seeds (5.3 % in place of 5 % at 5, 10, 20, Pocock-like). A part of the level is therefore held
    back: as much as makes simulated t-tests of normal differences err at `level`, found once for each set of looks.
    """
    looks = tuple(int(n) for n in looks)
    return spent(looks, spending, level * _part_used(looks, spending, level))


def _part_used(looks: tuple[int, ...], spending: str, level: float) -> float:
    if len(looks) == 1:
        return 1.0
    known = _parts_used(looks, spending)
    return float(np.interp(math.log(level), np.log(_KNOWN_LEVELS[::-1]), known[::-1]))


@lru_cache(maxsize=64)
def _parts_used(looks: tuple[int, ...], spending: str) -> tuple[float, ...]:
    """Which part of each known level may be spent, at most all of it. Seeded: the same every time."""
    from scipy import optimize, special

    paths = _t_paths(looks, np.random.default_rng(0))

    def hits(part: float, level: float, among: np.ndarray) -> np.ndarray:
        hit = np.zeros(among.shape[1], dtype=bool)
        for n, t, nominal in zip(looks, among, spent(looks, spending, part * level), strict=True):
            if n > 1:
                hit |= t > -special.stdtrit(n - 1, nominal / 2)
        return hit

    parts = []
    for level in _KNOWN_LEVELS:
        paths = paths[:, hits(1.0, level, paths)]  # what the whole level does not stop, no part of it does
        if paths.shape[1] <= level * _NUM_PATHS:
            parts.append(1.0)
            continue

        def errs(part: float, level: float = level, among: np.ndarray = paths) -> float:
            return float(hits(part, level, among).sum()) / _NUM_PATHS - level

        parts.append(optimize.brentq(errs, 0.3, 1.0, xtol=1e-3))
    return tuple(parts)


def _t_paths(looks: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return |t|, (looks, studies), of studies without an effect: drawn from sums and sums of squares alone."""
    total, squares, before, found = np.zeros(_NUM_PATHS), np.zeros(_NUM_PATHS), 0, []
    for n in looks:
        added = n - before
        part = rng.normal(0.0, math.sqrt(added), _NUM_PATHS)
        squares += part**2 / added + (2 * rng.standard_gamma((added - 1) / 2, _NUM_PATHS) if added > 1 else 0.0)
        total += part
        around = np.maximum(squares - total**2 / n, 1e-300) / max(n - 1, 1)
        found.append(np.abs(total) / np.sqrt(n * around))
        before = n
    return np.stack(found)


def overall_p(p: float, looks, spending: str, look: int) -> float:
    """How strict could the whole study have been and still have ended here? The level at which look `look` stops at p.

    The smallest error over all looks for which a p-value of the t-test of this size is enough at this look (counted
    from 1); never told below 1e-10. One look: p itself. Holm's procedure over these holds the error of a family over
    all its looks (Maurer and Bretz, Multiple testing in group sequential trials, 2013).

    >>> overall_p(0.03, (10,), "pocock", 1), round(overall_p(0.0179, (5, 10, 20), "pocock", 1), 3)
    (0.03, 0.053)
    """
    from scipy import optimize

    looks = tuple(int(n) for n in looks)
    if len(looks) == 1 or p >= 1:
        return float(p)

    def too_lax(log_level: float) -> float:
        nominal = t_levels(looks, spending, math.exp(log_level))[look - 1]
        return math.log(max(nominal, 1e-300)) - math.log(max(p, 1e-290))

    low, high = math.log(_SMALLEST), math.log(0.999)
    if too_lax(high) < 0:
        return 1.0
    if too_lax(low) > 0:
        return _SMALLEST
    return float(math.exp(optimize.brentq(too_lax, low, high, xtol=1e-4)))
