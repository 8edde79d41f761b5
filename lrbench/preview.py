"""`lrbench preview`: learning-rate schedules without training, in the terminal, as JSON, as a figure or as a gallery.

Each argument is a study, whose schedulers are drawn with its own base_lr, epochs and warm-up, or a scheduler as torch
writes it. What this does *not* do: read the arguments (`lrbench.preview_plans`), build schedulers
(`lrbench.trial.curves`, the only torch here), or draw (`lrbench.sparkline` for the terminal, `analysis.figures.preview`
and `analysis.page.gallery` for files).
"""

import json
import math
import sys
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from lrbench.calls import torch_version_file
from lrbench.closed_forms import num_groups, rates
from lrbench.errors import InputError
from lrbench.plan_warnings import substitutions, unreached, warnings_on
from lrbench.preview_plans import Metric, Plan, read_metric, read_plans
from lrbench.shares import resolved
from lrbench.warmups import multiplier, num_warmup_steps

SUFFIXES = (".png", ".svg")


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A plan's rates. lr has the shape (groups, epochs * steps_per_epoch): the rate applied at each optimizer step.

    best_case has the same shape where the rates depend on a metric that is not known (lr is the worst case then), and
    is empty elsewhere. warnings says what a user would hardly want. label is the name, and the metric that it is drawn
    for where its rates depend on one.
    """

    name: str
    label: str
    base_lr: float
    epochs: int
    steps_per_epoch: int
    lr: list[list[float]]
    best_case: list[list[float]]
    warnings: tuple[str, ...]

    @cached_property
    def by_epoch(self) -> list[list[float]]:
        """For each group, the rate at the first optimizer step of each epoch."""
        return [rates[:: self.steps_per_epoch] for rates in self.lr]

    @cached_property
    def area(self) -> list[float]:
        """For each group, the area under its curve: the sum of its rates over epochs (a constant 0.1 over 5: 0.5).

        Rates that move within an epoch count by the share of the epoch for which they are in force.
        """
        return [math.fsum(rates) / self.steps_per_epoch for rates in self.lr]

    @cached_property
    def mean_share(self) -> list[float]:
        """For each group, its mean rate by base_lr: the share of a constant rate's budget. NaN where base_lr is 0."""
        return [area / self.epochs / self.base_lr if self.base_lr else float("nan") for area in self.area]

    @cached_property
    def on_log_scale(self) -> bool:
        """Whether a tenth or more of its positive rates lie two decades or more below the largest.

        A cosine that ends near 0 does not; StepLR's plateaus do, and would be one flat line on a linear scale. Rates
        below 0 have no place on it.
        """
        if min(rate for rates in self.lr for rate in rates) < 0:
            return False
        positive = [rate for rates in self.lr for rate in rates if rate > 0]
        low = 1.0001 * max(positive, default=0.0) / 100  # 0.1 * 0.1 * 0.1 is a little over 0.001
        return bool(positive) and sum(rate <= low for rate in positive) >= len(positive) / 10

    def as_json(self) -> dict:
        """Return {"label", "lr", "area", "mean_share", "final_lr", "warnings"}, and "best_case_lr" where there is one.

        One rate an epoch, or a list of rates where there are several groups; so with the other figures. A mean_share
        that base_lr = 0 leaves open is null.
        """
        best = [rates[:: self.steps_per_epoch] for rates in self.best_case]
        return {
            "label": self.label,
            "lr": _by_group(self.by_epoch),
            "area": self.area[0] if len(self.lr) == 1 else self.area,
            "mean_share": None if not self.base_lr else self.mean_share[0] if len(self.lr) == 1 else self.mean_share,
            "final_lr": _by_group(self.lr)[-1],
            "warnings": list(self.warnings),
            **({"best_case_lr": _by_group(best)} if best else {}),
        }


def _by_group(groups: list[list[float]]) -> list:
    return groups[0] if len(groups) == 1 else [list(rates) for rates in zip(*groups, strict=True)]


def preview_command(
    schedules: list[str],
    *,
    lr: float | None,
    epochs: int | None,
    steps_per_epoch: int,
    interval: Literal["epoch", "step"],
    warmup: dict | str | None,
    out: Path | None,
    as_json: bool,
    metric: str | None = None,
) -> None:
    """Print the schedules, or write them to `out`. Raises InputError with every mistake in what was asked."""
    if out is not None and out.suffix.lower() not in SUFFIXES:
        raise InputError(f"--out found {str(out)!r}; allowed: a file that ends in {' or '.join(SUFFIXES)}")
    values: Metric = "never improves" if metric is None else read_metric(metric)
    plans, notes = read_plans(
        schedules,
        lr=lr,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        interval=interval,
        warmup=warmup,
        metric=values,
    )
    drawn = compute(plans)
    if out is not None:
        from analysis.figures.preview import draw, save

        save(draw(drawn), out)
    if as_json:
        print(json.dumps({"schedules": [schedule.as_json() for schedule in drawn]}))
    if out is None and not as_json:
        from lrbench.sparkline import show

        show(drawn, notes)
        return
    warnings = [f"{schedule.name}: {warning}" for schedule in drawn for warning in schedule.warnings]
    for kind, said in (("warning", warnings), ("note", notes)):
        for text in said:
            print(f"{kind}: {text}", file=sys.stderr)
    if out is not None:
        print(f"figure: {out}", file=sys.stderr if as_json else sys.stdout)


