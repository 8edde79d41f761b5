"""Learning curves: the validation error after each epoch, scheduler by scheduler and setting by setting.

What this does *not* do: compare schedulers; `analysis.schedulers` does, on the test images.
"""

import numpy as np
import pandas as pd

from analysis import figures
from analysis.comparisons import TRAINING
from analysis.conditions import completed, describe, group_ids, levels, short_names, varied
from analysis.multiples import small_multiples

_MOST_SETTINGS = 4


def draw(rows: pd.DataFrame):
    """Draw the validation error after each epoch for every scheduler: mean, range over trials, the others in grey.

    Settings that train differently (workload, epochs, base_lr, …) are lines of their own, never averaged.
    """
    usable = completed(rows)
    usable = usable[usable["val_accuracy_curve"].notna()] if "val_accuracy_curve" in usable else usable[:0]
    if usable.empty:
        return figures.message("No learning curve was recorded")
    parts = by_setting(usable)
    names = short_names(levels(usable, "scheduler"))
    drawn = {label: _curves(part, names) for label, part in list(parts.items())[:_MOST_SETTINGS]}
    found = [curves for by_scheduler in drawn.values() for curves in by_scheduler.values()]
    seen = [c[c > 0].min() for c in found if (c > 0).any()]
    floor = min(seen, default=1.0) / 2  # no error at all has no place on a logarithmic scale: it is drawn at the floor
    panels = []
    for name in names.values():
        lines, bands = [], []
        for colour, by_scheduler in enumerate(drawn.values()):
            if name in by_scheduler:
                errors = np.maximum(by_scheduler[name], floor)
                epochs = np.arange(1, errors.shape[1] + 1)
                lines.append((epochs, errors.mean(axis=0), colour))
                bands.append((epochs, errors.min(axis=0), errors.max(axis=0), colour))
        if lines:
            panels.append((name, lines, bands))
    title = "Validation error after each epoch: mean, and range over all trials"
    if len(parts) > len(drawn):
        title += f" (the first {len(drawn)} of {len(parts)} settings drawn)"
    legend = tuple(drawn) if len(drawn) > 1 else ()
    return small_multiples(panels, title, "epoch", "error (logarithmic)", percent=True, log=True, legend=legend)


def by_setting(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of each setting of the factors that change training, besides the scheduler, by its text."""
    names = varied(rows, TRAINING)
    order = {name: levels(rows, name) for name in names}
    found = []
    for _, part in rows.groupby(group_ids(rows, names), sort=False):
        values = {name: None if pd.isna(part[name].iloc[0]) else part[name].iloc[0] for name in names}
        found.append(([order[name].index(value) for name, value in values.items()], describe(values), part))
    return {label: part for _, label, part in sorted(found, key=lambda item: item[0])}


def _curves(rows: pd.DataFrame, names: dict[str, str]) -> dict[str, np.ndarray]:
    """Return the errors of each scheduler's trials, (trials, epochs)."""
    curves = {}
    for scheduler in levels(rows, "scheduler"):
        found = [1 - np.asarray(c, dtype=float) for c in rows[rows["scheduler"] == scheduler]["val_accuracy_curve"]]
        length = max(map(len, found))
        curves[names[scheduler]] = np.array([c for c in found if len(c) == length])
    return curves
