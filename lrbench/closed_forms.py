"""The rate after t scheduler steps as each class's documentation states it, in closed form. No torch here.

Written by hand from torch's documentation and from the papers, and apart from torch's code, which goes from rate to
rate; property tests hold the two together. SequentialLR and ChainedScheduler mean what their documentation says: each
scheduler starts at its own step 0 at its milestone, and multipliers multiply. Where the installed torch does something
else, `lrbench.plan_warnings.departures` says so. What this does *not* do: check names and arguments (`lrbench.levels`
did), step anything, or follow momentum: an argument that moves momentum alone is accepted and has no effect here.
"""

import math
from collections.abc import Callable, Sequence
from functools import reduce
from importlib import import_module
from typing import Any

from lrbench.errors import InputError

_NOT_ARGUMENTS = ("name", "interval", "monitor", "last_epoch")
_CALLABLES = ("lr_lambda", "scale_fn")
PER_GROUP = ("lr_lambda", "min_lr", "max_lr", "base_lr", "base_momentum", "max_momentum")
SEQUENCES = ("SequentialLR", "SequenceLR")
PRODUCTS = ("ChainedScheduler", "ProductLR")
COMPOSITIONS = (*SEQUENCES, *PRODUCTS, "PerGroupLR")


class NoClosedForm(Exception):
    """The rates of this scheduler cannot be known without running it: it is a user's own class."""


def load(reference: str) -> Callable:
    """Import "module:attr" and return the attribute; dots in `attr` go deeper."""
    module, _, attribute = reference.partition(":")
    return reduce(getattr, attribute.split("."), import_module(module))


def rates(
    table: dict,
    *,
    base_lrs: list[float],
    num_steps: int,
    metrics: Sequence[float] = (),
    call: Callable[[str], Callable] = load,
) -> list[list[float]]:
    """Return the rate in force after t scheduler steps, t = 0 … num_steps - 1; shape (groups, num_steps).

    `table` holds counts, no shares (`lrbench.shares.resolved`); `base_lrs` has the optimizer's lr of each group.
    `metrics[j]` is what scheduler step j + 1 was given: the rate after t steps knows metrics[:t], and a
    ReduceLROnPlateau needs num_steps - 1 of them. `last_epoch` = k begins after k + 1 steps. `call` turns "module:attr"
    into the function; a callable in the table is used as it is. Raises NoClosedForm for a user's class, InputError for
    a list that has not one entry for each group, for metrics that run out, past the end of OneCycleLR, and for
    multiples of a base rate of 0.

    >>> rates({"name": "StepLR", "step_size": 2, "gamma": 0.5}, base_lrs=[1.0, 8.0], num_steps=5)
    [[1.0, 1.0, 0.5, 0.5, 0.25], [8.0, 8.0, 4.0, 4.0, 2.0]]
    """
    groups = len(base_lrs)
    return [_course(table, lr, num_steps, metrics, (i, groups), call) for i, lr in enumerate(base_lrs)]


def _course(
    table: dict, lr: float, num_steps: int, metrics: Sequence[float], group: tuple[int, int], call: Callable
) -> list[float]:
    """Return one group's rates; `group` is its place and how many there are."""
    name, begun = table["name"], table.get("last_epoch", -1) + 1
    if begun and any(part["name"] == "ReduceLROnPlateau" for part in parts(table)):
        raise NoClosedForm(f"{name}(last_epoch={begun - 1}): the metrics before that step are not known")
    length = num_steps + begun
    if name in SEQUENCES:
        course = _sequence(table, lr, length, metrics, group, call)
    elif name in PRODUCTS:
        course, *others = (_course(child, lr, length, metrics, group, call) for child in table["schedulers"])
        if others and lr == 0:
            raise InputError(f"{name}: a base rate of 0 has no multiples")
        for other in others:
            course = [rate * (own / lr) for rate, own in zip(course, other, strict=True)]
    elif name == "PerGroupLR":
        _check_length("schedulers", table["schedulers"], group[1])
        course = _course(table["schedulers"][group[0]], lr, length, metrics, (0, 1), call)
    elif name in FORMS:
        arguments = {k: _argument(k, v, group, call) for k, v in table.items() if k not in _NOT_ARGUMENTS}
        if name == "ReduceLROnPlateau":
            arguments["metrics"] = metrics
        course = FORMS[name](lr, length, **arguments)
    else:
        raise NoClosedForm(f"{name} has no closed form here: its rates are known only by running it")
    return course[begun:]


