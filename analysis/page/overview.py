"""The whole study at a glance: the headline of the report, and the table that `lrbench show` prints.

What this does *not* do: find anything of its own; the headline takes the first sentences of the answers.
"""

import pandas as pd

from analysis.answers import Answer, all_answers
from analysis.page.wording import count, level
from analysis.provenance import changed_parts, flag_violations, statuses
from analysis.rows.arms import comparable
from analysis.rows.conditions import CUDNN_FLAGS, SEEDS, completed, levels, short_names, varied
from analysis.rows.lr_plans import plan_violations
from analysis.rows.planned import Progress, about_strays
from analysis.rows.replicates import digested, replicate_pairs
from analysis.throughput import INERT, timed
from analysis.throughput_words import loaded
from lrbench.record import STATUSES

NOT_KNOWN = Progress(num_trials=0, num_done=0, num_strays=0)


def headline(
    rows: pd.DataFrame, answers: dict[str, Answer] | None = None, progress: Progress = NOT_KNOWN
) -> tuple[str, ...]:
    """Return the first lines of the report, about 3 to 6 sentences; what failed or did not hold leads.

    `answers` are those of `all_answers(rows)`, computed here where they are not given. `progress` says how far the
    study is (`analysis.rows.planned.progress`).
    """
    if rows.empty:
        return problems(rows)
    answers = all_answers(rows) if answers is None else answers
    sentences = list(problems(rows, progress))
    if completed(rows).empty:
        return tuple(sentences)
    for name in ("throughput", "reproducibility", "schedulers"):
        sentences += answers[name].leading
    # on a CPU throughput opens with the same words
    return tuple(dict.fromkeys(sentences))


def problems(rows: pd.DataFrame, progress: Progress = NOT_KNOWN) -> tuple[str, ...]:
    """Return what must be known before any finding: what did not hold, what is missing, what became of the trials."""
    if rows.empty:
        return ("No trial has a row yet: there is nothing to report. Type the command of the study again to run it.",)
    leading = [*flag_violations(rows), *plan_violations(rows), *changed_parts(rows)]
    inert = [INERT] if len(completed(rows)) and flags_say_nothing(rows) else []
    return (*leading, *_unfinished(progress), statuses(rows), *_about_speed(timed(rows)), *inert)


def _about_speed(usable: pd.DataFrame) -> list[str]:
    """Say what makes speeds doubtful: a loaded machine, code that no commit holds; nothing where none was measured."""
    dirty = int((usable["git_dirty"] == True).sum())  # noqa: E712 (null is not True)
    code = f"Code with uncommitted changes may have run in {dirty:,} of {count(len(usable), 'timed trial')}."
    return [*loaded(usable), *([code] if dirty else [])]


def _unfinished(progress: Progress) -> list[str]:
    found = []
    if missing := progress.num_missing:
        found.append(f"The study is not finished: {count(missing, 'trial')} of {progress.num_trials:,} still to run.")
    return [*found, *filter(None, [about_strays(progress)])]


def flags_say_nothing(rows: pd.DataFrame) -> bool:
    """Return whether a cuDNN flag varies although none does anything where the trials ran."""
    known = rows["cudnn_flags_inert"].dropna()
    return len(known) > 0 and bool(known.astype(bool).all()) and bool(varied(rows, CUDNN_FLAGS))


def main_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each condition: the factors that vary, then what was seen.

    A scheduler goes by its class where that tells it apart. num_trials, then num_STATUS for each status but completed
    that occurs; samples_per_second is the median of trials alone on their device, final_accuracy the mean over the
    completed trials, accuracy_sd the standard deviation over seeds, the first completed replicate of each (a repeat
    that is the same bit for bit is no further trial), num_bit_identical a text "k of n" over disjoint pairs of
    replicates. Trials that chose a base_lr are not in it. `analysis.page.wording.displayed` makes it fit to print.
    """
    rows = comparable(rows)
    names = varied(rows)
    called = {name: short_names(rows[name].dropna().unique()) for name in ("scheduler", "optimizer") if name in names}
    failed = [s for s in STATUSES[1:] if (rows["status"] == s).any()]
    pairs = replicate_pairs(digested(rows)[["content", "condition_id", "weights_sha256"]]) if len(rows) else rows
    records = []
    for part in _by_condition(rows, names):
        done, repeats = completed(part), pairs[pairs["condition_id"].isin(part["condition_id"].unique())]
        first = done.sort_values("replicate").drop_duplicates([*SEEDS, "condition_id"])
        same = int((repeats["weights_sha256"] == repeats["weights_sha256_second"]).sum())
        records.append(
            {
                **{name: _called(called.get(name, {}), part[name].iloc[0]) for name in names},
                "num_trials": len(part),
                **{f"num_{s}": int((part["status"] == s).sum()) for s in failed},
                "samples_per_second": timed(part)["samples_per_second"].median(),
                "final_accuracy": done["final_accuracy"].mean(),
                "accuracy_sd": first["final_accuracy"].std(),
                "num_bit_identical": f"{same:,} of {len(repeats):,}" if len(repeats) else "–",
            }
        )
    numbers = ("samples_per_second", "final_accuracy", "accuracy_sd", "num_bit_identical")
    return pd.DataFrame(records, columns=[*names, "num_trials", *(f"num_{s}" for s in failed), *numbers])


def _called(names: dict[str, str], value) -> str:
    return names.get(value) or level(value)


def _by_condition(rows: pd.DataFrame, names: list[str]) -> list[pd.DataFrame]:
    """Split rows by the factors that vary, in the order of their levels."""
    if rows.empty or not names:
        return [rows] if len(rows) else []
    order = {name: {value: place for place, value in enumerate(levels(rows, name))} for name in names}
    places_of = pd.DataFrame(
        {n: [order[n][None if pd.isna(v) else v] for v in rows[n].astype(object)] for n in names}, index=rows.index
    )
    return [rows.loc[part.index] for _, part in places_of.groupby(names)]
