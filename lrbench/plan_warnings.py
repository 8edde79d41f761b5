"""What is odd about a planned schedule, in sentences: for previews, and beside verdicts. No torch here.

`warnings_on` looks at the rates that are planned, `departures` at the table: where the installed torch is known to do
otherwise than it documents. What this does *not* do: refuse anything, or look at what was applied (`lrbench.lr_plan`).
"""

from collections.abc import Iterator
from itertools import pairwise

from lrbench.closed_forms import parts

# These write their own rate over what they find.
_OVERWRITING = {
    "LambdaLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "OneCycleLR",
    "WarmupStableDecayLR",
    "InverseSqrtLR",
    "CosineDecayLR",
    "LinearDecayLR",
    "REXLR",
    "TanhDecayLR",
}


def warnings_on(rates: list[list[float]], table: dict, warmup_steps: int) -> tuple[str, ...]:
    """Return what is odd about a plan, in sentences; none of it is an error.

    `rates` has the shape (groups, steps): the rate at each step, with the warm-up in the first `warmup_steps` of them.
    Each begins with one of: warm-up longer than the budget, falls below 0, zero from step k, never decays, rebounds
    past T_max; and each is told once, of the first group that has it.

    >>> warnings_on([[1.0, 0.5, 0.0, 0.0]], {"name": "LinearLR"}, 0)
    ('zero from step 2: the last 2 of 4 steps train nothing',)
    """
    found: dict[str, str] = {}
    length = len(rates[0])
    if warmup_steps > length:
        found["warm-up"] = f"warm-up longer than the budget: {warmup_steps} steps of {length}"
    for number, course in enumerate(rates):
        where = f" (parameter group {number})" if len(rates) > 1 else ""
        for kind, sentence in _of_group(course, table, warmup_steps):
            found.setdefault(kind, sentence + where)
    return tuple(found.values())


def _of_group(course: list[float], table: dict, warmup_steps: int) -> Iterator[tuple[str, str]]:
    length, largest = len(course), max(map(abs, course), default=0.0)
    settled = course[warmup_steps:]
    below = next((step for step, rate in enumerate(course) if rate < 0), length)
    if below < length:
        yield "below", f"falls below 0 at step {below}: the rate there is {course[below]:.6g}"
    # LinearLR to 0 ends at some 1e-17 of its first rate: 0 but for rounding
    last = next((step for step in reversed(range(length)) if abs(course[step]) > 1e-15 * largest), -1)
    if last < length - 1:
        yield "zero", f"zero from step {last + 1}: the last {length - 1 - last} of {length} steps train nothing"
    adaptive = any(part["name"] == "ReduceLROnPlateau" for part in parts(table))
    if settled and settled[-1] == max(settled) and largest and not adaptive:
        yield "never", f"never decays: the last rate, {settled[-1]:.6g}, is the largest"
    climb = _rebound(settled) if any(part["name"] == "CosineAnnealingLR" for part in parts(table)) else ()
    if climb:
        yield "rebounds", "rebounds past T_max: from {:.6g} it climbs back to {:.6g} within the budget".format(*climb)


def _rebound(course: list[float]) -> tuple[float, ...]:
    """The bottom of a cosine and how high it climbs by the way it came, or (). What jumps up is no rebound."""
    moves = course[:1] + [after for before, after in pairwise(course) if after != before]
    slack = 1e-6 * max(map(abs, moves), default=0.0)
    for i in range(1, len(moves) - 1):
        before, bottom, after = moves[i - 1 : i + 2]
        if before > bottom < after <= before + slack:
            return bottom, max(moves[i:])
    return ()


def departures(table: dict) -> tuple[str, ...]:
    """Return where torch 2.15 gives other rates than its documentation says for this table; () elsewhere.

    Tests hold each sentence to what the installed torch does. `lrbench.schedulers` has SequenceLR and ProductLR, which
    do what is documented.

    >>> departures({"name": "StepLR", "step_size": 30})
    ()
    """
    return tuple(dict.fromkeys(fault for part in parts(table) for fault in _faults(part)))


def _faults(table: dict) -> Iterator[str]:
    name, inner = table["name"], [child["name"] for child in table.get("schedulers", [])]
    if name in ("ConstantLR", "LinearLR", "PolynomialLR") and table.get("total_iters") == 0:
        yield f"torch's {name} with total_iters = 0 keeps its first rate for ever"
    if len(inner) > 1 and name == "SequentialLR":
        for child in dict.fromkeys(inner):
            if child in ("SequentialLR", "ChainedScheduler"):
                yield f"torch's SequentialLR steps a {child} inside it wrongly"
        if "OneCycleLR" in inner or inner[0] == "CyclicLR":
            yield "torch's SequentialLR lets OneCycleLR and CyclicLR change the base rate of those beside them"
        if "MultiplicativeLR" in inner[1:]:
            yield "torch's SequentialLR begins MultiplicativeLR at the rate it finds times lr_lambda(0)"
    if len(inner) > 1 and name == "ChainedScheduler":
        for child in dict.fromkeys(inner):
            if child in _OVERWRITING:
                yield f"torch's ChainedScheduler lets {child} overwrite what those before it did"
        if "SequentialLR" in inner:
            yield "torch's ChainedScheduler loses what those beside a SequentialLR did at each of its milestones"
        if "CosineAnnealingLR" in inner:
            yield "torch's ChainedScheduler multiplies CosineAnnealingLR up to T_max and with eta_min = 0 alone"
