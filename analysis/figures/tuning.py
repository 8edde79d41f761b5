"""Sensitivity to the learning rate: the score of each scheduler against its rate, one panel each on shared axes.

What this does *not* do: compute (`analysis.rows.rates` does).
"""

import math
import textwrap

import numpy as np

from analysis.figures import canvas, styled
from analysis.figures.colours import FAINT, INK, QUIET, colours_of
from analysis.figures.marks import sampled
from analysis.page.wording import count, number, percent
from analysis.rows.rates import Curve
from analysis.rows.selection import Selection
from analysis.tuning_words import names_of, tied_with

_MOST_PANELS = 12
_MOST_DOTS = 40  # at one rate
_CHARACTERS = {1: 80, 2: 40, 3: 26}
_BELOW = 2.5  # quartile ranges below the lower quartile of the means: what lies lower is drawn as an arrow


@styled
def sensitivity(found: list[Curve], at: Selection = Selection(num_done=0, num_trials=0)):
    """Draw the mean score over seeds at each rate, a panel for each scheduler with the others grey behind.

    The band is the range over seeds, the dots are the seeds. A ring marks the rate that was chosen (or is best), a
    thin one each other rate that did as well, a dashed line the study's own, crosses at the bottom the rates at which
    trials failed. `at` says how far the selection is: before its end no rate is called chosen or best.
    """
    settings = list(dict.fromkeys(curve.label for curve in found))
    drawn = found[:_MOST_PANELS]
    names, colours = names_of(found), colours_of(curve.arm for curve in found)
    num_columns = min(len(drawn), 2 if len(drawn) in (2, 4) else 3)
    num_rows = -(-len(drawn) // num_columns)
    height = 1.35 + 1.9 * num_rows + (0.9 if num_rows == 1 else 0)
    figure, grid = canvas(height, _title(found, at), num_columns, num_rows, sharex=True, sharey=True, squeeze=False)
    bottom, top = _limits(drawn)
    mixed = len({curve.of for curve in drawn}) > 1
    for axes in grid.flat[len(drawn) :]:
        axes.axis("off")
    for axes, curve in zip(grid.flat, drawn, strict=False):
        for other in drawn:
            if other is not curve and other.label == curve.label:
                axes.plot(*_line(other, bottom), color=FAINT, lw=1.0, zorder=1)
        _panel(axes, curve, colours[curve.arm], bottom, top)
        by = curve.of if mixed and curve.of != "base_lr" else ""
        label = ", ".join(filter(None, [names[curve.key], by, curve.label if len(settings) > 1 else ""]))
        axes.set_title(textwrap.fill(label, _CHARACTERS[num_columns], max_lines=3, placeholder=" …"), fontsize=9)
    for index in range(len(drawn)):
        axes = grid.flat[index]
        if index + num_columns >= len(drawn):
            axes.tick_params(labelbottom=True)
            axes.set_xlabel("base_lr, or what the title names" if mixed else drawn[index].of, fontsize=9)
    _axes(grid, drawn, bottom, top)
    _legend(figure, drawn, at)
    return figure


def _panel(axes, curve: Curve, colour: str, bottom: float, top: float) -> None:
    rates, means = _line(curve, bottom)
    there = [point for point in curve.points if len(point.values)]
    lowest = min(there, key=lambda point: point.mean, default=None)
    low, high = (np.maximum([getattr(p.values, end)() for p in there], bottom) for end in ("min", "max"))
    axes.fill_between(rates, low, high, color=colour, alpha=0.16, lw=0, zorder=2)
    axes.plot(rates, means, color=colour, lw=1.8, zorder=4)
    for point in there:
        seen = sampled(point.values[point.values >= bottom], _MOST_DOTS)
        axes.plot(np.full(len(seen), point.rate), seen, "o", ms=2.6, color=colour, alpha=0.5, mew=0, zorder=3)
        if point.mean < bottom:
            axes.plot(point.rate, bottom, "v", ms=5, color=colour, mew=0, zorder=5)
            if point is lowest:  # one is told: neighbours would touch
                side = 1 if point is curve.points[0] else -1 if point is curve.points[-1] else 0
                _note(axes, _short(curve, point.mean), point.rate, bottom, colour, up=5, side=side)
    if not math.isnan(curve.default):
        axes.axvline(curve.default, color=QUIET, lw=0.9, ls=(0, (3, 3)), zorder=1)
    best = curve.best
    for rate in {rate for rate, _ in curve.tied} - {best.rate}:
        axes.plot(rate, max(best.mean, bottom), "o", ms=8, mfc="white", mec=colour, mew=1.0, zorder=5)
    if len(best.values):
        axes.plot(best.rate, max(best.mean, bottom), "o", ms=9, mfc="white", mec=colour, mew=2.2, zorder=6)
        side = -1 if best is curve.points[-1] else 1 if best is curve.points[0] else 0
        _note(axes, f"{best.rate:g}", best.rate, max(best.mean, bottom), INK, up=8, side=side, bold=True)
    for point in curve.points:
        if point.num_failed:
            axes.plot(point.rate, bottom - 0.09 * (top - bottom), "x", ms=5.5, color=colour, mew=1.6, zorder=5)
            _note(axes, f"{point.num_failed}/{point.num_trials}", point.rate, bottom - 0.09 * (top - bottom), QUIET)


def _note(axes, text: str, x: float, y: float, colour: str, up: int = 5, side: int = 0, bold: bool = False) -> None:
    axes.annotate(
        text,
        (x, y),
        xytext=(3 * side, up),
        textcoords="offset points",
        ha={-1: "right", 0: "center", 1: "left"}[side],
        va="bottom",
        fontsize=8,
        fontweight="bold" if bold else "normal",
        color=colour,
        zorder=7,
        bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.75},
    )


