"""Which trials may stand side by side, and their values as tables of seeds × arms: what several answers begin with.

Trials that chose a rate (`tuning` is "selection") are in no table. What this does *not* do: compare the arms.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd

from analysis.comparisons import TRAINING
from analysis.rows.arms import arms, comparable, is_tuned
from analysis.rows.conditions import (
    MACHINE_FACTORS,
    SEEDS,
    completed,
    describe,
    group_ids,
    is_baseline,
    levels,
    varied,
)
from analysis.rows.outcomes import Outcomes, outcomes
from lrbench.stages import BOTH, DEFAULT, TUNED


@dataclass(frozen=True, kw_only=True)
class Part:
    """The trials at one setting of every factor that changes training, the scheduler aside, failed ones included.

    `rows` have the columns `arm` (the scheduler's call) and `unit` (a number for each seed); `arms` stand in the order
    of their levels and `baseline` is one of them. In a study that tunes, the trials at default and those at the rate
    that was chosen are parts of their own, `stage` "at default" and "tuned".
    """

    factors: dict
    stage: str
    rows: pd.DataFrame
    arms: tuple[str, ...]
    baseline: str

    @property
    def label(self) -> str:
        return ", ".join(text for text in (describe(self.factors), self.stage) if text)

    @cached_property
    def diverged(self) -> dict[str, Outcomes]:
        """What became of the trials of each arm that diverged on a seed or more, in the order of the arms."""
        found = outcomes(self.rows)
        return {arm: found[arm] for arm in self.arms if found[arm].num_diverged_seeds}

    def at_reference(self) -> "Part":
        """Return the same with the trials at the reference level of each machine factor alone, failed ones included.

        The reference is the first level at which some trial completed: flags change how far repeats scatter, so a
        spread over several of their levels would be that of none.
        """
        done, kept = completed(self.rows), pd.Series(True, index=self.rows.index)
        for name in varied(done, tuple(MACHINE_FACTORS)):
            first, column = levels(done, name)[0], self.rows[name]
            kept &= column.isna() if first is None else column == first
        return replace(self, rows=self.rows[kept])

    def table(self, column: str) -> pd.DataFrame:
        """Return (seeds, arms): a column's mean over a seed's completed trials, nan where there is none."""
        usable = self.rows[(self.rows["status"] == "completed") & self.rows[column].notna()]
        if usable.empty:
            return pd.DataFrame(columns=list(self.arms), dtype=float)
        wide = usable.pivot_table(index="unit", columns="arm", values=column, aggfunc="mean", observed=True)
        return wide.reindex(columns=list(self.arms))

    def first_trials(self) -> pd.DataFrame:
        """Return one trial for each arm and seed: replicate 0 at the reference level of each machine factor.

        Where a seed has none of those, its next. A trial's time is of one process: an average of several would be none
        that ever passed.
        """
        order = self.rows[["arm", "unit", "replicate"]].assign(
            place=sum(
                self.rows[name].map({value: i for i, value in enumerate(levels(self.rows, name))}).astype(float)
                for name in MACHINE_FACTORS
            ),
            number=range(len(self.rows)),
        )
        kept = order.sort_values(["place", "replicate"], kind="stable").drop_duplicates(["arm", "unit"])
        return self.rows.iloc[kept.sort_values("unit", kind="stable")["number"]]


def parts(rows: pd.DataFrame, record: dict) -> list[Part]:
    """Return the trials that were run to be compared, one Part for each setting of the training factors, in order.

    `record` is the study.json, {} without: in a tuned study it tells which arm a chosen setting belongs to.
    """
    rows = comparable(rows.assign(arm=arms(rows, record)))  # named first: the trials that chose tell what was chosen
    if not is_tuned(rows):
        return _parts(rows, "", TRAINING)
    tuned, default = (rows[rows["tuning"].isin((stage, BOTH))] for stage in (TUNED, DEFAULT))
    # what was chosen for a scheduler belongs to it: its own rate is no setting
    chosen = tuple(name for name in TRAINING if name != "base_lr")
    return [*_parts(tuned, "tuned", chosen), *_parts(default, "at default", TRAINING)]


def _parts(rows: pd.DataFrame, stage: str, factors: tuple[str, ...]) -> list[Part]:
    rows = rows.assign(unit=group_ids(rows, SEEDS))
    names = varied(rows, factors)
    order = {name: levels(rows, name) for name in names}
    found = []
    for _, part in rows.groupby(group_ids(rows, names), sort=False):
        values = {name: None if pd.isna(part[name].iloc[0]) else part[name].iloc[0] for name in names}
        found_arms = tuple(sorted(part["arm"].unique(), key=lambda arm: (not is_baseline(arm), arm)))
        found.append(Part(factors=values, stage=stage, rows=part, arms=found_arms, baseline=found_arms[0]))
    return sorted(found, key=lambda part: [order[name].index(value) for name, value in part.factors.items()])


def machine_note(rows: pd.DataFrame) -> str:
    """Say at which level of each varied machine factor one trial a seed was taken; "" where none varies."""
    names = varied(rows, tuple(MACHINE_FACTORS))
    return describe({name: levels(rows, name)[0] for name in names})
