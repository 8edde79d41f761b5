"""The share of trials that have reached the target, against time: one step curve for each scheduler.

What this does *not* do: find the times (`analysis.rows.reaching` does).
"""

import numpy as np

from analysis.figures import canvas, styled
from analysis.figures.colours import QUIET, colours_of, line_of
from analysis.page.wording import count, listed, percent
from analysis.rows.conditions import short_names
from analysis.rows.reaching import Race
from analysis.statistics.survival import kaplan_meier

_MOST_DRAWN = 4
_BESIDE = 0.009  # of the axes: curves that coincide stand beside each other, so that all of them show
_HOW_DRAWN = "curves are drawn a little beside each other, so that all show; dots are medians"


@styled
def reach_curves(races: list[Race]):
    """Draw a panel for each of the first settings: the share that has met the target by then, a curve for each arm.

    Names stand at the right end of their curves in the order in which these end, apart from each other; a dot marks
    the median.
    """
    drawn = races[:_MOST_DRAWN]
    most = max(len(race.arms) for race in drawn)
    title = _title(drawn[0]) if len(races) == 1 else "The share of seeds that have reached the target by then"
    height = 0.9 + len(drawn) * max(2.4, 0.19 * most + 0.9)
    figure, grid = canvas(height, title, 1, len(drawn), squeeze=False)
    for axes, race in zip(grid.flat, drawn, strict=True):
        _panel(axes, race)
        if len(drawn) > 1:
            axes.set_title(race.part.label, fontsize=9.5)
    if most > 1:  # axes: that of the last panel
        axes.set_xlabel(f"{axes.get_xlabel()}\n{_HOW_DRAWN}")
    return figure


def _panel(axes, race: Race) -> None:
    names = short_names(arm.name for arm in race.arms)
    colours = colours_of(arm.name for arm in race.arms)
    last = max(
        [
            race.end if race.end == race.end else 0.0,
            *(float(t) for arm in race.arms for t in arm.times[np.isfinite(arm.times)]),
        ]
    )
    end, middle = 1.04 * last, (len(race.arms) - 1) / 2
    ends = []
    for place, arm in enumerate(race.arms):
        curve = kaplan_meier(arm.times, arm.reached)
        right, up = (place - middle) * _BESIDE * last, (middle - place) * 100 * _BESIDE
        share = np.concatenate([[0.0], 100 * (1 - curve.waiting)])
        x = np.concatenate([[0.0], curve.times + right, [end]])
        y = np.append(share, share[-1]) + up
        colour = colours[arm.name]
        axes.step(x, y, where="post", color=colour, ls=line_of(arm.name), lw=1.7, zorder=3)
        if np.isfinite(arm.median.value):
            height = share[1 + np.flatnonzero(curve.times == arm.median.value)[0]]
            axes.plot(arm.median.value + right, height + up, "o", color=colour, ms=4.5, mew=0, zorder=4)
        ends.append((y[-1], -place, names[arm.name], colour))
    _names_at_the_end(axes, ends)
    axes.axhline(50, color=QUIET, lw=0.8, ls=(0, (2, 3)), zorder=1)
    axes.set_ylim(-6, 106)
    axes.set_xlim(0, end)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}%")
    axes.set_ylabel(f"seeds at {percent(race.target, 1)}\nvalidation accuracy")
    axes.set_xlabel("epochs" if race.unit == "epochs" else "seconds of training")
    axes.grid(axis="y")
    if race.unit == "epochs":
        axes.xaxis.set_major_locator(_whole_numbers())


def _whole_numbers():
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(integer=True)


def _names_at_the_end(axes, ends) -> None:
    """Write the names right of the curves, from the bottom up in the order of their ends, none upon another."""
    gap = 100 * 0.16 / 2.0
    at, low = [], -10.0
    for y, *_ in sorted(ends):
        low = max(y, low + gap)
        at.append(low)
    over = max(0.0, at[-1] - 106) if at else 0.0
    at = [value - over for value in at]
    for index in range(len(at) - 2, -1, -1):  # pushed down at the top, the rest makes room
        at[index] = min(at[index], at[index + 1] - gap)
    for value, (_, _, name, colour) in zip(at, sorted(ends), strict=True):
        axes.annotate(
            name,
            (1.0, value),
            xycoords=("axes fraction", "data"),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color=colour,
            annotation_clip=False,
        )


def _title(race: Race) -> str:
    names, best = short_names(arm.name for arm in race.arms), race.fastest
    if not np.isfinite(best.median.value):
        return f"No scheduler reached {percent(race.target, 2)} in half of its seeds"
    when = count(int(best.median.value), "epoch") if race.unit == "epochs" else f"{best.median.value:.3g} s"
    if all(arm.median.value == best.median.value for arm in race.arms):
        return f"All schedulers have the same median time to {percent(race.target, 2)} ({when})"
    first = [names[arm.name] for arm in race.arms if arm.median.value == best.median.value]
    are = "is" if len(first) == 1 else "are"
    return f"{listed(first)} {are} first to have half of the seeds at {percent(race.target, 1)} ({when})"
