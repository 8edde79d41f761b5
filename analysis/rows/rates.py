"""How does each scheduler do at each rate it was tried at? Its curve, the rate that is best, and how wide it is good.

The trials are those that [tune] chose by, or those of a grid in which base_lr varies. Validation images alone: test
images are for the comparison. What this does *not* do: choose (`lrbench.tuning` does, from the same rows), or compare
schedulers (`analysis.comparisons`).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.rows.conditions import (
    FACTORS,
    MACHINE_FACTORS,
    SCHEDULE,
    SEEDS,
    describe,
    group_ids,
    is_baseline,
    levels,
    varied,
)
from analysis.statistics.verdicts import seed_sd
from lrbench.metrics import Metric, find_metric
from lrbench.own_rate import name_of_rate, rate_of
from lrbench.stages import BOTH, DEFAULT, SELECTION
from lrbench.tuning import METRICS_TO_TUNE, Choice, Tune, choose


@dataclass(frozen=True, kw_only=True)
class Point:
    """A rate that a scheduler was tried at, with the arguments that did best there.

    `values` holds the metric by seed, (seeds,), of the trials that completed; `call` is the scheduler's, arguments and
    all.
    """

    rate: float
    call: str
    values: pd.Series
    num_trials: int
    num_failed: int

    @property
    def mean(self) -> float:
        """The mean over seeds; nan where no trial completed."""
        return float(self.values.mean()) if len(self.values) else math.nan


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A scheduler's points at rising rates, at one setting of the other training factors.

    `arm` is its call as the grid has it, stepped each `interval`. `best` was chosen by [tune] (`chosen`), or is the
    best here where nothing was chosen. `default` is the study's own rate, nan where it has none. `num_trials` were
    spent on `num_candidates` settings. `of` names what the rate is: base_lr, or max_lr where that sets it.
    `tied` are the others that did as well, (rate, call), and `decided_by` says in words what broke the tie.
    """

    arm: str
    interval: str
    factors: dict
    metric: Metric
    points: tuple[Point, ...]
    best: Point
    chosen: bool
    default: float
    of: str
    num_trials: int
    num_candidates: int
    tied: tuple[tuple[float, str], ...] = ()
    decided_by: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What tells the arms of one setting apart."""
        return self.arm, self.interval

    @property
    def label(self) -> str:
        return describe(self.factors)

    @property
    def boundary(self) -> str:
        """ "lowest" or "highest" where the best rate is that of several tried, else ""."""
        if len(self.points) < 2:
            return ""
        return {self.points[0].rate: "lowest", self.points[-1].rate: "highest"}.get(self.best.rate, "")

    @property
    def margin(self) -> float:
        """One seed SD of the metric: a rate is good if it loses no more. nan from a single seed."""
        table = pd.concat([point.values.rename(index) for index, point in enumerate(self.points)], axis=1)
        return seed_sd(table) if len(table) else math.nan

    @property
    def good(self) -> tuple[Point, ...]:
        """The points next to each other around the best that lose no more than the margin, and fail no more often."""
        at, margin = self.points.index(self.best), self.margin
        low = high = at
        while low > 0 and self._is_good(self.points[low - 1], margin):
            low -= 1
        while high < len(self.points) - 1 and self._is_good(self.points[high + 1], margin):
            high += 1
        return self.points[low : high + 1]

    def _is_good(self, point: Point, margin: float) -> bool:
        sign = 1 if self.metric.higher_is_better else -1
        return point.num_failed <= self.best.num_failed and sign * (self.best.mean - point.mean) <= margin

    @property
    def width(self) -> float:
        """The factor between the ends of the good region: 1 where no other rate tried is good, nan if unknown."""
        good = self.good
        return good[-1].rate / good[0].rate if not math.isnan(self.margin) else math.nan

    @property
    def is_open(self) -> bool:
        """Whether the good region reaches an end of the rates tried, so that it may be wider."""
        return self.good[0] is self.points[0] or self.good[-1] is self.points[-1]

    @property
    def nothing_completed(self) -> bool:
        """Whether no trial completed that was to tell the best rate: then there is none, and `best` is the first."""
        return not any(len(point.values) for point in self.points)

    @property
    def ties_at_edge(self) -> bool:
        """Whether the best rate lies inside those tried and did no better than one at an edge of them."""
        ends = {self.points[0].rate, self.points[-1].rate}
        return not self.boundary and len(self.points) > 1 and any(rate in ends for rate, _ in self.tied)

    @property
    def num_failed(self) -> int:
        return sum(point.num_failed for point in self.points)


def tune_of(rows: pd.DataFrame, record: dict) -> Tune:
    """Return the study's [tune] as study.json has it; without one, what the selection rows show."""
    if table := record.get("study", {}).get("tune"):
        return Tune(**table)
    seeds = rows.loc[rows["tuning"].astype(object) == SELECTION, "seed"]
    return Tune(seeds=sorted(int(seed) for seed in seeds.unique()), base_lr=[], metric=METRICS_TO_TUNE[0])


