"""What is odd about a planned schedule, in sentences: for previews, and beside verdicts. No torch here.

`warnings_on` looks at the rates that are planned, `departures` at the table: where the installed torch is known to do
otherwise than it documents. What this does *not* do: refuse anything, or look at what was applied (`lrbench.lr_plan`).
"""

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Literal

from lrbench.calls import COMPOSITES, class_names, format_call, is_reference, own_schedulers
from lrbench.closed_forms import num_groups, parts, rates
from lrbench.errors import InputError
from lrbench.factors import Trial
from lrbench.shares import resolved

# Which of lrbench's compositions does what torch documents, where torch's own does otherwise.
REPLACED = {"SequentialLR": "SequenceLR", "ChainedScheduler": "ProductLR"}

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


def warnings_on(
    courses: list[list[float]], table: dict, warmup_steps: int, unit: Literal["step", "epoch"] = "step"
) -> tuple[str, ...]:
    """Return what is odd about a plan, in sentences; none of it is an error.

    `courses` has the shape (groups, steps): the rate at each step, with the warm-up in the first `warmup_steps`. Each
    begins with one of: warm-up longer than the budget, falls below 0, zero (or next to zero) from step k, never decays,
    rebounds past T_max; and each is told once, of the first group that has it. Where there is one rate an epoch, `unit`
    says so.
    ConstantLR(factor=1) is the baseline of every comparison, and is not told that it never decays.

    >>> warnings_on([[1.0, 0.5, 0.0, 0.0]], {"name": "LinearLR"}, 0)
    ('zero from step 2: the last 2 of 4 steps train nothing',)
    """
    found: dict[str, str] = {}
    length = len(courses[0])
    if warmup_steps > length:
        found["warm-up"] = f"warm-up longer than the budget: {warmup_steps} steps of {length}"
    for number, course in enumerate(courses):
        where = f" (parameter group {number})" if len(courses) > 1 else ""
        own = table["schedulers"][number] if table["name"] == "PerGroupLR" else table
        for kind, sentence in _of_group(course, own, warmup_steps, unit):
            found.setdefault(kind, sentence + where)
    return tuple(found.values())


def _of_group(course: list[float], table: dict, warmup_steps: int, unit: str) -> Iterator[tuple[str, str]]:
    length, largest = len(course), max(map(abs, course), default=0.0)
    settled = course[warmup_steps:]
    below = next((step for step, rate in enumerate(course) if rate < 0), length)
    if below < length:
        yield "below", f"falls below 0 at {unit} {below}: the rate there is {course[below]:.6g}"
    # LinearLR to 0 ends at some 1e-17 of its first rate: 0 but for rounding, and no step that a weight could notice
    last = next((step for step in reversed(range(length)) if abs(course[step]) > 1e-15 * largest), -1)
    if last < length - 1:
        left = max(map(abs, course[last + 1 :]))
        zero, nothing = ("zero", "nothing") if left == 0 else ("next to zero", "next to nothing")
        most = f", {left:.1g} at most" if left else ""
        said = f"{zero} from {unit} {last + 1}{most}: the last {length - 1 - last} of {length} {unit}s train {nothing}"
        yield "zero", said
    meant = table["name"] == "ConstantLR" and table.get("factor") == 1  # the baseline
    meant = meant or any(part["name"] == "ReduceLROnPlateau" for part in parts(table))  # its metric decides
    if settled and settled[-1] == max(settled) and largest and not meant:
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


def unreached(table: dict, num_calls: int, unit: Literal["step", "epoch"]) -> tuple[str, ...]:
    """Return which milestones a schedule of so many calls never comes to; `table` has no shares of a budget any more.

    >>> unreached({"name": "MultiStepLR", "milestones": [3, 10]}, 10, "epoch")
    ('never comes to milestone 10: it has epochs 0 to 9',)
    """
    late = [milestone for milestone in table.get("milestones", ()) if milestone >= num_calls]
    if not late:
        return ()
    which = f"milestone{'s' if len(late) > 1 else ''} {', '.join(map(str, late))}"
    return (f"never comes to {which}: it has {unit}s 0 to {num_calls - 1}",)


