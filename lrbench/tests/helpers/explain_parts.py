"""What the tests of explain share."""

import warnings

import pytest
import torch
from torch.optim import SGD


def sgd(lr: float = 1.0, **named) -> SGD:
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, **named)


def rate(scheduler) -> float:
    return scheduler.optimizer.param_groups[0]["lr"]


def course(scheduler, num_steps: int, metrics=()) -> list[float]:
    """The rates applied at so many optimizer steps, each followed by one of the scheduler."""
    applied = []
    for step in range(num_steps):
        applied.append(rate(scheduler))
        scheduler.optimizer.step()
        scheduler.step(*metrics[step : step + 1])
    return applied


def same(found: list[float], expected: list[float]) -> bool:
    return found == pytest.approx(expected, rel=1e-9, abs=1e-12)


def said_by(action) -> str:
    """What torch warns of while `action` runs, in one text."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        action()
    return " ".join(str(warning.message) for warning in caught)
