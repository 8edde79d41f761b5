"""What a report's sections are made of: the rows that they need, the answers in order, and the prose between them.

Of a large study the nested columns (curves, predictions, digests of steps) are read for some trials only: the earliest
seeds of every condition, all their repeats. What this does *not* do: show (`analysis.page.pages` does), or compute.
"""

from collections.abc import Iterable
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from analysis.answers import NAMES, NESTED, Answer, all_answers, questions
from analysis.page.wording import count
from analysis.rows.arms import comparable
from analysis.rows.conditions import MACHINE_FACTORS, SEEDS, completed, group_ids, varied
from analysis.rows.nested import read_nested
from analysis.rows.staged import of_study
from analysis.rows.timing import num_busy
from analysis.statistics.verdicts import NOT_TESTABLE

ENVIRONMENT = "provenance"  # the answer that has its section at the end, not among the others
MOST_NESTED = 4_000
# answers for studies that have what they are about, after the standing ones; each says so by `applies(rows)`
FURTHER = ("tuning", "time_to_target", "tradeoff", "across", "interaction", "components")
# what a study is not made for: the spread of luck, the rates that were applied; these stand last
LAST = ("applied_lr", "components")
_SUMMARY = (
    "A bar is the 95% interval of one comparison by itself. Where several comparisons share the 5% (Holm's correction) "
    "the verdict beside it is stricter: a bar may leave out zero and still be inconclusive."
)
_SUMMARY_DIVERGED = (
    "Where an arm diverged on some seeds, it has a verdict only if counting those as guessing leaves it as it is."
)
PROSE = {
    "throughput": (
        "Inside a random block every condition ran once at the same seed, so the ratio of two of them is free of slow "
        "drift of the machine."
    ),
    "reproducibility": (
        "The same trial again, in a new process: are the weights equal, bit for bit? Where they are not, the spread "
        "over repeats stands beside the spread over seeds."
    ),
    "schedulers": (
        "Every scheduler met the same seeds, so each is compared with the others seed by seed. Not being told apart is "
        "not being equal: the smallest difference that could have been seen stands beside."
    ),
    "applied_lr": (
        "The rate that the optimizer used, recorded at every step; every panel has the other schedules in grey."
    ),
    "provenance": "Everything that should have been the same, and whether it was.",
}


def read(folder, record: dict) -> tuple[pd.DataFrame, str, str]:
    """Return the study's own rows with all that its answers read, which trials' nested columns were read, and strays.

    The first text is "" where all were. Others have null there, as trials that recorded nothing, and `read_whole` is
    false. The second says of which trials rows of the folder are left out; "" where of none.
    """
    from lrbench.record import FLAT
    from lrbench.store import load

    nested = list(dict.fromkeys(column for name in (*NAMES, *FURTHER) for column in _nested(name)))
    rows = load(folder, columns=FLAT)
    if len(rows) <= MOST_NESTED:
        rows, strays = of_study(load(folder, columns=[*FLAT, *nested]), record)
        return rows, "", strays
    rows, strays = of_study(rows, record)
    chosen = earliest(rows, MOST_NESTED)
    deep = read_nested(Path(folder), nested, set(rows["trial_id"][chosen]))
    rows = rows.join(deep.set_index("trial_id"), on="trial_id").assign(read_whole=chosen)
    seen = int(chosen.sum())
    said = (
        f"Curves, predictions and digests were read for {seen:,} of {count(len(rows), 'trial')}: the first seeds of "
        "every condition. What is said of them is said of these; times and accuracies are of all."
    )
    return rows, said, strays


def answered(rows: pd.DataFrame, record: dict, sampled: str = "") -> dict[str, Answer]:
    """Return every answer that applies to the rows, by name, in the order of the report.

    What the study asks leads (`own_questions`); what nothing was run for, then luck and applied rates, stand last.
    `sampled` becomes a note of those that read nested columns.
    """
    found = all_answers(rows, record)
    for name in FURTHER:
        if name not in found and len(rows) and (module := _module(name)) and module.applies(rows):
            found[name] = module.answer(rows, record)
    if sampled:
        found = {n: replace(a, notes=(*a.notes, sampled)) if _nested(n) else a for n, a in found.items()}
    own = own_questions(rows, record)

    def place(name: str) -> tuple:
        later = name not in own and found[name].verdict == NOT_TESTABLE
        return (own.index(name) if name in own else len(own), name in LAST, later)

    return {name: found[name] for name in sorted(found, key=place)}


def own_questions(rows: pd.DataFrame, record: dict) -> list[str]:
    """Return the names of the answers that a study is made for, in order.

    Those of its [[compare]]; where it names none the standing questions about what varies: the scheduler, then flags.
    """
    if asked := record.get("study", {}).get("compare") or ():
        return questions(record)[: len(asked)]
    rows = comparable(rows)
    schedulers = ["schedulers"] if varied(rows, ("scheduler",)) else []
    return [*schedulers, *(["throughput", "reproducibility"] if varied(rows, tuple(MACHINE_FACTORS)) else [])]


def prose(name: str, rows: pd.DataFrame) -> str:
    """Return what stands below an answer's title; "" where there is nothing. What it says of trials is so of these."""
    text, done = PROSE.get(name, ""), completed(rows)
    alone = len(done) and (done["packed"] == False).all() and not num_busy(done)  # noqa: E712 (null is not False)
    return f"Trials are timed alone on their device. {text}" if name == "throughput" and alone else text


def about_summary(rows: pd.DataFrame) -> str:
    """Return what is to be known of the first page's figure."""
    diverged = (comparable(rows)["status"] == "diverged").any()
    return f"{_SUMMARY} {_SUMMARY_DIVERGED}" if diverged else _SUMMARY


def calibrated() -> tuple[Answer, ...]:
    """Return how the methods did where the truth was known, if that was computed."""
    if not find_spec("analysis.calibration"):
        return ()
    module = import_module("analysis.calibration")
    return (module.answer(),) if hasattr(module, "answer") else ()


def metric(record: dict, name: str) -> str:
    """Return the metric of a named comparison ("compare_2" is the second [[compare]]); "" of any other answer."""
    asked = record["study"].get("compare") or ()
    kind, _, number = name.rpartition("_")
    if kind != "compare" or not number.isdigit() or int(number) > len(asked):
        return ""
    return asked[int(number) - 1]["metric"]


def earliest(rows: pd.DataFrame, most: int) -> pd.Series:
    """Return about `most` of the rows as a mask: seed by seed of every condition, the earliest first, whole seeds."""
    content = group_ids(rows, ("condition_id", *SEEDS))
    cells = (
        rows.assign(content=content)
        .groupby("content")
        .agg(condition=("condition_id", "first"), position=("position", "min"), size=("position", "size"))
    )
    cells["turn"] = cells.sort_values("position").groupby("condition", observed=True).cumcount()
    cells = cells.sort_values(["turn", "position"])
    return content.isin(cells.index[cells["size"].cumsum() <= most])


def _module(name: str):
    """Return the module of a further answer; None where there is none of this name, or it does not answer by itself."""
    module = import_module(f"analysis.{name}") if find_spec(f"analysis.{name}") else None
    return module if hasattr(module, "applies") and hasattr(module, "answer") else None


def _nested(name: str) -> Iterable[str]:
    return NESTED[name] if name in NESTED else getattr(_module(name), "NESTED", ())