def _sequence(table: dict, lr: float, length: int, metrics: Sequence[float], group, call) -> list[float]:
    """Scheduler i from its own step 0 and the base rate at milestones[i - 1] on; it sees metrics from there on."""
    milestones = table["milestones"]
    course: list[float] = []
    for child, begin, end in zip(table["schedulers"], [0, *milestones], [*milestones, length], strict=True):
        active = max(0, min(end, length) - begin)
        course += _course(child, lr, active, metrics[begin:], group, call) if active else []
    return course


def _argument(key: str, value: Any, group: tuple[int, int], call: Callable) -> Any:
    if key in PER_GROUP and isinstance(value, list | tuple):
        _check_length(key, value, group[1])
        value = value[group[0]]
    return call(value) if key in _CALLABLES and isinstance(value, str) else value


def _check_length(key: str, value: Sequence, groups: int) -> None:
    if len(value) != groups:
        raise InputError(f"{key} has {len(value)} entries for {groups} parameter groups; give one for each group")


def parts(table: dict) -> list[dict]:
    """Return the table itself and every table inside it."""
    return [table, *(part for child in table.get("schedulers", []) for part in parts(child))]


def num_groups(scheduler: dict) -> int:
    """Return how many parameter groups a scheduler's arguments speak of.

    >>> num_groups({"name": "LambdaLR", "lr_lambda": ["m:a", "m:b"]}), num_groups({"name": "StepLR", "step_size": 3})
    (2, 1)
    """
    lengths = [len(scheduler[key]) for key in PER_GROUP if isinstance(scheduler.get(key), list)]
    children = scheduler.get("schedulers", [])
    if scheduler["name"] == "PerGroupLR":  # each of its children sees one group alone
        return max(1, len(children))
    return max([1, *lengths, *map(num_groups, children)])


# ------------------------------------------------------------------------------ torch's classes: one group, t = 0 … n-1
# Names and defaults of the arguments are those of torch's documentation.


def _lambda(lr: float, n: int, *, lr_lambda: Callable) -> list[float]:
    """lr · λ(t)"""
    return [lr * lr_lambda(t) for t in range(n)]


def _multiplicative(lr: float, n: int, *, lr_lambda: Callable) -> list[float]:
    """lr · λ(1) · λ(2) ⋯ λ(t): λ(0) is never asked for."""
    course = [lr]
    for t in range(1, n):
        course.append(course[-1] * lr_lambda(t))
    return course[:n]


