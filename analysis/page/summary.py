"""All comparisons of a study in one figure: the first page's forest, a panel for each metric, verdicts in words beside.

Flags that vary have a panel of their own, the ratio of speeds, unless the study asks for it by itself.

What this does *not* do: compare (`analysis.comparisons` does), or draw other figures.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import figures, throughput
from analysis import throughput_words as words
from analysis.compared_looks import settled_briefly
from analysis.comparisons import STANDING, asked, compare_all
from analysis.contrast import MARGIN, Contrast
from analysis.figures.colours import BLUE, colours_of
from analysis.first_steps import change
from analysis.page.wording import all_others, count, known, level, listed
from analysis.rows.arms import called, comparable
from analysis.rows.conditions import MACHINE_FACTORS, describe, places
from analysis.setting import Comparison, Setting
from analysis.sizes import plain
from analysis.statistics.intervals import Estimate
from analysis.statistics.verdicts import BETTER, EQUIVALENT, NOT_TESTABLE, WORSE
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
    here = places(rows)[0].rows if len(rows) else rows
    found = compared(here, record) if len(rows) else []
    asked_for = any(q.factor in MACHINE_FACTORS and q.metric == "samples_per_second" for q in asked(record))
    flags = [] if rows.empty or asked_for else throughput.live_contrasts(comparable(here))
    return [_draw(found, flags)] if found or flags else []


def compared(rows: pd.DataFrame, record: dict) -> list[Compared]:
    """Return every comparison with a baseline: of the study's questions, or of schedulers where it names none."""
    questions = asked(record) or [STANDING]
    found = []
    for question, settings in zip(questions, compare_all(rows, questions, record), strict=True):
        for setting in settings:
            against = (c for c in setting.against.values() if known(c.estimate.value))
            found += [Compared(question=question, setting=setting, comparison=c) for c in against]
    return found


def _draw(found: list[Compared], flags: list[Contrast]):
    shown = found[:_MOST_LINES]
    panels: dict[tuple, list[Compared]] = {}
    for one in shown:
        setting, heading = one.setting, _heading(one.setting)
        panels.setdefault((one.question.metric, one.question.factor, setting.baseline, heading), []).append(one)
    names = called("scheduler", [c.comparison.a for c in shown if c.question.factor == "scheduler"])
    colours = colours_of(names.values())
    groups = [_group(heading, part, names, colours) for (*_, heading), part in panels.items()]
    titles = [*([_title(found)] if found else []), *([_about_flags(flags)] if flags else [])]
    more = f" (the first {_MOST_LINES} of {count(len(found), 'comparison')} drawn)" if len(found) > _MOST_LINES else ""
    return figures.summary([*groups, *([_speeds(flags)] if flags else [])], "; ".join(titles) + more)


def _heading(setting: Setting) -> str:
    return ", ".join(filter(None, [_TUNING.get(setting.tuning, ""), describe(setting.factors)]))


def _speeds(flags: list[Contrast]) -> figures.Group:
    """The panel of the flags: speed as a multiple of that at the reference level."""
    lines = [figures.Line(label=c.label, estimate=c.ratio, verdict=words.word(c)) for c in flags]
    return figures.Group(
        title="speed, one level / the other",
        xlabel="ratio of speeds (faster to the right; grey: within 2%)",
        lines=tuple(lines),
        reference=1.0,
        margin=math.expm1(MARGIN),
    )


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
                verdict=" ".join(filter(None, [one.comparison.verdict, settled_briefly(one.comparison)]))
                + (": diverged" if one.comparison.withdrawn else ""),
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
    """State what was found in the first setting of the first question: who is told apart from the baseline, if any."""
    setting, factor = found[0].setting, found[0].question.factor
    names = called(factor, setting.arms)
    first = [one.comparison for one in found if one.setting is setting and not one.comparison.is_one]
    label, baseline = setting.metric.label, names[setting.baseline]
    where = f" ({_heading(setting)})" if any(one.setting is not setting for one in found) and _heading(setting) else ""
    if not first:
        return f"{listed([names[arm] for arm in setting.alike[0]])} are one schedule here{where}"
    for word in (BETTER, WORSE):
        told = [c for c in first if c.verdict == word and not c.disputed]
        if len(told) == 1:
            amount = plain(setting.metric, abs(told[0].estimate.value))
            return f"{names[told[0].a]} is {word} than {baseline} in {label} by {amount}{where}"
        if told:
            who = listed(names[c.a] for c in told) if len(told) <= _MOST_NAMED else f"{len(told)} of {len(first)} arms"
            return f"{who} are {word} than {baseline} in {label}{where}"
    if disputed := [f"{names[c.a]} {c.verdict} {settled_briefly(c)}" for c in first if c.disputed]:
        return f"Against {baseline} in {label}: {'; '.join(disputed[:_MOST_NAMED])}{where}"
    withdrawn = [names[c.a] for c in first if c.withdrawn]
    lost = f"; {listed(withdrawn[:_MOST_NAMED])} diverged on some seeds" if withdrawn else ""
    same = [c for c in first if c.verdict == EQUIVALENT]
    if len(same) == len(first):
        who = names[same[0].a] + " is" if len(same) == 1 else f"{all_others(len(same))} are"
        return f"{who} equivalent to {baseline} in {label} within {plain(setting.metric, setting.margin)}{where}"
    if all(c.verdict == NOT_TESTABLE for c in first):
        return f"Nothing can be told from {baseline} in {label} here{where}"
    if len(first) == 1:
        return f"{names[first[0].a]} cannot be told from {baseline} in {label}{lost}{where}"
    also = f"; {len(same)} of {len(first)} {'is' if len(same) == 1 else 'are'} equivalent to it" if same else ""
    return f"None of {len(first)} can be told from {baseline} in {label}{also}{lost}{where}"


def _about_flags(flags: list[Contrast]) -> str:
    """State what was found on the flags: the first that change the speed, or that none was seen to."""
    told = [c for c in flags if words.word(c) in (BETTER, WORSE)]
    if told:
        parts = [f"{c.factor} = {level(c.level)} is {change(c)}" for c in told[:2]]
        return listed(parts)
    names = listed(dict.fromkeys(c.factor for c in flags))
    if all(words.word(c) == EQUIVALENT for c in flags):
        return f"{names} {'changes' if len(flags) == 1 else 'change'} the speed by less than 2%"
    return f"no effect of {names} on speed found"
