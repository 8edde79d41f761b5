"""One style for every figure. Functions take plain values and return a matplotlib Figure; nothing is shown or global.

A figure is 7 inches wide at 100 dpi: readable at 700 pixels. Its title is the finding. What this does *not* do:
compute or choose; the answers do.
"""

import math
import textwrap
from contextlib import contextmanager
from functools import wraps
from pathlib import Path

WIDTH_INCHES = 7.0
DPI = 100
INK, QUIET, FAINT, DOTS = "#1f2328", "#6b7280", "#d5d9df", "#9aa3af"
_RC = {
    "figure.dpi": DPI,
    "savefig.dpi": 2 * DPI,  # PNGs stay sharp on dense screens and when zoomed
    "figure.constrained_layout.use": True,
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 9.5,
    "axes.labelcolor": QUIET,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "grid.color": "#eceff3",
    "grid.linewidth": 0.8,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "axes.formatter.useoffset": False,
    "svg.fonttype": "path",  # looks the same wherever it is opened, whatever fonts are there
    "svg.hashsalt": "lrbench",  # the same figure is the same file
}


@contextmanager
def style():
    """Draw and save within this: seaborn's ticks style with our colours, leaving the caller's settings as they were."""
    import matplotlib
    import seaborn

    with matplotlib.rc_context():
        seaborn.set_theme(style="ticks", palette="colorblind", rc=_RC)
        yield


def styled(draw):
    @wraps(draw)
    def inside(*arguments, **named):
        with style():
            return draw(*arguments, **named)

    return inside


def palette(num_colors: int) -> list:
    """Return so many colours that colour-blind readers can tell apart; beyond ten they repeat."""
    import seaborn

    return seaborn.color_palette("colorblind", num_colors)


