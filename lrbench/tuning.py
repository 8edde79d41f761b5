"""The [tune] table of a study file, and what it chooses: each scheduler at its own best rate and arguments. No torch.

The candidates of a scheduler are fixed when the study is read; `choose` picks among them from the rows of the selection
trials alone, so that the same rows give the same choice at any time. What this does *not* do: say what is tried
(`lrbench.candidates`), run the trials (`lrbench.stages`), or set the tuned schedulers against each other (`analysis`).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from lrbench.metrics import METRICS
from lrbench.own_rate import differ_in_rate_alone, name_of_rate, rate_of

METRICS_TO_TUNE = ("final_val_accuracy", "final_val_loss")  # of validation images: test images are for the comparison
# What is no part of how a network is trained: a scheduler is tuned once for all their levels.
MACHINE = (
    "cudnn_benchmark",
    "cudnn_deterministic",
    "deterministic_algorithms",
    "cudnn_fp32_precision",
    "matmul_fp32_precision",
    "precision",
    "channels_last",
    "compile",
    "poke_ulps",
    "num_threads",
    "device",
)
TRAINING = ("workload", "epochs", "batch_size", "optimizer", "warmup", "clip_grad_norm", "clip_grad_value")


class Candidate(BaseModel):
    """One setting that a scheduler is tried at; `scheduler` is its call as it stands in a row."""

    model_config = ConfigDict(frozen=True)
    base_lr: float
    scheduler: str


class Arm(BaseModel):
    """A scheduler of the grid, by its call as it stands in a row and its interval, and what it is tried at."""

    model_config = ConfigDict(frozen=True)
    scheduler: str
    interval: str
    candidates: tuple[Candidate, ...]


class Tune(BaseModel):
    """What is chosen for each scheduler, on which seeds, and how many trials of each are spent at most (0: no bound).

    `arms` is written by `parse_study`: what each scheduler is tried at, after the study's own setting was added and a
    draw within the budget.
    """

    model_config = ConfigDict(frozen=True)
    seeds: list[int]
    base_lr: list[float]
    budget: int = 0
    metric: str = "final_val_accuracy"
    arguments: dict[str, dict[str, list]] = {}
    arms: tuple[Arm, ...] = ()


# ------------------------------------------------------------------------------------------------------- the choice


@dataclass(frozen=True, kw_only=True)
class Tried:
    """How one candidate did on the selection seeds. Means are over the trials that completed; nan where none did."""

    base_lr: float
    scheduler: str
    mean: float
    mean_val_loss: float
    num_seeds: int
    num_failed: int

    @property
    def rate(self) -> float:
        """Its base_lr, or the max_lr of a scheduler that sets its own rate."""
        return rate_of(self.scheduler, self.base_lr)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen for a scheduler at one setting of the other training factors that vary.

    `scheduler` is the arm's call as the grid has it, `chosen_scheduler` the call that it has once tuned. `boundary`
    says that the rate chosen is the "lowest" or "highest" of several tried: a better one may lie beyond. `num_trials`
    is what was spent.
    """

    scheduler: str
    interval: str
    factors: dict[str, Any]
    base_lr: float
    chosen_scheduler: str
    candidates: tuple[Tried, ...]
    boundary: str
    num_trials: int

    @property
    def rate(self) -> float:
        """The rate chosen: base_lr, or the max_lr of a scheduler that sets its own rate."""
        return rate_of(self.chosen_scheduler, self.base_lr)

    @property
    def nothing_completed(self) -> bool:
        """Whether every selection trial failed: the study's own setting stands then, and nothing speaks for it."""
        return bool(self.candidates) and not any(tried.num_seeds for tried in self.candidates)

    @property
    def tied(self) -> tuple[Tried, ...]:
        """The other candidates that did as well: as few failed, and the same mean. () where none is known."""
        best = self._best
        if best is None or math.isnan(best.mean):
            return ()
        as_good = (best.num_failed, _rounded(best.mean))
        return tuple(c for c in self.candidates if c is not best and (c.num_failed, _rounded(c.mean)) == as_good)

    @property
    def decided_by(self) -> str:
        """What the tie was decided by, in words; "" where there is none."""
        best, tied = self._best, self.tied
        if best is None or not tied:
            return ""
        level = [c for c in tied if _rounded(c.mean_val_loss) == _rounded(best.mean_val_loss)]
        if not level:
            return "the lower validation loss"
        return "the smaller rate" if all(best.rate < c.rate for c in level) else "the order of the candidates"

    @property
    def _best(self) -> Tried | None:
        """The candidate that was chosen; None where the candidates are not known, as in study.json."""
        chosen = (self.base_lr, self.chosen_scheduler)
        return next((c for c in self.candidates if (c.base_lr, c.scheduler) == chosen), None)

    @property
    def table(self):
        """The candidates as a pandas.DataFrame, a row each, in the order in which they were tried."""
        import pandas as pd

        return pd.DataFrame([vars(tried) for tried in self.candidates])

    def __str__(self) -> str:
        """Say what was chosen, from how much, and whether it lies at the edge or won a tie.

        >>> seen = {"scheduler": "S()", "mean_val_loss": 1.0, "num_seeds": 4, "num_failed": 0}
        >>> tried = (Tried(base_lr=1, mean=0.8, **seen), Tried(base_lr=2, mean=0.9, **seen))
        >>> arm = {"scheduler": "S()", "interval": "epoch", "chosen_scheduler": "S()", "factors": {}}
        >>> print(Choice(**arm, base_lr=2, candidates=tried, boundary="highest", num_trials=8))
        S(): base_lr 2 (of 1 … 2: the highest: a larger one may be better)
        """
        rates, own = sorted({tried.rate for tried in self.candidates}), name_of_rate(self.scheduler)
        beyond = {"lowest": "smaller", "highest": "larger"}.get(self.boundary)
        edge = f": the {self.boundary}: a {beyond} one may be better" if beyond else ""
        among = f" (of {rates[0]:g} … {rates[-1]:g}{edge})" if len(rates) > 1 else ""
        at = f" at {', '.join(f'{name} {value}' for name, value in self.factors.items())}" if self.factors else ""
        if self.nothing_completed:
            kept = f"the study's own {own} {self.rate:g} stays"
            return (
                f"{self.scheduler}{at}: nothing could be chosen, all {self.num_trials} selection trials failed; {kept}"
            )
        kept = differ_in_rate_alone(self.scheduler, self.chosen_scheduler)
        become = "" if kept else f", as {self.chosen_scheduler}"
        failed = sum(tried.num_failed for tried in self.candidates)
        lost = f"; {failed} of its {self.num_trials} selection trials failed" if failed else ""
        others = [
            f"{c.rate:g}" + ("" if differ_in_rate_alone(c.scheduler, self.chosen_scheduler) else f" as {c.scheduler}")
            for c in self.tied
        ]
        tie = f"; a tie with {', '.join(others)}, decided by {self.decided_by}" if others else ""
        return f"{self.scheduler}{at}: {own} {self.rate:g}{among}{become}{tie}{lost}"


