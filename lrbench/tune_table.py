"""Reading [tune]: every mistake in it, and the candidates of each scheduler. No torch here.

What this does *not* do: choose (`lrbench.tuning`), or run (`lrbench.stages`).
"""

import re
from collections.abc import Container
from typing import Any

from lrbench.candidates import arm_of
from lrbench.errors import did_you_mean
from lrbench.factors import SEEDS, Problems, Trial, check_level
from lrbench.grid import levels_of
from lrbench.levels import place_words
from lrbench.metrics import METRICS
from lrbench.questions import Problem
from lrbench.tuning import METRICS_TO_TUNE, Tune

_KEYS = ("seeds", "base_lr", "budget", "metric", "arguments")


def parse_tune(
    document: dict, levels: dict[str, list], wrong: Container[str], own_rates: list[float], problem: Problem
) -> Tune | None:
    """Return a study's [tune] with its arms, each mistake told to `problem`.

    `levels` are the checked levels of every factor that the study gives, fixed ones too; factors of which one is
    `wrong` are told of elsewhere. `own_rates` are the rates of the study as written: one, or each workload's.
    """
    table = document.get("tune")
    if table is None:
        return None
    if not isinstance(table, dict):
        problem("tune", f"found {table!r}; allowed: a table, [tune]")
        return None
    count = _Counter(problem)
    for key in table:
        if key not in _KEYS:
            hint = did_you_mean(key, _KEYS) or (" Arguments stand in [tune.arguments.StepLR]" if key != "seed" else "")
            count(f"tune.{key}", f"is unknown; allowed: {', '.join(_KEYS)}.{hint}")
    if len(levels.get("base_lr", [])) > 1:
        count("grid.base_lr", "varies, and [tune] chooses it: fix it, and list the rates under tune.base_lr")
    schedulers = levels.get("scheduler", [Trial.model_fields["scheduler"].default])
    tune = Tune(
        seeds=_seeds(table.get("seeds"), levels, wrong, count),
        base_lr=_checked_list("base_lr", table.get("base_lr", []), "tune.base_lr", count),
        budget=_budget(table.get("budget", 0), count),
        metric=_metric(table.get("metric", METRICS_TO_TUNE[0]), count),
        arguments=_arguments(table.get("arguments", {}), schedulers, "scheduler" in wrong, count),
    )
    told = {*count.keys, *(name for name in ("base_lr", "scheduler", "workload") if name in wrong)}
    if not told & {"base_lr", "arguments", "scheduler", "workload"}:
        _check_rates(tune, own_rates, table, count)
    if not told & {"base_lr", "seeds", "budget", "workload"}:
        _check_budget(tune, own_rates, count)
    if count.found or wrong:
        return tune
    try:
        return tune.model_copy(update={"arms": tuple(arm_of(tune, own_rates, scheduler) for scheduler in schedulers)})
    except Problems as error:
        problem("tune.arguments", f"do not go together: {error}")
        return tune


class _Counter:
    """Tells problems on, and remembers that there were some."""

    def __init__(self, problem: Problem):
        self._problem, self.found, self.keys = problem, 0, set()  # keys: those of [tune] that were told of

    def __call__(self, place: str, message: str) -> None:
        self.found += 1
        self.keys.add(re.split(r"[.[]", f"{place}.")[1])
        self._problem(place, message)


def _seeds(given: Any, levels: dict, wrong: Container[str], problem: Problem) -> list[int]:
    if given is None:
        problem("tune.seeds", 'is missing: write seeds that the comparison does not use, as in seeds = "1000-1004"')
        return []
    try:
        seeds = levels_of([given] if isinstance(given, int) and not isinstance(given, bool) else given)
    except Problems as error:
        problem("tune.seeds", str(error))
        return []
    seeds = _checked_list("seed", seeds, "tune.seeds", problem)
    compared = {seed for name in SEEDS if name not in wrong for seed in levels.get(name, [])}
    compared |= set() if "seed" in levels else {Trial.model_fields["seed"].default}
    if shared := sorted({*seeds} & compared):
        shown = ", ".join(map(str, shown_few(shared)))
        problem("tune.seeds", f"found {shown}, which the comparison uses too: what is chosen must be judged on others")
    return seeds


def shown_few(values: list, most: int = 5) -> list:
    """Return the first few of many values, with how many more there are.

    >>> shown_few([1, 2, 3], most=2)
    [1, 2, '… (1 more)']
    """
    return values if len(values) <= most else [*values[:most], f"… ({len(values) - most:,} more)"]


