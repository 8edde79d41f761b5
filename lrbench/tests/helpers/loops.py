"""A real training loop of torch in small, which does wrong what users do wrong when told; it keeps a trial's record."""

import warnings
from collections.abc import Callable, Sequence
from typing import Literal

import torch

from lrbench.tests.helpers.stepping import build, optimizer_of, wants_metric


def train(
    table: dict,
    *,
    interval: Literal["epoch", "step"] = "epoch",
    epochs: int = 6,
    steps_per_epoch: int = 4,
    base_lrs: Sequence[float] = (0.1,),
    warmup: Callable[[int], float] = lambda step: 1.0,
    metric: Callable[[int], float] = lambda call: 1.0,
    overflows: Sequence[int] = (),
    pace: int = 1,
    before: bool = False,
    at: Literal["planned", "every step", "every epoch", "never"] = "planned",
    held_back: bool = True,
    other_optimizer: bool = False,
) -> dict:
    """Train one weight for each group by SGD; return what lrbench.lr_plan.judge asks for, but for the table.

    Steps in `overflows` have an infinite gradient, which the GradScaler skips. Rightly stepped, the scheduler moves
    once at each of its intervals, after the optimizer and, if that is a step, not where one was skipped. Faults: `pace`
    times as often, `before` the optimizer, `at` other places, not `held_back` at a skipped step, on another optimizer.
    """
    optimizer = optimizer_of(base_lrs)
    scheduler = build(table, optimizer_of(base_lrs) if other_optimizer else optimizer)
    scaler = torch.amp.GradScaler("cpu")
    applied: list[list[float]] = [[] for _ in base_lrs]
    multipliers: list[float] = []
    calls: list[int] = []
    metrics: list[float] = []

    def record(optimizer, *_):
        for rates, group in zip(applied, optimizer.param_groups, strict=True):
            rates.append(float(group["lr"]))

    optimizer.register_step_pre_hook(record)
    place = {"planned": interval, "every step": "step", "every epoch": "epoch", "never": "never"}[at]
    planned_calls = 0

    def move() -> None:
        nonlocal planned_calls
        for _ in range(pace):
            calls.append(len(applied[0]))
            if wants_metric(table):
                metrics.append(metric(planned_calls))
            scheduler.step(*([metrics[-1]] if wants_metric(table) else []))
        planned_calls += 1

    with warnings.catch_warnings():  # torch remarks on the faults, too
        warnings.filterwarnings("ignore", message=r"Detected call of `lr_scheduler\.step\(\)` before")
        for number in range(epochs * steps_per_epoch):
            if before and (place == "step" or (place == "epoch" and number % steps_per_epoch == 0)):
                move()
            slope = torch.inf if number in overflows else 1.0
            loss = sum((group["params"][0] * slope).sum() for group in optimizer.param_groups)
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scheduled = [group["lr"] for group in optimizer.param_groups]
            factor = warmup(len(applied[0]))
            for group, rate in zip(optimizer.param_groups, scheduled, strict=True):
                group["lr"] = rate * factor
            done = len(applied[0])
            scaler.step(optimizer)
            scaler.update()
            for group, rate in zip(optimizer.param_groups, scheduled, strict=True):
                group["lr"] = rate
            if len(applied[0]) > done:
                multipliers.append(factor)
            ended = (number + 1) % steps_per_epoch == 0
            moves = place == "step" and (len(applied[0]) > done or not held_back)
            if not before and (moves or (place == "epoch" and ended)):
                move()
    return {
        "applied": applied,
        "interval": interval,
        "base_lrs": list(base_lrs),
        "steps_per_epoch": steps_per_epoch,
        "num_steps": epochs * steps_per_epoch,
        "scheduler_steps": calls,
        "multipliers": multipliers,
        "metrics": metrics,
    }
