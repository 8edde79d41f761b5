"""False positives, coverage and power against the number of seeds, a column of panels for each shape of noise.

What this does *not* do: simulate. It draws the table of `analysis.calibration`.
"""

import pandas as pd

from analysis.calibration_cells import (
    BCA,
    BOTH,
    COVERAGE,
    FALSE,
    FOUND,
    LEVEL,
    PAIRED,
    PLANNED,
    SEEDS,
    SIGN_FLIP,
    STUDENT,
)
from analysis.figures import canvas, styled
from analysis.figures.colours import BLUE, FAINT, GREEN, QUIET, SHADE, VERMILLION

# method: (colour, marker, line)
_LOOKS = {
    STUDENT: (QUIET, "D", (0, (6, 1.5))),
    PAIRED: (BLUE, "o", "-"),
    SIGN_FLIP: (GREEN, "s", (0, (4, 2))),
    BCA: (VERMILLION, "^", (0, (1, 1.2))),
}
_NAMES = {PAIRED: "t or sign flips (decides)", STUDENT: "t alone", SIGN_FLIP: "sign flips alone", BCA: "bootstrap"}
# question: (label, lowest and highest rate drawn, the rate wanted, the band around it that is good)
_ROWS = {
    FALSE: ("false positives\nwhere nothing differs", (0.0, 0.105), LEVEL, (0.0, LEVEL)),
    COVERAGE: ("95% intervals that\nhold the truth", (0.66, 1.0), 0.95, (0.93, 0.97)),
    FOUND: ("differences found,\n80% planned", (0.5, 1.0), PLANNED, (PLANNED - 0.05, PLANNED + 0.05)),
}


@styled
def panels(table: pd.DataFrame):
    """Draw three rows of panels, a question each, and a column for each noise; arms that scatter alike, simulated."""
    own = table[(table["arms"] == BOTH) & ~table["noise"].str.startswith("digits")]
    noises = list(dict.fromkeys(own["noise"]))
    figure, grid = canvas(5.9, _title(own), len(noises), len(_ROWS), sharex=True, sharey="row", squeeze=False)
    for what, line in zip(_ROWS, grid, strict=True):
        for noise, axes in zip(noises, line, strict=True):
            _panel(axes, own[(own["what"] == what) & (own["noise"] == noise)], what)
    for noise, axes in zip(noises, grid[0], strict=True):
        axes.set_title(noise, fontsize=9.5)
    for what, axes in zip(_ROWS, grid[:, 0], strict=True):
        axes.set_ylabel(_ROWS[what][0])
    for axes in grid[:, 1:].flat:
        axes.spines["left"].set_visible(False)
    for axes in grid[-1]:
        axes.set_xticks(range(len(SEEDS)), [str(n) for n in SEEDS], fontsize=8)
    figure.supxlabel(
        "seeds (shaded: as promised, with three standard errors of the deciding rates)", fontsize=9.5, color=QUIET
    )
    # in the empty upper half of the first row, across its columns
    drawn = {line.get_label(): line for line in grid[1, 0].lines}
    named = [drawn[name] for name in _NAMES.values() if name in drawn]
    place = {"loc": "upper left", "bbox_to_anchor": (0.03, 1.0), "borderaxespad": 0.0}
    legend = grid[0, 0].legend(handles=named, ncols=len(named), handlelength=2.6, columnspacing=1.5, **place)
    legend.set_in_layout(False)
    grid[0, 0].set_zorder(2)
    grid[0, 0].patch.set_visible(False)
    return figure


def _panel(axes, rates: pd.DataFrame, what: str) -> None:
    _, ends, wanted, (low, high) = _ROWS[what]
    slack = rates[rates["method"] == PAIRED]["monte_carlo_error"].max() if what == FALSE else 0.0
    axes.axhspan(low, high + slack, color=SHADE, lw=0, zorder=0)
    axes.axhline(wanted, color=FAINT, lw=1, zorder=1)
    for method, (colour, marker, line) in _LOOKS.items():
        own = rates[(rates["method"] == method) & (rates["rate"] >= ends[0])]
        if method == SIGN_FLIP:
            own = own[own["num_seeds"] >= 6]  # with fewer it cannot reject at all, which its rate of zero would flatter
        x = [SEEDS.index(n) for n in own["num_seeds"]]
        style = {"color": colour, "marker": marker, "ls": line, "lw": 1.5, "ms": 4, "mew": 0, "zorder": 3}
        axes.plot(x, own["rate"], label=_NAMES[method], **style)
    axes.set_ylim(*ends)
    axes.set_xlim(-0.4, len(SEEDS) - 0.6)
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")


def _title(own: pd.DataFrame) -> str:
    deciding = own[(own["method"] == PAIRED) & (own["what"] != FOUND)]
    early = (deciding["what"] == COVERAGE) & (deciding["num_seeds"] < 6)  # promised from 6 on
    words = set(deciding[~early]["verdict"])
    if words & {"exceeded", "too narrow"}:
        return "What decides is too sure of itself in some shapes of noise"
    if "too wide" in words:
        return "What decides is too careful in some shapes of noise"
    return (
        "Where both arms scatter alike, what decides is as sure of itself as it says; bootstrap intervals are too sure"
    )
