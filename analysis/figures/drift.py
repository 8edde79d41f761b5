"""Speed over the time of a study, so that a machine that slowed down is seen.

What this does *not* do: compute or choose; the answers do.
"""

from analysis.figures.colours import BLUE, CRIMSON, QUIET
from analysis.figures.frame import canvas, styled

_MOST_DOTS = 2_000


@styled
def drift(seconds, speed, failed_seconds, title: str):
    """Draw each trial's speed, over its condition's median, against the time it began; failed trials at the bottom.

    Of more than 2,000 trials every k-th is drawn.
    """
    figure, axes = canvas(2.6, title)
    span = max([*seconds, *failed_seconds])
    unit, divisor = next(
        (u, d) for u, d in (("hours", 3600), ("minutes", 60), ("seconds", 1)) if span > 3 * d or d == 1
    )
    step, failed_step = (1 + (len(times) - 1) // _MOST_DOTS for times in (seconds, failed_seconds))
    axes.axhline(100.0, color=QUIET, lw=1, zorder=1)
    x, y = [s / divisor for s in seconds[::step]], [100 * v for v in speed[::step]]
    axes.plot(x, y, "o", ms=4, color=BLUE, alpha=0.65, mew=0, rasterized=len(x) > _MOST_DOTS // 2)
    if failed_seconds:
        low = 100 * min(*speed, 0.95)
        failed = [s / divisor for s in failed_seconds[::failed_step]]
        axes.plot(failed, [low] * len(failed), "x", ms=7, mew=2, color=CRIMSON)
        place = (failed[-1], low)
        axes.annotate(
            "failed", place, xytext=(7, 0), textcoords="offset points", color=CRIMSON, va="center", fontsize=9
        )
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}%")
    axes.set_xlabel(f"{unit} since the first trial began")
    axes.set_ylabel("speed / median of\nits condition")
    axes.grid(axis="y")
    return figure
