"""Is the selection over? How many of the trials that [tune] chooses by have a row. Pure functions on rows.

What this does *not* do: choose (`lrbench.tuning`): it says whether what a choice would be now is one.
"""

from dataclasses import dataclass

import pandas as pd
from pydantic import ValidationError

from lrbench.errors import InputError
from lrbench.stages import selection_of
from lrbench.study import Study


@dataclass(frozen=True, kw_only=True)
class Selection:
    """How many trials of the selection have a row, of how many. Both are 0 where nothing is selected, or not known."""

    num_done: int
    num_trials: int

    @property
    def is_open(self) -> bool:
        """Whether trials are missing, so that nothing is chosen yet."""
        return self.num_done < self.num_trials

    def __str__(self) -> str:
        """Say how far it is.

        >>> print(Selection(num_done=14, num_trials=24))
        the selection is not complete (14 of 24 trials): nothing is chosen yet
        """
        return f"the selection is not complete ({self.num_done:,} of {self.num_trials:,} trials): nothing is chosen yet"


def selection(rows: pd.DataFrame, record: dict) -> Selection:
    """Return how far a study's selection is; `record` is its study.json.

    On the device that has the most of it, where the study leaves that to the machine. Where this installation cannot
    read the study (its scheduler is of a newer torch, say) nothing is known, as in `analysis.rows.planned`.
    """
    nothing = Selection(num_done=0, num_trials=0)
    if not record.get("study", {}).get("tune") or rows.empty:
        return nothing
    try:
        study = Study(**record["study"])
    except (InputError, ValidationError):
        return nothing
    present, found = {*rows["trial_id"]}, nothing
    for device in rows["device"].dropna().astype(str).unique():
        trials = selection_of(study, device).trials
        num_done = sum(trial.trial_id in present for trial in trials)
        if not found.num_trials or num_done > found.num_done:
            found = Selection(num_done=num_done, num_trials=len(trials))
    return found
