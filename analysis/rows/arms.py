"""Which rows a comparison is made of, which arm each is in, and what sentences call the arms. Pure functions.

What this does *not* do: choose a base_lr (`lrbench.tuning` does), or compare (`analysis.comparisons` does).
"""

import pandas as pd

from analysis.page.wording import level
from analysis.rows.conditions import CUDNN_FLAGS, SCHEDULE, completed, short_names, varied
from lrbench.metrics import Metric
from lrbench.stages import BOTH, SELECTION, TUNED


def called(factor: str, names) -> dict[str, str]:
    """Return each arm as sentences call it: a class where that tells it apart, or "factor = level".

    >>> called("precision", ["bf16"]), called("scheduler", ["StepLR(step_size=3)"])
    ({'bf16': 'precision = bf16'}, {'StepLR(step_size=3)': 'StepLR'})
    """
    if factor in ("scheduler", "optimizer"):
        return short_names(names)
    return {name: f"{factor} = {name}" for name in names}


def comparable(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows without the trials that chose a base_lr: what they are best at is what they were chosen for."""
    if "tuning" not in rows or not (chosen := rows["tuning"] == SELECTION).any():
        return rows
    return rows[~chosen]


def is_tuned(rows: pd.DataFrame) -> bool:
    """Return whether trials at a base_lr chosen for their scheduler are among the rows."""
    return "tuning" in rows and bool(rows["tuning"].isin((TUNED, BOTH)).any())


def at_look(rows: pd.DataFrame, record: dict) -> tuple[pd.DataFrame, int]:
    """Return the rows of the seeds of the last look that is complete, and its number from 1; all rows and 0 without.

    Seeds of a look that is being run are left out until all of it is there; before the first look all rows count as
    its. `record` is the study.json.
    """
    until = record.get("study", {}).get("until")
    if not until or rows.empty:
        return rows, 0
    seeds, trials = record["study"]["grid"]["seed"], comparable(rows)["seed"].value_counts()
    whole = [trials.get(seed, 0) == trials.max() for seed in seeds]
    look = sum(all(whole[:num_seeds]) for num_seeds in until["looks"])
    if look == 0:
        return rows, 1
    return rows[rows["seed"].isin(seeds[: until["looks"][look - 1]])], look


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
