"""A comparison as a table: one row an arm, its value over seeds, its difference to the baseline, its verdict.

What this does *not* do: compare (`analysis.comparisons` does) or word findings (`analysis.compared` does).
"""

import math

import pandas as pd

from analysis.comparisons import Comparison, Setting
from analysis.page.wording import DASH, level
from analysis.rows.outcomes import Outcomes
from analysis.statistics.intervals import Estimate, paired_interval, t_interval

HOW = (
    "Differences are paired by seed (mean over replicates and machine factors within a seed); intervals are Student's "
    "over seeds (95%) and not corrected for their number; p-values are those of the paired t-test; where a seed lies "
    "far outside of the others, both are those of sign flips. P-values are Holm-corrected: over the comparisons with "
    "the baseline, all settings and all questions of one family together, and by itself over all pairs of the others; "
    "one schedule under two names is no comparison; tuned and default rates are corrected apart. P(better) counts the "
    "seeds on which an arm beats the baseline, ties half, with exact bounds."
)
HOW_RATIO = (
    "Differences are of logarithms, paired inside random blocks of trials that had their device alone; intervals are "
    "Student's over blocks (95%) and not corrected for their number; p-values are those of the paired t-test; where a "
    "block lies far outside of the others, both are those of sign flips. P-values are Holm-corrected over all "
    "comparisons of one family."
)
VERDICTS = (
    'A verdict is "better" or "worse" where the corrected p is below 5%, "equivalent within margin" where two '
    'one-sided tests at 5% put the difference inside the margin, else "inconclusive". A margin in seed SDs is that of '
    "the seeds here: the root of the median variance over the arms. Arms that are equal to the bit on all n seeds are "
    "equivalent where 1/2^n (an exact sign-flip test) is below that level: from 5 seeds on, later where looks share it."
)
LOOKS = (
    "Seeds were added in looks: a verdict is that of the first look that settled it, and the differences, their "
    'intervals and p-values are of all seeds; where these by themselves say otherwise, "verdict now" says what.'
)
MEANINGFUL = (
    "An arm is meaningfully better where P(better) is above a half for certain and may be above three quarters (lower "
    "bound above 0.5, upper above 0.75; Bouthillier et al., 2103.03098): a difference may be real and yet rarely show."
)
COUNTED = (
    "A diverged trial counts {guess} in the order of the arms, in P(better) and what is meaningful, and in the "
    "difference with diverged trials; the other columns are of completed trials. A verdict stands only where both "
    "analyses share it: the p is then the larger of both, and there is none where they disagree. The bounds of the "
    "diverged share are over seeds, and exact."
)


def notes(compared: list[Setting]) -> tuple[str, ...]:
    """How the numbers of the table were made."""
    if not compared:
        return ()
    guess = next((setting.guess for setting in compared if setting.guess), "")
    found = [HOW_RATIO if compared[0].metric.is_speed else HOW]
    if any(setting.num_seeds > 1 for setting in compared):
        found.append(VERDICTS)
    if any(setting.num_seeds > 1 and setting.against for setting in compared):
        found.append(MEANINGFUL)
    if any(c.settled.num_looks > 1 for setting in compared for c in setting.pairs.values()):
        found.append(LOOKS)
    if guess:
        found.append(COUNTED.format(guess=guess))
    return tuple(found)


def table(found: list[Setting]) -> pd.DataFrame:
    """Return one row for each setting and arm, best first; columns that say nothing anywhere are left out."""
    made = pd.DataFrame([record for setting in found for record in _records(setting)])
    unsaid = [c for c in _LOOKS if c in made and made[c].fillna(DASH).eq(DASH).all()]
    made = made.drop(columns=unsaid)
    if not any(setting.lost for setting in found):
        return made.drop(columns=[c for c in _LOST if c in made])
    empty = [c for c in _LOST if c in made and (made[c].isna().all() or (c.startswith("num_") and not made[c].any()))]
    return made.drop(columns=empty)


def _records(setting: Setting) -> list[dict]:
    best = setting.arms[0]
    records = []
    for arm in setting.arms:
        record = _about(setting, arm) | _value(setting, arm)
        if setting.baseline:
            record |= _against(setting, setting.against.get(arm))
        if len(setting.arms) > 1:
            record |= _difference("to_best", setting, setting.pairs.get((best, arm)), sign=-1)
        records.append(record | _lost(setting, setting.outcomes.get(arm)))
    return records + [
        {**_about(setting, o.arm), "verdict": "not testable here", **_lost(setting, o)} for o in setting.silent
    ]


