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
    "schedulers": ("val_accuracy_curve",),
    "applied_lr": ("applied_lr",),
    "provenance": (),
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a study's rows say to one question.

    `title` is the question. `sentences` state the findings with their uncertainty; the first `num_leading` of them, or
    those of `headline` where the first are not the right ones, stand for the whole answer in the report's headline.
    `table` holds plain values (seconds, fractions) under names that carry the unit; `analysis.wording.displayed` makes
    it fit to print. `figure` draws when it is called, and not before. `notes` say how the numbers were
    made and what was left out.
    """

    title: str
    sentences: tuple[str, ...]
    table: "pd.DataFrame"
    figure: "Callable[[], Figure]"
    notes: tuple[str, ...] = ()
    num_leading: int = 1
    headline: tuple[str, ...] = ()

    @property
    def leading(self) -> tuple[str, ...]:
        """The sentences that stand for the answer in the report's headline."""
        return self.headline or self.sentences[: self.num_leading]


def read_rows(folder, names=NAMES) -> "pd.DataFrame":
    """Return the rows of a results folder with every column that the named answers read."""
    from lrbench.record import FLAT
    from lrbench.store import load

    nested = dict.fromkeys(column for name in names for column in NESTED[name])
    return load(folder, columns=[*FLAT, *nested])


def answer(name: str, rows: "pd.DataFrame") -> Answer:
    """Return the answer called `name`, one of NAMES."""
    return import_module(f"analysis.{name}").answer(rows)


def all_answers(rows: "pd.DataFrame") -> dict[str, Answer]:
    """Return every answer by name, in the order of the report."""
    return {name: answer(name, rows) for name in NAMES}
