"""Measured values by cell and arm: what paired differences and means over seeds are made of. Pure arrays.

What this does *not* do: choose the rows (`analysis.rows.arms`), or judge a difference (`analysis.statistics.verdicts`).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.rows.conditions import SEEDS, group_ids
from lrbench.metrics import Metric


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Values by cell (a unit's trials that agree in all but the arm) and arm; `starts` says where each unit begins.

    `seeds` (units,) says of which seed each unit is.
    """

    names: list[str]
    values: np.ndarray
    starts: np.ndarray
    seeds: np.ndarray

    @classmethod
    def of(cls, rows: pd.DataFrame, metric: Metric, within: list[str]) -> "Cells":
        unit = group_ids(rows, _varying(rows, (*SEEDS, "replicate") if metric.is_speed else SEEDS)).to_numpy()
        cell = group_ids(rows, _varying(rows, (*SEEDS, "replicate", *within))).to_numpy()
        arm, names = pd.factorize(rows["arm"])
        measured = rows[metric.name].to_numpy(dtype=float)
        measured = np.log(measured) if metric.scale == "ratio" else measured
        # cells are numbered unit by unit, so that a unit is a run of cells
        pairs, cell = np.unique(np.stack([unit, cell]), axis=1, return_inverse=True)
        place, shape = cell.ravel() * len(names) + arm, (pairs.shape[1], len(names))
        size = shape[0] * shape[1]
        amounts = np.bincount(place, minlength=size)
        sums = np.bincount(place, weights=measured, minlength=size)
        with np.errstate(invalid="ignore"):
            values = (sums / amounts).reshape(shape)
        seeds = rows["seed"].to_numpy()[np.unique(unit, return_index=True)[1]]
        starts = np.flatnonzero(np.diff(pairs[0], prepend=-1))
        return cls(names=list(names), values=values, starts=starts, seeds=seeds)

    def scores(self, metric: Metric) -> pd.DataFrame:
        """(units × arms) means over the cells of a unit, in the metric's unit; the best arm first."""
        means = np.stack([_unit_means(column, self.starts) for column in self.values.T], axis=1)
        found = pd.DataFrame(means, columns=pd.Index(self.names, name="arm"))
        order = found.mean().sort_values(ascending=not metric.higher_is_better, kind="stable").index
        return np.exp(found[order]) if metric.scale == "ratio" else found[order]

    def differences(self, a: str, b: str) -> np.ndarray:
        """(units,) mean differences over the cells that hold both arms; units without such a cell are left out."""
        found = self._differences(a, b)
        return found[~np.isnan(found)]

    def seeds_of(self, a: str, b: str) -> np.ndarray:
        """(units,) the seed of each difference between a and b."""
        return self.seeds[~np.isnan(self._differences(a, b))]

    def _differences(self, a: str, b: str) -> np.ndarray:
        if a not in self.names or b not in self.names:
            return np.full(len(self.starts), np.nan)
        return _unit_means(self.values[:, self.names.index(a)] - self.values[:, self.names.index(b)], self.starts)


def _unit_means(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    there = ~np.isnan(values)
    sums, amounts = np.add.reduceat(np.where(there, values, 0.0), starts), np.add.reduceat(there, starts)
    with np.errstate(invalid="ignore"):
        return sums / amounts


def _varying(rows: pd.DataFrame, names) -> list[str]:
    return [name for name in names if rows[name].nunique(dropna=False) > 1]
