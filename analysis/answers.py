"""An answer: sentences, a table, a figure. What every part of the report is made of.

What this does *not* do: compute anything. Each answer's own module does (`analysis.throughput` and its siblings).
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

NAMES = ("throughput", "reproducibility", "schedulers", "applied_lr", "provenance")
# the nested columns that each answer reads besides the flat ones
NESTED = {
    "throughput": (),
    "reproducibility": (
        "train_loss_steps",
        "applied_lr",
        "class_accuracy",
        "predictions",
        "probe_logits",
        "weights_sample",
        "digest_steps",
        "order_xxh3",
        "images_xxh3",
        "rng_xxh3",
        "lr_xxh3",
        "loss_xxh3",
        "gradients_xxh3",
        "weights_xxh3",
        "optimizer_xxh3",
    ),
    "schedulers": ("val_accuracy_curve", "class_accuracy"),
    "applied_lr": ("applied_lr",),
    "provenance": (),
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a study's rows say to one question.

    `title` is the question. `sentences` state the findings with their uncertainty; the first `num_leading` of them, or
    those of `headline` where the first are not the right ones, stand for the whole answer in the report's headline.
    `table` holds plain values (seconds, fractions) under names that carry the unit; `analysis.page.wording.displayed`
    makes it fit to print. `figure` draws when it is called, and not before. `notes` say how the numbers were made and
    what was left out. `verdict` is one of the five words of `analysis.statistics.verdicts` (or that it differs between
    settings; "" where the question has none), `caveats` say what is not shown (what was held fixed, one machine),
    `advice` what to do, in the imperative.
    """

    title: str
    sentences: tuple[str, ...]
    table: "pd.DataFrame"
    figure: "Callable[[], Figure]"
    notes: tuple[str, ...] = ()
    num_leading: int = 1
    headline: tuple[str, ...] = ()
    verdict: str = ""
    caveats: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()

    @property
    def leading(self) -> tuple[str, ...]:
        """The sentences that stand for the answer in the report's headline."""
        return self.headline or self.sentences[: self.num_leading]


def questions(record: dict) -> list[str]:
    """Return the names of the answers that a study gets: compare_1, … for its [[compare]], then the standing ones.

    `record` is its study.json. A [[compare]] that asks what a standing answer does, schedulers by final_accuracy, is
    that answer, at its own place.
    """
    names = []
    for number, table in enumerate(record.get("study", {}).get("compare") or (), 1):
        standing = (table["factor"], table["metric"]) == ("scheduler", "final_accuracy") and "schedulers" not in names
        names.append("schedulers" if standing else f"compare_{number}")
    return [*names, *(name for name in NAMES if name not in names)]


def read_rows(folder, names=NAMES) -> "pd.DataFrame":
    """Return the rows of a results folder with every column that the named answers read."""
    from lrbench.record import FLAT
    from lrbench.store import load

    nested = dict.fromkeys(column for name in names for column in nested_of(name))
    return load(folder, columns=[*FLAT, *nested])


def nested_of(name: str) -> tuple[str, ...]:
    """Return the nested columns that the answer called `name` reads; a module beyond NESTED says so by its own."""
    if name.startswith("compare_"):
        return NESTED["schedulers"][1:]
    return NESTED[name] if name in NESTED else getattr(import_module(f"analysis.{name}"), "NESTED", ())


def answer(name: str, rows: "pd.DataFrame", record: dict | None = None) -> Answer:
    """Return the answer called `name`, one of `questions(record)`; `record` is the study.json, if there is one.

    Trials that chose a base_lr are left out of all answers but those on tuning and on where the rows come from; of the
    applied rates they are in the check of the plan alone.
    """
    from analysis.rows.arms import comparable

    record = record or {}
    kind, _, number = name.rpartition("_")
    if kind == "compare":
        from analysis import compared
        from analysis.comparisons import asked

        named = asked(record)
        return compared.answer(rows, named[int(number) - 1], named, record)
    module = import_module(f"analysis.{name}")
    if name == "schedulers" or name not in NAMES:  # those choose their rows by themselves
        return module.answer(rows, record)
    if name == "throughput":
        return module.answer(comparable(rows), record)
    return module.answer(rows if name in ("provenance", "applied_lr") else comparable(rows))


def all_answers(rows: "pd.DataFrame", record: dict | None = None) -> dict[str, Answer]:
    """Return every answer by name, in the order of the report: the study's own comparisons, then the standing ones."""
    return {name: answer(name, rows, record) for name in questions(record or {})}
