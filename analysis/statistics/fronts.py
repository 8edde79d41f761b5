"""Points of time and accuracy, and the front that no other point beats, with how often each is on it.

What this does *not* do: word findings or draw (`analysis.tradeoff` does).
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from analysis.rows.conditions import CUDNN_FLAGS, MACHINE_FACTORS, SEEDS, completed, describe, group_ids, varied
from analysis.rows.seed_tables import Part, parts
from analysis.statistics.intervals import Estimate, paired_p, t_interval
from analysis.statistics.ranks import friedman

FEWEST = 6  # a bootstrap of fewer seeds is too sure of itself
SIGNIFICANT = 0.05


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One point: (seeds,) of accuracy and of seconds, and how often it is on the front; nan where that is not told."""

    arm: str
    machine: str
    accuracies: np.ndarray
    train_seconds: np.ndarray
    on_front: bool
    front_share: float

    @property
    def accuracy(self) -> Estimate:
        found = t_interval(self.accuracies)
        return found.map(lambda value: min(1.0, max(0.0, value))) if found.bounded else found

    @property
    def time(self) -> Estimate:
        return t_interval(np.log(self.train_seconds)).map(np.exp)


@dataclass(frozen=True, kw_only=True)
class Trade:
    """The conditions of one setting, the fastest first, on the seeds that all of them have.

    `without` are the other seeds (with the seeds of the streams that vary apart), on which one of them has no value.
    """

    part: Part
    conditions: tuple[Condition, ...]
    num_seeds: int
    without: frozenset[tuple]

    @cached_property
    def time_p(self) -> float:
        """How surprising are these times if all conditions took the same? Friedman's test, or of two the paired t."""
        logs = np.log([condition.train_seconds for condition in self.conditions])
        return paired_p(logs[1] - logs[0]) if len(logs) == 2 else friedman(-logs.T).p

    @property
    def times_told(self) -> bool:
        return self.time_p < SIGNIFICANT

    def accuracy_p(self, a: Condition, b: Condition) -> float:
        """How surprising is this difference in accuracy if there were none? Paired t-test, p times all pairs."""
        return self._for_all_pairs(paired_p(a.accuracies - b.accuracies))

    def pair_time_p(self, a: Condition, b: Condition) -> float:
        """The same of the ratio of two times."""
        return self._for_all_pairs(paired_p(np.log(a.train_seconds) - np.log(b.train_seconds)))

    def _for_all_pairs(self, p: float) -> float:
        return min(1.0, p * math.comb(len(self.conditions), 2))

    @property
    def front(self) -> list[Condition]:
        return [condition for condition in self.conditions if condition.on_front]


def pareto(times, accuracies) -> np.ndarray:
    """Which of these does no other beat, in the one without losing in the other? (…, n), (…, n) → (…, n) of bool.

    A point is beaten by another that is no slower and no less accurate, and better in one of both (Pareto, 1896).
    Equal points do not beat each other.

    >>> pareto([1.0, 2.0, 3.0], [0.8, 0.9, 0.85]).tolist()
    [True, True, False]
    """
    times, accuracies = np.asarray(times, dtype=float), np.asarray(accuracies, dtype=float)
    slower = times[..., :, None] - times[..., None, :]  # of i against j
    worse = accuracies[..., None, :] - accuracies[..., :, None]
    beaten = (slower >= 0) & (worse >= 0) & ((slower > 0) | (worse > 0))
    return ~beaten.any(axis=-1)


def front_shares(times, accuracies, seed: int = 0, num_resamples: int = 2_000) -> np.ndarray:
    """How often is each condition on the front with other seeds? (seeds, n), (seeds, n) → (n,) shares.

    Seeds are drawn anew with all their conditions and with both their values (paired bootstrap). Repeats exactly for
    the same `seed`. A share is not a probability that it is on the true front: of two equal points, each is beaten by
    the other in half of the draws.
    """
    times, accuracies = np.asarray(times, dtype=float), np.asarray(accuracies, dtype=float)
    n = len(times)
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=num_resamples) / n
    return pareto(np.exp(_rounded(weights @ np.log(times))), _rounded(weights @ accuracies)).mean(axis=0)