def _step(lr: float, n: int, *, step_size: int, gamma: float = 0.1) -> list[float]:
    """lr · γ^⌊t / step_size⌋"""
    return [lr * _power(gamma, t // step_size) for t in range(n)]


def _multi_step(lr: float, n: int, *, milestones: Sequence[int], gamma: float = 0.1) -> list[float]:
    """lr · γ^(number of milestones ≤ t); a milestone given twice counts twice."""
    return [lr * _power(gamma, sum(milestone <= t for milestone in milestones)) for t in range(n)]


def _constant(lr: float, n: int, *, factor: float = 1 / 3, total_iters: int = 5) -> list[float]:
    """lr · factor while t < total_iters, then lr"""
    return [lr * factor if t < total_iters else lr for t in range(n)]


def _linear(
    lr: float, n: int, *, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
) -> list[float]:
    """lr · (start + (end - start) · t / total_iters), then lr · end"""
    return [lr * _between(start_factor, end_factor, _share(t, total_iters)) for t in range(n)]


def _exponential(lr: float, n: int, *, gamma: float) -> list[float]:
    """lr · γ^t"""
    return [lr * _power(gamma, t) for t in range(n)]


def _polynomial(lr: float, n: int, *, total_iters: int = 5, power: float = 1.0) -> list[float]:
    """lr · (1 - t / total_iters)^power, then its last value: 0, or lr where power is 0"""
    return [lr * (1 - _share(t, total_iters)) ** power for t in range(n)]


def _cosine(lr: float, n: int, *, T_max: int, eta_min: float = 0.0) -> list[float]:
    """η_min + (lr - η_min) · (1 + cos(π t / T_max)) / 2, which climbs again past T_max"""
    return [_between(eta_min, lr, _half_wave(t / T_max)) for t in range(n)]


def _warm_restarts(lr: float, n: int, *, T_0: int, T_mult: int = 1, eta_min: float = 0.0) -> list[float]:
    """The same cosine over cycles of T_0, T_0 · T_mult, T_0 · T_mult², … steps; each begins at lr."""
    course: list[float] = []
    length = T_0
    while len(course) < n:
        course += [_between(eta_min, lr, _half_wave(t / length)) for t in range(min(length, n - len(course)))]
        length *= T_mult
    return course


def _cyclic(
    lr: float,
    n: int,
    *,
    base_lr: float,
    max_lr: float,
    step_size_up: int = 2000,
    step_size_down: int | None = None,
    mode: str = "triangular",
    gamma: float = 1.0,
    scale_fn: Callable | None = None,
    scale_mode: str = "cycle",
    cycle_momentum: bool = True,
    base_momentum: float = 0.8,
    max_momentum: float = 0.9,
) -> list[float]:
    """base_lr + (max_lr - base_lr) · height · scale (Smith, arXiv 1506.01186); the optimizer's lr plays no part.

    height is 0 → 1 → 0 in straight lines over each cycle; scale is 1, 1 / 2^(cycle - 1) or γ^t by `mode`, unless
    scale_fn is given, of the cycle (1, 2, …) or of t by `scale_mode`.
    """
    down = step_size_up if step_size_down is None else step_size_down
    course = []
    for t in range(n):
        cycle, place = divmod(t, step_size_up + down)
        height = place / step_size_up if place <= step_size_up else (step_size_up + down - place) / down
        if scale_fn is not None:
            scale = scale_fn(cycle + 1 if scale_mode == "cycle" else t)
        elif mode == "exp_range":
            scale = _power(gamma, t)
        else:
            scale = 0.5**cycle if mode == "triangular2" else 1.0
        course.append(base_lr + (max_lr - base_lr) * height * scale)
    return course


def _one_cycle(
    lr: float,
    n: int,
    *,
    max_lr: float,
    total_steps: int | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    pct_start: float = 0.3,
    anneal_strategy: str = "cos",
    cycle_momentum: bool = True,
    base_momentum: float = 0.85,
    max_momentum: float = 0.95,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    three_phase: bool = False,
) -> list[float]:
    """From max_lr / div_factor up to max_lr and down to the first rate / final_div_factor (Smith, arXiv 1708.07120).

    The top is at step pct_start · total - 1, the end at total - 1; with three phases the first rate is reached again at
    2 · pct_start · total - 2. Straight lines, or half waves of a cosine. torch lets one step go past the end, along the
    last phase's formula, and raises at the next. The optimizer's lr plays no part.
    """
    total = total_steps if total_steps is not None else epochs * steps_per_epoch
    if n > total + 1:
        raise InputError(f"OneCycleLR of {total} steps is asked for its rate after {n - 1}: torch raises there")
    first, top = max_lr / div_factor, pct_start * total - 1
    corners = [(0.0, first), (top, max_lr), (total - 1.0, first / final_div_factor)]
    if three_phase:
        corners.insert(2, (2 * top, first))
    course = []
    for t in range(n):
        ends = next((i for i in range(1, len(corners)) if t <= corners[i][0]), len(corners) - 1)
        (begin, high), (end, low) = corners[ends - 1], corners[ends]
        if begin == end:
            raise InputError(f"OneCycleLR(pct_start={pct_start}) has a phase of no length: torch divides by zero there")
        share = (t - begin) / (end - begin)
        course.append(_between(low, high, _half_wave(share) if anneal_strategy == "cos" else 1 - share))
    return course


def plateau_cuts(
    metrics: Sequence[float],
    *,
    mode: str = "min",
    patience: int = 10,
    threshold: float = 1e-4,
    threshold_mode: str = "rel",
    cooldown: int = 0,
) -> list[int]:
    """Return the calls of step(metric), counted from 1, at which ReduceLROnPlateau cuts the rate.

    A call is good where its metric is better than the best so far by more than the threshold; the best is infinitely
    bad at first. NaN is never good. After more than `patience` bad calls in a row the rate is cut, and the next
    `cooldown` calls count as neither.

    >>> plateau_cuts([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], patience=2), plateau_cuts([1.0, 0.9, 0.8, 0.7], patience=0)
    ([4, 7], [])
    """
    sign = 1 if mode == "min" else -1
    best, bad, resting, cuts = sign * math.inf, 0, 0, []
    for number, metric in enumerate(metrics, start=1):
        bar = best * (1 - sign * threshold) if threshold_mode == "rel" else best - sign * threshold
        good = metric < bar if mode == "min" else metric > bar
        best = metric if good else best
        bad = 0 if good or resting else bad + 1
        resting = max(0, resting - 1)
        if bad > patience:
            cuts.append(number)
            bad, resting = 0, cooldown
    return cuts


def _plateau(
    lr: float,
    n: int,
    *,
    metrics: Sequence[float],
    factor: float = 0.1,
    min_lr: float = 0,
    eps: float = 1e-8,
    **counting: Any,
) -> list[float]:
    """lr · factor^(cuts so far), not below min_lr; a cut that would lower the rate by eps or less is left out."""
    if len(metrics) < n - 1:
        raise InputError(f"ReduceLROnPlateau over {n} rates needs {n - 1} metrics, found {len(metrics)}")
    cuts = set(plateau_cuts(metrics[: max(0, n - 1)], **counting))
    course = []
    for t in range(n):
        lowered = max(lr * factor, min_lr)
        if t in cuts and lr - lowered > eps:
            lr = lowered
        course.append(lr)
    return course


# ---------------------------------------------------------------------------------------------------- lrbench's classes


def _warmup_stable_decay(
    lr: float, n: int, *, total_steps: int, decay_steps: int, decay: str = "1-sqrt", min_factor: float = 0.0
) -> list[float]:
    """lr until total_steps - decay_steps, then down to lr · min_factor (arXiv 2404.06395, 2405.18392)"""
    shape = {"linear": lambda x: 1 - x, "cosine": _half_wave, "1-sqrt": lambda x: 1 - math.sqrt(x)}[decay]
    begin = total_steps - decay_steps
    return [lr * _between(min_factor, 1.0, shape(_share(max(0, t - begin), decay_steps))) for t in range(n)]


def _inverse_sqrt(lr: float, n: int, *, timescale: int = 1) -> list[float]:
    """lr · √(timescale / (timescale + t)) (arXiv 1706.03762, without its warm-up)"""
    return [lr * math.sqrt(timescale / (timescale + t)) for t in range(n)]


def _cosine_decay(lr: float, n: int, *, total_steps: int, min_factor: float = 0.0) -> list[float]:
    """lr · (m + (1 - m) · (1 + cos(π t / total)) / 2), then lr · m (arXiv 1608.03983, without restarts)"""
    return [lr * _between(min_factor, 1.0, _half_wave(_share(t, total_steps))) for t in range(n)]


def _linear_decay(lr: float, n: int, *, total_steps: int, min_factor: float = 0.0) -> list[float]:
    """lr · (1 - (1 - m) · t / total), then lr · m"""
    return [lr * _between(1.0, min_factor, _share(t, total_steps)) for t in range(n)]


def _rex(lr: float, n: int, *, total_steps: int, min_factor: float = 0.0) -> list[float]:
    """With r = 1 - t / total left: r / (1/2 + r/2) = 2r / (1 + r) (arXiv 2107.04197), from lr to lr · m"""
    left = (1 - _share(t, total_steps) for t in range(n))
    return [lr * _between(min_factor, 1.0, 2 * r / (1 + r)) for r in left]


def _tanh_decay(
    lr: float, n: int, *, total_steps: int, lower: float = -6.0, upper: float = 3.0, min_factor: float = 0.0
) -> list[float]:
    """(1 - tanh(lower + (upper - lower) · t / total)) / 2 (arXiv 1806.01593): neither quite lr nor quite lr · m"""
    heights = (1 - math.tanh(_between(lower, upper, _share(t, total_steps))) for t in range(n))
    return [lr * _between(min_factor, 1.0, height / 2) for height in heights]


# -------------------------------------------------------------------------------------------------------------- helpers


def _share(t: int, total: int) -> float:
    """The share of the way that is gone, at most 1; no way at all is gone at once."""
    return min(t, total) / total if total else 1.0


def _between(start: float, end: float, share: float) -> float:
    return start + (end - start) * share


def _half_wave(share: float) -> float:
    """1 at share 0, 0 at share 1, and back along the same cosine beyond."""
    return (1 + math.cos(math.pi * share)) / 2


def _power(base: float, exponent: int) -> float:
    """base^exponent, infinite where it is too large for a float, as products are."""
    try:
        return base**exponent
    except OverflowError:
        return math.inf if base > 0 or exponent % 2 == 0 else -math.inf


# class → its form: (base rate of one group, n, the class's arguments) → n rates
FORMS: dict[str, Callable[..., list[float]]] = {
    "LambdaLR": _lambda,
    "MultiplicativeLR": _multiplicative,
    "StepLR": _step,
    "MultiStepLR": _multi_step,
    "ConstantLR": _constant,
    "LinearLR": _linear,
    "ExponentialLR": _exponential,
    "PolynomialLR": _polynomial,
    "CosineAnnealingLR": _cosine,
    "CosineAnnealingWarmRestarts": _warm_restarts,
    "CyclicLR": _cyclic,
    "OneCycleLR": _one_cycle,
    "ReduceLROnPlateau": _plateau,
    "WarmupStableDecayLR": _warmup_stable_decay,
    "InverseSqrtLR": _inverse_sqrt,
    "CosineDecayLR": _cosine_decay,
    "LinearDecayLR": _linear_decay,
    "REXLR": _rex,
    "TanhDecayLR": _tanh_decay,
}
