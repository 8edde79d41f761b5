"""What a study asks beforehand: the [[compare]] tables of a study file, checked. No torch, no numbers here.

A question names a factor, the level that the others are set against, the metric, and the difference that matters. What
this does *not* do: answer (`analysis`), or know what a metric is (`lrbench.metrics`).
"""

import json
import math
import re
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from lrbench.errors import InputError, did_you_mean
from lrbench.factors import FACTORS, SEEDS, Problems, check_level, unknown_factor
from lrbench.grid import as_in_row
from lrbench.metrics import METRICS, Metric, find_metric

Problem = Callable[[str, str], None]  # (place, message)
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_MARGINS = 'allowed: as in margin = 0.005, margin = "1 seed SD", or margin = "2%" for what is compared by ratios'
_SDS = re.compile(r"(\d+(?:\.\d+)?)\s*seed SDs?")


class Compare(BaseModel):
    """One question of a study: its factor's levels against a baseline, in one metric.

    `baseline` is the level as it stands in a row ("off" for null), None the factor's natural reference. `margin` is the
    difference that matters, in words; `margin_of` reads it. Holm's correction runs over all comparisons of a `family`.
    """

    model_config = ConfigDict(frozen=True)
    factor: str
    baseline: str | bool | int | float | None = None
    metric: str = "final_accuracy"
    margin: str | float = "1 seed SD"
    family: str = "main"


@dataclass(frozen=True, kw_only=True)
class Margin:
    """A difference that matters: so many SDs over seeds, a share of the value, or an amount in the metric's unit."""

    kind: Literal["seed_sd", "share", "amount"]
    size: float


def margin_of(compare: Compare) -> Margin:
    """Return what a question's margin says.

    >>> margin_of(Compare(factor="scheduler", margin="1 seed SD"))
    Margin(kind='seed_sd', size=1.0)
    >>> margin_of(Compare(factor="cudnn_benchmark", metric="samples_per_second", margin="2%"))
    Margin(kind='share', size=0.02)
    """
    return _read_margin(compare.margin, METRICS[compare.metric])