def choose(rows, tune: Tune) -> list[Choice]:
    """Return what the selection trials among the rows choose for each scheduler, by the other training factors.

    Fewest failed trials first, then the best mean of `tune.metric` over the selection seeds, then the lowest mean of
    final_val_loss, then the smaller rate, then the order of the candidates. A candidate without a row is left out.
    `rows` is a pandas.DataFrame in any order: means are exact sums, and the choice does not depend on it. Means that
    agree to 12 decimals are equal: 0.1 and 0.4 have the mean of 0.2 and 0.3, whatever the last place says.
    """
    rows = rows[rows["tuning"].astype(object) == "selection"]
    varied = [name for name in TRAINING if name in rows and rows[name].nunique(dropna=False) > 1]
    records = rows[[*{*varied, *_READ, tune.metric}]].astype(object)
    records = records.where(records.notna(), None).to_dict("records")
    arms = tune.arms or _arms_in(records)
    points = list(dict.fromkeys(tuple(record[name] for name in varied) for record in records))
    found = []
    for point in points:
        here = [record for record in records if tuple(record[name] for name in varied) == point]
        for arm in arms:
            if tried := tuple(_tried(here, arm, tune.metric)):
                found.append(_chosen(arm, tried, tune.metric, dict(zip(varied, point, strict=True))))
    return found


_READ = ("scheduler", "scheduler_interval", "base_lr", "status", "final_val_loss")


def _arms_in(records: list[dict]) -> tuple[Arm, ...]:
    """Return the arms that the rows themselves show: where no arguments are tuned, they are the calls in them."""
    rates: dict[tuple[str, str], dict[float, None]] = {}
    for record in records:
        rates.setdefault((record["scheduler"], record["scheduler_interval"]), {})[record["base_lr"]] = None
    return tuple(
        Arm(
            scheduler=scheduler,
            interval=interval,
            candidates=tuple(Candidate(base_lr=rate, scheduler=scheduler) for rate in sorted(found)),
        )
        for (scheduler, interval), found in rates.items()
    )


def _tried(records: list[dict], arm: Arm, metric: str) -> Iterator[Tried]:
    by_setting: dict[tuple[float, str], list[dict]] = {}
    for record in records:
        if record["scheduler_interval"] == arm.interval:
            by_setting.setdefault((record["base_lr"], record["scheduler"]), []).append(record)
    for candidate in arm.candidates:
        trials = by_setting.get((candidate.base_lr, candidate.scheduler), [])
        good = [t for t in trials if t["status"] == "completed" and _finite(t[metric]) and _finite(t["final_val_loss"])]
        if trials:
            yield Tried(
                base_lr=candidate.base_lr,
                scheduler=candidate.scheduler,
                mean=_mean([t[metric] for t in good]),
                mean_val_loss=_mean([t["final_val_loss"] for t in good]),
                num_seeds=len(good),
                num_failed=len(trials) - len(good),
            )


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def _rounded(mean: float) -> float:
    return round(mean, 12)


def _chosen(arm: Arm, tried: tuple[Tried, ...], metric: str, factors: dict) -> Choice:
    sign = -1 if METRICS[metric].higher_is_better else 1

    def rank(candidate: Tried) -> tuple:
        keys = (sign * _rounded(candidate.mean), _rounded(candidate.mean_val_loss))
        return (candidate.num_failed, *(math.inf if math.isnan(key) else key for key in keys), candidate.rate)

    # where nothing completed there is nothing to choose by: the study's own setting, the first, stays
    best = min(tried, key=rank) if any(candidate.num_seeds for candidate in tried) else tried[0]
    rates = sorted({candidate.rate for candidate in tried})
    edge = {rates[0]: "lowest", rates[-1]: "highest"} if len(rates) > 1 else {}
    return Choice(
        scheduler=arm.scheduler,
        interval=arm.interval,
        factors=factors,
        base_lr=best.base_lr,
        chosen_scheduler=best.scheduler,
        candidates=tried,
        boundary=edge.get(best.rate, "") if best.num_seeds else "",
        num_trials=sum(candidate.num_seeds + candidate.num_failed for candidate in tried),
    )
