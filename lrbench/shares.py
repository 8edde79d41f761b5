"""Shares of the budget ("30%") turned into counts of scheduler steps. No torch here.

What this does *not* do: check names and arguments (`lrbench.levels` did), or build schedulers (`lrbench.trial.optim`).
"""

import math
from fractions import Fraction

from lrbench.calls import STEP_COUNTS, Positive


def half_up(value: Fraction) -> int:
    """Return the nearest whole number, halves rounded up."""
    return math.floor(value + Fraction(1, 2))


def resolve_share(value: int | str, budget: int, least: int) -> int:
    """Return a count of scheduler steps: a whole number as it is, "30%" of the budget rounded half up.

    A share is at least `least`; it is taken exactly, so that 58% of 25, which is 14.5, gives 15.

    >>> resolve_share("30%", 100, 1), resolve_share("58%", 25, 1), resolve_share("1%", 8, 1), resolve_share(7, 5, 1)
    (30, 15, 1, 7)
    """
    if isinstance(value, str):
        return max(least, half_up(Fraction(value.removesuffix("%")) / 100 * budget))
    return value


def resolved(table: dict, budget: int) -> dict:
    """Return a scheduler's table with every share of the budget as a count, in the schedulers inside it too.

    `budget` is how many times the scheduler is stepped in the whole trial: epochs, or optimizer steps where the
    table's interval is "step".

    >>> resolved({"name": "MultiStepLR", "milestones": ["50%", 8]}, budget=10)
    {'name': 'MultiStepLR', 'milestones': [5, 8]}
    """
    found = {}
    for key, value in table.items():
        if key in STEP_COUNTS:
            least = 1 if STEP_COUNTS[key] is Positive else 0
            if isinstance(value, list):
                value = [resolve_share(item, budget, least) for item in value]
            else:
                value = resolve_share(value, budget, least)
        elif key == "schedulers":
            value = [resolved(child, budget) for child in value]
        found[key] = value
    return found