def _rounded(values):
    return np.round(values, 12)  # equal means must tie whatever the order of summation


def trades(rows: pd.DataFrame, record: dict | None = None) -> list[Trade]:
    """Return the conditions of each setting that have accuracies and times of trials alone on their device."""
    found = []
    for part in parts(rows, record or {}):
        usable = _usable(part)
        if len(usable):
            found.append(_trade(part, usable))
    return found


def several(rows: pd.DataFrame) -> bool:
    """Return whether `trades` has a setting of two conditions or more, met on a seed; nothing is resampled."""
    for part in parts(rows, {}):
        usable = _usable(part)
        met = pd.crosstab(usable["unit"], [usable["arm"], _machines(usable)])
        if met.shape[1] > 1 and bool((met > 0).all(axis=1).any()):
            return True
    return False


def _usable(part: Part) -> pd.DataFrame:
    """Return a part's trials that have an accuracy, and a time of their own."""
    usable = completed(part.rows)
    usable = usable[(usable["packed"] != True) & usable["train_seconds"].notna()]  # noqa: E712 (null is not True)
    return usable[usable["final_accuracy"].notna()]


def _machines(usable: pd.DataFrame) -> np.ndarray:
    """Name each trial's levels of the machine factors in force."""
    names = in_force(usable)
    group = group_ids(usable, names).to_numpy()
    found, first = np.unique(group, return_index=True)
    texts = [describe(row) for row in usable[names].iloc[first].to_dict("records")]
    return np.array(texts, dtype=object)[np.searchsorted(found, group)]


def _trade(part: Part, usable: pd.DataFrame) -> Trade:
    usable = usable[["unit", "arm", "final_accuracy", "train_seconds", *MACHINE_FACTORS, "cudnn_flags_inert"]]
    usable = usable.assign(machine=_machines(usable), log_seconds=np.log(usable["train_seconds"].astype(float)))
    wide = usable.pivot_table(
        index="unit", columns=["arm", "machine"], values=["final_accuracy", "log_seconds"], observed=True
    )
    shared = wide.dropna()
    ran = part.rows[part.rows["arm"].isin(usable["arm"].unique())]  # an arm that completed nothing takes no seed away
    lost = ran[~ran["unit"].isin(shared.index) & (ran["unit"].isin(wide.index) | (ran["status"] != "completed"))]
    without = frozenset(lost[[name for name in SEEDS if name in lost]].itertuples(index=False, name=None))
    accuracies, times = shared["final_accuracy"], np.exp(shared["log_seconds"])
    if shared.empty:
        return Trade(part=part, conditions=(), num_seeds=0, without=without)
    on_front = pareto(np.exp(shared["log_seconds"].mean()), _rounded(accuracies.mean()))
    told = len(shared) >= FEWEST
    shares = front_shares(times, accuracies) if told else np.full(len(on_front), math.nan)
    made = [
        Condition(
            arm=arm,
            machine=machine,
            accuracies=accuracies[arm, machine].to_numpy(),
            train_seconds=times[arm, machine].to_numpy(),
            on_front=bool(front),
            front_share=float(share),
        )
        for (arm, machine), front, share in zip(accuracies.columns, on_front, shares, strict=True)
    ]
    made.sort(key=lambda condition: condition.time.value)
    return Trade(part=part, conditions=tuple(made), num_seeds=len(shared), without=without)


def in_force(rows: pd.DataFrame) -> list[str]:
    """Return the machine factors that vary and can change time: not the cuDNN flags where no trial had a cuDNN."""
    inert = bool((rows["cudnn_flags_inert"] == True).all())  # noqa: E712 (null is not True)
    return [name for name in varied(rows, tuple(MACHINE_FACTORS)) if not (inert and name in CUDNN_FLAGS)]
