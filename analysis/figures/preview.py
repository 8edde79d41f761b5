"""The figure of `lrbench preview`: planned rates over epochs. Several schedules share a frame, and have one each below.

`draw` takes objects with lrbench.preview.Schedule's label, epochs, steps_per_epoch, lr, best_case and on_log_scale.
What this does *not* do: compute rates, or read rows (`analysis.applied_lr` shows the rates that were applied).
"""

import math
import textwrap
from itertools import pairwise
from pathlib import Path

from analysis.figures import FAINT, QUIET, canvas, palette, style, styled
from analysis.figures.colours import BLUE, colours_of, is_scheduler, line_of
from lrbench.errors import InputError

MOST_NAMED = 3  # more names than these find no room beside their curves: the panels' titles have their colours
MOST_BEHIND = 8  # more faint curves than these are noise
MOST_PLATEAUS = 6
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (5, 1.5, 1.5, 1.5)))
_DEEPEST = 1e-6  # of the largest rate: below, a curve leaves the frame of a logarithmic axis
_GAP = 5  # pixels between a curve and its name


@styled
def draw(schedules):
    """Return a Figure of the schedules: every step where rates move within an epoch, else every epoch."""
    log = 2 * sum(schedule.on_log_scale for schedule in schedules) >= len(schedules)
    return _together(schedules[0], log) if len(schedules) == 1 else _overlay_and_each(schedules, log)


@styled
def draw_small(schedule):
    """Return a Figure of one schedule for the width of a phone: no title, the same curve, axes and best case."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 2.6))
    axes = figure.subplots()
    _add(axes, schedule, {"color": BLUE}, 2)  # alone in its frame, and the gallery's page gives it a colour of its own
    _add_best_case(axes, schedule, BLUE, "best case: the metric always improves")
    _frame(axes, [schedule], schedule.on_log_scale)
    axes.set_xlabel("epoch")
    axes.set_ylabel("learning rate (log)" if schedule.on_log_scale else "learning rate")
    return figure


def save(figure, path: Path) -> None:
    """Write the figure as the PNG or SVG that `path` says. Raises InputError where it cannot be written."""
    metadata = {"Software": None} if path.suffix.lower() == ".png" else {"Date": None, "Creator": None}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with style():
            figure.savefig(path, metadata=metadata)
    except OSError as error:
        raise InputError(f"--out {path} cannot be written: {error.strerror}") from error


def _together(schedule, log: bool):
    """One frame: the curve, or one for each parameter group, named beside it."""
    figure, axes = canvas(3.4, _title([schedule]))
    curves = [(f"group {group}", *points(schedule, rates)) for group, rates in enumerate(schedule.lr)]
    colours = [_looks([schedule])[0]["color"]] if len(curves) == 1 else palette(max(3, len(curves)))
    for (_, x, y), colour in zip(curves, colours, strict=False):
        axes.plot(x, y, color=colour, lw=2, solid_joinstyle="miter")
    _add_best_case(axes, schedule, colours[0], "best case: the metric always improves")
    _frame(axes, [schedule], log)
    axes.set_xlabel("epoch")
    axes.set_ylabel("learning rate (logarithmic)" if log else "learning rate")
    figure.draw_without_rendering()  # places the axes, so that pixels mean something
    figure.set_layout_engine("none")
    if len(curves) == 1:
        _name_plateaus(axes, *curves[0][1:])
    elif not _name_curves(axes, curves, colours):
        figure.set_layout_engine("constrained")
        figure.legend(axes.lines, [name for name, *_ in curves], loc="outside lower left", fontsize=8.5)
    return figure


def _overlay_and_each(schedules, log: bool):
    """All curves in one frame, and below it a panel for each with the others faint behind it."""
    num_columns = 2 if len(schedules) in (2, 4) else 3
    num_rows = -(-len(schedules) // num_columns)
    titles = [_wrapped(s.label, 42 if num_columns == 2 else 28) for s in schedules]
    panel = 1.2 + 0.15 * max(title.count("\n") for title in titles)
    ratios = {"height_ratios": [2.5, *[panel] * num_rows]}
    height = 1.2 + 2.5 + num_rows * panel
    figure, grid = canvas(height, _title(schedules), num_columns, num_rows + 1, squeeze=False, gridspec_kw=ratios)
    for axes in grid[0]:
        axes.remove()
    overlay = figure.add_subplot(grid[0][0].get_gridspec()[0, :])
    looks = _looks(schedules)
    for index, schedule in enumerate(schedules):
        _add(overlay, schedule, looks[index], 1.8)
    _frame(overlay, schedules, log)
    for axes in grid[1:].flat[len(schedules) :]:
        axes.axis("off")
    for index, (axes, title) in enumerate(zip(grid[1:].flat, titles, strict=False)):
        for other in (s for k, s in enumerate(schedules) if k != index and len(schedules) <= MOST_BEHIND):
            _add(axes, other, {"color": FAINT}, 0.8)
        _add(axes, schedules[index], looks[index], 1.8)
        _add_best_case(axes, schedules[index], looks[index]["color"], "best case")
        axes.set_title(title, fontsize=8, color=_dark(looks[index]["color"]))
        _frame(axes, schedules, log)
        axes.tick_params(
            labelsize=8, labelleft=index % num_columns == 0, labelbottom=index + num_columns >= len(schedules)
        )
    figure.supxlabel("epoch", fontsize=9.5, color=QUIET)
    figure.supylabel("learning rate (logarithmic)" if log else "learning rate", fontsize=9.5, color=QUIET)
    curves = [(s.label, *points(s, rates)) for s in schedules for rates in s.lr]
    if len(curves) <= MOST_NAMED and len(curves) == len(schedules):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        _name_curves(overlay, curves, [look["color"] for look in looks])
    return figure


def _looks(schedules) -> list[dict]:
    """Return the colour and the line of each schedule: its class's, as in a report.

    What is no scheduler's call has a colour by its place; two of one look get lines that differ.
    """
    others = palette(len(schedules))
    colours = colours_of(schedule.label for schedule in schedules)
    looks, seen = [], {}
    for place, schedule in enumerate(schedules):
        known = is_scheduler(schedule.label)
        colour = colours[schedule.label] if known else others[place]
        again = seen[colour] = seen.get(colour, -1) + 1
        line = line_of(schedule.label) if known else "-"
        looks.append({"color": colour, "ls": line if not again else _DASHES[again % len(_DASHES)]})
    return looks


def _dark(colour) -> tuple:
    """Return the colour dark enough to be read as text on white."""
    from matplotlib.colors import to_rgb

    return tuple(0.72 * part for part in to_rgb(colour))


def _add(axes, schedule, look: dict, width: float) -> None:
    """Draw a schedule's groups, each but the first with a line of its own."""
    for group, rates in enumerate(schedule.lr):
        dashes = {} if group == 0 else {"ls": _DASHES[group % len(_DASHES)]}
        axes.plot(*points(schedule, rates), lw=width, **{"solid_joinstyle": "miter", **look, **dashes})


