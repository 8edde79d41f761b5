"""All comparisons of a study in one figure: the first page's forest, a panel for each metric, verdicts in words beside.

What this does *not* do: compare (`analysis.comparisons` does), or draw other figures.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import figures
from analysis.comparisons import STANDING, Comparison, Setting, asked, compare_all
from analysis.figures.colours import BLUE, colours_of
from analysis.page.wording import count, known, listed
from analysis.rows.arms import called
from analysis.rows.conditions import describe, places
from analysis.statistics.intervals import Estimate
from analysis.statistics.verdicts import BETTER, EQUIVALENT, VERDICTS, WORSE
from lrbench.questions import Compare

_MOST_LINES = 24
_MOST_NAMED = 3
_TUNING = {"tuned": "each at its chosen base_lr", "default": "at the default base_lr"}


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One comparison of the figure: which question and setting it belongs to."""

    question: Compare
    setting: Setting
    comparison: Comparison


def drawn(rows: pd.DataFrame, record: dict) -> list:
    """Return the figure, of the place with the most rows, in a list; an empty one where nothing was compared."""
    found = compared(places(rows)[0].rows, record) if len(rows) else []
    return [_draw(found)] if found else []


def compared(rows: pd.DataFrame, record: dict) -> list[Compared]:
    """Return every comparison with a baseline: of the study's questions, or of schedulers where it names none."""
    questions = asked(record) or [STANDING]
    found = []
    for question, settings in zip(questions, compare_all(rows, questions, record), strict=True):
        for setting in settings:
            against = (c for c in setting.against.values() if known(c.estimate.value))
            found += [Compared(question=question, setting=setting, comparison=c) for c in against]
    return found


def _draw(found: list[Compared]):
    shown = found[:_MOST_LINES]
    panels: dict[tuple, list[Compared]] = {}
    for one in shown:
        setting = one.setting
        heading = ", ".join(filter(None, [_TUNING.get(setting.tuning, ""), describe(setting.factors)]))
        panels.setdefault((one.question.metric, one.question.factor, setting.baseline, heading), []).append(one)
    names = called("scheduler", [c.comparison.a for c in shown if c.question.factor == "scheduler"])
    colours = colours_of(names.values())
    groups = [_group(heading, part, names, colours) for (*_, heading), part in panels.items()]
    return figures.summary(groups, _title(found))


def _group(heading: str, part: list[Compared], names: dict, colours: dict) -> figures.Group:
    setting, question = part[0].setting, part[0].question
    metric, ratio = setting.metric, setting.metric.scale == "ratio"
    lines = []
    for one in part:
        arm = one.comparison.a
        name = names.get(arm, arm) if question.factor == "scheduler" else f"{question.factor} = {arm}"
        estimate = one.comparison.estimate
        lines.append(
            figures.Line(
                label=name,
                estimate=_as_percent(estimate) if ratio else estimate,
                verdict=one.comparison.verdict,
                colour=colours.get(name, BLUE),
            )
        )
    unit = "%" if ratio else metric.unit
    better = "right" if metric.higher_is_better else "left"
    margin = setting.margin if known(setting.margin) else 0.0
    return figures.Group(
        title=f"{metric.label} against {called(question.factor, [setting.baseline])[setting.baseline]}"
        + (f" ({heading})" if heading else ""),
        xlabel=f"difference, {unit} (better to the {better}" + ("; grey: within the margin)" if margin else ")"),
        lines=tuple(lines),
        margin=math.expm1(margin) if ratio else margin,
        scale=100.0 if ratio or metric.unit == "points" else 1.0,
    )


def _as_percent(estimate: Estimate) -> Estimate:
    return estimate.map(np.expm1)


def _title(found: list[Compared]) -> str:
    """Count the verdicts, and name who is told apart: "6 comparisons: 1 better (CosineAnnealingLR), 5 inconclusive"."""
    calls = called("scheduler", [one.comparison.a for one in found if one.question.factor == "scheduler"])
    parts = []
    for word in VERDICTS:
        arms = dict.fromkeys(calls.get(c.comparison.a, c.comparison.a) for c in found if c.comparison.verdict == word)
        if arms:
            amount = sum(c.comparison.verdict == word for c in found)
            named = f" ({listed(arms)})" if word in (BETTER, WORSE) and len(arms) <= _MOST_NAMED else ""
            parts.append(f"{amount:,} {'equivalent' if word == EQUIVALENT else word}{named}")
    more = f" (the first {_MOST_LINES} drawn)" if len(found) > _MOST_LINES else ""
    return f"{count(len(found), 'comparison')} with a baseline: {', '.join(parts)}{more}"