def is_tuned(rows: pd.DataFrame) -> bool:
    """Return whether trials that chose a rate are among the rows."""
    return len(rows) > 0 and bool((rows["tuning"].astype(object) == SELECTION).any())


def curves(rows: pd.DataFrame, record: dict) -> list[Curve]:
    """Return the curve of each scheduler and setting: of the trials that chose, or where base_lr varies in the grid."""
    if not len(rows):
        return []
    if is_tuned(rows):
        metric = find_metric(tune_of(rows, record).metric)
        return [_of_choice(rows, choice, metric) for choice in choices(rows, record)]
    return _of_grid(rows[rows["tuning"].isna()], find_metric(METRICS_TO_TUNE[0]))


def choices(rows: pd.DataFrame, record: dict) -> list[Choice]:
    """Return what the study chose: made again from the trials that chose; where these are not among the rows, as
    study.json has it. Factors that merely follow another are left out of it."""
    if is_tuned(rows):
        chosen = choose(rows, tune_of(rows, record))
        rows = rows[rows["tuning"].astype(object) == SELECTION]
    else:
        chosen = [Choice(**{**table, "candidates": ()}) for table in record.get("choices", ())]
    names = varied(rows, list(chosen[0].factors) if chosen else [])
    chosen = [replace(choice, factors={name: choice.factors[name] for name in names}) for choice in chosen]
    return sorted(chosen, key=lambda c: _order(rows, c.factors, c.scheduler, c.interval))


def at(rows: pd.DataFrame, factors: dict) -> pd.DataFrame:
    """Return the rows at these levels, null (None) being one."""
    for name, value in factors.items():
        column = rows[name].astype(object)
        rows = rows[column.isna() if value is None else column == value]
    return rows


# ------------------------------------------------------------------------------------------------------------- curves


def _of_choice(rows: pd.DataFrame, choice: Choice, metric: Metric) -> Curve:
    here = at(rows, {"scheduler_interval": choice.interval, **choice.factors})
    part = here["tuning"].astype(object)
    own = here[part.isin((DEFAULT, BOTH)) & (here["scheduler"] == choice.scheduler)]
    here = here[part == SELECTION]
    found = []
    for tried in choice.candidates:
        trials = at(here, {"base_lr": tried.base_lr, "scheduler": tried.scheduler})
        found.append((tried.base_lr, _point(trials, tried.rate, tried.scheduler, metric)))
    own_rate = float(own["base_lr"].iloc[0]) if len(own) else choice.candidates[0].base_lr
    best = next(p for lr, p in found if (lr, p.call) == (choice.base_lr, choice.chosen_scheduler))
    points = _best_at_each([point for _, point in found], best, metric)
    return Curve(
        arm=choice.scheduler,
        interval=choice.interval,
        factors=choice.factors,
        metric=metric,
        points=points,
        best=best,
        chosen=True,
        default=rate_of(choice.scheduler, own_rate),
        of=name_of_rate(choice.scheduler),
        num_trials=choice.num_trials,
        num_candidates=len(choice.candidates),
        tied=_others(((c.rate, c.scheduler) for c in choice.tied), best),
        decided_by=choice.decided_by,
    )