def _line(curve: Curve, bottom: float) -> tuple[list[float], np.ndarray]:
    """The rates at which a trial completed, and the means there, none below the bottom of what is drawn."""
    there = [point for point in curve.points if len(point.values)]
    return [point.rate for point in there], np.maximum([point.mean for point in there], bottom)


def _limits(found: list[Curve]) -> tuple[float, float]:
    """Where the scores lie that can be told apart: a rate at which training falls to guessing must not flatten all."""
    means = np.array([point.mean for curve in found for point in curve.points if len(point.values)])
    values = np.concatenate([point.values.to_numpy(float) for curve in found for point in curve.points])
    if not len(means):
        return 0.0, 1.0
    quartiles = np.quantile(means, [0.25, 0.75])
    least = quartiles[0] - _BELOW * max(np.ptp(quartiles), 0.005 * abs(quartiles[1]))
    bottom, top = max(float(values.min()), float(least)), float(values.max())
    return bottom, max(top, bottom + 1e-3)


def _axes(grid, found: list[Curve], bottom: float, top: float) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    rates = sorted({point.rate for curve in found for point in curve.points})
    span = top - bottom
    lowest = bottom - (0.18 if any(curve.num_failed for curve in found) else 0.06) * span
    # wide enough apart: a label takes a fifth of a panel where there are three side by side
    labelled = _few(rates, (rates[-1] / rates[0]) ** (0.2 * grid.shape[1] / 3))
    for axes in grid.flat:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(labelled))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlim(rates[0] / 1.35, rates[-1] * 1.35)
        axes.set_ylim(lowest, top + 0.2 * span)
        axes.yaxis.set_major_formatter(lambda value, _: _short(found[0], value))
        axes.grid(axis="y")
    for axes in grid[:, 0]:
        axes.set_ylabel(found[0].metric.label.replace("final ", ""), fontsize=9)


def _few(rates: list[float], least_factor: float) -> list[float]:
    """Return those of rising rates that can be labelled without touching, the ends among them.

    >>> _few([0.01, 0.011, 0.02, 0.19, 0.2], 1.7), _few([0.1], 2.0)
    ([0.01, 0.02, 0.2], [0.1])
    """
    kept = rates[:1]
    for rate in rates[1:-1]:
        if rate / kept[-1] >= least_factor and rates[-1] / rate >= least_factor:
            kept.append(rate)
    return [*kept, rates[-1]] if len(rates) > 1 else kept


def _short(curve: Curve, value: float) -> str:
    return f"{100 * value:.3g}%" if curve.metric.unit == "points" else number(value)


