"""S1–S4 and S6–S9: what is said of single schedulers, asked of the installed torch.

No training: an optimizer steps, its scheduler steps, and what the optimizer had is written down. Composition and what
lies past a scheduler's end are in `lrbench.claims.composition`. torch is imported when a claim is run.
"""

import inspect
import math
import warnings

from lrbench.calls import format_call
from lrbench.claims.courses import (
    built,
    course,
    drive,
    first_difference,
    new_optimizer,
    quiet,
    relative_error,
    same,
    scheduler_class,
    takes_metric,
)
from lrbench.claims.examples import BASE_LR, EXAMPLES, METRICS, NUM_STEPS, example
from lrbench.claims.frame import Room, Verdict, claim

TOLERANCE = 1e-12  # relative: a hundred roundings of a float64, and far from any real difference
NOTES = "what the seed notes say of the schedulers"
LAMBDAS = ["lrbench.claims.examples:power", "lrbench.claims.examples:linear"]


@claim(
    id="S1",
    where="C",
    kind="E",
    expected="within 1e-12 relative; not always bit-equal, because some are recursions",
    source=f"{NOTES}; pytorch#20086, #152081",
)
def s1(room: Room) -> Verdict:
    """The applied rate of StepLR, MultiStepLR, ExponentialLR, CosineAnnealingLR and LambdaLR equals its closed formula
    at every epoch, per parameter group."""
    from lrbench.closed_forms import rates

    base_lrs, num_epochs = [0.05, 0.01], 100
    tables = [
        {"name": "StepLR", "step_size": 30, "gamma": 0.1},
        {"name": "MultiStepLR", "milestones": [30, 80], "gamma": 0.1},
        {"name": "ExponentialLR", "gamma": 0.95},
        {"name": "CosineAnnealingLR", "T_max": num_epochs},
        {"name": "CosineAnnealingLR", "T_max": 30, "eta_min": 1e-5},
        {"name": "LambdaLR", "lr_lambda": LAMBDAS},
    ]
    evidence = []
    for table in tables:
        applied = course(table, num_epochs, base_lrs)
        planned = rates(table, base_lrs=base_lrs, num_steps=num_epochs)
        for group, (found, wanted) in enumerate(zip(applied, planned, strict=True)):
            errors = [relative_error(a, b, base_lrs[group]) for a, b in zip(found, wanted, strict=True)]
            equal = [a == b for a, b in zip(found, wanted, strict=True)]
            evidence.append(
                {
                    "scheduler": format_call(table),
                    "parameter_group": group,
                    "num_steps": num_epochs,
                    "max_relative_error": max(errors),
                    "num_bit_equal": sum(equal),
                    "holds": max(errors) <= TOLERANCE,
                }
            )
    worst = max(evidence, key=lambda row: row["max_relative_error"])
    inexact = {_class(row) for row in evidence if row["num_bit_equal"] < num_epochs}
    exact = sorted({_class(row) for row in evidence} - inexact)
    return Verdict(
        word="supported" if all(row["holds"] for row in evidence) else "refuted",
        seen=f"over {num_epochs} epochs and two groups the largest relative error is {worst['max_relative_error']:.1e} "
        f"({worst['scheduler']}); equal bit for bit at every epoch: {', '.join(exact) or 'none'}",
        evidence=tuple(evidence),
    )


@claim(id="S2", where="C", kind="E", expected="yes", source=NOTES)
def s2(room: Room) -> Verdict:
    """StepLR(step_size=30, gamma=0.1) from 0.05 gives 0.05, 0.005, 0.0005, … as the notes print."""
    table = {"name": "StepLR", "step_size": 30, "gamma": 0.1}
    (applied,) = course(table, 90, [0.05])
    printed = {0: 0.05, 29: 0.05, 30: 0.005, 59: 0.005, 60: 0.0005, 89: 0.0005}
    evidence = tuple(
        {
            "scheduler": format_call(table),
            "step": epoch,
            "wanted": wanted,
            "found": applied[epoch],
            "max_relative_error": relative_error(applied[epoch], wanted, 0.05),
            "bit_equal": applied[epoch] == wanted,
            "holds": relative_error(applied[epoch], wanted, 0.05) <= TOLERANCE,
        }
        for epoch, wanted in printed.items()
    )
    return Verdict(
        word="supported" if all(row["holds"] for row in evidence) else "refuted",
        seen=f"{applied[0]:g} for 30 epochs, then {applied[30]:g}, then {applied[60]:g} (the float behind 0.005 is "
        f"{applied[30]!r})",
        evidence=evidence,
    )


