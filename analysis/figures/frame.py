"""The frame of every figure: one style, a canvas with its finding as title, and the two files that it is saved as.

A figure is 7 inches wide at 100 dpi: readable at 700 pixels, and on a phone. What this does *not* do: draw data.
"""

import re
import textwrap
from contextlib import contextmanager
from functools import wraps
from pathlib import Path

from analysis.figures.colours import DARK, FAINT, GRID, HUES, INK, QUIET

WIDTH_INCHES = 7.0
DPI = 100
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
    "grid.color": GRID,
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
        seaborn.set_theme(style="ticks", palette=list(HUES[1:]), rc=_RC)
        yield


def styled(draw):
    @wraps(draw)
    def inside(*arguments, **named):
        with style():
            return draw(*arguments, **named)

    return inside


def palette(num_colors: int) -> list[tuple[float, float, float]]:
    """Return so many colours that colour-blind readers can tell apart, as (r, g, b); beyond eight they repeat.

    For what is no scheduler: those have colours of their own (`analysis.figures.colours`).
    """
    from matplotlib.colors import to_rgb

    hues = HUES[1:]
    return [to_rgb(hues[index % len(hues)]) for index in range(num_colors)]


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


def save(figure, folder: Path, name: str) -> tuple[Path, Path]:
    """Write the figure as NAME.svg and NAME.png, and return both paths. The same figure gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    svg, png = folder / f"{name}.svg", folder / f"{name}.png"
    with style():
        _save_png(figure, png)
        figure.set_layout_engine("none")  # it is laid out: the second file is to be the same picture, and takes half
        figure.savefig(svg, metadata={"Date": None, "Creator": None})
    svg.write_text(_rounded(svg.read_text(encoding="utf-8")), encoding="utf-8")
    return svg, png


def _save_png(figure, path: Path) -> None:
    """Write a PNG with a palette of 256 colours: a third of the size of one without, and it looks the same.

    To move the palette's colours to the means of theirs (kmeans) would take as long as all else, and shows nowhere.
    """
    import io

    from PIL import Image

    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None}, pil_kwargs={"compress_level": 1})
    whole = Image.open(drawn).convert("RGB")
    few = whole.quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=0, dither=Image.Dither.NONE)
    few.save(path, "PNG", compress_level=8)  # the 9 of `optimize` takes thrice as long for 3 % of the size


def _rounded(svg: str) -> str:
    """Return an SVG whose places are given to a hundredth of a point and no further; a third of its size goes.

    >>> _rounded('<path d="M 1.234567 2"/><use x="0.999999" transform="scale(0.015625)"/>')
    '<path d="M 1.23 2"/><use x="0.99" transform="scale(0.015625)"/>'
    """
    return re.sub(r' (?:d|x|y)="[^"]*"', lambda match: re.sub(r"(\.\d\d)\d+", r"\1", match[0]), svg)


def both_ways(svg: str) -> str:
    """Return a figure's SVG so that in a dark page it turns dark too: the ground as the page's, the inks light.

    The colours in the file stay those of white paper, so a reader that knows no style sheets, and print, show that.
    A picture in a page takes the page's colour scheme (CSS Color Adjustment, `prefers-color-scheme` in images).
    """
    rules = []
    for light, dark in DARK.items():
        rules += [
            f'[style*="{kind}: {light}"]{{{kind}:{dark}!important}}' for kind in ("fill", "stroke") if light in svg
        ]
    sheet = f"<style>@media (prefers-color-scheme: dark){{{''.join(rules)}}}</style>"
    return re.sub(r"(<svg [^>]*>)", lambda match: match[1] + sheet, svg, count=1)
