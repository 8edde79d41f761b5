"""The schedulers at one setting of every other factor: accuracy by seed, and every comparison with its corrected p.

Settings that train differently (workload, epochs, base_lr, …) are kept apart; machine factors (the flags) and
replicates are averaged within a seed. What this does *not* do: word findings or draw (`analysis.schedulers` does).
"""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from analysis.conditions import (
    FACTORS,
    MACHINE_FACTORS,
    SCHEDULE,
    SEEDS,
    completed,
    group_ids,
    is_baseline,
    levels,
    varied,
)
from analysis.intervals import Estimate, holm, no_spread, paired_p, pairs_needed, smallest_detectable, t_interval

SIGNIFICANT = 0.05
# the factors besides the scheduler that change training: their levels are never pooled
TRAINING = tuple(name for name in FACTORS if name not in (*MACHINE_FACTORS, *SCHEDULE))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Scheduler a less scheduler b, seed by seed: (seeds,) differences of accuracy, and p corrected for its family."""

    a: str
    b: str
    differences: np.ndarray
    corrected_p: float

    @property
    def estimate(self) -> Estimate:
        return t_interval(self.differences)

    @property
    def turned(self) -> "Comparison":
        return Comparison(a=self.b, b=self.a, differences=-self.differences, corrected_p=self.corrected_p)

    @property
    def told_apart(self) -> bool:
        return self.corrected_p < SIGNIFICANT

    @property
    def sd(self) -> float:
        """The standard deviation of the differences; nan where they show none, or there is but one."""
        shown = len(self.differences) > 1 and not no_spread(self.differences)
        return float(np.std(self.differences, ddof=1)) if shown else math.nan

    @property
    def detectable(self) -> float:
        """The true difference that so many seeds find four times in five, at 5% by itself; nan where `sd` is."""
        return math.nan if math.isnan(self.sd) else smallest_detectable(self.sd, len(self.differences))

    @property
    def pairs_to_tell(self) -> int:
        """The seeds that would find a difference as large as the one seen; 0 where that cannot be said."""
        return 0 if math.isnan(self.sd) else pairs_needed(self.estimate.value, self.sd)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The schedulers at one setting of every other factor that changes training.

    `scores` (seeds × arms) holds accuracy averaged over replicates and machine factors, nan where a seed has none;
    arms stand in the order of their mean, best first. `against` holds each arm's comparison with the baseline,
    `pairs` that of every two arms. There are two families for Holm, those with the baseline and those without it, so
    that a comparison has one p wherever it stands.
    """

    factors: dict
    scores: pd.DataFrame
    losses: pd.Series
    num_trials: pd.Series
    num_lost: pd.Series
    baseline: str
    against: dict[str, Comparison]
    pairs: dict[tuple[str, str], Comparison]

    @property
    def arms(self) -> list[str]:
        return list(self.scores.columns)

    @property
    def num_seeds(self) -> int:
        return len(self.scores)

    @property
    def planned(self) -> list[Comparison]:
        """The comparisons that a study is made for: those with the baseline, or all pairs where there is none."""
        return list((self.against or self.pairs).values())


def settings(rows: pd.DataFrame) -> list[Setting]:
    """Return one Setting for each level of the training factors besides the scheduler, in order."""
    rows = rows.assign(arm=_arms(rows))
    names = varied(rows, TRAINING)
    order = {name: levels(rows, name) for name in names}
    found = []
    for _, part in rows.groupby(group_ids(rows, names), sort=False):
        usable = completed(part)
        usable = usable[usable["final_accuracy"].notna()]
        factors = {name: None if pd.isna(value) else value for name, value in part[names].iloc[0].items()}
        if len(usable):
            found.append(_setting(factors, part, usable))
    return sorted(found, key=lambda setting: [order[name].index(value) for name, value in setting.factors.items()])


def _arms(rows: pd.DataFrame) -> pd.Series:
    """Name the arms: the scheduler's call, and how it is stepped where that varies for one call."""
    calls = rows["scheduler"].astype(str)
    if "scheduler_interval" in varied(rows, SCHEDULE):
        return calls + " per " + rows["scheduler_interval"].astype(str)
    return calls


def _setting(factors: dict, rows: pd.DataFrame, usable: pd.DataFrame) -> Setting:
    seed, cell = group_ids(usable, SEEDS), group_ids(usable, (*SEEDS, *MACHINE_FACTORS, "replicate"))
    wide = usable.assign(cell=cell).pivot_table(index="cell", columns="arm", values="final_accuracy", observed=True)
    seed_of_cell = seed.groupby(cell).first()
    scores = wide.groupby(seed_of_cell).mean()
    scores = scores[scores.mean().sort_values(ascending=False, kind="stable").index]

    def compare(a: str, b: str) -> np.ndarray:
        return (wide[a] - wide[b]).dropna().groupby(seed_of_cell).mean().to_numpy()

    baseline = next((arm for arm in scores if is_baseline(arm)), "")
    others = [arm for arm in scores if arm != baseline]
    against = _corrected([(arm, baseline, compare(arm, baseline)) for arm in others if baseline])
    among = _corrected([(a, b, compare(a, b)) for a, b in combinations(others, 2)])
    return Setting(
        factors=factors,
        scores=scores,
        losses=usable.groupby("arm")["final_loss"].mean(),
        num_trials=usable["arm"].value_counts(),
        num_lost=rows[rows["status"] != "completed"]["arm"].value_counts(),
        baseline=baseline,
        against={c.a: c for c in against},
        pairs=_best_first(list(scores), [*against, *among]),
    )


def _best_first(arms: list[str], found: list[Comparison]) -> dict[tuple[str, str], Comparison]:
    """Key comparisons by (better arm, worse arm), each turned round where it stands the other way."""
    turned = [c if arms.index(c.a) < arms.index(c.b) else c.turned for c in found]
    return {(c.a, c.b): c for c in turned}


def _corrected(family: list[tuple[str, str, np.ndarray]]) -> list[Comparison]:
    p_values = holm([paired_p(differences) for *_, differences in family])
    return [
        Comparison(a=a, b=b, differences=differences, corrected_p=float(p))
        for (a, b, differences), p in zip(family, p_values, strict=True)
    ]
