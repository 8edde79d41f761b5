"""The rows of a study as it stands now: those of its own trials, each with the part that it has by now.

A folder keeps the rows of trials that the study no longer has; they are left out here, and nowhere else. A row keeps
the part that it had when it ran. Where [tune] was changed, or seeds were added, another rate may be chosen: a row that
was "tuned" is of an earlier choice then, and one of the default may be both. What this does *not* do: choose
(`lrbench.tuning`), or leave out the trials that chose (`analysis.rows.arms.comparable` does).
"""

from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from analysis.rows.planned import about_strays, useless
from lrbench.errors import InputError
from lrbench.stages import BOTH, DEFAULT, SELECTION, TUNED, reached
from lrbench.study import Study

EARLIER = "of an earlier choice"  # stands in no folder: what chose, or was chosen, before the study was changed


def own_rows(rows: pd.DataFrame, folder: str | Path) -> pd.DataFrame:
    """Return of the rows of a results folder those of the trials that its study has, as every table has them."""
    from lrbench.store import read_study_record

    return restaged(rows, read_study_record(folder))


def of_study(rows: pd.DataFrame, record: dict) -> tuple[pd.DataFrame, str]:
    """Return the rows of the study's own trials (`restaged`), and what is to be said of the others; "" without any."""
    others = useless(rows, record)
    return _with_parts(_without(rows, others), record), about_strays(rows, others, record)


def restaged(rows: pd.DataFrame, record: dict) -> pd.DataFrame:
    """Return the rows of the study's own trials, with the column `tuning` as the study has it now.

    Rows that a later stage may need stay, and what chose or was chosen among them is EARLIER. `record` is the
    study.json. Where this installation cannot read the study (its scheduler is of a newer torch, say) all stays.
    """
    return _with_parts(_without(rows, useless(rows, record)), record)


def _without(rows: pd.DataFrame, others: pd.Series) -> pd.DataFrame:
    return rows[~others].reset_index(drop=True) if others.any() else rows


def _with_parts(rows: pd.DataFrame, record: dict) -> pd.DataFrame:
    if not record.get("study", {}).get("tune") or rows.empty:
        return rows
    try:
        study = Study(**record["study"])
    except (InputError, ValidationError):
        return rows
    now: dict[str, str] = {}
    for device in rows["device"].dropna().astype(str).unique():
        stages = reached(study, device, rows)
        now |= {i: DEFAULT for stage in stages.foreseen for i in (trial.trial_id for trial in stage.trials)}
        now |= {trial_id: columns["tuning"] for trial_id, columns in stages.columns().items()}
    old = rows["tuning"].astype(object).where(rows["tuning"].notna(), None)
    gone = {SELECTION: EARLIER, TUNED: EARLIER, BOTH: DEFAULT}
    parts = [now.get(i, gone.get(part, part)) for i, part in zip(rows["trial_id"], old, strict=True)]
    return rows.assign(tuning=pd.Categorical(parts))