def canvas(height_inches: float, title: str, num_columns: int = 1, num_rows: int = 1, **named):
    """Return a Figure with its finding as title, and its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_INCHES, height_inches))
    axes = figure.subplots(num_rows, num_columns, **named)
    lines = textwrap.fill(title, 68)
    figure.suptitle(lines, x=0.012, ha="left", fontsize=11.5, fontweight="bold", color=INK)
    return figure, axes


@styled
def message(text: str):
    """Return a figure that says why there is nothing to draw."""
    figure, axes = canvas(1.2, "")
    axes.axis("off")
    axes.text(0.0, 0.5, textwrap.fill(text, 80), color=QUIET, fontsize=11, va="center")
    return figure


@styled
def forest(drawn, title: str, xlabel: str, band=()):
    """Draw estimates with their intervals, one under the other, each below its single values.

    `drawn` is [(label, where, Estimate, values)]; a row with a `where` is a part of the row above it. The line stands
    at 1, and `band` shades where single A/A pairs fall.
    """
    figure, axes = canvas(1.2 + 0.4 * len(drawn), title)
    blue = palette(1)[0]
    if band:
        axes.axvspan(*band, color="#eef0f4", zorder=0, lw=0)
        axes.annotate(
            "A/A",
            (1.0, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            color=QUIET,
            fontsize=8.5,
        )
    axes.axvline(1.0, color=QUIET, lw=1, zorder=1)
    for y, (_, where, estimate, values) in enumerate(drawn):
        axes.plot(list(values), [y - 0.24] * len(values), "o", ms=3, color=DOTS, mew=0, zorder=2)
        _bar(axes, estimate, y, blue if not where else "#7fb2d6")
        text = f"{estimate.value:.3f}" + (f"  [{estimate.low:.3f}, {estimate.high:.3f}]" if estimate.bounded else "")
        axes.annotate(
            text,
            (1.0, y),
            xycoords=("axes fraction", "data"),
            xytext=(8, 0),
            va="center",
            textcoords="offset points",
            fontsize=8.5,
            color=QUIET if where else INK,
        )
    _rows(axes, [where or label for label, where, *_ in drawn])
    axes.set_xlim(_limits(drawn, band))
    for text, (_, where, *_) in zip(axes.get_yticklabels(), drawn, strict=True):
        text.set_color(QUIET if where else INK)
    axes.set_xlabel(xlabel)
    return figure


def _limits(drawn, band) -> tuple[float, float]:
    """Limits that show every value and whole intervals, but an interval of few units not beyond a span to each side."""
    inside = [1.0, *band, *(v for *_, values in drawn for v in values), *(estimate.value for *_, estimate, _ in drawn)]
    ends = [end for *_, e, _ in drawn if e.bounded for end in (e.low, e.high)]
    low, high = min(inside), max(inside)
    span = max(high - low, 0.01)
    left, right = max(min([*ends, low]), low - span), min(max([*ends, high]), high + span)
    margin = max(0.05 * (right - left), 0.005)
    return left - margin, right + margin


def _bar(axes, estimate, y: float, colour, scale: float = 1.0) -> None:
    if estimate.bounded:
        ends = [scale * estimate.low, scale * estimate.high]
        axes.plot(ends, [y, y], color=colour, lw=2.2, solid_capstyle="round", zorder=3)
    if estimate.n:  # an open dot has no interval
        inside = colour if estimate.bounded else "white"
        axes.plot(scale * estimate.value, y, "o", ms=6.5, color=colour, mfc=inside, mew=1.5, zorder=4)


def _rows(axes, labels: list[str]) -> None:
    """Lay the y axis out as a list of rows, the first on top."""
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.6)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.margins(x=0.08)


@styled
def identity(drawn, title: str):
    """Draw how many repeats were identical, with exact bounds, beside how far repeats and seeds are apart.

    `drawn` is [(label, Estimate of the identical share, "k of n", (churn of repeats, churn of seeds))].
    """
    figure, (left, right) = canvas(1.6 + 0.5 * len(drawn), title, num_columns=2, sharey=True)
    blue, orange = palette(2)
    for y, (_, share, text, churns) in enumerate(drawn):
        _bar(left, share, y, blue, scale=100)
        half = share.value > 0.5
        left.annotate(
            text,
            (100 * share.value, y),
            xytext=(4 if half else -4, 8),
            textcoords="offset points",
            fontsize=8.5,
            ha="right" if half else "left",
            color=QUIET,
        )
        right.plot([100 * churn for churn in churns], [y, y], color=FAINT, lw=2, zorder=1)
        right.plot(100 * churns[0], y, "o", ms=7, color=blue, zorder=3, label="repeats of one seed" if y == 0 else None)
        right.plot(100 * churns[1], y, "D", ms=6, color=orange, zorder=2, label="different seeds" if y == 0 else None)
    for axes in (left, right):
        _rows(axes, [label for label, *_ in drawn])
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}%")
    left.set_xlim(-4, 104)
    left.set_xticks([0, 50, 100])
    left.set_xlabel("pairs of repeats that are bit-identical")
    right.set_xlabel("test images classified differently")
    right.set_xlim(left=min(0.0, *right.get_xlim()))
    if any(math.isfinite(churn) for *_, churns in drawn for churn in churns):
        figure.legend(loc="outside lower right", ncols=2, handletextpad=0.2, columnspacing=1.2)
    return figure


@styled
def comparison(panels, title: str):
    """Draw accuracies by seed with their mean and interval, beside the paired differences to a reference.

    `panels` is [(label, reference, rows)], one below the other, and a row is (label, Estimate of the mean, accuracy of
    each seed, Estimate of the difference); equal accuracies are stacked, so that every seed shows.
    """
    num_rows = [len(drawn) for *_, drawn in panels]
    height = 0.9 + 0.42 * sum(num_rows) + sum(0.35 + 0.25 * bool(label) for label, *_ in panels)
    figure, grid = canvas(
        height,
        title,
        2,
        len(panels),
        sharex="col",
        sharey="row",
        squeeze=False,
        height_ratios=[n + 0.4 for n in num_rows],
    )
    blue = palette(1)[0]
    references = [reference for _, reference, _ in panels]
    for index, ((left, right), (label, reference, drawn)) in enumerate(zip(grid, panels, strict=True)):
        right.axvline(0.0, color=QUIET, lw=1, zorder=1)
        for y, (_, mean, values, difference) in enumerate(drawn):
            x, up = stacked([100 * v for v in values])
            left.plot(x, [y - 0.22 - step for step in up], "o", ms=3.5, color=DOTS, mew=0, zorder=2)
            _bar(left, mean, y, blue, scale=100)
            _bar(right, difference, y, blue, scale=100)
        for axes in (left, right):
            _rows(axes, [textwrap.fill(name, 26) for name, *_ in drawn])
        left.set_ylim(top=-0.85)
        if len(panels) > 1:
            left.set_title(label, fontsize=9.5)
        if reference not in references[index + 1 : index + 2]:  # the next panel would say the same
            right.set_xlabel(textwrap.fill(f"points against {reference},", 36) + "\npaired by seed")
    grid[-1][0].set_xlabel("final accuracy, %\n(small dots: seeds)")
    return figure


def stacked(values: list[float]) -> tuple[list[float], list[float]]:
    """Return where dots stand so that equal values do not hide each other: (x, height), in rows; at most half a row.

    >>> stacked([1.0, 2.0, 1.0])
    ([1.0, 2.0, 1.0], [0.0, 0.0, 0.09])
    """
    keys = [round(value, 9) for value in values]
    most = max((keys.count(key) for key in keys), default=1)
    step = min(0.09, 0.5 / max(1, most - 1))
    return values, [step * keys[:index].count(key) for index, key in enumerate(keys)]


@styled
def drift(seconds, speed, failed_seconds, title: str):
    """Draw each trial's speed, over its condition's median, against the time it began; failed trials at the bottom."""
    figure, axes = canvas(2.6, title)
    span = max([*seconds, *failed_seconds])
    unit, divisor = next(
        (u, d) for u, d in (("hours", 3600), ("minutes", 60), ("seconds", 1)) if span > 3 * d or d == 1
    )
    blue, _, _, red = palette(4)
    axes.axhline(100.0, color=QUIET, lw=1, zorder=1)
    axes.plot([s / divisor for s in seconds], [100 * v for v in speed], "o", ms=4, color=blue, alpha=0.65, mew=0)
    if failed_seconds:
        low = 100 * min(*speed, 0.95)
        axes.plot([s / divisor for s in failed_seconds], [low] * len(failed_seconds), "x", ms=7, mew=2, color=red)
        place = (failed_seconds[-1] / divisor, low)
        axes.annotate("failed", place, xytext=(7, 0), textcoords="offset points", color=red, va="center", fontsize=9)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}%")
    axes.set_xlabel(f"{unit} since the first trial began")
    axes.set_ylabel("speed / median of\nits condition")
    axes.grid(axis="y")
    return figure


def save(figure, folder: Path, name: str) -> tuple[Path, Path]:
    """Write the figure as NAME.svg and NAME.png, and return both paths. The same figure gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    svg, png = folder / f"{name}.svg", folder / f"{name}.png"
    with style():
        figure.savefig(svg, metadata={"Date": None, "Creator": None})
        figure.savefig(png, metadata={"Software": None})
    return svg, png
