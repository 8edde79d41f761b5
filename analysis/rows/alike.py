"""Which schedulers applied the same learning rates? Two names for one schedule cannot be told apart by any seed.

StepLR whose step never comes within the epochs is a constant rate. Trials are compared by the digest of the rates that
they recorded at every optimizer step. What this does *not* do: compare what the trials reached.
"""

import pandas as pd

from analysis.rows.conditions import SEEDS, completed, group_ids


def applied_alike(rows: pd.DataFrame) -> tuple[tuple[str, ...], ...]:
    """Return the groups of arms (column `arm`) whose trials applied the same rates at every step, of two arms or more.

    Two arms are alike if they completed on the same seeds, and on each with the same rates. A trial that recorded none
    is like no other.
    """
    done = completed(rows)
    if "applied_lr_sha256" not in done or done.empty or done["applied_lr_sha256"].isna().all():
        return ()
    unknown = {*done.loc[done["applied_lr_sha256"].isna(), "arm"]}
    done = done[~done["arm"].isin(unknown)]
    known = done.assign(unit=group_ids(done, SEEDS).to_numpy())[["arm", "unit", "applied_lr_sha256"]].drop_duplicates()
    groups: dict[frozenset, list[str]] = {}
    for arm, part in known.groupby("arm", observed=True, sort=True):
        applied = frozenset(zip(part["unit"], part["applied_lr_sha256"].astype(str), strict=True))
        groups.setdefault(applied, []).append(str(arm))
    return tuple(tuple(arms) for arms in groups.values() if len(arms) > 1)


def under_another_name(rows: pd.DataFrame, baseline: str) -> set[str]:
    """Return the arms that are the baseline under another name: no comparison with it can tell them apart."""
    return {arm for arms in applied_alike(rows) if baseline in arms for arm in arms if arm != baseline}
