"""The schedulers that ran in several workloads: their scores by workload, gains, and shares of runs above a level.

What this does *not* do: word findings or draw (`analysis.across` does), or rank (`analysis.statistics.ranks` does).
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from analysis.rows.conditions import completed, describe
from analysis.rows.seed_tables import parts
from analysis.statistics.bootstrap import iqm
from analysis.statistics.intervals import CONFIDENCE, Estimate
from analysis.statistics.ranks import Friedman, critical_difference, friedman

FEWEST = 6  # seeds a workload; a bootstrap of fewer is too sure of itself
_MOST_VALUES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Field:
    """The schedulers that ran in every workload, at one setting of the other factors.

    `tables` holds (seeds, arms) of accuracy for each workload, complete seeds alone, the arms in one order.
    """

    factors: dict
    stage: str
    tables: dict[str, pd.DataFrame]
    baseline: str

    @property
    def label(self) -> str:
        return ", ".join(text for text in (describe(self.factors), self.stage) if text)

    @property
    def arms(self) -> list[str]:
        return list(next(iter(self.tables.values())).columns)

    @property
    def num_seeds(self) -> int:
        """The seeds of the workload that has fewest."""
        return min(len(table) for table in self.tables.values())

    @cached_property
    def test(self) -> Friedman:
        return friedman(np.stack([table.mean().to_numpy() for table in self.tables.values()]))

    @property
    def difference(self) -> float:
        return critical_difference(len(self.arms), len(self.tables))

    @property
    def gains(self) -> dict[str, list[np.ndarray]]:
        """Each arm's accuracy less the baseline's on the same seed, (seeds,) for each workload."""
        return {
            arm: [(table[arm] - table[self.baseline]).to_numpy() for table in self.tables.values()] for arm in self.arms
        }


def fields(rows: pd.DataFrame, record: dict | None = None) -> list[Field]:
    """Return the settings at which two schedulers or more ran in two workloads or more, the most workloads first."""
    groups: dict[tuple, dict] = {}
    for part in parts(rows, record or {}):
        if not len(completed(part.rows)):
            continue
        others = {name: value for name, value in part.factors.items() if name != "workload"}
        group = groups.setdefault(
            (part.stage, describe(others)), {"factors": others, "stage": part.stage, "tables": {}}
        )
        group["tables"][str(part.rows["workload"].iloc[0])] = part.table("final_accuracy")
    found = []
    for group in groups.values():
        tables = {name: table.dropna(axis=1, how="all") for name, table in group["tables"].items()}
        arms = [arm for arm in next(iter(tables.values())) if all(arm in table for table in tables.values())]
        tables = {name: table[arms].dropna() for name, table in tables.items()}
        tables = {name: table for name, table in tables.items() if len(table)}
        if len(tables) > 1 and len(arms) > 1:
            found.append(Field(factors=group["factors"], stage=group["stage"], tables=tables, baseline=arms[0]))
    return sorted(found, key=lambda each: -len(each.tables))


def stratified_iqm(strata, seed: int = 0, num_resamples: int = 2_000) -> Estimate:
    """Where does the middle half of all runs lie, whatever their workload? [(seeds,)] → Estimate, percentile bootstrap.

    The mean of the middle half is less moved by one bad run than the mean, and less wasteful than the median (Agarwal
    et al., NeurIPS 2021). Seeds are drawn anew inside each workload. Repeats exactly for the same `seed`. Fewer
    than FEWEST seeds in a workload bound nothing; values that do not differ at all are their own interval.
    """
    strata = [np.asarray(values, dtype=float) for values in strata]
    pooled = np.concatenate(strata)
    value = float(iqm(pooled))
    if min(map(len, strata)) < FEWEST:
        return Estimate(value=value, low=-math.inf, high=math.inf, n=len(pooled))
    rng, draws = np.random.default_rng(seed), []
    at_once = max(1, _MOST_VALUES // len(pooled))  # for the memory
    for start in range(0, num_resamples, at_once):
        num = min(at_once, num_resamples - start)
        picks = [values[rng.integers(0, len(values), size=(num, len(values)))] for values in strata]
        draws.append(iqm(np.concatenate(picks, axis=1)))
    draws = np.concatenate(draws)
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value=value, low=float(low), high=float(high), n=len(pooled))


def profile(strata, taus, seed: int = 0, num_resamples: int = 1_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which share of runs is above tau? [(seeds,)] one a workload, (taus,) → shares, and their pointwise 95 % band.

    Each workload counts alike, however many seeds it has (Dolan and Moré, 2002; Agarwal et al., 2021). Seeds are drawn
    anew inside each workload.

    >>> profile([[0.1, 0.3], [0.2]], [0.15])[0].tolist()
    [0.75]
    """
    taus, rng = np.asarray(taus, dtype=float), np.random.default_rng(seed)
    above = [np.asarray(values, dtype=float)[:, None] > taus for values in strata]
    shares = np.mean([part.mean(axis=0) for part in above], axis=0)
    draws = np.mean([_weights(rng, len(part), num_resamples) @ part for part in above], axis=0)
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    return shares, low, high


def _weights(rng, n: int, num_resamples: int) -> np.ndarray:
    """Return how often each of n values is in each bootstrap draw, as its share: (draws, n)."""
    return rng.multinomial(n, np.full(n, 1 / n), size=num_resamples) / n
