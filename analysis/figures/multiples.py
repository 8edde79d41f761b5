"""Small multiples: one panel for each curve on shared axes, the others grey behind it.

What this does *not* do: compute or choose; `analysis.applied_lr` and `analysis.figures.learning_curves` do.
"""

import textwrap

from analysis.figures import canvas, palette, styled
from analysis.figures.colours import FAINT, QUIET

# characters that fit above a panel, by the number of panels side by side
_PANEL_CHARACTERS = {1: 92, 2: 42, 3: 27, 4: 18}


@styled
def small_multiples(
    panels, title: str, xlabel: str, ylabel: str, percent: bool = False, log: bool = False, legend: tuple[str, ...] = ()
):
    """Draw one panel for each curve on shared axes, all other curves faint behind it.

    `panels` is [(label, [(x, y, colour), …], [(x, low, high, colour), …])], lines and bands: a colour is that of a
    scheduler, or a number (of the parameter group, say); `legend` names the numbers where that is needed.
    """
    from matplotlib.lines import Line2D
    from matplotlib.ticker import LogLocator, MaxNLocator

    num_columns = min(len(panels), 3 if len(panels) in (1, 2, 3, 5, 6, 9) else 4)
    # a name that is longer than its panel is never torn: the panels become fewer instead
    while num_columns > 1 and any(_longest_word(label) > _PANEL_CHARACTERS[num_columns] for label, *_ in panels):
        num_columns -= 1
    titles = [
        textwrap.fill(label, _PANEL_CHARACTERS[num_columns], max_lines=3, placeholder=" …") for label, *_ in panels
    ]
    num_rows, num_lines = -(-len(panels) // num_columns), max(text.count("\n") for text in titles)
    height = 0.9 + (1.6 + 0.14 * num_lines) * num_rows + (0.8 if len(panels) <= 3 else 0) + 0.25 * bool(legend)
    figure, grid = canvas(height, title, num_columns, num_rows, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    for index, (axes, (_, lines, bands)) in enumerate(zip(grid.flat, panels, strict=False)):
        for other, (_, others, _) in enumerate(panels):
            for x, y, _ in others if other != index else ():
                axes.plot(x, y, color=FAINT, lw=0.9, zorder=1)
        for x, low, high, colour in bands:
            axes.fill_between(x, low, high, color=_hue(colour), alpha=0.22, lw=0, zorder=2)
        for x, y, colour in lines:
            dot = {"marker": "o", "ms": 5, "mew": 0} if len(x) == 1 else {}  # a line of one point would not show
            axes.plot(x, y, color=_hue(colour), lw=1.9, zorder=3, **dot)
        axes.set_title(titles[index], fontsize=8.5)
        axes.grid(axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
        if log:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.minorticks_off()
        if percent:
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")
        else:
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        if index + num_columns >= len(panels):  # nothing below it: this panel carries the x axis
            axes.tick_params(labelbottom=True)
    below = "\n\n" if legend else ""  # the legend takes the last lines
    figure.supxlabel(xlabel + below, fontsize=9.5, color=QUIET)
    figure.supylabel(ylabel, fontsize=9.5, color=QUIET)
    if legend:
        handles = [Line2D([], [], color=_hue(index), lw=2, label=name) for index, name in enumerate(legend)]
        figure.legend(handles=handles, loc="outside lower right", ncols=min(4, len(handles)), handlelength=1.2)
    return figure


def _hue(colour: int | str):
    return colour if isinstance(colour, str) else palette(colour + 1)[colour]


def _longest_word(label: str) -> int:
    return max(map(len, label.split()), default=0)
