"""Forests: estimates with their intervals, one under the other, and what each of them says in words beside it.

What this does *not* do: compute or choose; the answers do.
"""

from dataclasses import dataclass

from analysis.figures import marks
from analysis.figures.colours import BLUE, INK, QUIET, SHADE
from analysis.figures.frame import canvas, styled
from analysis.statistics.intervals import Estimate

PART = "#7fa8d8"  # of a row that is a part of the row above it


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row of a summary: what is compared, the estimate, its verdict in words, its colour."""

    label: str
    estimate: Estimate
    verdict: str
    colour: str = BLUE


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rows on one axis: what it measures, where nothing differs, and the band inside which a difference is none."""

    title: str
    xlabel: str
    lines: tuple[Line, ...]
    reference: float = 0.0
    margin: float = 0.0
    scale: float = 1.0


@styled
def summary(groups: list[Group], title: str):
    """Draw every comparison of a study: one panel a group, the equivalence band shaded, verdicts written beside."""
    sizes = [len(group.lines) + 0.6 for group in groups]
    height = 0.8 + 0.36 * sum(sizes) + 0.55 * len(groups)
    figure, grid = canvas(height, title, 1, len(groups), squeeze=False, height_ratios=sizes)
    for (axes,), group in zip(grid, groups, strict=True):
        scale, at = group.scale, group.scale * group.reference
        if group.margin > 0:
            axes.axvspan(at - scale * group.margin, at + scale * group.margin, color=SHADE, zorder=0, lw=0)
        axes.axvline(at, color=QUIET, lw=1, zorder=1)
        for y, line in enumerate(group.lines):
            marks.bar(axes, line.estimate, y, line.colour, scale=scale)
            marks.beside(axes, line.verdict, y, quiet=line.verdict == "inconclusive")
        marks.rows(axes, [line.label for line in group.lines], width=34)
        values = [scale * line.estimate.value for line in group.lines]
        ends = [scale * end for line in group.lines for end in (line.estimate.low, line.estimate.high)]
        band = [at - scale * group.margin, at + scale * group.margin] if group.margin > 0 else []
        axes.set_xlim(marks.limits([*values, *band], ends, at, spans=3.0))
        axes.set_title(group.title, fontsize=9.5)
        axes.set_xlabel(group.xlabel, fontsize=8.5)
    return figure


@styled
def forest(drawn, title: str, xlabel: str, band=()):
    """Draw estimates with their intervals, one under the other, each above its single values.

    `drawn` is [(label, where, Estimate, values)]; a row with a `where` is a part of the row above it. The line stands
    at 1, and `band` shades where single A/A pairs fall.
    """
    figure, axes = canvas(1.2 + 0.44 * len(drawn), title)
    if band:
        axes.axvspan(*band, color=SHADE, zorder=0, lw=0)
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
        colour = PART if where else BLUE
        marks.cloud(axes, values, y, colour)
        marks.strip(axes, values, y)
        marks.bar(axes, estimate, y, colour)
        interval = f"  [{estimate.low:.3f}, {estimate.high:.3f}]" if estimate.bounded else ""
        marks.beside(axes, f"{estimate.value:.3f}{interval}", y, quiet=bool(where))
    marks.rows(axes, [where or label for label, where, *_ in drawn])
    seen = [v for _, _, estimate, values in drawn for v in (*values, estimate.value)]
    axes.set_xlim(marks.limits([*seen, *band], [e for *_, x, _ in drawn for e in (x.low, x.high)], 1.0))
    for text, (_, where, *_) in zip(axes.get_yticklabels(), drawn, strict=True):
        text.set_color(QUIET if where else INK)
    axes.set_xlabel(xlabel)
    return figure
