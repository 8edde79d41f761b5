"""The spread of accuracy of each scheduler at each setting: seeds, repeats, luck of the test images, the baseline's.

What this does *not* do: word what was found, or draw (`analysis.components` does).
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.page.wording import known
from analysis.rows.alike import under_another_name
from analysis.rows.conditions import completed, group_ids
from analysis.rows.outcomes import Outcomes
from analysis.rows.seed_tables import Part, parts
from analysis.statistics.dispersion import Dispersion, compare_spreads
from analysis.statistics.intervals import holm, no_spread
from analysis.statistics.luck import Luck, labels_of, luck
from analysis.statistics.nested import Components, seeds_and_runs


@dataclass(frozen=True, kw_only=True)
class Source:
    """One scheduler's spread at one setting: seeds and repeats, luck, and its ratio to the baseline's with Holm's p."""

    part: Part
    arm: str
    components: Components
    luck: Luck
    against: Dispersion | None
    corrected_p: float
    diverged: Outcomes | None


_READ = ("arm", "unit", "status", "workload", "final_accuracy", "predictions")  # of one trial a seed


def sources(rows: pd.DataFrame, record: dict | None = None) -> list[Source]:
    """Return the spread of each scheduler at each setting that has an accuracy."""
    return [source for part in parts(rows, record or {}) for source in _of_part(part)]


def _of_part(part: Part) -> list[Source]:
    part = part.at_reference()
    usable = completed(part.rows)[["arm", "unit", "final_accuracy"]]
    usable = usable[usable["final_accuracy"].notna()]
    if usable.empty:
        return []
    runs = part.first_trials()
    runs = runs[[name for name in _READ if name in runs]]
    runs = runs[(runs["status"] == "completed") & runs["final_accuracy"].notna()]
    table = runs.pivot_table(index="unit", columns="arm", values="final_accuracy", observed=True)
    labels = _labels(runs)
    # the baseline's schedule under another name is no other scheduler
    same = {part.baseline, *under_another_name(part.rows, part.baseline)}
    others = [arm for arm in table if arm not in same] if part.baseline in table else []
    pairs = {arm: shared for arm in others if len(shared := table[[arm, part.baseline]].dropna()) > 2}
    family = sum(not (no_spread(pair[arm]) or no_spread(pair[part.baseline])) for arm, pair in pairs.items())
    against = {
        arm: compare_spreads(shared[arm], shared[part.baseline], paired=True, family=max(1, family))
        for arm, shared in pairs.items()
    }
    testable = {arm: found.p for arm, found in against.items() if known(found.p)}
    corrected = dict(zip(testable, map(float, holm(list(testable.values()))), strict=True))
    return [
        Source(
            part=part,
            arm=arm,
            components=seeds_and_runs(mine["final_accuracy"], group_ids(mine, ("unit",)), np.zeros(len(mine))),
            luck=_luck(runs[runs["arm"] == arm], labels),
            against=against.get(arm),
            corrected_p=corrected.get(arm, math.nan),
            diverged=part.diverged.get(arm),
        )
        for arm in part.arms
        if len(mine := usable[usable["arm"] == arm])
    ]


def _labels(runs: pd.DataFrame) -> np.ndarray:
    have = runs[runs["predictions"].notna()] if "predictions" in runs else runs[:0]
    if have.empty or have["predictions"].map(len).nunique() > 1:
        return np.empty(0, dtype=int)
    return labels_of(have)


def _luck(runs: pd.DataFrame, labels: np.ndarray) -> Luck:
    have = runs[runs["predictions"].notna()] if "predictions" in runs else runs[:0]
    if have.empty or have["predictions"].map(len).nunique() > 1:
        return luck(np.empty((0, 1)), [], labels)
    return luck(np.stack(list(have["predictions"])), have["final_accuracy"], labels)
