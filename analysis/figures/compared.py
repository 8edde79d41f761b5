"""A comparison as a figure: every seed of each arm, and the paired differences to the baseline; its title the finding.

What this does *not* do: compare, or draw lines itself (`analysis.figures.comparison` does).
"""

import math

import numpy as np

from analysis import figures
from analysis.compared_looks import settled_briefly
from analysis.compared_table import value_interval
from analysis.compared_words import seeds_of
from analysis.comparisons import Setting
from analysis.page.wording import after_colon, count, listed
from analysis.rows.arms import called
from analysis.rows.conditions import describe
from analysis.sizes import signed
from analysis.statistics.intervals import Estimate, paired_interval
from analysis.statistics.verdicts import BETTER, EQUIVALENT, WORSE

_MOST_DRAWN = 4


def figure(found: list[Setting]):
    """Draw the settings that compare something, at most four; of a question with no value at all, say so."""
    if not found:
        return figures.message("No trial completed with such a value")
    compared = [setting for setting in found if len(setting.arms) > 1] or found
    drawn, metric = compared[:_MOST_DRAWN], found[0].metric
    names = called(found[0].question.factor, [arm for setting in compared for arm in setting.arms])
    percent = metric.unit == "points"
    label = f"{metric.label}, %" if percent else f"{metric.label}, {metric.unit}"
    margins = {round(setting.margin, 12) for setting in drawn}
    margin = margins.pop() if len(margins) == 1 else 0.0
    unit = metric.unit
    if metric.scale == "ratio":
        unit, margin = "percent", 100 * math.expm1(margin)
    return figures.comparison(
        [_panel(setting, names) for setting in drawn],
        _title(compared, names),
        value_label=label,
        unit=unit,
        scale=100.0 if percent else 1.0,
        margin=(100.0 if percent else 1.0) * margin if math.isfinite(margin) else 0.0,
    )


def _panel(setting: Setting, names: dict) -> tuple[str, str, list]:
    """One setting as the figure takes it: its factors, what the differences are to, and its rows."""
    reference = setting.baseline or setting.arms[0]
    drawn = []
    for arm in setting.arms:
        scores = setting.scores[arm]
        c = setting.against.get(arm) if setting.baseline else setting.pairs.get((reference, arm))
        differences = (c.differences if setting.baseline else -c.differences) if c is not None else np.empty(0)
        each, difference = _shown(setting, differences)
        drawn.append(
            (
                _row_name(setting, arm, names),
                value_interval(setting, scores.dropna()),
                scores.tolist(),
                difference,
                each,
            )
        )
    label = {"tuned": "each at its chosen base_lr", "default": "all at the default base_lr"}.get(setting.tuning, "")
    return ", ".join(filter(None, [label, describe(setting.factors)])), _reference(setting, reference, names), drawn


def _row_name(setting: Setting, arm: str, names: dict) -> str:
    """An arm's name, with what it lost: its dots are of the seeds that are left."""
    lost = setting.outcomes[arm]
    if not lost.num_diverged_seeds:
        return names[arm]
    return f"{names[arm]} ({lost.num_diverged_seeds} of {lost.num_seeds} seeds diverged)"


def _reference(setting: Setting, arm: str, names: dict) -> str:
    return names[arm] if setting.question.factor in ("scheduler", "optimizer") else arm


def _shown(setting: Setting, differences: np.ndarray) -> tuple[list[float], Estimate]:
    estimate = paired_interval(differences)
    if setting.metric.scale == "ratio":
        return (100 * np.expm1(differences)).tolist(), estimate.map(lambda value: 100 * math.expm1(min(value, 50.0)))
    return differences.tolist(), estimate


def _title(compared: list[Setting], names: dict) -> str:
    """The finding on the only setting; of several that on the first, and how many there are."""
    first, *others = compared
    title = _finding(first, names)
    opening = _panel(first, names)[0]
    if not others:
        return f"{title} ({opening})" if opening else title
    titles = {_finding(setting, names) for setting in compared}
    if len(titles) > 1:
        title = f"{opening[0].upper()}{opening[1:]}: " if first.tuning else f"{opening}: "
        title += f"{after_colon(_finding(first, names))}; {count(len(others), 'other setting')} below"
    else:
        title = f"{title}, in each of {len(compared):,} settings"
    return title if len(compared) <= _MOST_DRAWN else f"{title} (the first {_MOST_DRAWN} of {len(compared):,} drawn)"


def _finding(setting: Setting, names: dict) -> str:
    best, *others = setting.arms
    scheduler = setting.question.factor == "scheduler"
    if not others:
        return f"{names[best]}: the only one that was run"
    if setting.num_seeds < 2:
        return f"One seed: the order of the {'schedulers' if scheduler else 'levels'} may be chance"
    if not setting.planned:
        return f"{listed([names[arm] for arm in setting.alike[0]])} are one schedule here"
    words = {c.verdict for c in setting.planned}
    if setting.baseline and words == {EQUIVALENT}:
        return f"All are equivalent to {names[setting.baseline]} with {seeds_of(setting, setting.planned)}"
    if setting.baseline and not words & {BETTER, WORSE}:
        withdrawn = [c for c in setting.planned if c.withdrawn]
        left = [c for c in setting.planned if not c.withdrawn]
        said = listed([names[c.a] for c in withdrawn])
        if not left:
            return f"Nothing is concluded about {said}: seeds diverged, and only completed trials are drawn"
        of = "scheduler" if scheduler else f"level of {setting.question.factor}"
        text = f"can be told from {names[setting.baseline]} with {seeds_of(setting, left)}"
        if withdrawn:
            return f"Nothing is concluded about {said}, for seeds diverged; no other {of} {text}"
        return f"No {of} {text}"
    if setting.baseline and len(setting.planned) == 1:
        (c,) = setting.planned
        size = signed(setting.metric, c.estimate.value)
        if c.disputed:
            reference = _reference(setting, c.b, names)
            return f"{names[c.a]} against {reference}: {c.verdict} {settled_briefly(c)} ({size})"
        return f"{names[c.a]} is {c.verdict} than {_reference(setting, c.b, names)}: {size}"
    lost = [arm for arm in others if setting.outcomes[arm].num_diverged_seeds]
    if lost and all(arm in lost or setting.pairs[best, arm].told_apart for arm in others):
        o = setting.outcomes[lost[0]]
        more = f", {count(len(lost) - 1, 'other')} too" if len(lost) > 1 else ""
        on = f"{names[o.arm]} diverged on {o.num_diverged_seeds} of {o.num_seeds} seeds"
        return f"{names[best]} comes first; {on}{more}"
    tied = [arm for arm in others if not (setting.pairs[best, arm].told_apart or setting.pairs[best, arm].is_one)]
    first = "highest" if setting.metric.higher_is_better else "lowest"
    if tied:
        return f"{names[best]} is {first}, but not told from {listed([names[arm] for arm in tied[:3]], 'or')}"
    return f"{names[best]} is {first}, and told from all others"
