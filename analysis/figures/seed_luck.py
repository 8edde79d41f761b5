"""Two figures on luck: real differences over those of a scheduler against itself, and how luck fades with seeds.

What this does *not* do: count (`analysis.seed_luck` does).
"""

import numpy as np
import pandas as pd

from analysis import figures, seed_luck
from analysis.figures.colours import BLUE, DOTS, INK, QUIET, SHADE, VERMILLION, colour_of
from analysis.page.wording import percent

_MOST_LINES = 4


@figures.styled
def real_and_luck(table: pd.DataFrame):
    """Draw every scheduler's difference from the best over the differences that schedulers show against themselves."""
    itself = 100 * seed_luck.against_itself(table)
    best = table.mean().idxmax()
    real = (100 * (table.mean() - table[best].mean())).drop(best).sort_values(ascending=False)
    edge = float(np.quantile(np.abs(itself), 0.95))
    inside = int((real.abs() < edge).sum())
    half = min(len(table) // 2, 8)
    title = (
        f"With {half} seeds each, luck would hide the distance of {inside} of {len(real)} schedulers from {best}"
        if inside
        else f"Even with {half} seeds each, luck would hide no scheduler's distance from {best}"
    )
    figure, (top, bottom) = figures.canvas(
        1.9 + 0.3 * len(real), title, 1, 2, sharex=True, height_ratios=[1.1, 0.3 * len(real) + 0.3]
    )
    for axes in (top, bottom):
        axes.axvspan(-edge, edge, color=SHADE, zorder=0, lw=0)
        axes.axvline(0.0, color=QUIET, lw=1, zorder=1)
        axes.spines["left"].set_visible(False)
    top.hist(itself, bins=25, color=DOTS, zorder=2)
    top.set_yticks([])
    top.set_title(f"a scheduler against itself: {half} seeds less {half} others", fontsize=9.5)
    for y, (name, value) in enumerate(real.items()):
        bottom.plot([0, value], [y, y], color=colour_of(name), lw=2, zorder=2)
        bottom.plot(value, y, "o", ms=7, color=colour_of(name), zorder=3)
    bottom.set_yticks(range(len(real)), list(real.index))
    bottom.set_ylim(len(real) - 0.4, -0.6)
    bottom.grid(axis="x")
    bottom.set_title(f"each scheduler less {best}, {len(table)} seeds", fontsize=9.5)
    bottom.set_xlabel("points of final accuracy (shaded: 95% of what is luck alone)")
    return figure


@figures.styled
def fading(table: pd.DataFrame):
    """Draw how often n seeds put the worse of two schedulers first, for pairs from near to far."""
    pairs = seed_luck.wrong_orders(table)
    picked = pairs.iloc[np.unique(np.linspace(0, len(pairs) - 1, _MOST_LINES).round().astype(int))]
    found = [(row, seed_luck.by_num_seeds(table, row.better, row.worse)) for row in picked.itertuples()]
    first = [float(curve["worse_first_share"].iloc[0]) for _, curve in found]
    title = (
        f"With one run each, the worse one comes first in {percent(min(first), 0)} to {percent(max(first), 0)} of tries"
    )
    figure, grid = figures.canvas(3.1, title, len(found), sharey=True, sharex=True)
    for axes, (row, curve) in zip(np.atleast_1d(grid), found, strict=True):
        axes.axhline(50, color=QUIET, lw=1, ls=(0, (3, 3)), zorder=1)
        for name, colour, marker, label in (
            ("worse_first_share", VERMILLION, "o", "seeds of its own each"),
            ("worse_first_same_seed_share", BLUE, "D", "the same seeds for both"),
        ):
            axes.plot(curve["num_seeds"], 100 * curve[name], color=colour, marker=marker, ms=4, lw=1.6, label=label)
        apart = f"{100 * row.difference_points:.2f} points apart"
        axes.set_title(f"{row.better} over\n{row.worse}\n{apart}", fontsize=8)
        axes.set_xlabel("seeds")
        axes.set_ylim(-3, 60)
        axes.set_xticks(curve["num_seeds"])
        axes.grid(axis="y")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}%")
    np.atleast_1d(grid)[0].set_ylabel("the worse one first", color=INK)
    handles, labels = np.atleast_1d(grid)[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower right", ncols=2)
    return figure
