"""When each scheduler's trials first meet a validation accuracy, one trial a seed: the times, censored, and the gaps.

What this does *not* do: word findings or draw (`analysis.time_to_target` does).
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.page.wording import known
from analysis.rows.alike import under_another_name
from analysis.rows.conditions import completed
from analysis.rows.seed_tables import Part, parts
from analysis.statistics.intervals import Estimate, clopper_pearson, holm, paired_p
from analysis.statistics.survival import median_time

_READ = ("arm", "unit", "status", "packed", "val_accuracy_curve", "train_seconds_curve")


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One scheduler's trials, one a seed: (seeds,) each.

    `times` are to the target; infinity where training ended or diverged without it; where a crash cut it off before,
    the time up to then (censored), counted by `num_cut_off`. `ends` are of the training itself, which a trial that
    diverged is taken to have gone through; nan where a crash cut it off before. `spent` are to the target or else to
    that end.
    """

    name: str
    units: np.ndarray
    times: np.ndarray
    reached: np.ndarray
    spent: np.ndarray
    ends: np.ndarray
    num_diverged: int
    num_cut_off: int

    @property
    def share(self) -> Estimate:
        return clopper_pearson(int(self.reached.sum()), len(self.times))

    @property
    def median(self) -> Estimate:
        return median_time(self.times, self.reached)


@dataclass(frozen=True, kw_only=True)
class Race:
    """The schedulers at one setting, in one unit ("epochs" or "s"), to one target. `end` is that of a whole training.

    `gaps` are what an arm spent less what the baseline did, (shared seeds,): their mean is the difference of restricted
    means (Royston and Parmar, Stat. Med. 30, 2011), both trials of a seed restricted to the longer of their trainings:
    else one that misses the target on a faster run would be the quicker one. `hits` are whether the arm got there and
    whether the baseline did, (shared seeds, 2): an arm that misses the target more often may have the smaller
    restricted mean and be no quicker. `corrected_p` belongs to the gaps, Holm's over the arms and both units of a
    setting: seconds and epochs ask the same question twice.
    """

    part: Part
    target: float
    unit: str
    end: float
    arms: tuple[Arm, ...]
    gaps: dict[str, np.ndarray]
    hits: dict[str, np.ndarray]
    corrected_p: dict[str, float]

    @property
    def baseline(self) -> str:
        return self.part.baseline

    @property
    def num_reached(self) -> dict[str, tuple[int, int]]:
        """On how many of the shared seeds each arm got there, and the baseline."""
        return {name: (int(both[:, 0].sum()), int(both[:, 1].sum())) for name, both in self.hits.items()}

    def num_alike(self, name: str) -> int:
        """On how many seeds an arm took exactly as long as the baseline; 0 unless on all on which either got there."""
        gap, hits = self.gaps[name], self.hits[name]
        alike = len(gap) > 1 and not gap.any() and (hits[:, 0] == hits[:, 1]).all()
        return int(hits[:, 0].sum()) if alike else 0

    @property
    def fastest(self) -> Arm:
        """The arm with the shortest median; of those that tie, the one with the largest share, then the first."""
        return min(self.arms, key=lambda arm: (arm.median.value, -arm.share.value))


def races(rows: pd.DataFrame, record: dict | None = None, target: float = 0.0) -> list[Race]:
    """Return the races of each setting, in epochs and, where every trial has its seconds, in seconds."""
    found: list[Race] = []
    if "val_accuracy_curve" not in rows:
        return found
    for part in parts(rows, record or {}):
        goal = target or default_target(part)
        trials = part.first_trials()
        trials = trials[[name for name in _READ if name in trials]]  # it is split by arm
        trials = trials[trials["val_accuracy_curve"].notna() | (trials["status"] != "completed")]
        trials = trials[~trials["arm"].isin(under_another_name(part.rows, part.baseline))]  # no race against itself
        if not known(goal) or trials.empty:
            continue
        units = ("epochs", "s") if _timed(trials) else ("epochs",)
        found += _corrected([_race(part, trials, goal, unit) for unit in units])
    return found


def default_target(part: Part) -> float:
    """Return the median over seeds of the baseline's final validation accuracy; nan where it has none.

    Of an even number of seeds it is the lower of the two in the middle, so that it is an accuracy that was met.
    """
    return middle_finals(part)[0]


