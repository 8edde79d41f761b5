"""Build the optimizer, the scheduler and the warm-up of a trial from their tables.

Classes are torch's own, by name, with torch's own arguments. What a table adds: shares of the budget ("30%"), names of
callables ("module:attr"), and the warm-up, which multiplies the scheduled rate and leaves the scheduler alone. What
this does *not* do: check names and arguments (`lrbench.factors` did), or step anything in training.
"""

import warnings
from collections.abc import Callable
from contextlib import contextmanager
from fractions import Fraction
from typing import Literal

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lrbench.errors import InputError
from lrbench.factors import Warmup
from lrbench.shares import half_up, resolved
from lrbench.trial.workload import load_attribute

_OURS = ("name", "interval", "monitor", "last_epoch")
# torch accepts these and then gives other rates than it says, or stops at a milestone: (outer, inner) -> why.
_REFUSED_NESTING = {
    ("SequentialLR", "SequentialLR"): "torch runs the inner one a step ahead, or stops with NotImplementedError where "
    "it should begin: write one SequentialLR with all the schedulers and all the milestones",
    ("SequentialLR", "ChainedScheduler"): "torch steps the inner schedulers once too often, or stops with "
    "NotImplementedError where they should begin: give SequentialLR plain schedulers",
    ("ChainedScheduler", "SequentialLR"): "at each milestone torch sets the rate anew, and what the schedulers beside "
    "it had multiplied is lost: give ChainedScheduler plain schedulers",
}


def build_optimizer(table: dict, parameters, base_lr: float) -> Optimizer:
    """Return torch.optim.NAME(parameters, lr=base_lr, **arguments). Lists become the tuples that torch expects."""
    arguments = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items() if k != "name"}
    return getattr(torch.optim, table["name"])(parameters, lr=base_lr, **arguments)


def build_scheduler(table: dict, optimizer: Optimizer, budget: int) -> LRScheduler:
    """Return torch.optim.lr_scheduler.NAME(optimizer, **arguments).

    `budget` is how many times the scheduler will be stepped in the whole trial: epochs, or optimizer steps where the
    table's interval is "step". `last_epoch` = k continues: the scheduler stands where k + 1 steps have brought it, as
    it did when epoch k had ended. (torch's own constructor leaves that rate to the optimizer of the checkpoint, and
    decays it once more where k + 1 is a milestone of StepLR or MultiStepLR; SequentialLR starts over.)

    Raises InputError where a named callable is missing or is not callable, and for what torch would accept and get
    wrong in silence.
    """
    scheduler = _build(resolved(table, budget), optimizer)
    with before_training():
        for _ in range(table.get("last_epoch", -1) + 1):
            scheduler.step()
    return scheduler


def _build(table: dict, optimizer: Optimizer) -> LRScheduler:
    name = table["name"]
    arguments = {}
    for key, value in table.items():
        if key in _OURS:
            continue
        if key in ("lr_lambda", "scale_fn"):
            value = [_callable(item) for item in value] if isinstance(value, list) else _callable(value)
        elif key == "schedulers":
            value = [_build_nested(child, name, optimizer) for child in value]
        arguments[key] = value
    if name == "SequentialLR" and arguments["milestones"] != sorted(arguments["milestones"]):
        raise InputError(f"SequentialLR's milestones {arguments['milestones']} do not rise; write them in order")
    if name == "OneCycleLR" and "total_steps" in arguments:
        _check_one_cycle(arguments["total_steps"], arguments)
    cls = getattr(torch.optim.lr_scheduler, name)
    if name == "ChainedScheduler":
        return cls(**arguments, optimizer=optimizer)
    return cls(optimizer, **arguments)


def _check_one_cycle(total_steps: int, arguments: dict) -> None:
    if {"epochs", "steps_per_epoch"} & arguments.keys():
        raise InputError(
            f"OneCycleLR: torch ignores epochs and steps_per_epoch beside total_steps, which is {total_steps} here "
            "(the whole budget unless given): leave the two out"
        )
    pct_start = arguments.get("pct_start", 0.3)
    if pct_start == 1 or pct_start * total_steps == 1:
        raise InputError(
            f"OneCycleLR: pct_start = {pct_start:g} of {total_steps} steps makes the rise all of them, or one, and "
            "torch divides by zero there: give another pct_start"
        )


def _build_nested(table: dict, outer: str, optimizer: Optimizer) -> LRScheduler:
    why = _REFUSED_NESTING.get((outer, table["name"]))
    if why is not None:
        raise InputError(f"{table['name']} inside {outer}: {why}")
    if table.get("last_epoch", -1) != -1:
        raise InputError(f"last_epoch of {table['name']} belongs to {outer}: one clock drives them all")
    return _build(table, optimizer)


@contextmanager
def before_training():
    """Step schedulers within this while no optimizer has stepped; torch warns that the first rates are skipped."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Detected call of `lr_scheduler\.step\(\)` before")
        yield


def _callable(reference: str) -> Callable:
    function = load_attribute(reference)
    if not callable(function):
        raise InputError(f"{reference} is a {type(function).__name__}, not a function of the step")
    return function


def warmup_length(warmup: Warmup | Literal["off"], num_steps: int) -> int:
    """Return the number of warm-up steps: `steps`, or `fraction` of num_steps rounded half up and at least 1."""
    if warmup == "off":
        return 0
    if warmup.steps is not None:
        return warmup.steps
    return max(1, half_up(Fraction(str(warmup.fraction)) * num_steps))


def warmup_factor(warmup: Warmup | Literal["off"], length: int, step: int) -> float:
    """Return the multiplier w(step) on the scheduled rate, for 0-based `step`; see lrbench.factors.Warmup.

    >>> [warmup_factor(Warmup(kind="linear", steps=4), 4, t) for t in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    if step >= length:
        return 1.0
    return (step + 1) / length if warmup.kind == "linear" else warmup.factor