def parse_compare(document: dict, grid: dict[str, list], wrong: Container[str], problem: Problem) -> tuple:
    """Return the questions of a study's document, each mistake told to `problem`.

    `grid` holds the checked levels; factors of which a level is `wrong` are told of elsewhere, and not held against a
    question.
    """
    tables = document.get("compare", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        problem("compare", f"found {tables!r}; allowed: tables, each begun with [[compare]]")
        return ()
    raw = document.get("grid")
    in_grid = raw if isinstance(raw, dict) else {}
    found = [_parse_one(t, f"compare[{index}]", grid, wrong, in_grid, problem) for index, t in enumerate(tables)]
    seen: dict[tuple, int] = {}
    for index, compare in enumerate(found):
        if compare is not None:
            first = seen.setdefault((compare.factor, compare.metric, compare.baseline), index)
            if first != index:
                problem(f"compare[{index}]", f"asks what compare[{first}] asks: the same factor, baseline and metric")
    return tuple(compare for compare in found if compare is not None)


def _parse_one(
    table: dict, place: str, grid: dict, wrong: Container[str], in_grid: Container[str], problem: Problem
) -> Compare | None:
    good = True

    def told(key: str, message: str) -> None:
        nonlocal good
        good = False
        problem(f"{place}.{key}", message)

    known = list(Compare.model_fields)
    for key in table:
        if key not in known:
            told(key, f"is unknown; a comparison's keys: {', '.join(known)}.{did_you_mean(key, known)}")
    factor, family = table.get("factor"), table.get("family", "main")
    if factor is None:
        told("factor", 'is missing: write a factor that varies under [grid], as in factor = "scheduler"')
    elif message := _not_comparable(factor, grid, wrong, in_grid):
        told("factor", message)
    if not isinstance(family, str) or not family.strip():
        told("family", f'found {family!r}; allowed: a name, as in family = "main"')
    metric = table.get("metric", "final_accuracy")
    try:
        margin = _checked_margin(table, find_metric(metric if isinstance(metric, str) else repr(metric)), told)
    except InputError as error:
        told("metric", str(error))
        margin = ""
        if "margin" in table and not any(_is_margin(table["margin"], each) for each in METRICS.values()):
            told("margin", f"found {table['margin']!r}, which is no margin of any metric; {_MARGINS}")
    baseline = None
    if "baseline" in table and isinstance(factor, str) and factor in grid and factor not in wrong:
        try:
            baseline = _level_meant(factor, table["baseline"], grid[factor])
        except Problems as error:
            told("baseline", str(error))
    if not good:
        return None
    return Compare(factor=factor, baseline=baseline, metric=metric, margin=margin, family=family)


def _not_comparable(factor: Any, grid: dict, wrong: Container[str], in_grid: Container[str]) -> str:
    """Say why a factor cannot be asked about; "" where it can, or where its levels are wrong already."""
    varied = [name for name, levels in grid.items() if len(levels) > 1 and name not in SEEDS]
    allowed = f"allowed: what varies under [grid]: {', '.join(varied) or 'nothing does'}"
    if not isinstance(factor, str):
        return f"found {factor!r}; {allowed}"
    if factor in SEEDS or factor == "replicate":
        return f"found {factor!r}: levels are compared seed by seed, so seeds are no levels; {allowed}"
    if factor not in FACTORS:
        return f"found {factor!r}, which {unknown_factor(factor)}"
    if factor in wrong or factor in varied:
        return ""
    how = "has one level" if factor in in_grid else "does not vary"
    return f"found {factor!r}, which {how}: list its levels under [grid]; {allowed}"


def _checked_margin(table: dict, metric: Metric, told: Problem) -> str | float:
    margin = table.get("margin", metric.margin)
    try:
        _read_margin(margin, metric)
    except InputError as error:
        told("margin", str(error))
    return margin


def _read_margin(margin: Any, metric: Metric) -> Margin:
    if metric.scale == "ratio":
        found = _SHARE.fullmatch(margin.strip()) if isinstance(margin, str) else None
        if found and 0 < float(found[1]) < 100:
            return Margin(kind="share", size=float(found[1]) / 100)
        raise InputError(
            f'found {margin!r}; {metric.name} is compared by ratios; allowed: a share above 0%, as in margin = "2%"'
        )
    if isinstance(margin, str):
        found = _SDS.fullmatch(margin.strip())
        if found and float(found[1]) > 0:
            return Margin(kind="seed_sd", size=float(found[1]))
    elif _is_number(margin) and margin > 0 and (margin < 1 or metric.unit != "points"):
        return Margin(kind="amount", size=float(margin))
    what = "a fraction above 0 and below 1" if metric.unit == "points" else f"a number of {metric.unit} above 0"
    example = "0.005 (half a point)" if metric.unit == "points" else "0.05"
    raise InputError(
        f"found {margin!r}; {metric.name} is compared by differences; allowed: {what}, as in margin = {example}, or "
        'SDs over seeds, as in margin = "1 seed SD"'
    )


def _is_margin(margin: Any, metric: Metric) -> bool:
    try:
        _read_margin(margin, metric)
    except InputError:
        return False
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _level_meant(factor: str, given: Any, levels: list) -> Any:
    """Return the one level that is meant, as it stands in a row. Raises Problems where it is none, or several."""
    texts = [as_in_row(factor, level) for level in levels]
    called = [level["name"] if factor in ("scheduler", "optimizer") else None for level in levels]
    shown = ", ".join(str(text) for text in dict.fromkeys(texts))
    if isinstance(given, str) and given in called:
        meant = [text for text, name in zip(texts, called, strict=True) if name == given]
        if len(meant) > 1:
            raise Problems([((), f"found {given!r}, of which there are {len(meant)}: write one whole: {shown}")])
        return meant[0]
    if isinstance(given, str) and given in texts:
        return given
    try:
        wanted = json.dumps(check_level(factor, given), sort_keys=True)
    except Problems:
        wanted = ""
    for text, level in zip(texts, levels, strict=True):
        if json.dumps(level, sort_keys=True) == wanted:
            return text
    known = [name for name in (*called, *texts) if isinstance(name, str)]
    hint = did_you_mean(given, known) if isinstance(given, str) else ""
    raise Problems([((), f"found {given!r}, which is no level of {factor}; allowed: {shown}.{hint}")])
