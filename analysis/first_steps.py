"""A faster level whose first step is longer: what its search costs, when it has paid for itself, and what to set then.

What this does *not* do: judge whether a level is faster (`analysis.throughput` and `analysis.comparisons` do).
"""

import math

import numpy as np
import pandas as pd

from analysis.contrast import Contrast
from analysis.page.wording import known, number, percent, seconds
from analysis.rows import conditions
from analysis.statistics.intervals import Estimate, paired_interval

MEASURED = ["samples_per_second", "first_step_seconds", "step_seconds_median"]
SEARCHING = "cudnn_benchmark"  # the factor whose first step tries algorithms


def compared(rows: pd.DataFrame, factor: str, here, there, *block) -> pd.DataFrame:
    """Return the pairs of timed rows at two levels of a factor: log_ratio of speeds, `extra` seconds of the first
    step and seconds `saved` in each later one."""
    pairs = conditions.paired(rows, factor, here, there, MEASURED, *block)
    return pairs.assign(
        log_ratio=np.log(pairs["samples_per_second"] / pairs["samples_per_second_reference"]),
        extra=pairs["first_step_seconds"] - pairs["first_step_seconds_reference"],
        saved=pairs["step_seconds_median_reference"] - pairs["step_seconds_median"],
    )


def change(c: Contrast) -> str:
    """How much faster or slower, in words: "10.1% faster"."""
    return f"{percent(abs(c.ratio.value - 1))} {'faster' if c.ratio.value > 1 else 'slower'}"


def set_faster(rows: pd.DataFrame, c: Contrast, here: str) -> str:
    """Advise a faster level; where it makes the first step longer, only for jobs that are long enough."""
    steps, job = c.break_even_steps, int(rows["num_steps"].median())
    if c.factor != SEARCHING or not _searches(_extra(c)) or math.isnan(steps.value):
        return f"Set {here}: {change(c)}."
    if math.isinf(steps.value):
        return f"Leave {here} alone: {change(c)}, but the median step saves nothing, so its search is never paid for."
    if (steps.high if known(steps.low) else steps.value) <= job:
        return f"Set {here}: {change(c)}, and its search has paid for itself in a job of {job:,} steps."
    over = f"Set {here} for jobs of over {_paid_after(steps)} steps"
    unsure = known(steps.low) and steps.low <= job
    this = f"whether it pays in one of {job:,} cannot be told" if unsure else f"not for this one of {job:,}"
    return f"{over}; {this}: {change(c)} once its search is over."


def about_search(contrast: Contrast, rows: pd.DataFrame) -> list[str]:
    """When a search for faster convolutions has paid for itself."""
    extra, steps = _extra(contrast), contrast.break_even_steps
    if not known(extra.value) or not known(contrast.pairs["saved"].median()):
        return []
    low, high = seconds(extra.low), seconds(extra.high)
    spread = f" (95% interval {low} to {high})" if extra.bounded and low != high else ""
    if not _searches(extra):
        return [f"No longer first step was found with cudnn_benchmark: {seconds(extra.value)}{spread}."]
    cost = f"The search of cudnn_benchmark makes the first step {seconds(extra.value)} longer on average{spread}"
    job = int(rows["num_steps"].median())
    if math.isinf(steps.value):
        return [f"{cost}, and a step saves nothing, so it never pays for itself."]
    ends = ""
    if known(steps.low):
        ends = f" (95% interval {number(steps.low)} to {number(steps.high) if known(steps.high) else 'never'})"
    pays = "inside" if steps.value <= job else "outside"
    return [f"{cost}; it has paid for itself after {_paid_after(steps)} steps{ends}, {pays} a job of {job:,}."]


def _paid_after(steps: Estimate) -> str:
    return number(math.ceil(steps.value))


def _extra(contrast: Contrast) -> Estimate:
    """How much longer the first step is, in seconds: medians of blocks."""
    return paired_interval(contrast.pairs.groupby("block")["extra"].median())


def _searches(extra: Estimate) -> bool:
    """Whether a longer first step was found."""
    return known(extra.value) and extra.value > 0 and not (extra.bounded and not extra.excludes(0.0))