@claim(
    id="S3",
    where="C",
    kind="E",
    expected="refuted: it climbs back along the same cosine, and CosineAnnealingWarmRestarts is what resets",
    source=NOTES,
)
def s3(room: Room) -> Verdict:
    """CosineAnnealingLR resets to the maximum after T_max."""
    t_max = 10
    cosine, restarts = {"name": "CosineAnnealingLR", "T_max": t_max}, {"name": "CosineAnnealingWarmRestarts", "T_0": 10}
    evidence, applied = [], {}
    for table in (cosine, restarts):
        (applied[table["name"]],) = course(table, 2 * t_max + 1)
        for step in (0, t_max - 1, t_max, t_max + 1, 2 * t_max - 1, 2 * t_max):
            found = applied[table["name"]][step]
            evidence.append(
                {
                    "scheduler": format_call(table),
                    "step": step,
                    "found": found,
                    "wanted": BASE_LR,
                    "holds": math.isclose(found, BASE_LR, rel_tol=TOLERANCE),
                }
            )
    rates = applied["CosineAnnealingLR"]
    resets = math.isclose(rates[t_max], BASE_LR, rel_tol=1e-9) or math.isclose(rates[t_max + 1], BASE_LR, rel_tol=1e-9)
    mirrored = all(math.isclose(rates[t_max - k], rates[t_max + k], abs_tol=1e-15) for k in range(t_max + 1))
    restarted = applied["CosineAnnealingWarmRestarts"][t_max]
    return Verdict(
        word="supported" if resets else "refuted",
        seen=f"at T_max = {t_max} the rate is {rates[t_max]:g}, one step later {rates[t_max + 1]:.3g}"
        f"{': it climbs back along the same cosine' if mirrored else ''} and is {rates[2 * t_max]:.3g} again at "
        f"2·T_max; CosineAnnealingWarmRestarts is at {restarted:g} after {t_max} steps",
        evidence=tuple(evidence),
    )


@claim(
    id="S4",
    where="C",
    kind="E",
    expected="it counts calls of step(metric); the cut comes at the (patience + 1)-th bad call, the first call only "
    "setting the baseline",
    source=f'{NOTES} ("is it epochs?"); pytorch#2545, #119763',
)
def s4(room: Room) -> Verdict:
    """The patience of ReduceLROnPlateau counts epochs."""
    evidence = []
    for patience in (0, 1, 2, 5):
        table = {"name": "ReduceLROnPlateau", "patience": patience, "factor": 0.5}
        for calls_per_epoch in (1, 2):
            (applied,) = course(table, 20, metrics=[1.0])  # the metric never gets better than the first
            cut_after_call = next(call for call, rate in enumerate(applied) if rate < BASE_LR)
            evidence.append(
                {
                    "scheduler": format_call(table),
                    "calls_per_epoch": calls_per_epoch,
                    "patience": patience,
                    "cut_after_call": cut_after_call,
                    "cut_in_epoch": math.ceil(cut_after_call / calls_per_epoch),
                    "holds": cut_after_call == patience + 2,
                }
            )
    by_calls = all(row["holds"] for row in evidence)
    once, twice = (row["cut_in_epoch"] for row in evidence if row["patience"] == 2)
    rule = "the first sets the baseline, and the (patience + 1)-th bad one cuts" if by_calls else "by no simple rule"
    return Verdict(
        word="supported" if once == twice else "refuted",
        seen=f"it counts calls of step(metric): {rule}; patience 2 cuts in epoch {once} at one call an epoch and in "
        f"epoch {twice} at two",
        evidence=tuple(evidence),
    )


@claim(id="S6", where="C", kind="E", expected="yes", source=f"{NOTES} (their code does so)")
def s6(room: Room) -> Verdict:
    """Calling scheduler.step() before optimizer.step() skips the first rate and torch warns, whatever the scheduler."""
    evidence = []
    for name in _classes_of_torch():
        (planned,) = course(example(name), NUM_STEPS)
        optimizer = new_optimizer()
        scheduler = built(example(name), optimizer)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            _step(scheduler, 0)
        (applied,) = drive(scheduler, optimizer, NUM_STEPS - 1, METRICS[1:])
        skips, warns = same(applied, planned[1:]), any("before `optimizer.step()`" in str(w.message) for w in caught)
        evidence.append(
            {
                "scheduler": format_call(example(name)),
                "wanted": planned[0],
                "found": applied[0],
                "skips_first": skips,
                "warns": warns,
                "holds": skips and warns,
            }
        )
    silent = [_class(row) for row in evidence if not row["warns"]]
    skipped = sum(row["skips_first"] for row in evidence)
    return Verdict(
        word="supported" if all(row["holds"] for row in evidence) else "refuted",
        seen=f"the first rate is skipped by {skipped} of {len(evidence)} classes; {len(evidence) - len(silent)} warn"
        + (f", and {' and '.join(silent)} say nothing" if silent else ""),
        evidence=tuple(evidence),
    )


