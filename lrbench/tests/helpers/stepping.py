"""The schedulers of torch and of lrbench, built from a table and stepped as a training loop does; no training."""

import warnings
from collections.abc import Sequence
from functools import partial

import torch
from torch.optim import SGD, Optimizer, lr_scheduler

import lrbench.schedulers

_ON_SHADOWS = ("SequenceLR", "ProductLR", "PerGroupLR")


def optimizer_of(base_lrs: Sequence[float]) -> Optimizer:
    """An optimizer of one weight for each base rate, in a group of its own."""
    return SGD([{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in base_lrs], lr=1.0)


def build(table: dict, optimizer: Optimizer):
    """The class of that name, of torch or of lrbench, with the arguments of the table; tables inside it too."""
    name = table["name"]
    arguments = {key: value for key, value in table.items() if key not in ("name", "interval", "monitor")}
    if name in _ON_SHADOWS:
        arguments["schedulers"] = [partial(build, child) for child in table["schedulers"]]
        return getattr(lrbench.schedulers, name)(optimizer, **arguments)
    if "schedulers" in table:
        arguments["schedulers"] = [build(child, optimizer) for child in table["schedulers"]]
    if name == "ChainedScheduler":
        return lr_scheduler.ChainedScheduler(**arguments, optimizer=optimizer)
    home = lr_scheduler if hasattr(lr_scheduler, name) else lrbench.schedulers
    return getattr(home, name)(optimizer, **arguments)


def wants_metric(table: dict) -> bool:
    """Whether the scheduler of this table is stepped with a metric."""
    return table["name"] == "ReduceLROnPlateau" or (
        table["name"] in _ON_SHADOWS and any(map(wants_metric, table["schedulers"]))
    )


def stepped(table: dict, base_lrs: Sequence[float], num_steps: int, metrics: Sequence[float] = ()) -> list[list[float]]:
    """The rates in the optimizer after t = 0 … num_steps - 1 steps of the scheduler; shape (groups, num_steps)."""
    optimizer = optimizer_of(base_lrs)
    with warnings.catch_warnings():  # no optimizer steps here, and torch is right to remark on it
        warnings.filterwarnings("ignore", message=r"Detected call of `lr_scheduler\.step\(\)` before")
        scheduler = build(table, optimizer)
        seen = [[group["lr"] for group in optimizer.param_groups]]
        for step in range(num_steps - 1):
            scheduler.step(*([metrics[step]] if wants_metric(table) else []))
            seen.append([group["lr"] for group in optimizer.param_groups])
    return [list(rates) for rates in zip(*seen, strict=True)]


def largest_error(found: list[list[float]], wanted: list[list[float]]) -> float:
    """|found - wanted| / |wanted| at its largest; below a thousandth of a group's largest rate, by that thousandth."""
    worst = 0.0
    for rates, right in zip(found, wanted, strict=True):
        least = max(map(abs, right)) / 1000
        for a, b in zip(rates, right, strict=True):
            worst = max(worst, abs(a - b) / max(abs(b), least) if a != b else 0.0)
    return worst
