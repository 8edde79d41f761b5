"""The warm-up of a trial: how many optimizer steps it takes, and its multiplier at each of them. No torch here.

The formulas are those of `lrbench.schedules`, where each kind has its own. What this does *not* do: ask an optimizer
for its beta2, or change a rate (`lrbench.trial.optim` and `lrbench.trial.loop` do).
"""

import math
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Literal

from lrbench import schedules
from lrbench.levels import Warmup
from lrbench.shares import half_up


def num_warmup_steps(warmup: Warmup | Literal["off"], num_steps: int, beta2: float = math.nan) -> int:
    """Return the number of warm-up steps: `steps`, or `fraction` of num_steps rounded half up and at least 1.

    untuned_linear alone looks at beta2: 2 / (1 - beta2) steps. The exponential kinds near 1 without end, and count as
    every step of the trial.

    >>> num_warmup_steps(Warmup(kind="linear", fraction=0.25), 10)
    3
    """
    if warmup == "off":
        return 0
    if warmup.kind == "untuned_linear":
        return math.ceil(2 / (1 - beta2))
    return num_steps if warmup.kind in ("exponential", "untuned_exponential") else _given_length(warmup, num_steps)


def _given_length(warmup: Warmup, num_steps: int) -> int:
    if warmup.steps is not None:
        return warmup.steps
    return max(1, half_up(Fraction(str(warmup.fraction)) * num_steps))


def multiplier(warmup: Warmup | Literal["off"], num_steps: int, beta2: float = math.nan) -> Callable[[int], float]:
    """Return w: the multiplier w(step) on the scheduled rate at each 0-based optimizer step.

    >>> w = multiplier(Warmup(kind="untuned_linear"), 100, beta2=0.75)
    >>> [w(step) for step in range(8)]
    [0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0]
    """
    if warmup == "off":
        return lambda step: 1.0
    if warmup.kind == "untuned_linear":
        return partial(schedules.untuned_linear_warmup, beta2=beta2)
    if warmup.kind == "untuned_exponential":
        return partial(schedules.untuned_exponential_warmup, beta2=beta2)
    length = _given_length(warmup, num_steps)
    if warmup.kind == "constant":
        return partial(schedules.constant_warmup, num_steps=length, factor=warmup.factor)
    kinds = {"linear": schedules.linear_warmup, "exponential": schedules.exponential_warmup}
    return partial(kinds[warmup.kind], num_steps=length)
