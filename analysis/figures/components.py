"""What accuracy's spread is made of: for each scheduler the SD over seeds, of the test images' luck, and of repeats.

What this does *not* do: compute them (`analysis.components` does).
"""

import math

from analysis.components import Source
from analysis.figures import canvas, marks, styled
from analysis.figures.colours import FAINT, INK, QUIET, colours_of
from analysis.page.wording import known, percent
from analysis.rows.conditions import short_names

_MOST_DRAWN = 14


@styled
def spreads(found: list[Source]):
    """Draw a row for each scheduler: SD over seeds with its interval, where its parts lie, the share of luck beside."""
    from matplotlib.lines import Line2D

    first = found[0].part.label
    drawn = [source for source in found if source.part.label == first][:_MOST_DRAWN]
    names, colours = short_names(s.arm for s in drawn), colours_of(s.arm for s in drawn)
    figure, axes = canvas(1.5 + 0.42 * len(drawn), _title(drawn))
    for y, source in enumerate(drawn):
        of_images = [] if source.luck.is_empty else [source.luck.by_images, source.luck.distribution.value]
        parts = [*(of_images or [math.nan, math.nan]), source.components.run.value]
        told = [100 * value for value in (*parts, source.components.seed.value) if known(value)]
        axes.plot([min(told), max(told)], [y, y], color=FAINT, lw=1.5, zorder=1)
        marks.bar(axes, source.components.seed, y, colours[source.arm], scale=100)
        for value, marker, inside in zip(parts, "d|x", ("white", INK, INK), strict=True):
            if known(value):
                size = 13 if marker == "|" else 7
                axes.plot(100 * value, y, marker, color=INK, mfc=inside, ms=size, mew=1.6, zorder=7)
        if known(source.luck.share.value):
            bound = "" if source.luck.exact else "≤ "
            marks.beside(axes, f"luck {bound}{percent(source.luck.share.value, 0)}", y)
    marks.rows(axes, [names[source.arm] for source in drawn])
    axes.set_xlim(-0.02 * _edge(drawn), _edge(drawn))
    axes.set_xlabel("standard deviation of final accuracy, points")
    handles = [Line2D([], [], color=QUIET, marker="o", lw=2.2, label="over seeds, 95% interval")]
    if any(known(s.luck.by_images) and not s.luck.is_empty for s in drawn):
        handles += [
            Line2D([], [], color=INK, marker="d", mfc="white", lw=0, label="luck of the test images"),
            Line2D([], [], color=INK, marker="|", ms=11, mew=1.6, lw=0, label="left on endless test images"),
        ]
    if any(known(s.components.run.value) for s in drawn):
        handles.append(Line2D([], [], color=INK, marker="x", mew=1.6, lw=0, label="repeats of one seed"))
    figure.legend(handles=handles, loc="outside lower left", ncols=2, handlelength=1.6)
    return figure


def _edge(drawn: list[Source]) -> float:
    """Show whole intervals, but none beyond three times the largest value."""
    images = [s.luck.by_images for s in drawn if known(s.luck.by_images) and not s.luck.is_empty]
    values = [s.components.seed.value for s in drawn] + images
    ends = [s.components.seed.high for s in drawn if math.isfinite(s.components.seed.high)]
    return 105 * max(1e-4, *values, min(max(ends, default=0.0), 3 * max(values)))


def _title(drawn: list[Source]) -> str:
    shares = [s.luck.share.value for s in drawn if known(s.luck.share.value)]
    if not shares or any(s.luck.is_empty for s in drawn):  # of some schedulers alone it would be a choice
        return "How far seeds and repeats spread final accuracy"
    bound = "" if drawn[0].luck.exact else "at most "
    low, high = percent(min(shares), 0), percent(max(shares), 0)
    span = low if low == high else f"{low} to {high}"
    return f"Luck of the test images makes {bound}{span} of the variance over seeds"
