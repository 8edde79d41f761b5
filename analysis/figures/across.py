"""The critical-difference diagram (Demšar, 2006), and below it the share of runs that gain more than so many points.

What this does *not* do: compute ranks (`analysis.statistics.ranks` does) or choose workloads (`analysis.across` does).
"""

import numpy as np

from analysis.across import title_of
from analysis.figures import canvas, styled
from analysis.figures.colours import INK, QUIET, colours_of, line_of
from analysis.page.wording import count
from analysis.rows.conditions import short_names
from analysis.rows.fields import Field, profile
from analysis.statistics.ranks import cliques

_ROW_INCHES = 0.21


@styled
def critical_difference_diagram(field: Field, lost: dict[str, str]):
    """Draw mean ranks on one axis, the best on the left; a thick bar joins those that are not told apart.

    Below it: for each scheduler the share of runs whose accuracy is so many points above the baseline's mean in the
    same workload, with a 95 % band over seeds; each workload counts alike. `lost` are the arms that diverged.
    """
    num_rows = (len(field.arms) + 1) // 2
    bars = cliques(field.test.mean_ranks, field.difference)
    upper = 0.55 + 0.1 * len(bars) + _ROW_INCHES * num_rows
    figure, (top, bottom) = canvas(1.0 + upper + 2.5, title_of(field, lost), 1, 2, height_ratios=[upper, 2.5])
    _diagram(top, field, bars, upper)
    _profiles(bottom, field)
    return figure


def _diagram(axes, field: Field, bars: list[tuple[int, ...]], inches: float) -> None:
    ranks, most, names = field.test.mean_ranks, len(field.arms), short_names(field.arms)
    colours = colours_of(field.arms)
    left, right, per_inch = 1.0, float(most), 1.0 / inches
    axes.set_xlim(left - 0.55 * (right - left), right + 0.55 * (right - left))
    axes.set_ylim(0, 1)
    axes.axis("off")
    line = 1 - 0.42 * per_inch
    axes.plot([left, right], [line, line], color=INK, lw=1)
    for rank in range(1, most + 1):
        axes.plot([rank, rank], [line, line + 0.06 * per_inch], color=INK, lw=1)
        axes.text(rank, line + 0.09 * per_inch, str(rank), ha="center", va="bottom", fontsize=8.5, color=QUIET)
    _difference(axes, field, left, right, per_inch)
    for index, bar in enumerate(bars):
        y = line - (0.09 + 0.1 * index) * per_inch
        ends = ranks[list(bar)]
        axes.plot([ends.min() - 0.03, ends.max() + 0.03], [y, y], color=INK, lw=3.2, solid_capstyle="round", alpha=0.75)
    order = np.argsort(ranks, kind="stable")
    half = (most + 1) // 2
    base = line - (0.12 + 0.1 * len(bars)) * per_inch
    for place, index in enumerate(order):
        on_left = place < half
        row = place if on_left else most - 1 - place
        y = base - (row + 0.5) * _ROW_INCHES * per_inch
        end = left - 0.08 * (right - left) if on_left else right + 0.08 * (right - left)
        colour = colours[field.arms[index]]
        axes.plot([ranks[index], ranks[index], end], [line, y, y], color=colour, lw=1.2, zorder=1)
        axes.plot(ranks[index], line, "o", color=colour, ms=4, mew=0, zorder=4)
        text = (
            f"{names[field.arms[index]]}  {ranks[index]:.2f}"
            if on_left
            else f"{ranks[index]:.2f}  {names[field.arms[index]]}"
        )
        axes.text(
            end + (-0.02 if on_left else 0.02) * (right - left),
            y,
            text,
            ha="right" if on_left else "left",
            va="center",
            fontsize=8.5,
            color=colour,
        )


def _difference(axes, field: Field, left: float, right: float, per_inch: float) -> None:
    """Draw the length of the critical difference above the axis; as long as the axis where it is longer, and say so."""
    shown = min(field.difference, right - left)
    y = 1 - 0.08 * per_inch
    axes.plot([left, left + shown], [y, y], color=QUIET, lw=1.6, solid_capstyle="butt")
    for x in (left, left + shown):
        axes.plot([x, x], [y - 0.03 * per_inch, y + 0.03 * per_inch], color=QUIET, lw=1.6)
    wider = " (wider than the axis)" if field.difference > shown else ""
    axes.text(
        left + shown + 0.02 * (right - left),
        y,
        f"critical difference {field.difference:.2f}{wider}",
        ha="left",
        va="center",
        fontsize=8.5,
        color=QUIET,
    )


def _profiles(axes, field: Field) -> None:
    names, colours = short_names(field.arms), colours_of(field.arms)
    above = {
        arm: [100 * (table[arm] - table[field.baseline].mean()).to_numpy() for table in field.tables.values()]
        for arm in field.arms
    }
    pooled = np.concatenate([values for strata in above.values() for values in strata])
    taus = np.linspace(*np.quantile(pooled, [0.005, 0.995]), 160)
    for index in np.argsort(field.test.mean_ranks, kind="stable"):
        arm = field.arms[index]
        strata = above[arm]
        shares, low, high = profile(strata, taus)
        axes.fill_between(taus, 100 * low, 100 * high, color=colours[arm], alpha=0.1, lw=0)
        axes.plot(taus, 100 * shares, color=colours[arm], ls=line_of(arm), lw=1.7, label=names[arm])
    axes.axvline(0, color=QUIET, lw=0.8, ls=(0, (2, 3)), zorder=1)
    axes.set_ylim(-2, 102)
    axes.set_xlim(taus[0], taus[-1])
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}%")
    axes.set_ylabel("runs above")
    axes.set_xlabel(
        f"points above the mean of {names[field.baseline]} in the same workload ({count(len(pooled), 'run')})"
    )
    axes.grid(axis="y")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.6)
