"""What only torch or the user's code can tell of a study, asked before anything trains."""

import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from lrbench.errors import InputError, users_frames
from lrbench.factors import Trial
from lrbench.trial.curves import planned_lr
from lrbench.trial.data import stage
from lrbench.trial.optim import before_training, build_optimizer, build_scheduler, warmup_factors
from lrbench.trial.workload import resolve


def problems(
    trials: list[Trial],
    data_root: Path | None,
    report: Callable[[str], None] = lambda stage: None,
    show_tracebacks: bool = False,
) -> list[str]:
    """Return every problem with the trials' workloads, data, optimizers and schedulers; an empty list is good news.

    Data is staged, optimizers and schedulers are built on the model's own parameter groups, and each scheduler walks
    through all its steps (ReduceLROnPlateau on a metric that never improves). Nothing trains. `report(stage)` is called
    before each part: should the user's code end the process, it is known where. Tracebacks go to stderr if wanted.
    """

    def told(error: BaseException) -> str:
        if show_tracebacks:
            print("".join(traceback.format_exception(error)), file=sys.stderr)
        where = users_frames(error)
        hint = "" if show_tracebacks else "; --executor inline prints the whole traceback"
        return f"{type(error).__name__}: {error}" + (f" (at {where}{hint})" if where else "")

    found: dict[str, None] = {}
    groups: dict[str, list | None] = {}
    for trial in trials:
        name = json.dumps(trial.workload, sort_keys=True)
        label = trial.labels()["workload"]
        try:
            report(f"workload {label}")
            workload = resolve(trial.workload)
            report(f"data of workload {label}")
            staged = stage(workload, data_root)
            if name not in groups:
                report(f"model of workload {label}")
                model = workload.model(num_classes=staged.num_classes, **workload.model_args)
                groups[name] = list(model.parameters() if workload.groups == "single" else workload.groups(model))
        except InputError as error:
            found.update(dict.fromkeys(error.problems))
            continue
        except (Exception, SystemExit) as error:  # noqa: BLE001 (the user's model or data code)
            found[f"workload {label}: {told(error)}"] = None
            continue
        steps = len(staged.train_images) // trial.batch_size
        if steps == 0:
            found[f"batch_size: {trial.batch_size} is more than the {len(staged.train_images)} training images"] = None
            continue
        checks = {"optimizer": _check_optimizer, "warmup": _check_warmup, "scheduler": _check_scheduler}
        for what, check in checks.items():
            try:
                report(f"{what} {trial.labels()[what]}")
                check(trial, groups[name], steps)
            except InputError as error:
                found.update(dict.fromkeys(f"{what}: {trial.labels()[what]}: {p}" for p in error.problems))
                break
            except (Exception, SystemExit) as error:  # noqa: BLE001 (torch's own refusal, or the user's callable)
                found[f"{what}: {trial.labels()[what]}: {told(error)}"] = None
                break
    return list(found)


def _check_optimizer(trial: Trial, groups: list, steps_per_epoch: int) -> None:
    build_optimizer(trial.optimizer, _fresh(groups), trial.base_lr)


def _check_warmup(trial: Trial, groups: list, steps_per_epoch: int) -> None:
    optimizer = build_optimizer(trial.optimizer, _fresh(groups), trial.base_lr)
    warmup_factors(trial.warmup, trial.epochs * steps_per_epoch, optimizer)


def _check_scheduler(trial: Trial, groups: list, steps_per_epoch: int) -> None:
    """Build it on the model's own groups, then walk its whole course: some go wrong at the end only."""
    per_step = trial.scheduler["interval"] == "step"
    optimizer = build_optimizer(trial.optimizer, _fresh(groups), trial.base_lr)
    with before_training():
        build_scheduler(trial.scheduler, optimizer, trial.epochs * (steps_per_epoch if per_step else 1))
    course = planned_lr(
        scheduler=trial.scheduler,
        optimizer=trial.optimizer,
        base_lr=trial.base_lr,
        epochs=trial.epochs,
        steps_per_epoch=steps_per_epoch if per_step else 1,
        warmup="off",
    )
    lowest = min(min(rates) for rates in course)
    if lowest < 0:
        raise InputError(f"its rate falls to {lowest:g}; a rate is a number from 0 on")


def _fresh(groups: list) -> list:
    """Parameter groups for one more optimizer: it writes its own keys into the tables that it is given."""
    return [dict(group) if isinstance(group, dict) else group for group in groups]
