"""Schedulers stepped as a user's loop steps them, without a model: what rate does each optimizer step get?

torch is imported when a function is called. Classes are torch's own, or lrbench.schedulers' own, built from the tables
of lrbench.claims.examples; what is recorded is what the optimizer had when it stepped. What this does *not* do: train,
or judge.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module

from lrbench.claims.examples import BASE_LR, METRICS

_REFERENCES = ("lr_lambda", "scale_fn")
_BY_FACTORIES = ("SequenceLR", "ProductLR", "PerGroupLR")  # lrbench's own; what they hold may want a metric
_TAKES_METRIC = ("ReduceLROnPlateau", *_BY_FACTORIES)


def new_optimizer(base_lrs: Sequence[float] = (BASE_LR,)):
    """Return SGD over one parameter for each base rate, each in a group of its own; its gradients are zero."""
    import torch

    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in base_lrs]
    for group in groups:
        group["params"][0].grad = torch.zeros(1)
    return torch.optim.SGD(groups, lr=BASE_LR)


def scheduler_class(name: str) -> type:
    """Return the class of that name: torch.optim.lr_scheduler's, or else lrbench.schedulers'."""
    from torch.optim import lr_scheduler

    return getattr(lr_scheduler, name, None) or getattr(import_module("lrbench.schedulers"), name)


def built(table: dict, optimizer, **more):
    """Return the scheduler of a table on that optimizer; `more` are further arguments, such as last_epoch."""
    arguments = {**table, **more}
    name = arguments.pop("name")
    for key in set(_REFERENCES) & arguments.keys():
        value = arguments[key]
        arguments[key] = [named(item) for item in value] if isinstance(value, list) else named(value)
    if name in _BY_FACTORIES:
        arguments["schedulers"] = [partial(built, child) for child in table["schedulers"]]
    elif "schedulers" in arguments:
        arguments["schedulers"] = [built(child, optimizer) for child in table["schedulers"]]
    if name == "ChainedScheduler":
        return scheduler_class(name)(**arguments, optimizer=optimizer)
    return scheduler_class(name)(optimizer, **arguments)


def named(reference: str) -> Callable:
    """Return the function that "module:attr" names."""
    module, _, attribute = reference.partition(":")
    return getattr(import_module(module), attribute)


def takes_metric(scheduler) -> bool:
    """Return whether a scheduler's step takes a metric."""
    return type(scheduler).__name__ in _TAKES_METRIC


def drive(scheduler, optimizer, num_steps: int, metrics: Sequence[float] = METRICS) -> list[list[float]]:
    """Take so many optimizer steps, each followed by a scheduler step; return the rates applied, (groups, num_steps).

    `metrics[t]` is shown to a scheduler that takes one after step t; beyond its end its last value.
    """
    applied: list[list[float]] = [[] for _ in optimizer.param_groups]

    def record(optimizer, *_):
        for rates, group in zip(applied, optimizer.param_groups, strict=True):
            rates.append(float(group["lr"]))

    hook = optimizer.register_step_pre_hook(record)
    for step in range(num_steps):
        optimizer.step()
        scheduler.step(*([metrics[min(step, len(metrics) - 1)]] if takes_metric(scheduler) else []))
    hook.remove()
    return applied


def course(
    table: dict, num_steps: int, base_lrs: Sequence[float] = (BASE_LR,), metrics: Sequence[float] = METRICS
) -> list[list[float]]:
    """Return the rates that a scheduler's table gives over so many steps, shape (groups, num_steps)."""
    optimizer = new_optimizer(base_lrs)
    return drive(built(table, optimizer), optimizer, num_steps, metrics)


@contextmanager
def quiet() -> Iterator[None]:
    """Leave torch's warnings unsaid within this: a claim does wrong things on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def relative_error(found: float, wanted: float, scale: float) -> float:
    """Return |found - wanted| / |wanted|, or over `scale` where the wanted value is 0.

    >>> relative_error(0.11, 0.1, 1.0) < 0.1001, relative_error(0.0, 0.0, 0.1), relative_error(1e-18, 0.0, 0.1)
    (True, 0.0, 1e-17)
    """
    if found == wanted:
        return 0.0
    return abs(found - wanted) / (abs(wanted) or abs(scale))


def same(found: Sequence[float], wanted: Sequence[float], tolerance: float = 1e-9) -> bool:
    """Return whether two courses of equal length agree to within `tolerance`, relative, at every step."""
    assert len(found) == len(wanted)
    scale = max((abs(rate) for rate in wanted), default=1.0) or 1.0
    return all(relative_error(a, b, scale) <= tolerance for a, b in zip(found, wanted, strict=True))


def first_difference(found: Sequence[float], wanted: Sequence[float], tolerance: float = 1e-9) -> int:
    """Return the first step at which two courses differ by more than `tolerance`, relative; -1 where none does."""
    scale = max((abs(rate) for rate in wanted), default=1.0) or 1.0
    pairs = enumerate(zip(found, wanted, strict=True))
    return next((step for step, (a, b) in pairs if relative_error(a, b, scale) > tolerance), -1)
