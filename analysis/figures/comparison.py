"""Arms beside each other: every seed of each, then the paired differences to a reference.

What this does *not* do: compute or choose; the answers do.
"""

import math
import textwrap

from analysis.figures import marks
from analysis.figures.colours import DOTS, FAINT, QUIET, SHADE, colours_of, is_scheduler, marker_of
from analysis.figures.frame import canvas, styled

_MOST_SEED_LINES = 40


@styled
def comparison(
    panels,
    title: str,
    value_label: str = "final accuracy, %",
    unit: str = "points",
    scale: float = 100.0,
    reference: float = 0.0,
    margin: float = 0.0,
):
    """Draw the value of every seed with the mean and its interval, beside the paired differences to a reference arm.

    `panels` is [(label, reference arm, rows)], one below the other. A row is (label, Estimate of the mean, value of
    each seed, Estimate of the difference) and may go on with the difference of each seed. Where the values of all rows
    are in one order of seeds (nan where a seed is missing), a thin line follows each seed from row to row. Schedulers
    have their own colours. Values and differences are multiplied by `scale`; no difference is at `reference`, and
    `margin` to either side of it (scaled) differences that do not matter are shaded.
    """
    num_rows = [len(drawn) for *_, drawn in panels]
    height = 1.0 + 0.56 * sum(num_rows) + sum(0.35 + 0.25 * bool(label) for label, *_ in panels)
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
    references = [name for _, name, _ in panels]
    for index, ((left, right), (label, against, drawn)) in enumerate(zip(grid, panels, strict=True)):
        if margin:
            right.axvspan(reference - margin, reference + margin, color=SHADE, zorder=0, lw=0)
        right.axvline(reference, color=QUIET, lw=1, zorder=1)
        _seed_lines(left, [[scale * v for v in values] for _, _, values, *_ in drawn])
        colours = colours_of(name for name, *_ in drawn)
        for y, (name, mean, values, difference, *each) in enumerate(drawn):
            marker = marker_of(name) if is_scheduler(name) else "o"
            _strip_and_bar(left, y, mean, values, colours[name], scale, marker)
            if difference.n:
                _strip_and_bar(right, y, difference, each[0] if each else (), colours[name], scale, marker)
        for axes in (left, right):
            marks.rows(axes, [name for name, *_ in drawn])
        left.set_ylim(top=-0.75)
        if len(panels) > 1:
            left.set_title(label, fontsize=9.5)
        if against not in references[index + 1 : index + 2]:  # the next panel would say the same
            right.set_xlabel(textwrap.fill(f"{unit} against {against},", 36) + "\npaired by seed")
    grid[-1][0].set_xlabel(f"{value_label}\n(small dots: seeds)")
    return figure


def _strip_and_bar(axes, y: int, estimate, values, colour, scale: float, marker: str) -> None:
    shown = [scale * value for value in values if math.isfinite(value)]
    marks.cloud(axes, shown, y, colour)
    marks.strip(axes, shown, y, DOTS)
    marks.bar(axes, estimate, y, colour, scale=scale, marker=marker)


def _seed_lines(axes, columns: list[list[float]]) -> None:
    """Follow each seed from row to row: lines that keep to their sides are what pairing takes out."""
    lengths = {len(values) for values in columns}
    if len(columns) < 2 or len(lengths) != 1 or not 1 < max(lengths) <= _MOST_SEED_LINES:
        return
    places = [y + 0.2 for y in range(len(columns))]
    for values in zip(*columns, strict=True):
        axes.plot(values, places, color=FAINT, lw=0.8, zorder=1)
