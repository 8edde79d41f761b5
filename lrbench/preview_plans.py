"""What `lrbench preview` was asked to draw: studies, calls typed by hand and a metric, read into plans. No torch here.

What this does *not* do: compute a rate (`lrbench.trial.curves`) or show one (`lrbench.preview`).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lrbench.calls import is_reference, known_names, parse_call, unknown_class
from lrbench.errors import InputError, did_you_mean
from lrbench.factors import Problems, Trial, check_level, recipe
from lrbench.levels import Warmup, place_words
from lrbench.plan_warnings import name_of
from lrbench.study import read_study, studies_folder

DEFAULT_LR = 0.1
DEFAULT_EPOCHS = 100
MOST_STEPS = 1_000_000  # rates of one schedule; more is a slip
Metric = Literal["never improves"] | list[float]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One schedule to be drawn. steps_per_epoch is 1 where rates change between epochs only."""

    name: str
    scheduler: dict
    optimizer: dict
    base_lr: float
    epochs: int
    steps_per_epoch: int
    warmup: Warmup | Literal["off"]
    metric: Metric

    @property
    def label(self) -> str:
        """Its name, and the metric that it is drawn for where it looks at one."""
        if not looks_at_a_metric(self.scheduler):
            return self.name
        return f"{self.name}, metric {'never improves' if self.metric == 'never improves' else 'given'}"

    @property
    def has_best_case(self) -> bool:
        """Whether its rates depend on a metric that is not known: then there is a worst case and a best."""
        return self.metric == "never improves" and looks_at_a_metric(self.scheduler)


def looks_at_a_metric(scheduler: dict) -> bool:
    """Return whether a checked scheduler's table names a metric: a ReduceLROnPlateau somewhere in it, or a user's own.

    >>> looks_at_a_metric({"name": "StepLR"}), looks_at_a_metric({"name": "ReduceLROnPlateau", "monitor": "val_loss"})
    (False, True)
    """
    return "monitor" in scheduler


def read_metric(text: str) -> list[float]:
    """Return the values of `--metric`: typed with commas, or a file with a JSON list or one number a line.

    NaN is a value like any other. Raises InputError with the place of what is no number, or where there is none at all.

    >>> read_metric("0.9, 0.5,0.5")
    [0.9, 0.5, 0.5]
    """
    path = Path(text)
    try:
        is_file = path.is_file()
    except (OSError, ValueError):  # too long for a name, or a null byte: numbers, then, or nothing
        is_file = False
    if not is_file:
        parts, where = text.split(","), "value"
        if not any(part.strip() for part in parts):
            raise InputError(f"--metric found {text!r}; {_METRIC_IS}")
    else:
        try:
            content = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"--metric {text} cannot be read: {getattr(error, 'strerror', None) or error}") from error
        if content.lstrip().startswith("["):
            try:
                parts, where = json.loads(content), "item"
            except ValueError as error:
                raise InputError(f"--metric {text} is no JSON list: {error}") from None
        else:
            parts, where = content.split("\n"), "line"
            parts = parts[:-1] if parts[-1] == "" else parts
        if not parts:
            raise InputError(f"--metric {text} holds no number; {_METRIC_IS}")
    return [_number(part, f"{where} {number}", text) for number, part in enumerate(parts, start=1)]


_METRIC_IS = "write the values with commas (--metric 0.9,0.5,0.5), or name a file: a JSON list, or one number a line"


def _number(part, where: str, text: str) -> float:
    try:
        if isinstance(part, str | int | float) and not isinstance(part, bool):
            return float(part)
    except (ValueError, OverflowError):
        pass
    raise InputError(f"--metric {text}: {where} is {part!r}, which is no number; {_METRIC_IS}")


