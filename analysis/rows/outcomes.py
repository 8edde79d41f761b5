"""Trials that did not complete: how many of each arm, with exact bounds, and what a diverged one counts for.

A scheduler that diverges on 3 of 10 seeds must not win by the 7 that are left. So a diverged trial counts as guessing
in a second analysis beside that of the completed ones. A crash, a time-out or a lack of memory says nothing of the
training: those trials are missing, counted and named. What this does *not* do: compare (`analysis.comparisons` does).
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.rows.conditions import SEEDS, completed, group_ids
from analysis.statistics.intervals import Estimate, clopper_pearson
from lrbench.metrics import Metric
from lrbench.record import STATUSES

MISSING = tuple(status for status in STATUSES if status not in ("completed", "diverged"))


@dataclass(frozen=True, kw_only=True)
class Guessing:
    """What a diverged trial counts for: `value` in the metric's unit, and the same `said` in words.

    `value` is nan for metrics in which a diverged trial has no worth of its own (speed, memory).
    """

    value: float
    said: str


NO_GUESS = Guessing(value=math.nan, said="")


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """What became of one arm's trials: status → number, and on how many of its seeds at least one diverged."""

    arm: str
    statuses: dict[str, int]
    num_seeds: int
    num_diverged_seeds: int

    @property
    def diverged_seeds(self) -> Estimate:
        """The share of seeds on which the arm diverges, with exact bounds."""
        return clopper_pearson(self.num_diverged_seeds, self.num_seeds)

    @property
    def num_diverged(self) -> int:
        return self.statuses.get("diverged", 0)

    @property
    def num_missing(self) -> int:
        return sum(self.statuses.get(status, 0) for status in MISSING)


def outcomes(rows: pd.DataFrame) -> dict[str, Outcomes]:
    """Return what became of each arm's trials; `rows` have a column `arm`.

    Divergence is counted by seeds, the independent units: repeats of one seed on one machine diverge together. A seed
    whose trials are all missing says nothing of divergence and is not counted.
    """
    seed = group_ids(rows, [name for name in SEEDS if rows[name].nunique(dropna=False) > 1]).to_numpy()
    (arm, arms), (status, statuses) = pd.factorize(rows["arm"]), pd.factorize(rows["status"].astype(object))
    words = [str(word) for word in statuses]
    counts = np.zeros((len(arms), len(words)), dtype=int)
    np.add.at(counts, (arm, status), 1)
    trained = np.isin(status, [index for index, word in enumerate(words) if word not in MISSING])
    diverged = status == words.index("diverged") if "diverged" in words else np.zeros(len(rows), dtype=bool)
    num_seeds, num_diverged = (_seeds_of_arms(arm, seed, mask, len(arms)) for mask in (trained, diverged))
    return {
        name: Outcomes(
            arm=name,
            statuses={word: int(n) for word, n in zip(words, counts[index], strict=True) if n},
            num_seeds=num_seeds[index],
            num_diverged_seeds=num_diverged[index],
        )
        for index, name in enumerate(arms)
    }


def _seeds_of_arms(arm: np.ndarray, seed: np.ndarray, mask: np.ndarray, num_arms: int) -> list[int]:
    pairs = np.unique(np.stack([arm[mask], seed[mask]]), axis=1)
    return np.bincount(pairs[0], minlength=num_arms).tolist()


def guessing(rows: pd.DataFrame, metric: Metric) -> Guessing:
    """Return what a diverged trial of these rows counts for: the accuracy, or the loss, of guessing among the classes.

    The number of classes is that of `class_accuracy`, or of the classes that `predictions` hold, in any completed row.
    Where neither was read, accuracy counts as 0 and a loss as nothing: what is not known is not made up.
    """
    if metric.scale != "difference":
        return NO_GUESS
    num_classes = _num_classes(rows)
    if metric.name.endswith("accuracy"):
        if not num_classes:
            return Guessing(value=0.0, said="at an accuracy of 0%, the number of classes being unknown")
        return Guessing(
            value=1 / num_classes, said=f"at chance level ({100 / num_classes:.3g}%, {num_classes} classes)"
        )
    if not num_classes:
        return NO_GUESS
    nats = math.log(num_classes)
    return Guessing(value=nats, said=f"at the loss of guessing ({nats:.3g} nats, {num_classes} classes)")


def _num_classes(rows: pd.DataFrame) -> int:
    done = completed(rows)
    for name, classes in (("class_accuracy", len), ("predictions", lambda values: int(max(values)) + 1)):
        known = done[name].dropna() if name in done else done[:0]
        if len(known):
            return classes(known.iloc[0])
    return 0
