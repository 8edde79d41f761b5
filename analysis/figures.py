"""One style for every figure. Functions take plain values and return a matplotlib Figure; nothing is shown or global.

A figure is 7 inches wide at 100 dpi: readable at 700 pixels. Its title is the finding. What this does *not* do:
compute or choose; the answers do.
"""

import textwrap
from contextlib import contextmanager
from functools import wraps
from pathlib import Path

WIDTH_INCHES = 7.0
DPI = 100
INK, QUIET, FAINT = "#1f2328", "#6b7280", "#d5d9df"
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
    "legend.frameon": False,
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
    lines = textwrap.fill(title, 74)
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
    """Draw estimates with their intervals, one under the other, each over its single values.

    `drawn` is [(label, Estimate, values)]; the line stands at 1 and `band` shades where single A/A pairs fall.
    """
    figure, axes = canvas(1.1 + 0.44 * len(drawn), title)
    blue = palette(1)[0]
    if band:
        axes.axvspan(*band, color="#f0f1f4", zorder=0, lw=0)
    axes.axvline(1.0, color=QUIET, lw=1, zorder=1)
    for y, (_, estimate, values) in enumerate(drawn):
        axes.plot(list(values), [y] * len(values), "o", ms=3.5, color=FAINT, zorder=2)
        if estimate.bounded:
            axes.plot([estimate.low, estimate.high], [y, y], color=blue, lw=2.2, solid_capstyle="round", zorder=3)
        axes.plot(estimate.value, y, "o", ms=6.5, color=blue, zorder=4)
        axes.annotate(
            f"{estimate.value:.3f}", (1.0, y), xycoords=("axes fraction", "data"), xytext=(6, 0), va="center",
            textcoords="offset points", fontsize=9,
        )
    axes.set_yticks(range(len(drawn)), [label for label, _, _ in drawn])
    axes.set_ylim(len(drawn) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_xlabel(xlabel)
    return figure


def save(figure, folder: Path, name: str) -> tuple[Path, Path]:
    """Write the figure as NAME.svg and NAME.png, and return both paths. The same figure gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    svg, png = folder / f"{name}.svg", folder / f"{name}.png"
    with style():
        figure.savefig(svg, metadata={"Date": None, "Creator": None})
        figure.savefig(png, metadata={"Software": None})
    return svg, png


@styled
def identity(drawn, title: str):
    """Draw how many repeats were identical, with exact bounds, beside how far repeats and seeds are apart.

    `drawn` is [(label, Estimate of the identical share, "k of n", (churn of repeats, churn of seeds))].
    """
    figure, (left, right) = canvas(1.5 + 0.5 * len(drawn), title, num_columns=2, sharey=True)
    blue, orange = palette(2)
    for y, (_, share, text, churns) in enumerate(drawn):
        left.plot([share.low, share.high], [y, y], color=blue, lw=2.2, solid_capstyle="round")
        left.plot(share.value, y, "o", ms=7, color=blue)
        inwards = -1 if share.value > 0.5 else 1
        left.annotate(
            text, (share.value, y), xytext=(0, 9), textcoords="offset points", fontsize=9,
            ha="right" if inwards < 0 else "left", va="bottom",
        )
        right.plot(churns, [y, y], color=FAINT, lw=2, zorder=1)
        right.plot(churns[0], y, "o", ms=7, color=blue, label="repeats (same seed)" if y == 0 else None)
        right.plot(churns[1], y, "D", ms=6, color=orange, label="different seeds" if y == 0 else None)
    left.set_yticks(range(len(drawn)), [label for label, *_ in drawn])
    left.set_ylim(len(drawn) - 0.4, -0.7)
    left.set_xlim(-0.03, 1.03)
    left.set_title("pairs of repeats that are bit-identical")
    right.set_title("test images classified differently")
    right.set_xlim(left=0)
    right.margins(x=0.1)
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, handletextpad=0.2, columnspacing=1.0)
    for axes in (left, right):
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
    return figure


@styled
def comparison(drawn, title: str, reference: str):
    """Draw accuracies by seed with their mean and interval, beside the paired differences to the reference.

    `drawn` is [(label, Estimate of the mean, accuracy of each seed, Estimate of the difference)].
    """
    figure, (left, right) = canvas(1.3 + 0.42 * len(drawn), title, num_columns=2, sharey=True)
    blue = palette(1)[0]
    right.axvline(0.0, color=QUIET, lw=1, zorder=1)
    for y, (_, mean, values, difference) in enumerate(drawn):
        left.plot([100 * v for v in values], [y] * len(values), "o", ms=4, color="#b9c0ca", zorder=2, alpha=0.7, mew=0)
        for axes, estimate in ((left, mean), (right, difference)):
            if estimate.bounded:
                axes.plot([100 * estimate.low, 100 * estimate.high], [y, y], color=blue, lw=2.2, solid_capstyle="round")
            if estimate.n:
                axes.plot(100 * estimate.value, y, "o", ms=6.5, color=blue, zorder=4)
    left.set_yticks(range(len(drawn)), [label for label, *_ in drawn])
    left.set_ylim(len(drawn) - 0.5, -0.5)
    left.set_title("final accuracy, %")
    right.set_title(f"points against {reference}")
    for axes in (left, right):
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        axes.margins(x=0.08)
    return figure


@styled
def small_multiples(panels, title: str, xlabel: str, ylabel: str, percent: bool = False, log: bool = False):
    """Draw one panel for each curve on shared axes, all other curves faint behind it.

    `panels` is [(label, [(x, y, colour), …], band)]: colour is a number (that of the parameter group, say), and `band` is
    (x, low, high), or () for none.
    """
    num_columns = min(3, len(panels))
    num_rows = -(-len(panels) // num_columns)
    figure, grid = canvas(
        0.9 + 1.55 * num_rows, title, num_columns=num_columns, num_rows=num_rows, sharex=True, sharey=True, squeeze=False
    )
    colours = palette(10)
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    for index, (axes, (label, lines, band)) in enumerate(zip(grid.flat, panels, strict=False)):
        for other, (_, others, _) in enumerate(panels):
            for x, y, _ in others if other != index else ():
                axes.plot(x, y, color=FAINT, lw=0.9, zorder=1)
        if band:
            axes.fill_between(*band, color=colours[0], alpha=0.18, lw=0, zorder=2)
        for x, y, turn in lines:
            axes.plot(x, y, color=colours[turn % 10], lw=1.8, zorder=3)
        axes.set_title(textwrap.shorten(label, 34, placeholder="…"), fontsize=9.5)
        axes.grid(axis="y")
        if log:
            axes.set_yscale("log")
        if percent:
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")
    figure.supxlabel(xlabel, fontsize=9.5, color=QUIET)
    figure.supylabel(ylabel, fontsize=9.5, color=QUIET)
    return figure


@styled
def drift(minutes, speed, failed_minutes, title: str):
    """Draw each trial's speed, over its condition's median, against the time it began; failed trials at the bottom."""
    figure, axes = canvas(2.6, title)
    axes.axhline(1.0, color=QUIET, lw=1, zorder=1)
    blue, _, _, red = palette(4)
    axes.plot(minutes, speed, "o", ms=4, color=blue, alpha=0.65, mew=0)
    low = min([*speed, 0.95])
    if len(failed_minutes):
        axes.plot(failed_minutes, [low] * len(failed_minutes), "x", ms=7, mew=2, color=red, zorder=3)
        axes.annotate("failed", (failed_minutes[-1], low), xytext=(7, 0), textcoords="offset points", color=red, va="center")
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
    axes.set_xlabel("minutes since the first trial began")
    axes.set_ylabel("speed / median of\nits condition")
    axes.grid(axis="y")
    return figure