def read_plans(
    schedules: list[str],
    *,
    lr: float | None,
    epochs: int | None,
    steps_per_epoch: int,
    interval: Literal["epoch", "step"],
    warmup: dict | str | None,
    metric: Metric = "never improves",
) -> tuple[list[Plan], list[str]]:
    """Return the plans that the arguments mean, and what a reader should know of them. No torch here.

    lr, epochs and warmup stand in for the study's own where they are given (are not None); `interval` is for schedulers
    typed by hand. A metric has a value for each call of step() but the last, which decides nothing any more. Raises
    InputError with every mistake.
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
            name=_name(trial, several),
            scheduler=trial.scheduler,
            optimizer=trial.optimizer,
            base_lr=trial.base_lr,
            epochs=trial.epochs,
            steps_per_epoch=steps_per_epoch if _moves_within_epochs(trial) else 1,
            warmup=trial.warmup,
            metric=metric,
        )
        for trial in trials
    ]
    if too_long := [plan for plan in plans if plan.epochs * plan.steps_per_epoch > MOST_STEPS]:
        raise InputError(*dict.fromkeys(map(_too_long, too_long)))
    if not several and trials[0].warmup != "off":
        notes.append(f"drawn with {_warmup_words(trials[0].warmup)}")
    if any(_moves_within_epochs(trial) for trial in studied):
        notes.append(
            f"drawn with {steps_per_epoch} optimizer steps an epoch (--steps-per-epoch): a study's own number is its "
            "training images // batch_size, which only its data can tell"
        )
    return plans, notes + _about_the_metric(plans, metric)


def _too_long(plan: Plan) -> str:
    steps, pace = plan.epochs * plan.steps_per_epoch, plan.steps_per_epoch
    found = f"{plan.epochs:,} epochs" + (f" of {pace:,} steps are {steps:,} rates" if pace > 1 else "")
    most = MOST_STEPS // pace
    remedy = f"--epochs {most}" if most else f"--steps-per-epoch {MOST_STEPS}"
    return f"{plan.name}: found {found}; allowed: at most {MOST_STEPS:,} rates in a preview, so type {remedy}"


def _about_the_metric(plans: list[Plan], metric: Metric) -> list[str]:
    looking = [plan for plan in plans if looks_at_a_metric(plan.scheduler)]
    if metric == "never improves":
        said = (
            "ReduceLROnPlateau needs a metric: drawn for one that never improves, the fastest that the rate can fall "
            "(worst case), and for one that always does (best case); --metric draws your own"
        )
        return [said] if looking else []
    if not looking:
        raise InputError("--metric is given, and none of the schedules looks at a metric: only ReduceLROnPlateau does")
    paces = [p.steps_per_epoch if p.scheduler["interval"] == "step" else 1 for p in looking]
    calls = max(p.epochs * pace for p, pace in zip(looking, paces, strict=True))
    if len(metric) < calls - 1:
        epochs = (len(metric) + 1) // max(paces)
        raise InputError(
            f"--metric has {len(metric)} values, and step() is called {calls} times: give at least {calls - 1} values "
            f"(the last call decides nothing any more)" + (f", or fewer epochs: --epochs {epochs}" if epochs else "")
        )
    more = f"; the other {len(metric) - calls} of --metric come after the end" if len(metric) > calls else ""
    return [f"ReduceLROnPlateau is drawn for the metric given: {min(calls, len(metric))} values{more}"]


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
    if table["name"] not in known_names("scheduler") and not is_reference(table["name"]):
        if table["name"] == "WarmupLR":
            raise InputError(f"{text!r}: {unknown_class('scheduler', 'WarmupLR')}")
        schedulers = known_names("scheduler")
        raise InputError(
            f"{text!r} is neither a study nor a scheduler.{did_you_mean(table['name'], [*_built_in(), *schedulers])} "
            f"Studies: {', '.join(_built_in())}, or a .toml file. Schedulers: {', '.join(schedulers)}, or module:attr"
        )
    table = _with_monitor({"interval": interval, **table}, interval)
    try:
        table = check_level("scheduler", table)
    except Problems as error:
        raise InputError(*(f"{text!r}: {_place(place)}{message}" for place, message in error.found)) from None
    return Trial(
        workload="any:workload",  # a Trial has one; no rate depends on it, and it may have any number of groups
        batch_size=1,
        scheduler=table,
        optimizer={"name": "SGD"},
        base_lr=DEFAULT_LR if lr is None else lr,
        epochs=DEFAULT_EPOCHS if epochs is None else epochs,
        warmup="off" if warmup is None else warmup,
    )


def _with_monitor(table: dict, interval: str) -> dict:
    """Name the metric that each ReduceLROnPlateau sees, where the call does not: none is measured, so one that fits."""
    children = [_with_monitor(c, interval) if isinstance(c, dict) else c for c in table.get("schedulers", ())]
    table = {**table, "schedulers": children} if children else table
    if table["name"] != "ReduceLROnPlateau":
        return table
    at_epochs = {"max": "val_accuracy"}.get(table.get("mode"), "val_loss")
    return {"monitor": "train_loss" if table.get("interval", interval) == "step" else at_epochs, **table}


def _place(place: tuple) -> str:
    text = place_words(place).lstrip(".")
    return f"{text} " if text else ""


def _name(trial: Trial, with_warmup: bool) -> str:
    """Return the scheduler as torch writes it, and what else tells it from its neighbours."""
    return name_of(trial.scheduler) + (f", {_warmup_words(trial.warmup)}" if with_warmup else "")


def _warmup_words(warmup: Warmup | Literal["off"]) -> str:
    if warmup == "off":
        return "no warm-up"
    if warmup.kind.startswith("untuned"):
        beta2 = "the optimizer's beta2" if warmup.beta2 is None else f"beta2 = {warmup.beta2:g}"
        return f"{warmup.kind.replace('_', ' ')} warm-up by {beta2}"
    length = f"{warmup.steps} steps" if warmup.steps is not None else f"{100 * warmup.fraction:.4g}% of all steps"
    if warmup.kind == "exponential":
        return f"exponential warm-up with a time constant of {length}"
    kind = "linear warm-up" if warmup.kind == "linear" else f"warm-up at {warmup.factor:g} times the rate"
    return f"{kind} over {length}"
