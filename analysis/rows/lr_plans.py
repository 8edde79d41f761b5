"""Was the planned learning rate applied? What each trial found when it held its own rates to the schedule's formula.

The judging is the trial's (`lrbench.lr_plan`); here it is counted and said, of every row that is given, those that
diverged and those that chose a base_lr too. Rows of an older schema say nothing.
"""

import pandas as pd

from analysis.page.wording import count, number
from analysis.rows.conditions import short_names

HELD = "as planned"
UNKNOWN = "no closed form"  # a scheduler class of the user's own


def plan_violations(rows: pd.DataFrame) -> list[str]:
    """Return a sentence for each schedule of which a trial applied other rates than planned, and what happened."""
    judged = _judged(rows)
    broken = judged[~judged["lr_plan"].isin([HELD, UNKNOWN])]
    if broken.empty:
        return []
    names = short_names(rows["scheduler"].dropna().unique())
    sentences = []
    for (scheduler, verdict), part in broken.groupby(["scheduler", "lr_plan"], observed=True, sort=True):
        num_all = int((judged["scheduler"] == scheduler).sum())
        sentences.append(
            f"{names[scheduler]} was not applied as planned in {len(part):,} of {count(num_all, 'trial')} "
            f"({verdict}): {part['lr_plan_note'].iloc[0]}."
        )
    return sentences


def plan_sentences(rows: pd.DataFrame) -> list[str]:
    """Return how many trials applied the rates of their schedule's formula, and how exactly."""
    judged = _judged(rows)
    known = judged[judged["lr_plan"] != UNKNOWN]
    sentences = plan_violations(rows)
    held = known[known["lr_plan"] == HELD]
    if len(held):
        exact = int(held["lr_plan_bit_equal"].astype(bool).sum())
        worst = float(held["lr_plan_max_relative_error"].max())
        every = "every trial" if len(judged) == len(rows) else "every trial that was held to it"
        trials = every if len(held) == len(known) else f"{len(held):,} of {len(known):,} trials"
        rest = "" if exact == len(held) else f"; the largest relative difference is {number(worst)}, torch's rounding"
        sentences.append(
            f"Held to a closed form written apart from torch, {trials} applied the planned rate "
            f"at every optimizer step and parameter group ({exact:,} of {len(held):,} to the bit{rest})."
        )
    if num := (len(rows) - len(judged) if len(judged) else 0):
        sentences.append(f"{count(num, 'trial')} ended without being held to it, so nothing is known of their rates.")
    if num := len(judged) - len(known):
        sentences.append(f"{count(num, 'trial')} used a scheduler class that has no closed form to be held to.")
    return sentences


def _judged(rows: pd.DataFrame) -> pd.DataFrame:
    if "lr_plan" not in rows:
        return rows.assign(lr_plan=None)[:0]
    return rows[rows["lr_plan"].notna()]
