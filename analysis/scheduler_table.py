"""The schedulers as a table: accuracy over seeds, rank, and the differences to the baseline and to the best.

What this does *not* do: compare (`analysis.comparisons` does) or word findings (`analysis.schedulers` does).
"""

import math

import pandas as pd

from analysis.comparisons import Comparison, Setting
from analysis.intervals import Estimate, rank_intervals, t_interval, win_probability
from analysis.wording import level

RANKS = (
    "Ranks are 95% intervals of a bootstrap over seeds: seeds are drawn anew with all their schedulers together, and "
    "the rank is the place that a scheduler's mean then takes. P(first) is the share of those draws in which its mean "
    "is the highest, a tie shared among the tied. Both are given from 6 seeds on: of fewer a bootstrap is too sure."
)
NO_RANKS = "Ranks and P(first) are left out below 6 seeds: there a bootstrap over seeds is too sure of its order."
_SEEDS_FOR_RANKS = 6


def table(found: list[Setting]) -> pd.DataFrame:
    """Return one row for each setting and scheduler, best first; without ranks where no setting has seeds for them."""
    made = pd.DataFrame([record for setting in found for record in _records(setting)])
    return made if any(map(is_ranked, found)) else made.drop(columns=["rank", "first_share"], errors="ignore")


def is_ranked(setting: Setting) -> bool:
    """Return whether so many seeds were run with every scheduler that their order may be given."""
    return len(setting.arms) > 1 and len(setting.scores.dropna()) >= _SEEDS_FOR_RANKS


def _records(setting: Setting) -> list[dict]:
    complete = setting.scores.dropna()
    ranks, firsts = rank_intervals(complete) if is_ranked(setting) else (None, None)
    best = setting.arms[0]
    records = []
    for index, arm in enumerate(setting.arms):
        scores = setting.scores[arm].dropna()
        mean = accuracy_interval(scores)
        record = {
            **{name: level(value) for name, value in setting.factors.items()},
            "scheduler": arm,
            "num_seeds": len(scores),
            "rank": _span(*ranks[index]) if ranks is not None else "–",
            "first_share": float(firsts[index]) if firsts is not None else math.nan,
            "final_accuracy": mean.value,
            "final_accuracy_low": mean.low,
            "final_accuracy_high": mean.high,
            "accuracy_sd": float(scores.std()) if len(scores) > 1 else math.nan,
            "final_loss": setting.losses.get(arm, math.nan),
        }
        if setting.baseline:
            against = setting.against.get(arm)
            record |= _difference_columns("to_baseline", against)
            record["better_share"] = win_probability(against.differences).value if against else math.nan
        record |= _difference_columns("to_best", setting.pairs.get((best, arm)), sign=-1)
        records.append(record)
    return records


def _span(low: int, high: int) -> str:
    return f"{low}" if low == high else f"{low}–{high}"


def accuracy_interval(scores) -> Estimate:
    """Student's interval over seeds, cut where accuracy ends: few seeds would take it beyond 100%."""
    estimate = t_interval(scores)
    return estimate.map(lambda value: min(1.0, max(0.0, value))) if estimate.bounded else estimate


def _difference_columns(name: str, c: Comparison | None, sign: int = 1) -> dict:
    if c is None or not len(c.differences):
        return {
            f"{name}_points": math.nan,
            f"{name}_points_low": math.nan,
            f"{name}_points_high": math.nan,
            f"{name}_p": math.nan,
        }
    estimate = t_interval(sign * c.differences)
    shown = estimate.n > 1 and c.differences.any()  # arms that are equal on every seed want no p
    p = c.corrected_p if shown else math.nan
    return {
        f"{name}_points": estimate.value,
        f"{name}_points_low": estimate.low,
        f"{name}_points_high": estimate.high,
        f"{name}_p": p,
    }
