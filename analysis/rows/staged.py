"""Which part has each row in a study with [tune], as it stands now? A row keeps the part it had when it ran.

Where [tune] was changed, or seeds were added, another rate may be chosen: a row that was "tuned" is of an earlier
choice then, and one of the default may be both. What this does *not* do: choose (`lrbench.tuning`), or leave rows out
(`analysis.rows.arms.comparable` does).
"""

import pandas as pd
from pydantic import ValidationError

from lrbench.errors import InputError
from lrbench.stages import BOTH, DEFAULT, SELECTION, TUNED, reached
from lrbench.study import Study

EARLIER = "of an earlier choice"  # stands in no folder: what chose, or was chosen, before the study was changed


def restaged(rows: pd.DataFrame, record: dict) -> pd.DataFrame:
    """Return the rows with the column `tuning` as the study has it now; those of a study without [tune] as they are.

    Trials that the study no longer has stay what they were, but for what was chosen: that is EARLIER. `record` is the
    study.json. Where this installation cannot read the study (its scheduler is of a newer torch, say) all stays.
    """
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
