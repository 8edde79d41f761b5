"""Sameness: how many repeats were identical, with exact bounds, beside how far repeats and seeds are apart.

What this does *not* do: compute or choose; the answers do.
"""

import math

from analysis.figures import marks
from analysis.figures.colours import BLUE, FAINT, QUIET, VERMILLION
from analysis.figures.frame import canvas, styled


@styled
def identity(drawn, title: str):
    """Draw how many repeats were identical, with exact bounds, beside how far repeats and seeds are apart.

    `drawn` is [(label, Estimate of the identical share, "k of n", (churn of repeats, churn of seeds))].
    """
    figure, (left, right) = canvas(1.6 + 0.5 * len(drawn), title, num_columns=2, sharey=True)
    for y, (_, share, text, churns) in enumerate(drawn):
        marks.bar(left, share, y, BLUE, scale=100)
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
        first = y == 0
        right.plot([100 * churn for churn in churns], [y, y], color=FAINT, lw=2, zorder=1)
        right.plot(100 * churns[0], y, "o", ms=7, color=BLUE, zorder=3, label="repeats of one seed" if first else None)
        right.plot(100 * churns[1], y, "D", ms=6, color=VERMILLION, zorder=2, label="two seeds" if first else None)
    for axes in (left, right):
        marks.rows(axes, [label for label, *_ in drawn])
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}%")
    left.set_xlim(-4, 104)
    left.set_xticks([0, 50, 100])
    left.set_xlabel("pairs of repeats that are bit-identical")
    right.set_xlabel("test images classified differently")
    right.set_xlim(left=min(0.0, *right.get_xlim()))
    if any(math.isfinite(churn) for *_, churns in drawn for churn in churns):
        figure.legend(loc="outside lower right", ncols=2, handletextpad=0.2, columnspacing=1.2)
    return figure
