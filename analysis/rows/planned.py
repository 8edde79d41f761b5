"""Which rows belong to the study as it stands now? A folder keeps the rows of trials that the study no longer has.

What this does *not* do: leave such rows out. They are results all the same; only what is still to run is counted
without them.
"""

from dataclasses import dataclass

import pandas as pd
from pydantic import ValidationError

from lrbench.errors import InputError
from lrbench.stages import possible
from lrbench.study import Study


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How many trials the study has, how many of them have a row, and how many rows are of other trials."""

    num_trials: int
    num_done: int
    num_strays: int

    @property
    def num_missing(self) -> int:
        return max(0, self.num_trials - self.num_done)


def progress(rows: pd.DataFrame, record: dict) -> Progress:
    """Return how far a study is; `record` is its study.json."""
    num_strays = int(strays(rows, record).sum())
    return Progress(num_trials=record["num_trials"], num_done=len(rows) - num_strays, num_strays=num_strays)


def strays(rows: pd.DataFrame, record: dict) -> pd.Series:
    """Return for each row whether the study no longer has its trial.

    A study that leaves the device to the machine has its trials on every device that rows ran on; one that tunes or
    looks has those of every stage, the seeds of looks that are not yet taken among them. Where this
    installation cannot read the study (its scheduler is of a newer torch, say) no row counts as a stray.
    """
    nothing = pd.Series(False, index=rows.index)
    try:
        study = Study(**record["study"])
        devices = rows["device"].dropna().astype(str).unique()
        known = {trial.trial_id for device in devices for trial in possible(study, device, rows)}
    except (InputError, ValidationError):
        return nothing
    return nothing if rows.empty else ~rows["trial_id"].isin(known)


def about_strays(progress: Progress) -> str:
    """Say how many rows are of other trials; "" where none is."""
    if not progress.num_strays:
        return ""
    if progress.num_strays == 1:
        return "1 row is of a trial that the study no longer has; it is in the tables all the same."
    return (
        f"{progress.num_strays:,} rows are of trials that the study no longer has; they are in the tables all the same."
    )
