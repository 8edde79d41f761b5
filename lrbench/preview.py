"""`lrbench preview`: learning-rate schedules without training, in the terminal, as JSON or as a figure.

Each argument is a study, whose schedulers are drawn with its own base_lr, epochs and warm-up, or a scheduler as torch
writes it. What this does *not* do: build schedulers (`lrbench.trial.curves`, the only torch here), or draw
(`lrbench.sparkline` for the terminal, `analysis.preview_figure` for files).
"""

import json
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from lrbench.calls import class_names, format_call, parse_call
from lrbench.errors import InputError, did_you_mean
from lrbench.factors import Problems, Trial, Warmup, check_level, recipe
from lrbench.study import read_study, studies_folder

DEFAULT_LR = 0.1
DEFAULT_EPOCHS = 100
SUFFIXES = (".png", ".svg")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One schedule to be drawn. steps_per_epoch is 1 where rates change between epochs only."""

    label: str
    scheduler: dict
    optimizer: dict
    base_lr: float
    epochs: int
    steps_per_epoch: int
    warmup: Warmup | Literal["off"]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A plan's rates. lr has the shape (groups, epochs * steps_per_epoch): the rate applied at each optimizer step."""

    label: str
    epochs: int
    steps_per_epoch: int
    lr: list[list[float]]

    @cached_property
    def by_epoch(self) -> list[list[float]]:
        """For each group, the rate at the first optimizer step of each epoch."""
        return [rates[:: self.steps_per_epoch] for rates in self.lr]

    @cached_property
    def on_log_scale(self) -> bool:
        """Whether a tenth or more of its positive rates lie two decades or more below the largest.

        A cosine that ends near 0 does not; StepLR's plateaus do, and would be one flat line on a linear scale.
        """
        positive = [rate for rates in self.lr for rate in rates if rate > 0]
        low = sum(rate <= 1.0001 * max(positive) / 100 for rate in positive)  # 0.1 * 0.1 * 0.1 is a little over 0.001
        return bool(positive) and low >= len(positive) / 10

    def as_json(self) -> dict:
        """Return {"label", "lr"}: one rate an epoch, or a list of rates where there are several groups."""
        groups = self.by_epoch
        return {
            "label": self.label,
            "lr": groups[0] if len(groups) == 1 else [list(r) for r in zip(*groups, strict=True)],
        }


