"""Is a difference too small to matter? Two one-sided tests against a margin that was stated beforehand.

"Not significantly different" never means "equal": this is the test that may say so. What this does *not* do: choose
the margin (the study file does, or `lrbench.metrics`).
"""

import math

import numpy as np

from analysis.statistics.intervals import no_spread


def tost_p(differences, margin: float) -> float:
    """How surprising are these n paired differences if the true one were as large as the margin? (n,) → p.

    Two one-sided paired t-tests, the larger p of the two (Schuirmann, 1987). Differences without any spread inside the
    margin (bit-identical arms among them) get what an exact one-sided sign-flip test gives, 1 / 2^n; outside it 1.
    Fewer than two pairs, or a margin that is not known (nan): 1.
    """
    from scipy import stats

    differences = np.asarray(differences, dtype=float)
    n = len(differences)
    if n < 2 or math.isnan(margin):
        return 1.0
    mean = float(differences.mean())
    if no_spread(differences):
        return 1.0 / 2.0**n if abs(mean) <= margin else 1.0
    error = float(differences.std(ddof=1)) / math.sqrt(n)
    return float(stats.t.sf((margin - abs(mean)) / error, n - 1))


def within(differences, margin: float, level: float = 0.05) -> bool:
    """Is the true difference shown to be smaller than the margin, in either direction? (n,) → whether."""
    return tost_p(differences, margin) < level