def departures(table: dict) -> tuple[str, ...]:
    """Return where torch 2.15 gives other rates than its documentation says for this table; () elsewhere.

    Tests hold each sentence to what the installed torch does. `lrbench.schedulers` has SequenceLR and ProductLR, which
    do what is documented.

    >>> departures({"name": "StepLR", "step_size": 30})
    ()
    """
    return tuple(dict.fromkeys(fault for part in parts(table) for fault in _faults(part)))


def built_as(table: dict) -> str:
    """Return the name of the class that a scheduler's table is built as: its own, but for torch's faulty compositions.

    Those are nested ones, and what `departures` tells.

    >>> built_as({"name": "SequentialLR", "schedulers": [{"name": "ReduceLROnPlateau"}], "milestones": []})
    'SequenceLR'
    """
    name = table["name"]
    if name not in REPLACED:
        return name
    simple = set(class_names("scheduler")) - {"ReduceLROnPlateau", *REPLACED} | {*own_schedulers()} - {*COMPOSITES}
    flat = all(child["name"] in simple for child in table["schedulers"])
    return name if flat and not departures(table) else REPLACED[name]


def substitutions(table: dict) -> tuple[str, ...]:
    """Return where torch gives other rates than it documents for this table, and what is built in its place.

    >>> substitutions({"name": "StepLR", "step_size": 30})
    ()
    """
    faults, built = departures(table), built_as(table)
    if built == table["name"]:
        return faults
    why = f": {'; '.join(faults)}" if faults else ""
    return (f"built as lrbench's {built}, which does what torch documents of {table['name']}{why}",)


_WITH_A_RATE = ("falls below 0", "never decays", "rebounds")


def study_warnings(trials: Iterable[Trial]) -> list[str]:
    """Return what is odd about the schedules of a study's trials, each with the schedule's call before it.

    Only what is known before the data is read: substitutions always; odd rates where a schedule moves once an epoch and
    neither a metric nor the user's own code decides; a warm-up longer than the budget where train_limit bounds it. Each
    schedule is told of once, at the first base_lr that it has; where there are several, a rate that is quoted names it.

    >>> recipe = {"workload": "digits-cnn", "epochs": 9}
    >>> study_warnings([Trial(**recipe, scheduler="PolynomialLR(5)"), Trial(**recipe, scheduler="StepLR(3)")])
    ['PolynomialLR(total_iters=5): zero from epoch 5: the last 4 of 9 epochs train nothing']
    """
    trials = [*trials]
    conditions = {(id(t.scheduler), id(t.warmup), t.epochs, t.batch_size): t for t in reversed(trials)}
    several_rates = len({t.base_lr for t in trials}) > 1
    conditions = list(reversed(conditions.values()))  # other seeds and replicates of one share its tables
    several = len({trial.epochs for trial in conditions}) > 1
    seen: set[str] = set()
    found = {}
    for trial in conditions:
        key = json.dumps([trial.scheduler, trial.epochs], sort_keys=True)
        at = f" (at base_lr {trial.base_lr:g})" if several_rates else ""
        of_schedule = () if key in seen else _of_schedule(trial)
        warnings = [f"{text}{at if text.startswith(_WITH_A_RATE) else ''}" for text in of_schedule]
        warnings += _of_warmup(trial)
        seen.add(key)
        over = f" over {trial.epochs} epochs" if several else ""
        found |= {f"{name_of(trial.scheduler)}{over}: {warning}": None for warning in warnings}
    return list(found)


