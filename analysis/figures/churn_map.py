"""On how many test images do two runs disagree? Every run against every other, as a heat map.

Two networks of the same accuracy may be wrong about different images; what schedulers add to what seeds do shows as
darker blocks off the diagonal. One run a seed is taken (the first replicate, flags at their first level). The means are
over all such runs; of many a part is drawn. Runs are of one setting, which the figure names: where rates were tuned,
each scheduler at its chosen one. What this does *not* do: compare repeats of one seed (`analysis.figures.divergence`
does).
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from analysis import figures
from analysis.comparisons import TRAINING
from analysis.page.wording import listed, percent
from analysis.rows.arms import comparable, is_tuned
from analysis.rows.conditions import (
    MACHINE_FACTORS,
    SCHEDULE,
    SEEDS,
    completed,
    describe,
    group_ids,
    levels,
    places,
    short_names,
    varied,
)
from analysis.rows.replicates import disagreement
from lrbench.stages import BOTH, TUNED

MOST_RUNS = 48


@dataclass(frozen=True, kw_only=True)
class Churn:
    """Shares of test images that two runs classify differently: (runs, runs), with the arm and the seed of each run.

    `other_seed` is the mean over pairs of runs of one scheduler at two seeds, `other_scheduler` over those of two
    schedulers at one seed; nan where there are none. Both are over all `num_runs` runs, whatever part is in `shares`.
    `setting` says of what the runs are where there are others ("" where not), `absent` which schedulers have none.
    """

    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    shares: np.ndarray
    num_runs: int
    other_seed: float
    other_scheduler: float
    setting: str = ""
    absent: tuple[str, ...] = ()


NOTHING = Churn(
    arms=(), seeds=(), shares=np.zeros((0, 0)), num_runs=0, other_seed=float("nan"), other_scheduler=float("nan")
)


def churn(rows: pd.DataFrame) -> Churn:
    """Return the churn between runs of the place and setting with the most rows, at most MOST_RUNS of them in `shares`.

    Empty where fewer than three runs have predictions for the same images. Of more runs the first seeds of each arm
    are taken, as many of each.
    """
    if "predictions" not in rows:
        return NOTHING
    every = _predicted(rows)
    usable, setting = _one_setting(every)
    if usable.empty:
        return NOTHING
    calls = levels(usable, "scheduler")
    by_arm = usable.groupby("arm")["scheduler"].first()
    order = sorted(by_arm.index, key=lambda arm: (calls.index(by_arm[arm]), arm))
    usable = usable.assign(arm_order=usable["arm"].map(order.index))
    usable = usable.sort_values(["arm_order", *SEEDS, "replicate"]).drop_duplicates(["arm_order", *SEEDS])
    if len({len(values) for values in usable["predictions"]}) != 1:
        return NOTHING
    each = max(1, MOST_RUNS // usable["arm_order"].nunique())
    chosen = usable.groupby("arm_order").head(each)[:MOST_RUNS]
    if len(chosen) < 3:
        return NOTHING
    classes = np.stack(chosen["predictions"].to_list())
    shares = np.stack([(classes != one).mean(axis=1) for one in classes])
    return Churn(
        arms=tuple(chosen["arm"]),
        seeds=tuple(group_ids(chosen, SEEDS)),
        shares=shares,
        num_runs=len(usable),
        other_seed=disagreement(usable, group_ids(usable, ("arm",))),
        other_scheduler=disagreement(usable, group_ids(usable, SEEDS)),
        setting=setting,
        absent=_absent(every, usable),
    )


def drawn(rows: pd.DataFrame) -> list:
    """Return the figure, in a list; an empty one where there are no predictions to compare."""
    found = churn(rows)
    return [_draw(found)] if len(found.arms) else []


def _predicted(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that tell of predictions, with the arm of each: a scheduler, stepped one way."""
    usable = completed(comparable(rows))
    usable = usable[usable["predictions"].notna()]
    arm = usable["scheduler"].astype(str)
    if "scheduler_interval" in varied(usable, SCHEDULE):
        arm = arm + " per " + usable["scheduler_interval"].astype(str)
    return usable.assign(arm=arm)


def _one_setting(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return the rows of the setting with the most, and what they are of; "" where there is no other.

    How a scheduler is stepped is its own and holds nothing apart, and so is a chosen base_lr.
    """
    if rows.empty:
        return rows, ""
    parts = places(rows)
    said = [f"on {parts[0].label}"] if len(parts) > 1 else []
    rows = parts[0].rows
    apart = TRAINING
    if is_tuned(rows):
        rows = rows[rows["tuning"].isin((TUNED, BOTH))]
        said.append("at each scheduler's chosen base_lr")
        apart = tuple(name for name in TRAINING if name != "base_lr")
    names = varied(rows, apart)
    rows = _most(rows, names)
    if names:
        said.append(describe({name: None if pd.isna(value) else value for name, value in rows.iloc[0][names].items()}))
    return _most(rows, varied(rows, tuple(MACHINE_FACTORS))), ", ".join(said)


def _most(rows: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    groups = group_ids(rows, names)
    return rows[groups == groups.mode().iloc[0]]


def _absent(every: pd.DataFrame, usable: pd.DataFrame) -> tuple[str, ...]:
    """Name the classes of schedulers that have runs, and none of this setting."""
    gone = set(every["scheduler_name"].astype(str)) - set(usable["scheduler_name"].astype(str))
    return tuple(sorted(gone))


def _title(found: Churn) -> str:
    seed, scheduler = percent(found.other_seed), percent(found.other_scheduler)
    said = f"another seed changes the answer on {seed} of test images, another scheduler at one seed on {scheduler}"
    if not np.isfinite(found.other_scheduler):
        said = f"another seed changes the answer on {seed} of test images"
    elif not np.isfinite(found.other_seed):
        said = f"another scheduler changes the answer on {scheduler} of test images"
    left_out = f" (no run of {listed(found.absent)})" if found.absent else ""
    said = f"{found.setting}{left_out}: {said}" if found.setting else said
    return said[0].upper() + said[1:] if not found.setting or found.setting.startswith(("at ", "on ")) else said


@figures.styled
def _draw(found: Churn):
    names = short_names(found.arms)
    arms = list(dict.fromkeys(found.arms))
    starts = [found.arms.index(arm) for arm in arms] + [len(found.arms)]
    middles = [(low + high - 1) / 2 for low, high in pairwise(starts)]
    figure, axes = figures.canvas(5.2, _title(found))
    shares = 100 * np.where(np.eye(len(found.arms), dtype=bool), np.nan, found.shares)
    top = float(np.nanmax(shares)) or 1.0
    image = axes.imshow(shares, cmap="cividis_r", vmin=0, vmax=top, interpolation="nearest")
    for start in starts[1:-1]:
        axes.axhline(start - 0.5, color="white", lw=1)
        axes.axvline(start - 0.5, color="white", lw=1)
    labels = [names[arm] for arm in arms]
    axes.set_yticks(middles, labels)
    slanted = max(map(len, labels)) * len(labels) > 48
    axes.set_xticks(middles, labels, rotation=35 if slanted else 0, ha="right" if slanted else "center")
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.75)
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}%")
    bar.outline.set_visible(False)
    shown = f"{len(found.arms):,} of {found.num_runs:,} runs, " if found.num_runs > len(found.arms) else ""
    means = "means are over all pairs of runs, drawn or not" if shown else "means are over all pairs of runs"
    axes.set_xlabel(f"{shown}one cell a pair of runs, seeds in order;\n{means}")
    return figure
