"""A metric's values and differences in words, each in its own unit. Pure functions on numbers.

Differences of ratio metrics come as logarithms, as they are compared. What this does *not* do: decide what is better.
"""

import math

from analysis.page.wording import DASH, MINUS, known, number, percent, points
from lrbench.metrics import Metric, find_metric


def named(metric: str) -> str:
    """Return a metric's name in words: "final accuracy"."""
    return find_metric(metric).label


def value(metric: Metric, measured: float) -> str:
    """Return a value of the metric: "95.31%", "0.162 nats", "20,400 images/s"."""
    if not known(measured):
        return DASH
    if metric.unit == "points":
        return percent(measured, 2)
    return f"{number(measured)} {metric.unit}"


def bare(metric: Metric, difference: float) -> str:
    """Return a difference with its sign and without its unit where that is a word: "+1.04", "−0.012", "+10.2%"."""
    if not known(difference):
        return DASH
    if metric.scale == "ratio":
        text = f"{100 * math.expm1(min(difference, 50.0)):+.1f}%"
        return text[1:] if float(text[:-1]) == 0 else text.replace("-", MINUS)
    if metric.unit == "points":
        return points(difference)
    return number(difference) if difference <= 0 else f"+{number(difference)}"


def signed(metric: Metric, difference: float) -> str:
    """Return a difference with its sign and unit: "+1.04 points", "−0.012 nats", "+10.2%"."""
    return bare(metric, difference) if metric.scale == "ratio" else f"{bare(metric, difference)} {metric.unit}"


def plain(metric: Metric, size: float) -> str:
    """Return the size of a difference, without sign: "1.04 points", "0.012 nats", "2%"."""
    if metric.scale == "ratio":
        return f"{number(100 * math.expm1(size), 2)}%"
    if metric.unit == "points":
        return f"{points(size).lstrip('+')} points"
    return f"{number(size)} {metric.unit}"
