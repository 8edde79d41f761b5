"""When something first happens, and what is known where it has not yet: small functions on arrays of named shape.

A time is that of one trial; `reached` says whether it happened then, or was not seen up to then (censored). A trial
that never will is censored at infinity. What this does *not* do: find the times (`analysis.time_to_target` does).
"""

import math
from dataclasses import dataclass

import numpy as np

from analysis.statistics.intervals import CONFIDENCE, Estimate

FEWEST = 6  # simulated studies hold 95 % from here on
_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The share that has not reached it yet just after each time, (steps,), with its standard error (Greenwood)."""

    times: np.ndarray
    waiting: np.ndarray
    errors: np.ndarray


def kaplan_meier(times, reached) -> Curve:
    """Which share is still waiting after each time, those that were lost from sight counted as long as they were seen?

    (n,), (n,) of bool → Curve over the times at which something happened, ascending. The product of (1 - events / at
    risk), with Greenwood's standard error (Kaplan and Meier, 1958; Greenwood, 1926). A trial censored at a time at
    which another reached it was still at risk then. Where none ever did, the curve has no step.
    """
    times, reached = np.asarray(times, dtype=float), np.asarray(reached, dtype=bool)
    steps = np.unique(times[reached])
    at_risk = (times[None, :] >= steps[:, None]).sum(axis=1)
    events = ((times[None, :] == steps[:, None]) & reached[None, :]).sum(axis=1)
    waiting = np.cumprod(1 - events / at_risk)
    left = at_risk - events
    with np.errstate(divide="ignore"):
        terms = np.where(left > 0, events / (at_risk * np.maximum(left, 1)), np.nan)
    return Curve(times=steps, waiting=waiting, errors=waiting * np.sqrt(np.cumsum(terms)))


def median_time(times, reached) -> Estimate:
    """When have half of the trials reached it? (n,), (n,) of bool → Estimate; inf where half never do.

    The first time at which at most half are waiting. The interval holds every time at which a half cannot be ruled out
    (Brookmeyer and Crowley, Biometrics 38, 1982), on the scale of log(-log) (Kalbfleisch and Prentice, 1980), which
    holds its 95 % where the plain scale does not. An upper end of inf says that half may never do; fewer than FEWEST
    trials bound nothing.
    """
    from scipy import stats

    times = np.asarray(times, dtype=float)
    curve, n = kaplan_meier(times, reached), len(times)
    value = _first(curve.times[curve.waiting <= 0.5 + _ROUNDING])
    if n < FEWEST:
        return Estimate(value=value, low=-math.inf, high=math.inf, n=n)
    inside = (curve.waiting > _ROUNDING) & (curve.waiting < 1 - _ROUNDING)
    if not inside.any():  # all at one time, or none at all: so many of a kind rule the other side out by themselves
        return Estimate(value=value, low=min(value, float(times.min())), high=value, n=n)
    share, error = curve.waiting[inside], curve.errors[inside]
    distance = (np.log(-np.log(share)) - math.log(math.log(2))) * share * np.abs(np.log(share)) / error
    kept = np.abs(distance) <= stats.norm.ppf((1 + CONFIDENCE) / 2)
    if not kept.any():
        return Estimate(value=value, low=value, high=value, n=n)
    compatible = curve.times[inside][kept]
    end = _first(curve.times[curve.times > compatible[-1]])
    return Estimate(value=value, low=min(value, float(compatible[0])), high=max(value, end), n=n)


def _first(times: np.ndarray) -> float:
    return float(times[0]) if len(times) else math.inf