def _add_best_case(axes, schedule, colour, name: str) -> None:
    """Draw what the rates are under a metric that always improves, where the metric is not known."""
    for rates in schedule.best_case:
        x, y = points(schedule, rates)
        axes.plot(x, y, color=colour, lw=1.1, ls=(0, (4, 2)))
    if schedule.best_case:
        place = {"xytext": (-3, -3), "textcoords": "offset points", "ha": "right", "va": "top"}
        axes.annotate(name, (x[-1], y[-1]), **place, fontsize=8, color=QUIET)


def _title(schedules) -> str:
    epochs = {schedule.epochs for schedule in schedules}
    over = f" over {max(epochs)} epoch{'' if epochs == {1} else 's'}" if len(epochs) == 1 else ""
    if len(schedules) > 1:
        return f"The learning rate under {len(schedules)} schedules{over}"
    label, groups = schedules[0].label, schedules[0].lr
    if len(groups) > 1:
        return f"{label}: {len(groups)} parameter groups{over}"
    rates = groups[0]
    if min(rates) == max(rates):
        return f"{label}: {rates[0]:.3g}{over}"
    return f"{label}: from {rates[0]:.3g} to {rates[-1]:.3g}{over}"


def points(schedule, rates: list[float]) -> tuple[list[float], list[float]]:
    """Return the corners of the curve: a rate holds from its step to the next, so jumps are upright."""
    n = schedule.steps_per_epoch
    x, y = [0.0], [rates[0]]
    for step in range(1, len(rates)):
        if rates[step] != rates[step - 1]:
            x += [step / n, step / n]
            y += [rates[step - 1], rates[step]]
    return [*x, len(rates) / n], [*y, rates[-1]]


