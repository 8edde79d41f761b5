"""Build the optimizer, the scheduler and the warm-up of a trial from their tables.

Classes are torch's own, by name, with torch's own arguments. What a table adds: shares of the budget ("30%"), names of
callables ("module:attr"), and the warm-up, which multiplies the scheduled rate and leaves the scheduler alone. What
this does *not* do: check names and arguments (`lrbench.levels` did), or step anything in training.
"""

import inspect
import math
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from typing import Literal

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lrbench import schedulers
from lrbench.calls import is_reference, own_schedulers
from lrbench.errors import InputError
from lrbench.levels import Warmup, wrong_groups
from lrbench.plan_warnings import REPLACED, built_as
from lrbench.shares import resolved
from lrbench.trial.workload import load_attribute
from lrbench.warmups import multiplier, num_warmup_steps

_OURS = ("name", "interval", "monitor", "last_epoch")


def build_optimizer(table: dict, parameters, base_lr: float) -> Optimizer:
    """Return torch.optim.NAME(parameters, lr=base_lr, **arguments). Lists become the tuples that torch expects.

    A parameter group may carry `lr_scale`, a multiple of base_lr for itself (layer-wise rates); `lr` is left as it is.
    Raises InputError where a group gives both.
    """
    arguments = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items() if k != "name"}
    groups = [_scaled(group, base_lr) if isinstance(group, dict) else group for group in parameters]
    return getattr(torch.optim, table["name"])(groups, lr=base_lr, **arguments)


def _scaled(group: dict, base_lr: float) -> dict:
    if "lr_scale" not in group:
        return group
    if "lr" in group:
        raise InputError("a parameter group gives lr and lr_scale: keep lr_scale, which follows base_lr, or lr")
    rest = {key: value for key, value in group.items() if key != "lr_scale"}
    return {**rest, "lr": base_lr * group["lr_scale"]}


def build_scheduler(table: dict, optimizer: Optimizer, budget: int) -> LRScheduler:
    """Return torch.optim.lr_scheduler.NAME(optimizer, **arguments).

    `budget` is how many times the scheduler will be stepped in the whole trial: epochs, or optimizer steps where the
    table's interval is "step". `last_epoch` = k continues: the scheduler stands where k + 1 steps have brought it, as
    it did when epoch k had ended. (torch's own constructor leaves that rate to the optimizer of the checkpoint, and
    decays it once more where k + 1 is a milestone of StepLR or MultiStepLR; SequentialLR starts over.)

    Where torch's SequentialLR or ChainedScheduler does otherwise than it documents, and where it refuses what it could
    hold, it is built as lrbench's SequenceLR or ProductLR: see `lrbench.plan_warnings.built_as`.

    Raises InputError where a named callable is missing or of no use, and for what torch would accept and get wrong.
    """
    if wrong := wrong_groups(table, len(optimizer.param_groups)):
        raise InputError(wrong)
    scheduler = _build(resolved(table, budget), optimizer)
    with before_training():
        for _ in range(table.get("last_epoch", -1) + 1):
            scheduler.step()
    return scheduler


def _build(table: dict, optimizer: Optimizer) -> LRScheduler:
    name = built_as(table)
    if is_reference(name):
        return _build_users(table, optimizer)
    arguments = {key: value for key, value in table.items() if key not in _OURS}
    for key in arguments.keys() & {"lr_lambda", "scale_fn"}:
        value = arguments[key]
        arguments[key] = [_callable(item) for item in value] if isinstance(value, list) else _callable(value)
    if "schedulers" in arguments:
        _check_children(table)
        if name in REPLACED:
            arguments["schedulers"] = [_build(child, optimizer) for child in arguments["schedulers"]]
        else:
            arguments["schedulers"] = [partial(_build, child) for child in arguments["schedulers"]]
    if name == "OneCycleLR" and "total_steps" in arguments:
        _check_one_cycle(arguments["total_steps"], arguments)
    if name == "ChainedScheduler":
        return torch.optim.lr_scheduler.ChainedScheduler(**arguments, optimizer=optimizer)
    home = schedulers if name in own_schedulers() else torch.optim.lr_scheduler
    return getattr(home, name)(optimizer, **arguments)


def _check_children(table: dict) -> None:
    for child in table["schedulers"]:
        if child.get("last_epoch", -1) != -1:
            raise InputError(f"last_epoch of {child['name']} belongs to {table['name']}: one clock drives them all")
    milestones = table.get("milestones", [])
    if milestones != sorted(milestones):
        raise InputError(f"{table['name']}'s milestones {milestones} do not rise; write them in order")


