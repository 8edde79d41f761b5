"""What figures are made of: intervals, strips of single values, clouds, and an axis that is a list of rows.

What this does *not* do: lay out a figure; its siblings do.
"""

import textwrap

import numpy as np

from analysis.figures.colours import DOTS, INK, QUIET

MOST_DOTS = 80  # of one row; more are sampled evenly over their order
LEAST_FOR_CLOUD = 12  # single values say more than a density made of fewer


def bar(axes, estimate, y: float, colour, scale: float = 1.0, marker: str = "o") -> None:
    """Draw an estimate with its interval; an open dot has none."""
    if estimate.bounded:
        ends = [scale * estimate.low, scale * estimate.high]
        axes.plot(ends, [y, y], color=colour, lw=2.2, solid_capstyle="round", zorder=5)
    if estimate.n:
        inside = colour if estimate.bounded else "white"
        axes.plot(scale * estimate.value, y, marker, ms=6.5, color=colour, mfc=inside, mew=1.5, zorder=6)


def strip(axes, values, y: float, colour=DOTS) -> None:
    """Draw a dot for each value just below row y; equal ones are stacked, so that every one of them shows."""
    x, down = stacked(sampled(values))
    axes.plot(x, [y + 0.2 + step for step in down], "o", ms=3.4, color=colour, alpha=0.75, mew=0, zorder=4)


def cloud(axes, values, y: float, colour) -> None:
    """Draw where values lie densely, above row y; nothing for fewer than LEAST_FOR_CLOUD, or without spread.

    A Gaussian kernel by Silverman's rule (1986), no further than the values reach: it shows nothing that was not seen.
    """
    values = np.asarray([v for v in values if v == v], dtype=float)
    if len(values) < LEAST_FOR_CLOUD or np.ptp(values) <= 1e-12 * max(1.0, abs(values).max()):
        return
    quartiles = np.quantile(values, [0.25, 0.75])
    spread = min(values.std(ddof=1), (quartiles[1] - quartiles[0]) / 1.34 or np.inf)
    width = 0.9 * spread * len(values) ** -0.2
    at = np.linspace(values.min(), values.max(), 120)
    few = np.asarray(sampled(values.tolist(), 2_000))
    height = np.exp(-0.5 * ((at[:, None] - few) / width) ** 2).sum(axis=1)
    top = y - 0.14 - 0.32 * height / height.max()
    axes.fill_between(at, y - 0.14, top, color=colour, alpha=0.28, lw=0, zorder=2)


def rows(axes, labels: list[str], width: int = 26) -> None:
    """Lay the y axis out as a list of rows, the first on top."""
    axes.set_yticks(range(len(labels)), [textwrap.fill(label, width) for label in labels])
    axes.set_ylim(len(labels) - 0.45, -0.6)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.margins(x=0.08)


def beside(axes, text: str, y: float, quiet: bool = False) -> None:
    """Write a text to the right of row y."""
    axes.annotate(
        text,
        (1.0, y),
        xycoords=("axes fraction", "data"),
        xytext=(8, 0),
        va="center",
        textcoords="offset points",
        fontsize=8.5,
        color=QUIET if quiet else INK,
    )


def sampled(values, most: int = MOST_DOTS) -> list:
    """Return at most so many of the values, evenly over their order, the ends included.

    >>> sampled([3, 1, 2]), sampled(range(100), 3)
    ([3, 1, 2], [0, 50, 99])
    """
    values = list(values)
    if len(values) <= most:
        return values
    return [sorted(values)[round(at)] for at in np.linspace(0, len(values) - 1, most)]


def stacked(values: list[float]) -> tuple[list[float], list[float]]:
    """Return where dots stand so that equal values do not hide each other: (x, height), in rows; at most half a row.

    >>> stacked([1.0, 2.0, 1.0])
    ([1.0, 2.0, 1.0], [0.0, 0.0, 0.09])
    """
    keys = [round(value, 9) for value in values]
    most = max((keys.count(key) for key in keys), default=1)
    step = min(0.09, 0.5 / max(1, most - 1))
    return values, [step * keys[:index].count(key) for index, key in enumerate(keys)]


def limits(values, ends, reference: float, spans: float = 1.0) -> tuple[float, float]:
    """Limits that show every value and whole intervals, but no end of an interval further than so many spans beyond.

    An interval of few units can be so wide that nothing else would show.

    >>> limits([1.0], [0.5, 40.0], 0.0), limits([0.0], [], 0.0)
    ((-0.1, 2.1), (-0.001, 0.001))
    """
    values = [value for value in (*values, reference) if np.isfinite(value)]
    ends = [end for end in ends if np.isfinite(end)]
    low, high = min(values), max(values)
    span = max(high - low, 0.01 * max(abs(reference), 0.1))
    left, right = max(min([*ends, low]), low - spans * span), min(max([*ends, high]), high + spans * span)
    margin = 0.05 * (right - left) or span  # where nothing differs, the one place there is stands in the middle
    return left - margin, right + margin