def _checked_list(factor: str, values: Any, place: str, problem: Problem) -> list:
    """Return a list of levels of a factor, checked; each bad or repeated one is told."""
    if not isinstance(values, list):
        problem(place, f"found {values!r}; allowed: a list, as in {place.partition('.')[2]} = [0.05, 0.1, 0.2]")
        return []
    if not values and factor == "seed":
        problem(place, "is an empty list; give at least one seed")
    checked = []
    for index, value in enumerate(values):
        try:
            level = check_level(factor, value)
        except Problems as error:
            problem(f"{place}[{index}]", str(error))
            continue
        if level in checked:
            problem(f"{place}[{index}]", f"repeats {level}")
        checked.append(level)
    return checked


def _budget(budget: Any, problem: Problem) -> int:
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < 0:
        problem(
            "tune.budget", f"found {budget!r}; allowed: selection trials of each scheduler, a whole number; 0: no bound"
        )
        return 0
    return budget


def _metric(metric: Any, problem: Problem) -> str:
    if metric in METRICS_TO_TUNE:
        return metric
    why = ""
    if metric in METRICS:
        of_test = metric in ("final_accuracy", "final_loss")
        why = ", which is of the test images, and those are for the comparison" if of_test else ", which is a cost"
    hint = did_you_mean(str(metric), METRICS_TO_TUNE) if not why else ""
    problem("tune.metric", f"found {metric!r}{why}; allowed: {', '.join(METRICS_TO_TUNE)}.{hint}")
    return METRICS_TO_TUNE[0]


def _arguments(tables: Any, schedulers: list[dict], unknown: bool, problem: Problem) -> dict[str, dict[str, list]]:
    """Return {class: {argument: values}}, each value tried on each scheduler of that class in the grid."""
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        problem("tune.arguments", f"found {tables!r}; allowed: tables of arguments, as in [tune.arguments.StepLR]")
        return {}
    checked: dict[str, dict[str, list]] = {}
    for name, table in tables.items():
        of_class = [scheduler for scheduler in schedulers if scheduler["name"] == name]
        if not of_class:
            known = sorted({scheduler["name"] for scheduler in schedulers})
            if not unknown:
                what = f"is no scheduler of this study; its schedulers: {', '.join(known)}.{did_you_mean(name, known)}"
                problem(f"tune.arguments.{name}", what)
            continue
        checked[name] = {}
        for argument, values in table.items():
            place = f"tune.arguments.{name}.{argument}"
            if not isinstance(values, list) or not values:
                problem(place, f"found {values!r}; allowed: a list of values, as in gamma = [0.1, 0.3]")
            elif argument in ("interval", "name"):
                problem(place, "is no argument that is tuned: list the schedulers under grid.scheduler")
            else:
                checked[name][argument] = _values(of_class, argument, values, place, problem)
    return checked


def _values(of_class: list[dict], argument: str, values: list, place: str, problem: Problem) -> list:
    kept: list = []
    for index, value in enumerate(values):
        told: dict[tuple[str, str], None] = {}
        for scheduler in of_class:
            try:
                level = check_level("scheduler", {**scheduler, argument: value})[argument]
            except Problems as error:
                for where, message in error.found:
                    at = (
                        f"{place}[{index}]{place_words(where[1:])}" if where[:1] == (argument,) else f"{place}[{index}]"
                    )
                    whole = message.startswith("is unknown")  # the argument, not this value of it
                    told[place if whole else at, message] = None
        for where, message in told:
            problem(where, message)
        if not told:
            if level in kept:
                problem(f"{place}[{index}]", f"repeats {level!r}")
            kept.append(level)
    return kept


def _check_rates(tune: Tune, own_rates: list[float], table: dict, problem: Problem) -> None:
    if own_rates and len({*own_rates, *tune.base_lr}) < 2 and not any(tune.arguments.values()):
        example = "base_lr = [0.02, 0.05, 0.1, 0.2]"
        same = f"found {table.get('base_lr')!r}, and the study's own rate is no other" if tune.base_lr else "is empty"
        missing = "is missing" if "base_lr" not in table else same
        problem("tune.base_lr", f"{missing}: write rates to choose from, {example}")


def _check_budget(tune: Tune, own_rates: list[float], problem: Problem) -> None:
    least = (len(own_rates) + 1) * len(tune.seeds)
    if tune.budget and tune.budget < least:
        problem(
            "tune.budget",
            f"found {tune.budget}; allowed: 0 (no bound), or at least {least}: {len(tune.seeds)} seeds for the study's "
            "own setting and one more",
        )