def _frame(axes, schedules, log: bool) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    rates = [rate for schedule in schedules for group in (*schedule.lr, *schedule.best_case) for rate in group]
    high = max(rates)
    axes.set_xlim(0, max(schedule.epochs for schedule in schedules))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    if log:
        deep = [r for s in schedules if s.on_log_scale for group in s.lr for r in group if r > 0]
        low = max(min(deep), _DEEPEST * high)
        margin = (high / low) ** 0.08
        axes.set_yscale("log", nonpositive="clip")
        axes.set_ylim(low / margin, high * margin)
        axes.yaxis.set_major_locator(LogLocator(numticks=7))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.minorticks_off()
    else:
        axes.set_ylim(min(0.0, 1.08 * min(rates)), 1.1 * high if high > 0 else 1.0)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    axes.grid(axis="y")


def _name_plateaus(axes, x: list[float], y: list[float]) -> None:
    """Write each plateau's rate above it, where the curve has few of them and they are wide enough."""
    plateaus = [(x[i], x[i + 1], y[i]) for i in range(0, len(x) - 1, 2)]
    if len(plateaus) > MOST_PLATEAUS or min(b - a for a, b, _ in plateaus) < 0.06 * x[-1]:
        return
    for left, right, rate in plateaus:
        axes.annotate(
            f"{rate:.3g}",
            ((left + right) / 2, rate),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )


def _name_curves(axes, curves, colours) -> bool:
    """Write each curve's name beside it, where it touches no curve. Where one finds no such place, none is written.

    Returns whether they are written.
    """
    frame = axes.get_window_extent()
    lines = [_in_pixels(axes, frame, x, y) for _, x, y in curves]
    names, taken = [], []
    for index, (name, *_) in enumerate(curves):
        best = (-math.inf, 0.0, 0.0)
        for width in (44, 26):
            text = axes.text(0, 0, _wrapped(name, width), fontsize=8.5, transform=None)
            extent = text.get_window_extent()
            text.remove()
            place = _free_place(lines, index, extent.width, extent.height, frame, taken)
            if place[0] > best[0]:
                best, chosen, size = place, text.get_text(), (extent.width, extent.height)
        if best[0] == -math.inf:
            for drawn in names:
                drawn.remove()
            return False
        _, left, bottom = best
        place = axes.transAxes.inverted().transform((left, bottom))
        names.append(axes.text(*place, chosen, color=_dark(colours[index]), fontsize=8.5, transform=axes.transAxes))
        taken.append((left, bottom, *size))
    return True


def _wrapped(call: str, width: int) -> str:
    """Break a call into lines after its brackets and commas, and inside an argument only where it is too long."""
    lines = textwrap.wrap(call.replace("(", "( ").replace("[", "[ "), width, break_on_hyphens=False)
    return "\n".join(lines).replace("( ", "(").replace("[ ", "[")


def _in_pixels(axes, frame, x, y) -> dict[int, tuple[float, float]]:
    """Return {pixel column: (lowest, highest) pixel of the curve there}, jumps included."""
    low, _ = axes.get_ylim()
    corners = axes.transData.transform([(a, max(b, low)) for a, b in zip(x, y, strict=True)])
    columns: dict[int, tuple[float, float]] = {}
    for (x0, y0), (x1, y1) in pairwise(corners):
        for column in range(int(x0), int(x1) + 1):
            share = min(1.0, max(0.0, (column - x0) / (x1 - x0))) if x1 > x0 else None
            ends = [y0, y1] if share is None else [y0 + share * (y1 - y0)]
            known = columns.get(column, (math.inf, -math.inf))
            columns[column] = (min(known[0], *ends), max(known[1], *ends))
    return {column: ends for column, ends in columns.items() if frame.x0 <= column <= frame.x1}


def _free_place(lines, index: int, width: float, height: float, frame, taken) -> tuple[float, float, float]:
    """Return (score, left, bottom) of a free box that hugs curve `index` and lies far from the others.

    The score is minus infinity where there is none.
    """
    best = (-math.inf, 0.0, 0.0)
    for left in range(int(frame.x0) + 6, int(frame.x1 - width) - 4, 6):
        columns = range(left - _GAP, int(left + width) + _GAP)
        spans = [[line[column] for column in columns if column in line] for line in lines]
        if not spans[index]:
            continue
        lowest, highest = min(a for a, _ in spans[index]), max(b for _, b in spans[index])
        for bottom in (highest + _GAP, lowest - _GAP - height):
            top = bottom + height
            if bottom < frame.y0 + 2 or top > frame.y1 - 2:
                continue
            if any(left < a + w and a < left + width and bottom < b + h and b < top for a, b, w, h in taken):
                continue
            others = [ends for k, span in enumerate(spans) if k != index for ends in span]
            apart = min((max(low - top, bottom - high) for low, high in others), default=math.inf)
            if apart >= _GAP:
                best = max(best, (min(apart, 30) - 0.8 * (highest - lowest), left, bottom))
    return best
