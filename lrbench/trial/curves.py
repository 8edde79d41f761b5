"""The rates that a scheduler plans, without training: torch's own scheduler, stepped where lrbench.trial.loop steps it.

What this does *not* do: measure a metric (a ReduceLROnPlateau is shown the one given, or one that never improves, its
worst case, or one that always does, its best), or build a model: parameter groups are dummies, all at base_lr.
"""

import inspect
import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch.optim import Optimizer

from lrbench.closed_forms import num_groups
from lrbench.errors import InputError
from lrbench.levels import MONITORS, Warmup
from lrbench.trial.optim import (
    before_training,
    build_optimizer,
    build_scheduler,
    step_functions,
    warmup_factors,
    warmup_length,
)


def planned_lr(
    *,
    scheduler: dict,
    optimizer: dict,
    base_lr: float,
    epochs: int,
    steps_per_epoch: int,
    warmup: Warmup | Literal["off"],
    metric: Literal["never improves", "always improves"] | list[float] = "never improves",
) -> list[list[float]]:
    """Return, for each parameter group, the rate that would be applied at each optimizer step.

    Shape (groups, epochs * steps_per_epoch), as a row's `applied_lr`; an epoch's first rate stands at
    epoch * steps_per_epoch. There are as many groups as the longest per-group list of the scheduler has entries, at
    least one, and as many as a PerGroupLR has schedulers. The values of `metric` go to the calls of step() in their
    order; past its end the last one stays. Raises InputError for what torch, or the user's callable, refuses, for a
    rate that is not finite, with the epoch, and for a user's function of the step that gives another rate when it is
    asked again: it is walked twice.
    """
    asked = (scheduler, optimizer, base_lr, epochs, steps_per_epoch, warmup, metric)
    rates = _walked(*asked)
    functions = step_functions(scheduler)
    if functions and (again := _walked(*asked)) != rates:
        pairs = (pair for groups in zip(rates, again, strict=True) for pair in enumerate(zip(*groups, strict=True)))
        step, (first, second) = min((step, both) for step, both in pairs if both[0] != both[1])
        raise InputError(
            f"the rate of step {step} is {first:.9g}, and {second:.9g} when it is asked again: a function of the step "
            f"has to give the same rate for the same step ({', '.join(functions)} draws, or keeps a state)"
        )
    return rates


def _walked(
    scheduler: dict,
    optimizer: dict,
    base_lr: float,
    epochs: int,
    steps_per_epoch: int,
    warmup: Warmup | Literal["off"],
    metric: Literal["never improves", "always improves"] | list[float],
) -> list[list[float]]:
    per_step = scheduler["interval"] == "step"
    num_steps = epochs * steps_per_epoch
    place = "before the first step"
    try:
        with _without_compiler(), before_training():
            groups = [{"params": [torch.zeros(1, 1, requires_grad=True)]} for _ in range(num_groups(scheduler))]
            built = build_optimizer(optimizer, groups, base_lr)
            plan = build_scheduler(scheduler, built, num_steps if per_step else epochs)
            rates: list[list[float]] = [[] for _ in groups]
            _, warmup_factor = warmup_factors(warmup, num_steps, built)
            metrics = _metrics(scheduler, metric)
            for epoch in range(epochs):
                place = f"in epoch {epoch}"
                for step in range(epoch * steps_per_epoch, (epoch + 1) * steps_per_epoch):
                    factor = warmup_factor(step)
                    for applied, group in zip(rates, built.param_groups, strict=True):
                        applied.append(float(group["lr"]) * factor)
                    if per_step:
                        plan.step(*next(metrics))
                for rate in (rate for applied in rates for rate in applied[-steps_per_epoch:]):
                    if not math.isfinite(rate):
                        raise InputError(f"{place}: its rate is {rate}; a rate is a finite number")
                if not per_step:
                    plan.step(*next(metrics))
    except InputError:
        raise
    except Exception as error:  # torch's own refusal, or the user's callable
        raise InputError(f"{place}: {type(error).__name__}: {error}") from error
    return rates


def warmup_steps(warmup: Warmup | Literal["off"], optimizer: dict, num_steps: int) -> int:
    """Return how many of a trial's optimizer steps the warm-up takes; the untuned kinds ask the optimizer for beta2."""
    with _without_compiler():
        return warmup_length(
            warmup, num_steps, build_optimizer(optimizer, [torch.zeros(1, 1, requires_grad=True)], 1.0)
        )


def _metrics(scheduler: dict, metric: Literal["never improves", "always improves"] | list[float]) -> Iterator[tuple]:
    """Yield the arguments of each call of step(): a metric's value, or nothing where nobody looks at one."""
    if "monitor" not in scheduler:
        return itertools.repeat(())
    if isinstance(metric, list):
        return zip(itertools.chain(metric, itertools.repeat(metric[-1])))
    rising = MONITORS[scheduler["monitor"]] == "max"
    if metric == "never improves":
        return itertools.repeat((0.0,))
    absolute = [
        plateau.get("threshold", 1e-4) for plateau in _plateaus(scheduler) if plateau.get("threshold_mode") == "abs"
    ]
    if absolute:
        apart = (1.0 if rising else -1.0) * (1 + 2 * max(absolute))
        return zip(itertools.count(0.0, apart))
    # Below 0 a share of the best is a bound on the easy side: whatever moves the right way is better.
    return zip(-1 / number if rising else -float(number) for number in itertools.count(1))


def _plateaus(scheduler: dict) -> list[dict]:
    if scheduler["name"] == "ReduceLROnPlateau":
        return [scheduler]
    return [found for child in scheduler.get("schedulers", []) for found in _plateaus(child)]


@contextmanager
def _without_compiler():
    """Build optimizers within this without torch._dynamo, whose import takes longer than all the rest of a preview.

    torch imports it with the first Optimizer, to keep torch.compile away from add_param_group, unless it finds this
    attribute. It is torch's own and may go: then the import is back, and nothing else changes.
    """
    plain = inspect.unwrap(Optimizer.add_param_group)
    if hasattr(plain, "__dynamo_disable"):
        yield
        return
    plain.__dynamo_disable = plain
    try:
        yield
    finally:
        del plain.__dynamo_disable