def middle_finals(part: Part) -> tuple[float, float]:
    """Return the two middle ones over seeds of the baseline's final validation accuracies: one twice where the number
    of seeds is odd; nan where there are none."""
    finals = np.sort(part.table("final_val_accuracy")[part.baseline].dropna().to_numpy(dtype=float))
    num = len(finals)
    return (float(finals[(num - 1) // 2]), float(finals[num // 2])) if num else (math.nan, math.nan)


def _timed(trials: pd.DataFrame) -> bool:
    if "train_seconds_curve" not in trials:
        return False
    done = completed(trials)
    alone = (done["packed"] != True).all()  # noqa: E712 (null is not True)
    return bool(len(done)) and bool(alone) and bool(done["train_seconds_curve"].notna().all())


def first_reach(accuracies, seconds, target: float, unit: str) -> tuple[float, bool]:
    """Return when a curve first meets the target, and whether it does: else its end. Epochs count from 1.

    >>> first_reach([0.5, 0.9, 0.8], [1.5, 3.0, 4.5], 0.9, "epochs"), first_reach([0.5, 0.9], [1.5, 3.0], 0.95, "s")
    ((2.0, True), (3.0, False))
    """
    met = np.flatnonzero(np.asarray(accuracies, dtype=float) >= target - 1e-12)
    epoch = int(met[0]) if len(met) else len(accuracies) - 1
    return float(seconds[epoch] if unit == "s" else epoch + 1), bool(len(met))


def _race(part: Part, trials: pd.DataFrame, target: float, unit: str) -> Race:
    whole = _whole_training(trials, unit)
    arms = [_arm(name, trials[trials["arm"] == name], target, unit, whole) for name in part.arms]
    found = tuple(arm for arm in arms if len(arm.times))
    pairs = _pairs(found, part.baseline)
    gaps = {name: _gaps(both) for name, both in pairs.items()}
    hits = {name: both[["reached", "reached_baseline"]].to_numpy(dtype=bool) for name, both in pairs.items()}
    return Race(part=part, target=target, unit=unit, end=whole, arms=found, gaps=gaps, hits=hits, corrected_p={})


def _gaps(both: pd.DataFrame) -> np.ndarray:
    """Return what the arm spent less what the baseline did; one that missed counts with the longer training of the
    two."""
    longer = both[["ends", "ends_baseline"]].max(axis=1)
    spent, base = (both[f"spent{of}"].where(both[f"reached{of}"].astype(bool), longer) for of in ("", "_baseline"))
    return (spent - base).to_numpy(dtype=float)


def _corrected(setting: list[Race]) -> list[Race]:
    """Return the races of one setting with the p-values of all their gaps corrected together."""
    p_values = iter(holm([paired_p(gap) for race in setting for gap in race.gaps.values()]))
    return [replace(race, corrected_p={name: float(next(p_values)) for name in race.gaps}) for race in setting]


def _whole_training(trials: pd.DataFrame, unit: str) -> float:
    """Return how long training takes from end to end: the median of the trials that completed; nan without one."""
    done = completed(trials)
    column = "train_seconds_curve" if unit == "s" else "val_accuracy_curve"
    ends = [float(curve[-1]) if unit == "s" else float(len(curve)) for curve in done[column] if len(curve)]
    return float(np.median(ends)) if ends else math.nan


def _arm(name: str, trials: pd.DataFrame, target: float, unit: str, whole: float) -> Arm:
    times, reached, spent, ends = [], [], [], []
    for row in trials.to_dict("records"):
        curve, seconds = row["val_accuracy_curve"], row.get("train_seconds_curve")
        known_curve = curve is not None and len(curve) > 0 and (unit == "epochs" or seconds is not None)
        when, met = first_reach(curve, seconds, target, unit) if known_curve else (0.0, False)
        met = met and row["status"] != "diverged"
        lost = row["status"] not in ("completed", "diverged") and not met
        # seconds to the end differ from trial to trial: censored there, a fast trial would leave the share too early
        times.append(when if met or lost else math.inf)
        reached.append(met)
        end = whole if row["status"] == "diverged" else _end(curve, seconds, unit) if known_curve else 0.0
        ends.append(math.nan if lost else end)
        spent.append(math.nan if lost else when if met else end)
    statuses = trials["status"].astype(object)
    return Arm(
        name=name,
        units=trials["unit"].to_numpy(),
        times=np.array(times, dtype=float),
        reached=np.array(reached, dtype=bool),
        spent=np.array(spent, dtype=float),
        ends=np.array(ends, dtype=float),
        num_diverged=int((statuses == "diverged").sum()),
        num_cut_off=int(np.isnan(spent).sum()),
    )


def _end(curve, seconds, unit: str) -> float:
    return float(seconds[-1]) if unit == "s" else float(len(curve))


def _pairs(arms: tuple[Arm, ...], baseline: str) -> dict[str, pd.DataFrame]:
    """Return each arm beside the baseline (spent, ends, reached, …_baseline), on the seeds on which both are known."""
    tables = {
        arm.name: pd.DataFrame({"spent": arm.spent, "ends": arm.ends, "reached": arm.reached}, index=arm.units)
        for arm in arms
    }
    if baseline not in tables:
        return {}
    base = tables.pop(baseline).add_suffix("_baseline")
    return {name: each.join(base, how="inner").dropna() for name, each in tables.items()}
