"""Learning curves: the validation error after each epoch, scheduler by scheduler.

What this does *not* do: compare schedulers; `analysis.schedulers` does, on the test images.
"""

import numpy as np
import pandas as pd

from analysis import figures
from analysis.conditions import completed, levels, short_names


def draw(rows: pd.DataFrame):
    """Draw the validation error after each epoch for every scheduler: mean, range over trials, the others in grey."""
    usable = completed(rows)
    usable = usable[usable["val_accuracy_curve"].notna()] if "val_accuracy_curve" in usable else usable[:0]
    if usable.empty:
        return figures.message("No learning curve was recorded")
    names = short_names(levels(usable, "scheduler"))
    curves = {}
    for scheduler in levels(usable, "scheduler"):
        found = [1 - np.asarray(c, dtype=float) for c in usable[usable["scheduler"] == scheduler]["val_accuracy_curve"]]
        length = max(map(len, found))
        curves[names[scheduler]] = np.array([c for c in found if len(c) == length])
    seen = [c[c > 0].min() for c in curves.values() if (c > 0).any()]
    floor = min(seen, default=1.0) / 2  # no error at all has no place on a logarithmic scale: it is drawn at the floor
    panels = []
    for name, errors in curves.items():
        errors, epochs = np.maximum(errors, floor), np.arange(1, errors.shape[1] + 1)
        panels.append((name, [(epochs, errors.mean(axis=0), 0)], (epochs, errors.min(axis=0), errors.max(axis=0))))
    title = "Validation error after each epoch: mean, and range over all trials"
    return figures.small_multiples(panels, title, "epoch", "error (logarithmic)", percent=True, log=True)