def compute(plans: list[Plan]) -> list[Schedule]:
    """Return the rates of each plan. Loads torch; raises InputError with everything that torch refuses."""
    drawn, problems = [], []
    for plan in plans:
        try:
            lr = _planned(plan, plan.metric)
            best = _planned(plan, "always improves") if plan.has_best_case else []
            drawn.append(_schedule(plan, lr, best, _num_warmup_steps(plan)))
        except InputError as error:
            problems += [f"{plan.name}: {problem}" for problem in error.problems]
    if problems:
        raise InputError(*problems)
    return drawn


def by_formula(plan: Plan) -> Schedule:
    """Return the rates that the closed forms give: those of `compute` but for rounding, and no torch is loaded.

    For plans that are known to be sound: what torch would refuse is not refused here. A metric that always improves
    never cuts, and one that never improves is one value for ever. Raises NoClosedForm for a user's own class.
    """
    per_step = plan.scheduler["interval"] == "step"
    num_steps = plan.epochs * plan.steps_per_epoch
    calls = num_steps if per_step else plan.epochs
    table, warm = resolved(plan.scheduler, calls), multiplier(plan.warmup, num_steps)

    def course(table: dict) -> list[list[float]]:
        scheduled = rates(table, base_lrs=[plan.base_lr] * num_groups(table), num_steps=calls, metrics=[0.0] * calls)
        clock = [step if per_step else step // plan.steps_per_epoch for step in range(num_steps)]
        return [[of_group[at] * warm(step) for step, at in enumerate(clock)] for of_group in scheduled]

    best = course(_patient(table)) if plan.has_best_case else []
    return _schedule(plan, course(table), best, num_warmup_steps(plan.warmup, num_steps))


def _patient(table: dict) -> dict:
    """Return a table in which each ReduceLROnPlateau waits for ever."""
    children = {"schedulers": [_patient(child) for child in table["schedulers"]]} if "schedulers" in table else {}
    patience = {"patience": sys.maxsize} if table["name"] == "ReduceLROnPlateau" else {}
    return {**table, **children, **patience}


def _schedule(plan: Plan, lr: list[list[float]], best_case: list[list[float]], num_warmup_steps: int) -> Schedule:
    return Schedule(
        name=plan.name,
        label=plan.label,
        base_lr=plan.base_lr,
        epochs=plan.epochs,
        steps_per_epoch=plan.steps_per_epoch,
        lr=lr,
        best_case=best_case,
        warnings=_warnings(plan, lr, num_warmup_steps),
    )


def _planned(plan: Plan, metric: Metric | Literal["always improves"]) -> list[list[float]]:
    from lrbench.trial.curves import planned_lr

    return planned_lr(
        scheduler=plan.scheduler,
        optimizer=plan.optimizer,
        base_lr=plan.base_lr,
        epochs=plan.epochs,
        steps_per_epoch=plan.steps_per_epoch,
        warmup=plan.warmup,
        metric=metric,
    )


def _num_warmup_steps(plan: Plan) -> int:
    from lrbench.trial.curves import warmup_steps

    return warmup_steps(plan.warmup, plan.optimizer, plan.epochs * plan.steps_per_epoch)


def _warnings(plan: Plan, lr: list[list[float]], num_warmup_steps: int) -> tuple[str, ...]:
    """Say what is odd about the rates, and where torch would give others than it documents and what is built then."""
    per_step = plan.scheduler["interval"] == "step"
    calls = plan.epochs * (plan.steps_per_epoch if per_step else 1)
    table = resolved(plan.scheduler, calls)
    late = unreached(table, calls, "step" if per_step else "epoch")
    unit = "epoch" if not per_step and plan.steps_per_epoch == 1 else "step"
    return (*warnings_on(lr, table, num_warmup_steps, unit), *late, *substitutions(table))


# ---------------------------------------------------------------------------------------------------------- the gallery


def gallery_command(folder: Path) -> None:
    """Write one page with every scheduler that is explained, and its curve, into `folder`.

    Raises InputError where it cannot be written.
    """
    from analysis.page.gallery import write_gallery
    from lrbench.explanation import explanation, names

    told = [explanation(name) for name in names()]
    version = torch_version_file()["version"].split("+")[0]
    page = write_gallery([(one, _example(one)) for one in told], folder, f"torch {version}")
    print(f"gallery: {page}")


def _example(told) -> Schedule:
    """Return the schedule that an explanation's example makes."""
    warmup = tomllib.loads(f"level = {told.warmup}")["level"] if told.warmup else None
    plans, _ = read_plans([told.example], lr=None, epochs=None, steps_per_epoch=20, interval="epoch", warmup=warmup)
    return compute(plans)[0]
