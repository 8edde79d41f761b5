"""The whole study at a glance: the first page of the report, and the table that `lrbench show` prints.

What this does *not* do: find anything of its own; the first page takes the first sentences of the answers.
"""

from dataclasses import dataclass

import pandas as pd

from analysis.answers import Answer
from analysis.page.sections import ENVIRONMENT, own_questions
from analysis.page.wording import count, level
from analysis.provenance import changed_parts, first_error, flag_violations, statuses
from analysis.rows.arms import comparable
from analysis.rows.conditions import CUDNN_FLAGS, MACHINE_FACTORS, SEEDS, completed, levels, short_names, varied
from analysis.rows.lr_plans import plan_violations
from analysis.rows.planned import Progress
from analysis.rows.replicates import digested, replicate_pairs
from analysis.rows.timing import timed
from analysis.throughput_words import INERT, loaded
from lrbench.record import STATUSES

_TABLED = ("status", "packed", "samples_per_second", "final_accuracy", "condition_id", *SEEDS, "replicate")
NOT_KNOWN = Progress(num_trials=0, num_done=0)


@dataclass(frozen=True, kw_only=True)
class FirstPage:
    """What stands on the first page: what must be known first, the study's own questions, what to do, other answers.

    `own` and `others` give the first sentences of an answer by its name, and no sentence twice; `unasked` are answers
    that say nothing here, for nothing was run for them.
    """

    problems: tuple[str, ...]
    own: dict[str, tuple[str, ...]]
    advice: tuple[str, ...]
    others: dict[str, tuple[str, ...]]
    unasked: tuple[str, ...]

    @property
    def headline(self) -> tuple[str, ...]:
        """The first lines of the report: what failed or did not hold, then the answers to the study's own questions."""
        return (*self.problems, *(text for said in self.own.values() for text in said))


def first_page(
    rows: pd.DataFrame, answers: dict[str, Answer], record: dict | None = None, progress: Progress = NOT_KNOWN
) -> FirstPage:
    """Return the first page of the rows; `answers` are those of `analysis.page.sections.answered`.

    The study's own question leads, whatever it is of. `progress` says how far the study is
    (`analysis.rows.planned.progress`).
    """
    questions, sections = own_questions(rows, record or {}), {n: a for n, a in answers.items() if n != ENVIRONMENT}
    unasked = tuple(name for name in sections if name not in questions and _says_nothing(name, rows))
    said, below = set(), {}
    for name, answer in sections.items():
        leading = tuple(text for text in answer.leading if text not in said and name not in unasked)
        said |= set(leading)
        if leading:
            below[name] = leading
    first = sorted(answers, key=lambda name: name != "tuning")  # more seeds are wasted where the rate moves
    return FirstPage(
        problems=tuple(text for text in problems(rows, progress) if text not in said),
        own={name: below[name] for name in questions if name in below},
        advice=tuple(dict.fromkeys(text for name in first for text in answers[name].advice)),
        others={name: texts for name, texts in below.items() if name not in questions},
        unasked=unasked,
    )


def _says_nothing(name: str, rows: pd.DataFrame) -> bool:
    """Whether an answer on flags or repeats has nothing to go by: no machine factor varies, no trial was repeated."""
    if name not in ("throughput", "reproducibility") or varied(rows, tuple(MACHINE_FACTORS)):
        return False
    return rows.empty or rows["replicate"].nunique() < 2


def problems(rows: pd.DataFrame, progress: Progress = NOT_KNOWN) -> tuple[str, ...]:
    """Return what must be known before any finding: what did not hold, what is missing, what became of the trials."""
    if rows.empty:
        nothing = "No trial has a row yet: there is nothing to report. Type the command of the study again to run it."
        return (nothing, *filter(None, [progress.strays]))
    leading = [*flag_violations(rows), *plan_violations(rows), *changed_parts(rows)]
    inert = [INERT] if len(completed(rows)) and flags_say_nothing(rows) else []
    ended = [statuses(rows), *filter(None, [first_error(rows)])]
    return (*leading, *_unfinished(progress), *ended, *_about_speed(timed(rows)), *inert)


def _about_speed(usable: pd.DataFrame) -> list[str]:
    """Say what makes speeds doubtful: a loaded machine, code that no commit holds; nothing where none was measured."""
    dirty = int((usable["git_dirty"] == True).sum())  # noqa: E712 (null is not True)
    code = f"Code with uncommitted changes may have run in {dirty:,} of {count(len(usable), 'timed trial')}."
    return [*loaded(usable), *([code] if dirty else [])]


def _unfinished(progress: Progress) -> list[str]:
    found = []
    if missing := progress.num_missing:
        found.append(f"The study is not finished: {count(missing, 'trial')} of {progress.num_trials:,} still to run.")
    return [*found, *filter(None, [progress.strays])]


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
    num_pairs, num_same = _pairs_by_condition(rows) if len(rows) else ({}, {})
    rows = rows[[*dict.fromkeys([*names, *_TABLED])]]  # it is split often
    records = []
    for part in _by_condition(rows, names):
        done, ids = completed(part), part["condition_id"].dropna().unique()
        first = done.sort_values("replicate").drop_duplicates([*SEEDS, "condition_id"])
        repeats, same = (sum(numbers.get(each, 0) for each in ids) for numbers in (num_pairs, num_same))
        records.append(
            {
                **{name: _called(called.get(name, {}), part[name].iloc[0]) for name in names},
                "num_trials": len(part),
                **{f"num_{s}": int((part["status"] == s).sum()) for s in failed},
                "samples_per_second": timed(part)["samples_per_second"].median(),
                "final_accuracy": done["final_accuracy"].mean(),
                "accuracy_sd": first["final_accuracy"].std(),
                "num_bit_identical": f"{same:,} of {repeats:,}" if repeats else "–",
            }
        )
    numbers = ("samples_per_second", "final_accuracy", "accuracy_sd", "num_bit_identical")
    return pd.DataFrame(records, columns=[*names, "num_trials", *(f"num_{s}" for s in failed), *numbers])


def _pairs_by_condition(rows: pd.DataFrame) -> tuple[dict[str, int], dict[str, int]]:
    """Return how many disjoint pairs of replicates each condition_id has, and how many of them are bit-identical."""
    pairs = replicate_pairs(digested(rows)[["content", "condition_id", "weights_sha256"]])
    same = pairs[pairs["weights_sha256"] == pairs["weights_sha256_second"]]
    return pairs["condition_id"].value_counts().to_dict(), same["condition_id"].value_counts().to_dict()


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
