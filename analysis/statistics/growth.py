"""How a difference grows: from the gap in training loss at each step to a doubling time. Pure functions on arrays.

What this does *not* do: say why trainings part, or when (`analysis.rows.sameness` does).
"""

import math
from dataclasses import dataclass

import numpy as np

MIN_STEPS = 8
MIN_DOUBLINGS = 3.0
LEVEL = 0.1


@dataclass(frozen=True, kw_only=True)
class Growth:
    """How the gap between two trainings grew. `doubling_steps` is nan where no growth can be told from the scatter.

    num_seen                steps at which there is a gap
    first_gap, largest_gap  nats: the first that is not 0, and the largest
    num_steps               steps from the first gap to the first that is within a tenth of the largest
    doubling_steps          steps in which the gap doubled over these, on average
    """

    num_seen: int
    first_gap: float
    largest_gap: float
    num_steps: int
    doubling_steps: float


NONE = Growth(num_seen=0, first_gap=0.0, largest_gap=0.0, num_steps=0, doubling_steps=math.nan)


def growth(gaps) -> Growth:
    """How fast did the gap grow before it levelled off? (num_steps,) nats → Growth.

    The slope of log2(gap) over the step, by least squares, from the first gap to the first that reaches a tenth of the
    largest (after Rosenstein, Collins and De Luca, Physica D 65, 1993, who fit the part before saturation). Steps
    whose gap is 0 are left out. A loss is a float32: a gap of few ulps is rounding, so growth begins before it shows,
    and this doubling time is rather too long than too short. Neighbouring gaps hang together, so one pair of trainings
    gives no interval: look at how several pairs scatter. Fewer than MIN_STEPS gaps, less than MIN_DOUBLINGS along the
    line, or a falling line give nan.
    """
    gaps = np.asarray(gaps, dtype=float)
    steps = np.flatnonzero(np.isfinite(gaps) & (gaps > 0))
    if not len(steps):
        return NONE
    seen = gaps[steps]
    first, last = steps[0], steps[np.argmax(seen >= LEVEL * seen.max())]
    inside = steps[steps <= last]
    num_steps = int(last - first)
    slope = _slope(inside, np.log2(gaps[inside])) if len(inside) >= MIN_STEPS else 0.0
    told = slope * num_steps >= MIN_DOUBLINGS
    return Growth(
        num_seen=len(steps),
        first_gap=float(seen[0]),
        largest_gap=float(seen.max()),
        num_steps=num_steps,
        doubling_steps=1 / slope if told else math.nan,
    )


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    x = x - x.mean()
    return float(np.sum(x * (y - y.mean())) / np.sum(x**2))


def middle(curves) -> np.ndarray:
    """Return the median over curves at each step, of the gaps that are not 0; nan where there is none.

    Curves may end early: a step's median is of those that reach it.
    """
    length = max(map(len, curves), default=0)
    padded = np.full((len(curves), length), np.nan)
    for row, curve in zip(padded, curves, strict=True):
        row[: len(curve)] = np.where(np.asarray(curve) > 0, curve, np.nan)
    found = np.full(length, np.nan)
    some = ~np.isnan(padded).all(axis=0)
    found[some] = np.nanmedian(padded[:, some], axis=0)
    return found