def _of_grid(rows: pd.DataFrame, metric: Metric) -> list[Curve]:
    if not len(rows):
        return []
    names = varied(rows, [name for name in FACTORS if name not in (*MACHINE_FACTORS, *SCHEDULE, "base_lr")])
    rows = rows[[*dict.fromkeys([*names, *SCHEDULE, "base_lr", *SEEDS, "status", metric.name])]]  # it is split often
    found = []
    for _, part in rows.groupby(group_ids(rows, [*names, *SCHEDULE]), sort=False):
        call = str(part["scheduler"].iloc[0])
        factors = {name: None if pd.isna(part[name].iloc[0]) else part[name].iloc[0] for name in names}
        points = tuple(
            _point(at(part, {"base_lr": lr}), rate_of(call, lr), call, metric) for lr in part["base_lr"].unique()
        )
        points = _best_at_each(list(points), None, metric)
        if len(points) < 2:
            continue
        best = min(points, key=lambda point: _place(point, metric))
        as_good = [point for point in points if _place(point, metric)[:2] == _place(best, metric)[:2]]
        tied = _others([(point.rate, call) for point in as_good if len(point.values)], best)
        found.append(
            Curve(
                arm=call,
                interval=str(part["scheduler_interval"].iloc[0]),
                factors=factors,
                metric=metric,
                points=points,
                best=best,
                chosen=False,
                default=math.nan,
                of=name_of_rate(call),
                num_trials=len(part),
                num_candidates=len(points),
                tied=tied,
                decided_by="the smaller rate" if tied else "",
            )
        )
    return sorted(found, key=lambda c: _order(rows, c.factors, c.arm, c.interval))


def _order(rows: pd.DataFrame, factors: dict, arm: str, interval: str) -> list[tuple]:
    """Where a scheduler stands: by the levels of the other factors, the baseline first, then by its call."""
    places = [levels(rows, name).index(value) for name, value in factors.items()]
    return [*places, not is_baseline(arm), arm, interval]


def _point(rows: pd.DataFrame, rate: float, call: str, metric: Metric) -> Point:
    """A seed's value is the mean over its replicates and machine factors."""
    good = rows[(rows["status"] == "completed") & np.isfinite(rows[metric.name].astype(float))]
    by_seed = good.groupby(group_ids(good, SEEDS).to_numpy())
    values = pd.Series(by_seed[metric.name].mean().to_numpy(float), index=by_seed["seed"].first().to_numpy())
    return Point(rate=rate, call=call, values=values, num_trials=len(rows), num_failed=len(rows) - len(good))


def _best_at_each(points: list[Point], best: Point | None, metric: Metric) -> tuple[Point, ...]:
    """Return one point for each rate, rising: that of the arguments which did best there; `best` where it stands."""
    by_rate: dict[float, list[Point]] = {}
    for point in points:
        by_rate.setdefault(point.rate, []).append(point)
    if best is not None:
        by_rate[best.rate] = [best]
    return tuple(min(by_rate[rate], key=lambda point: _place(point, metric)) for rate in sorted(by_rate))


def _others(settings: Iterable[tuple[float, str]], best: Point) -> tuple[tuple[float, str], ...]:
    return tuple(sorted({*settings} - {(best.rate, best.call)}))


def _place(point: Point, metric: Metric) -> tuple:
    """Fewest failed first, then the best mean, then the smaller rate: as `lrbench.tuning.choose` has it."""
    mean = -point.mean if metric.higher_is_better else point.mean
    return point.num_failed, math.inf if math.isnan(mean) else round(mean, 12), point.rate
