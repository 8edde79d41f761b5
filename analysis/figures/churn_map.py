"""On how many test images do two runs disagree? Every run against every other, as a heat map.

Two networks of the same accuracy may be wrong about different images; what schedulers add to what seeds do shows as
darker blocks off the diagonal. One run a seed is taken (the first replicate, flags at their first level), and of many
runs a part. What this does *not* do: compare repeats of one seed (`analysis.figures.divergence` does).
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from analysis import figures
from analysis.page.wording import percent
from analysis.rows.conditions import MACHINE_FACTORS, SEEDS, completed, group_ids, levels, places, short_names, varied

MOST_RUNS = 48
_SETTING = ("workload", "epochs", "batch_size", "base_lr", "optimizer", "scheduler_interval")


@dataclass(frozen=True, kw_only=True)
class Churn:
    """Shares of test images that two runs classify differently: (runs, runs), with the arm and the seed of each run."""

    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    shares: np.ndarray
    num_runs: int

    @property
    def other_seed(self) -> float:
        """Mean over pairs of runs of one scheduler at two seeds; nan where there are none."""
        return self._mean(np.equal, np.not_equal)

    @property
    def other_scheduler(self) -> float:
        """Mean over pairs of runs of two schedulers at one seed; nan where there are none."""
        return self._mean(np.not_equal, np.equal)

    def _mean(self, of_arms, of_seeds) -> float:
        arms, seeds = np.array(self.arms), np.array(self.seeds)
        wanted = of_arms(arms[:, None], arms[None]) & of_seeds(seeds[:, None], seeds[None])
        return float(self.shares[wanted].mean()) if wanted.any() else float("nan")


NOTHING = Churn(arms=(), seeds=(), shares=np.zeros((0, 0)), num_runs=0)


def churn(rows: pd.DataFrame) -> Churn:
    """Return the churn between runs of the place and setting with the most rows, at most MOST_RUNS of them.

    Empty where fewer than three runs have predictions for the same images. Of more runs the first seeds of each arm
    are taken, as many of each.
    """
    usable = _one_setting(rows)
    if "predictions" not in usable or usable.empty:
        return NOTHING
    usable = usable[usable["predictions"].notna()]
    order = {arm: index for index, arm in enumerate(levels(usable, "scheduler"))}
    usable = usable.assign(arm_order=[order[arm] for arm in usable["scheduler"].astype(str)])
    usable = usable.sort_values(["arm_order", *SEEDS, "replicate"]).drop_duplicates(["arm_order", *SEEDS])
    if usable.empty or len({len(values) for values in usable["predictions"]}) != 1:
        return NOTHING
    each = max(1, MOST_RUNS // usable["arm_order"].nunique())
    chosen = usable.groupby("arm_order").head(each)[:MOST_RUNS]
    if len(chosen) < 3:
        return NOTHING
    classes = np.stack(chosen["predictions"].to_list())
    shares = np.stack([(classes != one).mean(axis=1) for one in classes])
    return Churn(
        arms=tuple(chosen["scheduler"].astype(str)),
        seeds=tuple(group_ids(chosen, SEEDS)),
        shares=shares,
        num_runs=len(usable),
    )


def drawn(rows: pd.DataFrame) -> list:
    """Return the figure, in a list; an empty one where there are no predictions to compare."""
    found = churn(rows)
    return [_draw(found)] if len(found.arms) else []


def _one_setting(rows: pd.DataFrame) -> pd.DataFrame:
    usable = completed(places(rows)[0].rows) if len(rows) else rows
    if "tuning" in usable:
        usable = usable[usable["tuning"] != "selection"]
    if usable.empty:
        return usable
    for names in (_SETTING, varied(usable, tuple(MACHINE_FACTORS))):
        groups = group_ids(usable, names)
        usable = usable[groups == groups.mode().iloc[0]]
    return usable


def _title(found: Churn) -> str:
    seed, scheduler = percent(found.other_seed), percent(found.other_scheduler)
    if not np.isfinite(found.other_scheduler):
        return f"Another seed changes the answer on {seed} of test images"
    if not np.isfinite(found.other_seed):
        return f"Another scheduler changes the answer on {scheduler} of test images"
    return f"Another seed changes the answer on {seed} of test images, another scheduler at one seed on {scheduler}"


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
    axes.set_xlabel(f"{shown}one cell a pair of runs, seeds in order;\nmeans are over all pairs drawn")
    return figure
