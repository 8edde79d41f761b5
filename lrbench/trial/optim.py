"""Build the optimizer, the scheduler and the warm-up of a trial from their tables.

Classes are torch's own, by name, with torch's own arguments. What a table adds: shares of the budget ("30%"), names of
callables ("module:attr"), and the warm-up, which multiplies the scheduled rate and leaves the scheduler alone.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lrbench.calls import STEP_COUNTS, Positive
from lrbench.errors import InputError
from lrbench.factors import Warmup
from lrbench.trial.workload import load_attribute

_OURS = ("name", "interval", "monitor")


def build_optimizer(table: dict, parameters, base_lr: float) -> Optimizer:
    """Return torch.optim.NAME(parameters, lr=base_lr, **arguments). Lists become the tuples that torch expects."""
    arguments = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items() if k != "name"}
    return getattr(torch.optim, table["name"])(parameters, lr=base_lr, **arguments)


def resolve_share(value: int | str, budget: int, least: int) -> int:
    """Return a count of scheduler steps: a whole number as it is, "30%" of the budget rounded half up.

    >>> resolve_share("30%", 100, 1), resolve_share("25%", 10, 1), resolve_share("1%", 8, 1), resolve_share(7, 5, 1)
    (30, 3, 1, 7)
    """
    if isinstance(value, str):
        return max(least, math.floor(float(value.removesuffix("%")) / 100 * budget + 0.5))
    return value


def build_scheduler(table: dict, optimizer: Optimizer, budget: int) -> LRScheduler:
    """Return torch.optim.lr_scheduler.NAME(optimizer, **arguments).

    `budget` is how many times the scheduler will be stepped in the whole trial: epochs, or optimizer steps where the
    table's interval is "step". Raises InputError where a named callable is missing or is not callable.
    """
    name = table["name"]
    arguments = {}
    for key, value in table.items():
        if key in _OURS:
            continue
        if key in STEP_COUNTS:
            least = 1 if STEP_COUNTS[key] is Positive else 0
            each = [resolve_share(item, budget, least) for item in (value if isinstance(value, list) else [value])]
            value = each if isinstance(value, list) else each[0]
        elif key in ("lr_lambda", "scale_fn"):
            value = [_callable(item) for item in value] if isinstance(value, list) else _callable(value)
        elif key == "schedulers":
            value = [build_scheduler(child, optimizer, budget) for child in value]
        arguments[key] = value
    cls = getattr(torch.optim.lr_scheduler, name)
    if name == "ChainedScheduler":
        return cls(**arguments, optimizer=optimizer)
    return cls(optimizer, **arguments)


def _callable(reference: str) -> Callable:
    function = load_attribute(reference)
    if not callable(function):
        raise InputError(f"{reference} is a {type(function).__name__}, not a function of the step")
    return function


def warmup_length(warmup: Warmup | Literal["off"], num_steps: int) -> int:
    """Return the number of warm-up steps: 0 for "off", `steps`, or `fraction` of num_steps rounded half up, at least 1."""
    if warmup == "off":
        return 0
    if warmup.steps is not None:
        return warmup.steps
    return max(1, math.floor(warmup.fraction * num_steps + 0.5))


def warmup_factor(warmup: Warmup | Literal["off"], length: int, step: int) -> float:
    """Return the multiplier w(step) on the scheduled rate, for 0-based `step`; see lrbench.factors.Warmup.

    >>> [warmup_factor(Warmup(kind="linear", steps=4), 4, t) for t in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    if step >= length:
        return 1.0
    return (step + 1) / length if warmup.kind == "linear" else warmup.factor