def _build_users(table: dict, optimizer: Optimizer) -> LRScheduler:
    """Build the user's own: an LRScheduler class, a factory of the optimizer, or a function of the step.

    A function whose first parameter is called `optimizer` is a factory; any other has to take the step alone, and
    becomes a LambdaLR.
    """
    name = table["name"]
    arguments = {key: value for key, value in table.items() if key not in _OURS}
    found = _callable(name)
    if not _is_class_or_factory(name):
        multiplier = partial(found, **arguments) if arguments else found
        return torch.optim.lr_scheduler.LambdaLR(optimizer, multiplier)
    built = found(optimizer, **arguments)
    wanted = ("step", "state_dict", "load_state_dict")
    if missing := [method for method in wanted if not callable(getattr(built, method, None))]:
        raise InputError(
            f"{name} gives a {type(built).__name__} without {', '.join(missing)}; allowed: an LRScheduler class, "
            "a function of the optimizer that returns one, or a function of the step that returns a multiplier"
        )
    return built


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


@contextmanager
def before_training():
    """Step schedulers within this while no optimizer has stepped; torch warns that the first rates are skipped."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Detected call of `lr_scheduler\.step\(\)` before")
        yield


def in_closed_form(table: dict) -> tuple[dict, Callable[[str], Callable]]:
    """Return the table and the loader of callables that `lrbench.lr_plan.judge` wants for a scheduler's resolved table.

    They are the table under the names of the classes that are built from it (`built_as`) and `load_attribute`, but for
    a user's function of the step, which is a LambdaLR.
    """
    if not is_reference(table["name"]):
        return _as_built(table), load_attribute
    arguments = {key: value for key, value in table.items() if key not in _OURS}
    found = load_attribute(table["name"])
    if _is_class_or_factory(table["name"]):
        return table, load_attribute
    return {"name": "LambdaLR", "lr_lambda": table["name"]}, lambda _: partial(found, **arguments)


def step_functions(table: dict) -> list[str]:
    """Return the user's functions of the step in a scheduler's table, by name; those of its children among them."""
    named = [table["name"]] if is_reference(table["name"]) and not _is_class_or_factory(table["name"]) else []
    for key in ("lr_lambda", "scale_fn"):
        value = table.get(key, [])
        named += [
            item
            for item in (value if isinstance(value, list) else [value])
            if isinstance(item, str) and is_reference(item)
        ]
    return [*named, *(name for child in table.get("schedulers", []) for name in step_functions(child))]


def _is_class_or_factory(reference: str) -> bool:
    """Tell whether the user's own builds a scheduler; any other is a function of the step."""
    found = _callable(reference)
    return inspect.isclass(found) or next(iter(inspect.signature(found).parameters), "") == "optimizer"


def _as_built(table: dict) -> dict:
    children = {"schedulers": [_as_built(child) for child in table["schedulers"]]} if "schedulers" in table else {}
    return {**table, **children, "name": built_as(table)}


def _callable(reference: str) -> Callable:
    function = load_attribute(reference)
    if not callable(function):
        raise InputError(f"{reference} is a {type(function).__name__}, not a function of the step")
    return function


def warmup_length(warmup: Warmup | Literal["off"], num_steps: int, optimizer: Optimizer | None = None) -> int:
    """Return the number of warm-up steps; see `lrbench.warmups`. The untuned kinds follow the optimizer's beta2.

    Raises InputError where an untuned kind gives no beta2 and the optimizer has no betas.
    """
    return num_warmup_steps(warmup, num_steps, _beta2(warmup, optimizer))


def warmup_factors(
    warmup: Warmup | Literal["off"], num_steps: int, optimizer: Optimizer
) -> tuple[int, Callable[[int], float]]:
    """Return (length, w): the number of warm-up steps, and the multiplier w(step) on the scheduled rate, 0-based.

    >>> import torch
    >>> adam = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], betas=(0.9, 0.75))
    >>> length, factor = warmup_factors(Warmup(kind="untuned_linear"), 100, adam)
    >>> length, [factor(step) for step in range(length)]
    (8, [0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0])
    """
    beta2 = _beta2(warmup, optimizer)
    return num_warmup_steps(warmup, num_steps, beta2), multiplier(warmup, num_steps, beta2)


def _beta2(warmup: Warmup | Literal["off"], optimizer: Optimizer | None) -> float:
    """Return the beta2 that an untuned warm-up follows: its own, or else the optimizer's; NaN for the other kinds."""
    if warmup == "off" or not warmup.kind.startswith("untuned"):
        return math.nan
    if warmup.beta2 is not None:
        return warmup.beta2
    betas = optimizer.defaults.get("betas")
    if betas is None:
        raise InputError(
            f'warmup.kind = "{warmup.kind}" follows beta2 of Adam and its kin; {type(optimizer).__name__} has no '
            f'betas: write it out, {{ kind = "{warmup.kind}", beta2 = 0.999 }}, or take an optimizer with betas'
        )
    return float(betas[1])