def one_schedule(trials: Iterable[Trial]) -> list[str]:
    """Return which schedules are one here, in sentences: at the same base_lr their rates are the same at every step.

    Of those alone whose rates are known before the data is read (`known_course`).

    >>> recipe = {"workload": "digits-cnn", "epochs": 1}
    >>> one_schedule([Trial(**recipe, scheduler="StepLR(5)"), Trial(**recipe, scheduler="ConstantLR(factor=1.0)")])
    ['StepLR(step_size=5) and ConstantLR(factor=1.0) have the same rates at every step: they are one schedule here']
    """
    conditions = {(id(t.scheduler), id(t.warmup), t.epochs, t.base_lr): t for t in trials}.values()
    groups: dict[tuple, dict[str, None]] = {}
    for trial in conditions:
        if course := known_course(trial):
            groups.setdefault((trial.epochs, course), {})[name_of(trial.scheduler)] = None
    several = len({trial.epochs for trial in conditions}) > 1
    found = {}
    for (epochs, _), names in groups.items():
        if len(names) > 1:
            *first, last = names
            over = f" over {epochs} epochs" if several else ""
            what = f"{', '.join(first)} and {last} have the same rates at every step{over}"
            found.setdefault((epochs, frozenset(names)), f"{what}: they are one schedule here")
    return list(found.values())


def known_course(trial: Trial) -> tuple:
    """Return the warm-up and the rate of each epoch, where they are known before the data is read; () elsewhere.

    They are not where a schedule moves at every step, where the user's own code or a metric decides (unless the one
    epoch is over before that), and where the momentum is moved too.
    """
    table = resolved(trial.scheduler, trial.epochs) if trial.scheduler["interval"] == "epoch" else {}
    if not table or _has_own_code(table) or ("monitor" in table and trial.epochs > 1):
        return ()
    if any(part["name"] in ("CyclicLR", "OneCycleLR") for part in parts(table)):
        return ()
    try:
        planned = rates(table, base_lrs=[trial.base_lr] * num_groups(table), num_steps=trial.epochs)
    except InputError:  # a plan that cannot be carried out is refused with its reason before anything trains
        return ()
    warmup = "off" if trial.warmup == "off" else trial.warmup.model_dump_json()
    return (warmup, *(rate for of_group in planned for rate in of_group))


def _has_own_code(table: dict) -> bool:
    return any(is_reference(part["name"]) or {"lr_lambda", "scale_fn"} & part.keys() for part in parts(table))


def name_of(scheduler: dict) -> str:
    """Return a checked scheduler's table as the call that torch knows: without our interval and monitor.

    >>> name_of({"name": "StepLR", "step_size": 3, "interval": "step"})
    'StepLR(step_size=3), per step'
    """
    return format_call(_without_ours(scheduler)) + (", per step" if scheduler.get("interval") == "step" else "")


def _without_ours(table: dict) -> dict:
    shown = {key: value for key, value in table.items() if key not in ("interval", "monitor")}
    children = {"schedulers": [_without_ours(child) for child in table["schedulers"]]} if "schedulers" in table else {}
    return {**shown, **children}


def _of_schedule(trial: Trial) -> tuple[str, ...]:
    if trial.scheduler["interval"] == "step":  # of how many steps, the data will tell
        return substitutions(trial.scheduler)
    table = resolved(trial.scheduler, trial.epochs)
    if _has_own_code(table) or "monitor" in table:
        return substitutions(table)
    try:
        planned = rates(table, base_lrs=[trial.base_lr] * num_groups(table), num_steps=trial.epochs)
    except InputError:  # a plan that cannot be carried out is refused with its reason before anything trains
        return ()
    late = unreached(table, trial.epochs, "epoch")
    return (*warnings_on(planned, table, 0, "epoch"), *late, *substitutions(table))


def _of_warmup(trial: Trial) -> Iterator[str]:
    table = trial.workload if isinstance(trial.workload, dict) else {}
    steps = 0 if trial.warmup == "off" else trial.warmup.steps or 0
    most = trial.epochs * (table.get("train_limit", 0) // trial.batch_size)
    if 0 < most < steps and trial.warmup.kind != "exponential":
        yield f"warm-up longer than the budget: {steps} steps of at most {most}"


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