def _legend(figure, found: list[Curve], at: Selection) -> None:
    from matplotlib.lines import Line2D

    ring = "best so far" if at.is_open else "chosen rate" if found[0].chosen else "best rate"
    marks = [
        Line2D([], [], marker="o", ms=8, mfc="white", mec=QUIET, mew=2, ls="", label=ring),
        Line2D([], [], color=QUIET, lw=1.6, marker="o", ms=3, label="mean, seeds (band: range)"),
    ]
    if any(curve.tied for curve in found):
        marks.insert(1, Line2D([], [], marker="o", ms=7, mfc="white", mec=QUIET, mew=1, ls="", label="a tie"))
    if any(not math.isnan(curve.default) for curve in found):
        marks.append(Line2D([], [], color=QUIET, lw=0.9, ls=(0, (3, 3)), label="study's own"))
    if any(curve.num_failed for curve in found):
        marks.append(Line2D([], [], color=QUIET, marker="x", ms=5.5, mew=1.6, ls="", label="failed trials"))
    figure.legend(
        handles=marks, loc="outside lower left", ncols=len(marks), fontsize=8, labelcolor=QUIET, columnspacing=1.4
    )


def _title(found: list[Curve], at: Selection) -> str:
    if at.is_open:
        return f"Nothing is chosen yet: {at.num_done:,} of {at.num_trials:,} selection trials have run"
    first = [curve for curve in found if curve.label == found[0].label]
    names, where = names_of(found), f"{found[0].label}: " if len(first) < len(found) else ""
    more = f" (the first {_MOST_PANELS} of {count(len(found), 'curve')})" if len(found) > _MOST_PANELS else ""
    all_of_first, first = first, [curve for curve in first if not curve.nothing_completed]
    if not first:
        return f"{where}No trial completed that was to tell the best rate{more}"
    # a max_lr and a base_lr are not one quantity: the title is on those that follow base_lr
    first = [curve for curve in first if curve.of == "base_lr"] or first
    shared = set.intersection(*({curve.best.rate, *(rate for rate, _ in curve.tied)} for curve in first))
    ties = ", where ties count" if any(curve.tied for curve in first) else ""
    if len(first) == 1:
        only = first[0]
        best = percent(only.best.mean, 1) if only.metric.unit == "points" else number(only.best.mean)
        return f"{where}{names[only.key]} does best at {_rate(only)}, with {best}{more}"
    if shared:
        who = f"All {len(first)} schedulers do" if len(first) == len(all_of_first) else f"{len(first)} schedulers do"
        edges = {curve.boundary for curve in first if curve.best.rate == min(shared)}
        tried = f", the {edges.pop()} tried" if len(edges) == 1 and edges != {""} else ""
        return f"{where}{who} best at {min(shared):g}{tried}{ties}{more}"
    low, high = (min(first, key=lambda c: c.best.rate), max(first, key=lambda c: c.best.rate))
    factor = number(high.best.rate / low.best.rate, 2)
    ends = f"{names[low.key]} {_rate(low)}, {names[high.key]} {_rate(high)}"
    rates = "rates" if len({curve.of for curve in found}) == 1 else f"values of {first[0].of}"
    which = f"Chosen {rates}" if first[0].chosen else f"Best {rates} of those tried"
    return f"{where}{which} differ by a factor of {factor}: {ends}{_good_for_all(first)}{more}"


def _good_for_all(curves: list[Curve]) -> str:
    """Name the rates at which all lose no more than one seed SD; "" where there are none, or it is not known."""
    if any(math.isnan(curve.width) for curve in curves):
        return ""
    shared = sorted(set.intersection(*({point.rate for point in curve.good} for curve in curves)))
    if not shared:
        return ""
    span = f"{shared[0]:g}" if len(shared) == 1 else f"{shared[0]:g} to {shared[-1]:g}"
    return f"; at {span} each is within one seed SD of its best"


def _rate(curve: Curve) -> str:
    remarks = [f"the {curve.boundary} tried"] if curve.boundary else []
    remarks += [f"a tie with {tied_with(curve)}"] if curve.tied else []
    return f"{curve.best.rate:g}" + (f" ({', '.join(remarks)})" if remarks else "")