def preview_command(
    schedules: list[str],
    *,
    lr: float | None,
    epochs: int | None,
    steps_per_epoch: int,
    interval: Literal["epoch", "step"],
    warmup: dict | str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Print the schedules, or write them to `out`. Raises InputError with every mistake in what was asked."""
    if out is not None and out.suffix.lower() not in SUFFIXES:
        raise InputError(f"--out found {str(out)!r}; allowed: a file that ends in {' or '.join(SUFFIXES)}")
    plans, notes = read_plans(
        schedules, lr=lr, epochs=epochs, steps_per_epoch=steps_per_epoch, interval=interval, warmup=warmup
    )
    drawn = compute(plans)
    notes += _notes_on(drawn)
    if out is not None:
        from analysis.preview_figure import draw, save

        save(draw(drawn), out)
    if as_json:
        print(json.dumps({"schedules": [schedule.as_json() for schedule in drawn]}))
    if out is None and not as_json:
        from lrbench.sparkline import show

        show(drawn, notes)
        return
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    if out is not None:
        print(f"figure: {out}", file=sys.stderr if as_json else sys.stdout)


def compute(plans: list[Plan]) -> list[Schedule]:
    """Return the rates of each plan. Loads torch; raises InputError with everything that torch refuses."""
    from lrbench.trial.curves import planned_lr

    drawn, problems = [], []
    for plan in plans:
        try:
            lr = planned_lr(
                scheduler=plan.scheduler,
                optimizer=plan.optimizer,
                base_lr=plan.base_lr,
                epochs=plan.epochs,
                steps_per_epoch=plan.steps_per_epoch,
                warmup=plan.warmup,
            )
            drawn.append(Schedule(label=plan.label, epochs=plan.epochs, steps_per_epoch=plan.steps_per_epoch, lr=lr))
        except InputError as error:
            problems += [f"{plan.label}: {problem}" for problem in error.problems]
    if problems:
        raise InputError(*problems)
    return drawn


def read_plans(
    schedules: list[str],
    *,
    lr: float | None,
    epochs: int | None,
    steps_per_epoch: int,
    interval: Literal["epoch", "step"],
    warmup: dict | str | None,
) -> tuple[list[Plan], list[str]]:
    """Return the plans that the arguments mean, and what a reader should know of them. No torch here.

    lr, epochs and warmup stand in for the study's own where they are given (are not None); `interval` is for schedulers
    typed by hand. Raises InputError with every mistake.
    """
    problems = _wrong_options(("--lr", "base_lr", lr), ("--epochs", "epochs", epochs), ("--warmup", "warmup", warmup))
    if problems:
        raise InputError(*problems)
    given_warmup = Warmup.model_validate(warmup) if isinstance(warmup, dict) else warmup
    trials, studied, notes = [], [], []
    for text in schedules:
        try:
            if _is_study(text):
                found, said = _study_trials(text, lr, epochs, given_warmup)
                studied += found
                notes += said
            else:
                found = [_typed_trial(text, lr, epochs, interval, given_warmup)]
            trials += found
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(*problems)
    several = len({trial.warmup for trial in trials}) > 1
    plans = [
        Plan(
            label=_label(trial, several),
            scheduler=trial.scheduler,
            optimizer=trial.optimizer,
            base_lr=trial.base_lr,
            epochs=trial.epochs,
            steps_per_epoch=steps_per_epoch if _moves_within_epochs(trial) else 1,
            warmup=trial.warmup,
        )
        for trial in trials
    ]
    if not several and trials[0].warmup != "off":
        notes.append(f"drawn with {_warmup_words(trials[0].warmup)}")
    if any(_moves_within_epochs(trial) for trial in studied):
        notes.append(
            f"drawn with {steps_per_epoch} optimizer steps an epoch (--steps-per-epoch): a study's own number is its "
            "training images // batch_size, which only its data can tell"
        )
    if any(trial.scheduler["name"] == "ReduceLROnPlateau" for trial in trials):
        notes.append("ReduceLROnPlateau is drawn for a metric that never improves: the fastest that it can fall")
    return plans, notes


def _wrong_options(*options: tuple) -> list[str]:
    problems = []
    for option, factor, value in options:
        try:
            if value is not None:
                check_level(factor, value)
        except Problems as error:
            problems += [f"{option} {_place(place)}{message}" for place, message in error.found]
    return problems


def _moves_within_epochs(trial: Trial) -> bool:
    return trial.scheduler["interval"] == "step" or trial.warmup != "off"


def _is_study(text: str) -> bool:
    is_path = "(" not in text and ("/" in text or text.endswith(".toml"))
    return is_path or text in _built_in() or ("(" not in text and Path(text).is_file())


def _built_in() -> list[str]:
    return sorted(path.stem for path in studies_folder().glob("*.toml"))


def _study_trials(text: str, lr: float | None, epochs: int | None, warmup) -> tuple[list[Trial], list[str]]:
    """Return one trial for each scheduler and warm-up of the study, and what was chosen where it varies more."""
    study = read_study(text)
    varied = {name: levels for name, levels in study.grid.items() if len(levels) > 1}
    values = {**study.fixed, **{name: levels[0] for name, levels in study.grid.items()}}
    notes = []
    for name, option, given in (("base_lr", "--lr", lr), ("epochs", "--epochs", epochs)):
        if given is not None:
            values[name] = given
        elif name in varied:
            notes.append(f"{name} varies in {study.name}: drawn for {varied[name][0]}; {option} chooses another")
        elif name not in values and len({recipe(w).get(name) for w in varied.get("workload", [])}) > 1:
            value = recipe(values["workload"])[name]
            notes.append(f"the workloads of {study.name} differ in {name}: drawn for {value}; {option} chooses another")
    if isinstance(values["workload"], dict) and values["workload"].get("groups", "single") != "single":
        notes.append(f"{study.name}'s workload makes parameter groups of its own: each is drawn at the one base_lr")
    warmups = [warmup] if warmup is not None else study.grid.get("warmup", [values.get("warmup", "off")])
    schedulers = study.grid.get("scheduler", [values["scheduler"]] if "scheduler" in values else [{}])
    trials = []
    for scheduler in schedulers:
        for level in warmups:
            varying = {"warmup": level, **({"scheduler": scheduler} if scheduler else {})}
            trials.append(Trial(**{**values, **varying}))
    return trials, notes


def _typed_trial(text: str, lr: float | None, epochs: int | None, interval: str, warmup) -> Trial:
    table = parse_call(text, "scheduler")
    if table["name"] not in class_names("scheduler"):
        known = [*_built_in(), *class_names("scheduler")]
        raise InputError(
            f"{text!r} is neither a study nor a scheduler.{did_you_mean(table['name'], known)} "
            f"Studies: {', '.join(_built_in())}, or a .toml file. Schedulers: {', '.join(class_names('scheduler'))}"
        )
    table = {"interval": interval, **table}
    if table["name"] == "ReduceLROnPlateau":  # no metric is measured: take the one that fits what torch is told
        fitting = (
            "train_loss" if table["interval"] == "step" else {"max": "val_accuracy"}.get(table.get("mode"), "val_loss")
        )
        table = {"monitor": fitting, **table}
    try:
        table = check_level("scheduler", table)
    except Problems as error:
        raise InputError(*(f"{text!r}: {_place(place)}{message}" for place, message in error.found)) from None
    return Trial(
        workload="digits-cnn",  # a Trial has one; no rate depends on it
        scheduler=table,
        optimizer={"name": "SGD"},
        base_lr=DEFAULT_LR if lr is None else lr,
        epochs=DEFAULT_EPOCHS if epochs is None else epochs,
        warmup="off" if warmup is None else warmup,
    )


def _place(place: tuple) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    return f"{text} " if text else ""


def _label(trial: Trial, with_warmup: bool) -> str:
    """Return the scheduler as torch writes it, and what else tells it from its neighbours."""
    table = trial.scheduler
    text = format_call({key: value for key, value in table.items() if key not in ("interval", "monitor")})
    text += ", per step" if table["interval"] == "step" else ""
    text += ", metric never improves" if table["name"] == "ReduceLROnPlateau" else ""
    return text + (f", {_warmup_words(trial.warmup)}" if with_warmup else "")


def _warmup_words(warmup: Warmup | Literal["off"]) -> str:
    if warmup == "off":
        return "no warm-up"
    length = f"{warmup.steps} steps" if warmup.steps is not None else f"{100 * warmup.fraction:.4g}% of all steps"
    kind = "linear warm-up" if warmup.kind == "linear" else f"warm-up at {warmup.factor:g} times the rate"
    return f"{kind} over {length}"


def _notes_on(drawn: list[Schedule]) -> list[str]:
    """Say where a rate falls below 0 by more than rounding: torch does not mind, and training goes uphill."""
    notes = []
    for schedule in drawn:
        lowest, highest = (pick(rate for rates in schedule.lr for rate in rates) for pick in (min, max))
        if lowest < -1e-9 * abs(highest):
            notes.append(f"{schedule.label} falls below 0, to {lowest:.4g}: training would climb the loss")
    return notes