def _about(setting: Setting, arm: str) -> dict:
    tuning = {"tuning": setting.tuning, "base_lr": setting.rates.get(arm, DASH)} if setting.tuning else {}
    factors = {name: level(value) for name, value in setting.factors.items()}
    units = "num_blocks" if setting.metric.is_speed else "num_seeds"
    num = int(setting.scores[arm].notna().sum()) if arm in setting.scores else 0
    return {**tuning, **factors, setting.question.factor: arm, units: num}


def _value(setting: Setting, arm: str) -> dict:
    metric, scores = setting.metric, setting.scores[arm].dropna()
    mean = value_interval(setting, scores)
    spread = float(scores.std()) if len(scores) > 1 else math.nan
    record = {metric.name: mean.value, f"{metric.name}_low": mean.low, f"{metric.name}_high": mean.high}
    if metric.scale == "difference":
        record["accuracy_sd" if metric.unit == "points" else "loss_spread"] = spread
    if metric.name == "final_accuracy":
        record["final_loss"] = setting.losses.get(arm, math.nan)
    return record


def value_interval(setting: Setting, scores) -> Estimate:
    """Student's interval over seeds of an arm's value; of ratio metrics that of the geometric mean."""
    if setting.metric.scale == "ratio":
        import numpy as np

        return t_interval(np.log(scores)).map(math.exp)
    return accuracy_interval(scores) if setting.metric.unit == "points" else t_interval(scores)


def accuracy_interval(scores) -> Estimate:
    """Student's interval over seeds, cut where accuracy ends: few seeds would take it beyond 100%."""
    estimate = t_interval(scores)
    return estimate.map(lambda value: min(1.0, max(0.0, value))) if estimate.bounded else estimate


def _against(setting: Setting, c: Comparison | None) -> dict:
    """The difference to the baseline, with what follows from it; the baseline's own row has none."""
    record = _difference("to_baseline", setting, c)
    if c is None or not len(c.differences):
        nothing = dict.fromkeys(("better_share", "better_share_low", "better_share_high", "equivalence_p"), math.nan)
        return record | nothing | {"meaningful": DASH, "verdict": DASH if c is None else c.verdict, **_look(c)}
    share = c.counted_judgement.better_share  # on a seed on which it diverged an arm is not the better one
    return record | {
        "better_share": share.value,
        "better_share_low": share.low,
        "better_share_high": share.high,
        "meaningful": "yes" if c.counted_judgement.meaningfully_better else "no",
        "equivalence_p": c.judgement.equivalence_p if c.differences.any() and c.judgement.n > 1 else math.nan,
        "verdict": c.verdict,
        **_look(c),
    }


def _look(c: Comparison | None) -> dict:
    """The look that settled a comparison, and what all seeds by themselves say where they disagree."""
    if c is None or c.settled.num_looks < 2:
        return dict.fromkeys(_LOOKS, DASH)
    at = c.settled
    where = f"look {at.look} of {at.num_looks}, {at.num_seeds} seeds"
    return {"settled_at": where, "verdict_now": c.verdict_now if c.disputed else DASH}


def _difference(name: str, setting: Setting, c: Comparison | None, sign: int = 1) -> dict:
    """The columns of a difference, in the metric's own unit: points, nats, or a ratio."""
    column = f"{name}_ratio" if setting.metric.scale == "ratio" else f"{name}_{setting.metric.unit}"
    if c is None or not len(c.differences):
        return dict.fromkeys((column, f"{column}_low", f"{column}_high", f"{name}_p"), math.nan)
    estimate = paired_interval(sign * c.differences)
    shown = estimate.n > 1 and c.differences.any()  # arms that are equal on every seed want no p
    p = c.shown_p if shown else math.nan
    estimate = estimate.map(math.exp) if setting.metric.scale == "ratio" else estimate
    return {column: estimate.value, f"{column}_low": estimate.low, f"{column}_high": estimate.high, f"{name}_p": p}


_LOOKS = ("settled_at", "verdict_now")
_LOST = ("num_diverged_seeds", "diverged_share", "diverged_share_low", "diverged_share_high", "num_missing_trials")
_LOST += tuple(f"with_diverged_{unit}{end}" for unit in ("points", "nats") for end in ("", "_low", "_high"))


def _lost(setting: Setting, o: Outcomes | None) -> dict:
    """What failed: diverged seeds with the bounds of their share, missing trials, the difference with them counted."""
    if o is None:
        return {}
    share = o.diverged_seeds
    record = {
        "num_diverged_seeds": o.num_diverged_seeds,
        "diverged_share": share.value,
        "diverged_share_low": share.low,
        "diverged_share_high": share.high,
        "num_missing_trials": o.num_missing,
    }
    c = setting.against.get(o.arm)
    if c is None or not c.any_diverged:
        return record
    counted, column = c.counted_judgement.estimate, f"with_diverged_{setting.metric.unit}"
    return record | {column: counted.value, f"{column}_low": counted.low, f"{column}_high": counted.high}
