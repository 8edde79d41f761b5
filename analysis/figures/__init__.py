"""One style for every figure, and the kinds there are. Each takes plain values and returns a matplotlib Figure.

Nothing is shown or global. What this does *not* do: compute or choose; the answers do.
"""

from analysis.figures.colours import DOTS, FAINT, INK, QUIET
from analysis.figures.comparison import comparison
from analysis.figures.drift import drift
from analysis.figures.forest import Group, Line, forest, summary
from analysis.figures.frame import DPI, WIDTH_INCHES, both_ways, canvas, message, palette, save, style, styled
from analysis.figures.identity import identity
from analysis.figures.marks import stacked

__all__ = [
    "DOTS",
    "DPI",
    "FAINT",
    "INK",
    "QUIET",
    "WIDTH_INCHES",
    "Group",
    "Line",
    "both_ways",
    "canvas",
    "comparison",
    "drift",
    "forest",
    "identity",
    "message",
    "palette",
    "save",
    "stacked",
    "style",
    "styled",
    "summary",
]
