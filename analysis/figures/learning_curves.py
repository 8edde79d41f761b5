"""Learning curves: the validation error after each epoch, scheduler by scheduler and setting by setting.

What this does *not* do: compare schedulers; `analysis.schedulers` does, on the test images.
"""

import numpy as np
import pandas as pd

from analysis import figures
from analysis.comparisons import TRAINING
from analysis.figures.colours import colours_of
from analysis.figures.multiples import small_multiples
from analysis.page.wording import listed, percent
from analysis.rows.arms import comparable, is_tuned
from analysis.rows.conditions import completed, describe, group_ids, levels, short_names, varied
from lrbench.stages import BOTH, DEFAULT, TUNED

_MOST_SETTINGS = 4
_MOST_PANELS = 16
_MOST_NAMED = 2  # of those that end alike
_LEAST_FOR_QUANTILES = 10  # of fewer trials the band is their range


def draw(rows: pd.DataFrame):
    """Draw the validation error after each epoch for every scheduler: median, band over trials, the others in grey.

    The band holds 80% of the trials, or their range where there are few. Settings that train differently (workload,
    epochs, base_lr, …) are lines of their own, never averaged. Trials that chose a base_lr are not drawn; where it was
    chosen, trials at the chosen and at the default one are two settings.
    """
    usable = completed(comparable(rows))
    usable = usable[usable["val_accuracy_curve"].notna()] if "val_accuracy_curve" in usable else usable[:0]
    if usable.empty:
        return figures.message("No learning curve was recorded")
    parts = by_setting(usable)
    names = short_names(levels(usable, "scheduler"))
    own = colours_of(names.values())
    drawn = {label: _curves(part, names) for label, part in list(parts.items())[:_MOST_SETTINGS]}
    found = [curves for by_scheduler in drawn.values() for curves in by_scheduler.values()]
    seen = [c[c > 0].min() for c in found if (c > 0).any()]
    floor = min(seen, default=1.0) / 2  # no error at all has no place on a logarithmic scale: it is drawn at the floor
    panels = []
    for name in names.values():
        lines, bands = [], []
        for number, by_scheduler in enumerate(drawn.values()):
            if name in by_scheduler:
                errors = np.maximum(by_scheduler[name], floor)
                epochs = np.arange(1, errors.shape[1] + 1)
                colour = number if len(drawn) > 1 else own[name]
                lines.append((epochs, np.median(errors, axis=0), colour))
                bands.append((epochs, *_band(errors), colour))
        if lines:
            panels.append((name, lines, bands))
    more = [f"the first {len(drawn)} of {len(parts)} settings"] if len(parts) > len(drawn) else []
    more += [f"the first {_MOST_PANELS} of {len(panels)} schedulers"] if len(panels) > _MOST_PANELS else []
    title = _title(drawn) + (f" ({', '.join(more)} drawn)" if more else "")
    legend = tuple(drawn) if len(drawn) > 1 else ()
    inside = "80% of the trials" if min(map(len, found)) >= _LEAST_FOR_QUANTILES else "all trials"
    return small_multiples(
        panels[:_MOST_PANELS],
        title,
        f"epoch (line: median; band: {inside})",
        "validation error",
        percent=True,
        log=True,
        legend=legend,
    )


def _band(errors: np.ndarray) -> np.ndarray:
    """Return (low, high) of the trials' errors at each epoch: (2, epochs)."""
    few = len(errors) < _LEAST_FOR_QUANTILES
    return np.quantile(errors, [0.0, 1.0] if few else [0.1, 0.9], axis=0)


def _title(drawn: dict[str, dict[str, np.ndarray]]) -> str:
    """Say who ends with the lowest error, in the first setting that is drawn; which of them is sure, others say."""
    label, by_scheduler = next(iter(drawn.items()))
    ends = {name: float(np.median(errors[:, -1])) for name, errors in by_scheduler.items()}
    best = min(ends, key=ends.get)
    where = f"{label}: " if len(drawn) > 1 else ""
    where = where[0].upper() + where[1:] if where.startswith("at ") else where
    if len(ends) == 1:
        return f"{where}{best} ends with a validation error of {percent(ends[best])}"
    worst = max(ends, key=ends.get)
    tied = {end: [name for name in ends if percent(ends[name]) == percent(ends[end])] for end in (best, worst)}
    if percent(ends[best]) == percent(ends[worst]):
        return f"{where}{'all' if where else 'All'} schedulers end with a validation error of {percent(ends[best])}"
    low, high = (f"{_who(names)} with {percent(ends[end])}" for end, names in tied.items())
    between = f"{low} and {high}" if max(map(len, tied.values())) == 1 else f"{low}, and {high}"
    return f"{where}{'at' if where else 'At'} the end the validation error lies between {between} (medians)"


def _who(names: list[str]) -> str:
    """Name those that read the same; of many their number."""
    return listed(names) if len(names) <= _MOST_NAMED else f"{len(names)} schedulers"


def by_setting(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of each setting of the factors that change training, besides the scheduler, by its text.

    In a study with [tune] base_lr is each scheduler's own: there the settings are the chosen and the default rates.
    """
    if is_tuned(rows):
        found = {}
        for stages, words in ((TUNED, "at its chosen base_lr"), (DEFAULT, "at the default base_lr")):
            part = rows[rows["tuning"].isin((stages, BOTH))]
            others = _split(part, [name for name in varied(part, TRAINING) if name != "base_lr"])
            found |= {", ".join(filter(None, [words, label])): own for label, own in others.items()}
        return found
    return _split(rows, varied(rows, TRAINING))


def _split(rows: pd.DataFrame, names: list[str]) -> dict[str, pd.DataFrame]:
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
