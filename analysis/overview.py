"""The whole study at a glance: the headline of the report, and the table that `lrbench show` prints.

What this does *not* do: find anything of its own; the headline takes the first sentences of the answers.
"""

import pandas as pd

from analysis.answers import Answer, all_answers
from analysis.conditions import CUDNN_FLAGS, FACTORS, SEEDS, completed, group_ids, levels, varied
from analysis.wording import count, level, listed, number, percent
from lrbench.record import STATUSES


def headline(rows: pd.DataFrame, answers: dict[str, Answer] | None = None) -> tuple[str, ...]:
    """Return the first lines of the report, 3 to 6 sentences; what failed or did not hold leads.

    `answers` are those of `all_answers(rows)`, computed here where they are not given.
    """
    if rows.empty:
        return ("No trial has a row yet: there is nothing to report. Type the command of the study again to run it.",)
    answers = all_answers(rows) if answers is None else answers
    sentences = [_counts(rows), *_failures(rows), *_violations(rows), *_inert(rows)]
    names = ("throughput", "reproducibility", "schedulers") if len(completed(rows)) else ()
    said = [answers[name].sentences[0] for name in names]
    if _inert(rows) and any(name in varied(rows) for name in CUDNN_FLAGS):
        said = said[1:]  # it says the same as _inert
    return (*sentences, *said)


def _counts(rows: pd.DataFrame) -> str:
    num_conditions = rows["condition_id"].nunique()
    num_seeds = int(group_ids(rows, SEEDS).nunique())
    return (
        f"{count(len(completed(rows)), 'trial')} of {count(len(rows), 'trial')} completed: "
        f"{count(num_conditions, 'condition')}, {count(num_seeds, 'seed')}, "
        f"{count(int(rows['replicate'].nunique()), 'replicate')}."
    )


def _failures(rows: pd.DataFrame) -> list[str]:
    failed = rows[rows["status"] != "completed"]
    if failed.empty:
        return []
    kinds = failed["status"].astype(str).value_counts()
    parts = [f"{amount} {kind.replace('_', ' ')}" for kind, amount in kinds.items()]
    return [f"{count(len(failed), 'trial')} failed ({', '.join(parts)}); they are in no comparison below."]


def _violations(rows: pd.DataFrame) -> list[str]:
    broken = rows[rows["flags_held"] == False]  # noqa: E712 (null is not False)
    if broken.empty:
        return []
    return [f"In {count(len(broken), 'trial')} a flag that was asked for was not in force: do not trust their comparison."]


def _inert(rows: pd.DataFrame) -> list[str]:
    known = rows["cudnn_flags_inert"].dropna()
    if known.empty or not known.astype(bool).all():
        return []
    return [
        "All of it ran on a CPU, where the cuDNN flags are inert: any difference between their levels is noise."
    ]


def main_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each condition: the factors that vary, then what was seen.

    num_trials, one num_… column for each status that occurs, samples_per_second (median of trials alone on their
    device), final_accuracy (mean) and accuracy_sd (over all its trials), num_identical of num_pairs (disjoint pairs
    of replicates with equal weights). Null where there is nothing to tell it from.
    """
    names = varied(rows)
    statuses = [s for s in STATUSES if s in set(rows["status"].astype(str))]
    records = []
    for part in _by_condition(rows, names):
        done = completed(part)
        alone = done[done["packed"] == False]  # noqa: E712 (null is not False)
        records.append(
            {
                **{name: level(part[name].iloc[0]) for name in names},
                "num_trials": len(part),
                **{f"num_{s}": int((part["status"] == s).sum()) for s in statuses},
                "samples_per_second": alone["samples_per_second"].median(),
                "final_accuracy": done["final_accuracy"].mean(),
                "sd_accuracy": done["final_accuracy"].std(),
            }
        )
    columns = [*names, "num_trials", *(f"num_{s}" for s in statuses), "samples_per_second", "final_accuracy", "sd_accuracy"]
    return pd.DataFrame(records, columns=columns)


def _by_condition(rows: pd.DataFrame, names: list[str]) -> list[pd.DataFrame]:
    """Split rows by the factors that vary, in the order of their levels."""
    if not names or rows.empty:
        return [rows] if len(rows) else []
    order = pd.DataFrame(
        {name: rows[name].astype(object).where(rows[name].notna(), None).map({v: i for i, v in enumerate(levels(rows, name))}) for name in names}
    )
    key = order.fillna(-1).apply(tuple, axis=1)
    return [rows[key == value] for value in sorted(key.unique())]