@claim(
    id="S7",
    where="C",
    kind="E",
    expected="refuted after a step for recursive schedulers; get_last_lr() does",
    source=f"{NOTES} (their code does so); pytorch#49885, #31871",
)
def s7(room: Room) -> Verdict:
    """get_lr(), called inside the loop, returns the applied rate."""
    evidence = []
    for name in _classes_of_torch():
        optimizer = new_optimizer()
        scheduler = built(example(name), optimizer)
        wrong, wrong_last, refuses = 0, 0, False
        with quiet():
            for step in range(NUM_STEPS):
                optimizer.step()
                applied = [group["lr"] for group in optimizer.param_groups]
                try:
                    wrong += scheduler.get_lr() != applied
                except NotImplementedError:
                    refuses = True
                wrong_last += scheduler.get_last_lr() != applied
                _step(scheduler, step)
        evidence.append(
            {
                "scheduler": format_call(example(name)),
                "num_steps": NUM_STEPS,
                "num_wrong": wrong,
                "num_wrong_get_last_lr": wrong_last,
                "raises": "NotImplementedError" if refuses else "",
                "holds": not wrong and not refuses,
            }
        )
    wrong = [row for row in evidence if row["num_wrong"]]
    refused = [_class(row) for row in evidence if row["raises"]]
    last = sum(row["num_wrong_get_last_lr"] for row in evidence)
    worst = max(evidence, key=lambda row: row["num_wrong"])
    return Verdict(
        word="refuted" if wrong or refused else "supported",
        seen=f"get_lr() is not the applied rate in {len(wrong)} of {len(evidence)} classes (worst: "
        f"{worst['scheduler']}, at {worst['num_wrong']} of {NUM_STEPS} steps) and raises in {', '.join(refused)}; "
        f"get_last_lr() is wrong {last} times in all",
        evidence=tuple(evidence),
    )


@claim(id="S8", where="C", kind="E", expected="yes", source=NOTES)
def s8(room: Room) -> Verdict:
    """A per-group lr_lambda list and a per-group min_lr list act group by group."""
    base_lrs, num_steps = [0.1, 0.02], 4
    by_hand = {  # each plateau's first metric is its best: cuts follow from the second call on, each group to its floor
        "LambdaLR": [[0.1, 0.09, 0.081, 0.0729], [0.02, 0.01, 0.02 / 3, 0.005]],
        "ReduceLROnPlateau": [[0.1, 0.1, 0.05, 0.03], [0.02, 0.02, 0.01, 0.005]],
    }
    tables = [
        {"name": "LambdaLR", "lr_lambda": LAMBDAS},
        {"name": "ReduceLROnPlateau", "patience": 0, "factor": 0.5, "min_lr": [0.03, 0.001]},
    ]
    evidence = []
    for table in tables:
        applied = course(table, num_steps, base_lrs, metrics=[1.0])
        for group, (found, wanted) in enumerate(zip(applied, by_hand[table["name"]], strict=True)):
            errors = [relative_error(a, b, base_lrs[group]) for a, b in zip(found, wanted, strict=True)]
            evidence.append(
                {
                    "scheduler": format_call(table),
                    "parameter_group": group,
                    "num_steps": num_steps,
                    "found": found[-1],
                    "wanted": wanted[-1],
                    "max_relative_error": max(errors),
                    "step": first_difference(found, wanted),
                    "holds": max(errors) <= TOLERANCE,
                }
            )
    held = sum(row["holds"] for row in evidence)
    return Verdict(
        word="supported" if held == len(evidence) else "refuted",
        seen=f"{held} of {len(evidence)} groups follow their own function or floor, against values written by hand",
        evidence=tuple(evidence),
    )


@claim(id="S9", where="C", kind="E", expected="refuted: removed from torch", source=NOTES)
def s9(room: Room) -> Verdict:
    """The argument verbose of ReduceLROnPlateau exists."""
    cls = scheduler_class("ReduceLROnPlateau")
    known = list(inspect.signature(cls).parameters)
    try:
        cls(new_optimizer(), verbose=True)
        raised = ""
    except TypeError as error:
        raised = f"TypeError: {error}"
    return Verdict(
        word="refuted" if raised else "supported",
        seen=raised or f"it is accepted; the arguments are {', '.join(known)}",
        evidence=({"scheduler": "ReduceLROnPlateau", "raises": raised, "note": f"arguments: {', '.join(known)}"},),
    )


def _class(row: dict) -> str:
    return row["scheduler"].partition("(")[0]


def _classes_of_torch() -> list[str]:
    """Return the concrete classes of torch.optim.lr_scheduler."""
    from torch.optim import lr_scheduler

    return [name for name in EXAMPLES if hasattr(lr_scheduler, name)]


def _step(scheduler, step: int) -> None:
    scheduler.step(*([METRICS[step]] if takes_metric(scheduler) else []))
