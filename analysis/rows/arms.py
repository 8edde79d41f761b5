"""Which rows a comparison is made of, which arm each is in, and what sentences call the arms. Pure functions.

What this does *not* do: choose a base_lr (`lrbench.tuning` does), or compare (`analysis.comparisons` does).
"""

from dataclasses import dataclass

import pandas as pd

from analysis.page.wording import level
from analysis.rows.conditions import CUDNN_FLAGS, SCHEDULE, completed, short_names, varied
from analysis.rows.staged import EARLIER
from lrbench.metrics import Metric
from lrbench.stages import BOTH, SELECTION, TUNED


@dataclass(frozen=True, kw_only=True)
class Look:
    """Where a study with [until] stands: at look `number` of those at so many seeds each (`seeds`; () without [until]).

    `number` counts from 1 and is 0 before the first look is complete. `num_begun` seeds have trials.
    """

    number: int = 0
    seeds: tuple[int, ...] = ()
    num_begun: int = 0

    @property
    def num_seeds(self) -> int:
        """The seeds that are judged: those of the look, or before the first all that there are."""
        return self.seeds[self.number - 1] if self.number else self.num_begun

    @property
    def is_early(self) -> bool:
        """Whether a look is declared and none is complete: nothing may be settled yet."""
        return bool(self.seeds) and not self.number


def called(factor: str, names) -> dict[str, str]:
    """Return each arm as sentences call it: a class where that tells it apart, or "factor = level".

    >>> called("precision", ["bf16"]), called("scheduler", ["StepLR(step_size=3)"])
    ({'bf16': 'precision = bf16'}, {'StepLR(step_size=3)': 'StepLR'})
    """
    if factor in ("scheduler", "optimizer"):
        return short_names(names)
    return {name: f"{factor} = {name}" for name in names}


def comparable(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows without the trials that chose a base_lr: what they are best at is what they were chosen for.

    Nor with those of an earlier choice, where [tune] was changed (`analysis.rows.staged`).
    """
    if "tuning" not in rows or not (chosen := rows["tuning"].isin((SELECTION, EARLIER))).any():
        return rows
    return rows[~chosen]


def is_tuned(rows: pd.DataFrame) -> bool:
    """Return whether trials at a base_lr chosen for their scheduler are among the rows."""
    return "tuning" in rows and bool(rows["tuning"].isin((TUNED, BOTH)).any())


def at_look(rows: pd.DataFrame, record: dict) -> tuple[pd.DataFrame, Look]:
    """Return the rows of the seeds of the last look that is complete, and that look; all rows before the first.

    Seeds of a look that is being run are left out until all of it is there. `record` is the study.json.
    """
    until = record.get("study", {}).get("until")
    if not until:
        return rows, Look()
    looks = tuple(until["looks"])
    if rows.empty:
        return rows, Look(seeds=looks)
    seeds, trials = record["study"]["grid"]["seed"], comparable(rows)["seed"].value_counts()
    whole = [trials.get(seed, 0) == trials.max() for seed in seeds]
    number = sum(all(whole[:num_seeds]) for num_seeds in looks)
    look = Look(number=number, seeds=looks, num_begun=int(trials.index.isin(seeds).sum()))
    return (up_to(rows, record, number) if number else rows), look


def up_to(rows: pd.DataFrame, record: dict, number: int) -> pd.DataFrame:
    """Return the rows that look `number` had: those of its seeds and of the looks before."""
    study = record["study"]
    return rows[rows["seed"].isin(study["grid"]["seed"][: study["until"]["looks"][number - 1]])]


def arms(rows: pd.DataFrame, record: dict) -> pd.Series:
    """Name the scheduler of each row: its call, and how it is stepped where that varies for one call.

    A scheduler whose arguments were tuned goes by its call in the grid (`analysis.tuning.arms`); `record` is the
    study.json.
    """
    if is_tuned(rows):
        from analysis import tuning

        return tuning.arms(rows, record)
    calls = rows["scheduler"].astype(str)
    if "scheduler_interval" in varied(rows, SCHEDULE):
        return calls + " per " + rows["scheduler_interval"].astype(str)
    return calls


def arm_names(rows: pd.DataFrame, factor: str, record: dict) -> pd.Series:
    """Name the arm of each row: its level of the factor, as text."""
    if factor == "scheduler":
        return arms(rows, record)
    found = rows[factor].astype(object)
    names = {value: level(value) for value in found[found.notna()].unique()}
    return found.map(names).where(found.notna(), level(None)).astype(str)


def is_inert(rows: pd.DataFrame, factor: str) -> bool:
    """Return whether a factor is a cuDNN flag that does nothing where the trials ran, on a CPU."""
    return factor in CUDNN_FLAGS and bool(len(rows)) and bool((rows["cudnn_flags_inert"] == True).all())  # noqa: E712


def telling(rows: pd.DataFrame, metric: Metric, factor: str) -> pd.DataFrame:
    """Return the rows that tell of a metric: completed; for speed alone on their device and with a steady state."""
    rows = completed(rows)
    rows = rows[rows[metric.name].notna()]
    if not metric.is_speed:
        return rows
    alone = (rows["packed"] == False) & (rows["samples_per_second"] > 0) & (rows[metric.name] > 0)  # noqa: E712
    rows = rows[alone]
    inert = rows["cudnn_flags_inert"] == True  # noqa: E712 (null is not True)
    return rows[~inert] if factor in CUDNN_FLAGS and not inert.all() else rows
