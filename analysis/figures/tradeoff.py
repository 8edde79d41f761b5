"""Accuracy against training time: every condition with its intervals both ways, and the front drawn through the best.

What this does *not* do: choose the front (`analysis.tradeoff` does).
"""

from analysis.figures import canvas, styled
from analysis.figures.colours import INK, QUIET, colours_of, is_scheduler, marker_of
from analysis.page.wording import count
from analysis.statistics.fronts import FEWEST, Condition, Trade
from analysis.tradeoff import names_of, on_how_many

_MOST_DRAWN = 3
_NAMED = 12


@styled
def scatter(trades: list[Trade]):
    """Draw a panel for each of the first settings. Up and to the left is better; what is not on the front is open.

    Where times are not shown to differ there is no front, and no point is open.
    Intervals are cut at the edge where they are so wide that nothing else would show.
    """
    drawn = trades[:_MOST_DRAWN]
    figure, grid = canvas(0.7 + 3.3 * len(drawn), _title(trades), 1, len(drawn), squeeze=False)
    for axes, trade in zip(grid.flat, drawn, strict=True):
        _panel(axes, trade)
        if len(drawn) > 1:
            axes.set_title(trade.part.label, fontsize=9.5)
    return figure


def _panel(axes, trade: Trade) -> None:
    names, colours = names_of(trade), colours_of(c.arm for c in trade.conditions)
    unit, divisor = _unit(trade)
    front = trade.front
    steps_x = [c.time.value / divisor for c in front]
    steps_y = [100 * c.accuracy.value for c in front]
    _limits(axes, trade, divisor)
    (left, right), (bottom, _) = axes.get_xlim(), axes.get_ylim()
    if trade.times_told:  # what is reached within a time: flat up to the next condition of the front
        axes.step(
            [steps_x[0], *steps_x, right],
            [bottom, *steps_y, steps_y[-1]],
            where="post",
            color=INK,
            lw=1.2,
            ls=(0, (4, 2)),
            zorder=2,
        )
        under = [*steps_y, steps_y[-1]]
        axes.fill_between([*steps_x, right], bottom, under, step="post", color=QUIET, alpha=0.07, lw=0)
    for c in trade.conditions:
        x, y, colour = c.time.value / divisor, 100 * c.accuracy.value, colours[c.arm]
        beaten = trade.times_told and not c.on_front
        marker = marker_of(c.arm) if is_scheduler(c.arm) else "o"
        if c.accuracy.bounded:
            axes.plot([x, x], [100 * c.accuracy.low, 100 * c.accuracy.high], color=colour, lw=1, alpha=0.6, zorder=2)
        if c.time.bounded:
            axes.plot([c.time.low / divisor, c.time.high / divisor], [y, y], color=colour, lw=1, alpha=0.6, zorder=2)
        axes.plot(x, y, marker, color=colour, ms=7, mew=1.5, mfc="white" if beaten else colour, zorder=3)
    _name_points(axes, trade, names, colours, divisor)
    axes.set_xlabel(f"{unit} of training (mean over {count(trade.num_seeds, 'seed')}, 95% interval)")
    axes.set_ylabel("final accuracy, %")
    axes.grid(True)
    axes.set_xlim(left, right)


def _unit(trade: Trade) -> tuple[str, float]:
    longest = max(c.time.value for c in trade.conditions)
    units = (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0), ("milliseconds", 1e-3))
    return next((unit, divisor) for unit, divisor in units if longest > 3 * divisor or unit == "milliseconds")


def _limits(axes, trade: Trade, divisor: float) -> None:
    """Show every point and whole intervals; of fewer than FEWEST seeds, what lies within a span to each side."""
    from analysis.figures.marks import limits

    times, accuracies = [c.time for c in trade.conditions], [c.accuracy for c in trade.conditions]
    whole = trade.num_seeds >= FEWEST
    for estimates, scale, setter in ((times, 1 / divisor, axes.set_xlim), (accuracies, 100, axes.set_ylim)):
        ends = [scale * end for e in estimates if e.bounded for end in (e.low, e.high)]
        values = [*(scale * e.value for e in estimates), *(ends if whole else ())]
        setter(*limits(values, ends, values[0]))


def _name_points(axes, trade: Trade, names: dict, colours: dict, divisor: float) -> None:
    """Write the names right of the axes in the order of accuracy, each with a thin line to its point."""
    diverged = trade.part.diverged
    shown = sorted(_named(trade), key=lambda c: c.accuracy.value)
    (_, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    gap = (top - bottom) * 0.066
    low, places = bottom - gap, []
    for c in shown:
        low = max(100 * c.accuracy.value, low + gap)
        places.append(low)
    shift = max(0.0, places[-1] - top)
    places = [place - shift for place in places]
    for index in range(len(places) - 2, -1, -1):
        places[index] = min(places[index], places[index + 1] - gap)
    for c, place in zip(shown, places, strict=True):
        axes.annotate(
            names[c.arm, c.machine] + (f" ({on_how_many(lost)} diverged)" if (lost := diverged.get(c.arm)) else ""),
            (c.time.value / divisor, 100 * c.accuracy.value),
            xytext=(right + (right - axes.get_xlim()[0]) * 0.03, place),
            textcoords="data",
            va="center",
            fontsize=8.5,
            color=colours[c.arm],
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colours[c.arm],
                "lw": 0.5,
                "alpha": 0.45,
                "shrinkB": 4,
                "relpos": (0, 0.5),
            },
        )


def _named(trade: Trade) -> list[Condition]:
    """All conditions where they are few, else those of the front and the fastest others."""
    others = [c for c in trade.conditions if not c.on_front]
    return (trade.front + others)[:_NAMED]


def _title(trades: list[Trade]) -> str:
    trade, front = trades[0], trades[0].front
    if len(trades) > 1:
        return "Accuracy against training time, and the front that no condition beats"
    names = names_of(trade)
    if not trade.times_told:
        return "No difference in training time can be told, so there is no front"
    if len(front) == 1:
        lost = trade.part.diverged.get(front[0].arm)
        where = f", but diverged on {on_how_many(lost)}" if lost else ""
        return f"In the mean {names[front[0].arm, front[0].machine]} is both fastest and most accurate{where}"
    return f"{len(front)} of {len(trade.conditions)} conditions are beaten by no other in both time and accuracy"
