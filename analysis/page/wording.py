"""Numbers into words: how a ratio, a share, an interval and a table read. Pure functions on plain values.

No sentence ever holds "nan" or "inf": what is not known is said in words. What this does *not* do: decide what is
worth saying (the answers do).
"""

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

DASH = "–"
MINUS = "−"  # as wide as the plus, and no place to break a line


def known(value: Any) -> bool:
    """Return whether a value is there and finite (a text is).

    >>> known(0.0), known(float("nan")), known(None), known(float("inf"))
    (True, False, False, False)
    """
    if value is None:
        return False
    if isinstance(value, str):
        return True
    return math.isfinite(value)


def number(value: float, digits: int = 3) -> str:
    """Return a number with so many significant digits, in plain notation from 0.001 to 999,999.

    >>> number(0.05), number(1234.56), number(0.0000125), number(-2.5), number(float("nan"))
    ('0.05', '1,235', '1.25e-05', '−2.5', '–')
    """
    if not known(value):
        return DASH
    if value < 0:
        return MINUS + number(-value, digits)
    if value == 0:
        return "0"
    if not 1e-3 <= value < 1e6:
        return f"{value:.{digits}g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(value)))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(fraction: float, decimals: int = 1) -> str:
    """Return a fraction as a percentage.

    >>> percent(0.9731), percent(0.05, 0), percent(float("nan"))
    ('97.3%', '5%', '–')
    """
    return f"{100 * fraction:.{decimals}f}%" if known(fraction) else DASH


def points(fraction: float, decimals: int = 2) -> str:
    """Return a difference of two fractions in percentage points, with its sign.

    >>> points(0.0123), points(-0.0004), points(0.0)
    ('+1.23', '−0.04', '0.00')
    """
    if not known(fraction):
        return DASH
    text = f"{100 * fraction:+.{decimals}f}"
    return text[1:] if float(text) == 0 else text.replace("-", MINUS)


def seconds(value: float) -> str:
    """Return a duration in the unit that suits it.

    >>> seconds(0.00215), seconds(0.0000031), seconds(12.34), seconds(4000)
    ('2.15 ms', '3.1 µs', '12.3 s', '1 h 7 min')
    """
    if not known(value):
        return DASH
    size = abs(value)
    if size == 0:
        return "0 s"
    if size < 1e-3:
        return f"{number(value * 1e6)} µs"
    if size < 1:
        return f"{number(value * 1e3)} ms"
    if size < 120:
        return f"{number(value)} s"
    if size < 3600:
        return f"{round(value / 60)} min"
    return f"{int(value // 3600)} h {round(value % 3600 / 60)} min"


def p_value(value: float) -> str:
    """Return a p-value; with a digit more where three would round it to the 5% that it lies on one side of.

    >>> p_value(0.0234), p_value(0.0496), p_value(0.05), p_value(0.04999999), p_value(0.0004)
    ('0.023', '0.0496', '0.050', 'just below 0.05', '< 0.001')
    """
    if value < 0.001:
        return "< 0.001"
    text = f"{value:.3f}"
    if text != "0.050" or value == 0.05:
        return text
    finer = f"{value:.4f}"
    beside = "just below 0.05" if value < 0.05 else "just above 0.05"
    return beside if finer == "0.0500" else finer


def equals_p(value: float) -> str:
    """Return a p-value as it stands after "p".

    >>> equals_p(0.0234), equals_p(0.0496), equals_p(0.0004)
    ('= 0.023', '= 0.0496', '< 0.001')
    """
    text = p_value(value)
    return f"= {text}" if text[0].isdigit() else text


def count(amount: int, noun: str, plural: str = "") -> str:
    """Return an amount with its noun.

    >>> count(1, "pair"), count(1200, "pair"), count(0, "study", "studies")
    ('1 pair', '1,200 pairs', '0 studies')
    """
    return f"{amount:,} {noun if amount == 1 else plural or noun + 's'}"


def all_others(amount: int) -> str:
    """Return how so many others are meant together.

    >>> all_others(1), all_others(2), all_others(5)
    ('The other one', 'Both others', 'All 5 others')
    """
    return {1: "The other one", 2: "Both others"}.get(amount, f"All {amount} others")


def listed(items, last: str = "and") -> str:
    """Return items as a list in a sentence.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    items = [str(item) for item in items]
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}" if items else "none"


def after_colon(sentence: str) -> str:
    """Return a sentence as it stands after a colon: its first word small, unless that is a name.

    >>> after_colon("Only StepLR was run."), after_colon("StepLR came first."), after_colon("ConstantLR: no")
    ('only StepLR was run.', 'StepLR came first.', 'ConstantLR: no')
    """
    first = sentence.partition(" ")[0]
    plain = first.isalpha() and (len(first) == 1 or first[1:].islower())
    return sentence[0].lower() + sentence[1:] if plain else sentence


def level(value: Any) -> str:
    """Return a factor's level as text; null is a factor that is off.

    >>> level(True), level(None), level(float("nan")), level(0.10), level("StepLR()")
    ('True', 'off', 'off', '0.1', 'StepLR()')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


# ------------------------------------------------------------------------------------------------------------- tables

_BY_SUFFIX = {
    "_share": lambda value: percent(value),
    "_accuracy": lambda value: percent(value, 2),
    "_points": lambda value: points(value),
    "_sd": lambda value: points(value).lstrip("+"),
    "_seconds": seconds,
    "_ratio": lambda value: f"{value:.3f}",
    "_p": lambda value: p_value(value),
}
_INTERVAL = ("_low", "_high")


def cell(value: Any, name: str) -> str:
    """Return one value of a column as text; the column's name ends in its unit.

    >>> cell(0.5, "churn_share"), cell(None, "x"), cell(12, "num_pairs"), cell(0.0001, "holm_p")
    ('50.0%', '–', '12', '< 0.001')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value)
    if value is None or not known(value):
        return DASH
    for suffix, form in _BY_SUFFIX.items():
        if f"_{name}".endswith(suffix):
            return form(value)
    return f"{int(value):,}" if float(value).is_integer() and abs(value) < 1e9 else number(value)


def displayed(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return a table of texts: `x`, `x_low`, `x_high` joined as "x [low, high]", underscores out of the names."""
    import pandas as pd

    columns = {}
    for name in table.columns:
        if any(name.endswith(end) and name.removesuffix(end) in table for end in _INTERVAL):
            continue
        texts = [cell(value, name) for value in table[name].astype(object)]
        if f"{name}_low" in table:
            ends = zip(table[f"{name}_low"].astype(object), table[f"{name}_high"].astype(object), strict=True)
            texts = [
                f"{text} [{cell(low, name)}, {cell(high, name)}]" if known(low) and known(high) else text
                for text, (low, high) in zip(texts, ends, strict=True)
            ]
        columns[header(name)] = texts
    return pd.DataFrame(columns)


HEADERS = {
    "accuracy_sd": "SD (points)",
    "run_to_run_sd": "run-to-run SD (points)",
    "seed_sd": "seed SD (points)",
    "differing_share": "pairs that differ",
    "run_to_run_churn_share": "churn, repeats",
    "seed_churn_share": "churn, seeds",
    "max_logit_difference": "max logit difference",
    "mean_over_base_lr": "mean / base_lr",
    "mean_range": "mean, lowest to highest course",
    "first_step_extra_seconds": "first step, extra",
    "step_saved_seconds": "saved per step",
    "to_baseline_points": "to baseline (points)",
    "to_baseline_p": "Holm p",
    "to_best_points": "to best (points)",
    "to_best_p": "Holm p (to best)",
    "holm_p": "Holm p",
    "to_baseline_ratio": "to baseline (ratio)",
    "to_baseline_nats": "to baseline (nats)",
    "to_best_ratio": "to best (ratio)",
    "to_best_nats": "to best (nats)",
    "with_diverged_points": "to baseline, diverged counted (points)",
    "with_diverged_nats": "to baseline, diverged counted (nats)",
    "num_diverged_seeds": "seeds diverged",
    "diverged_share": "share of seeds that diverge",
    "num_missing_trials": "trials missing",
    "better_share": "P(better)",
    "front_share": "on the front, share of resamples",
    "test_images_sd": "luck of test images (SD, points)",
    "distribution_sd": "endless test images (SD, points)",
    "luck_share": "luck",
    "spread_ratio": "mean distance from median / baseline's",
    "spread_ratio_p": "Holm p (distance)",
    "place_low": "best place left",
    "place_high": "worst place left",
    "gain_points": "gain (points)",
    "shift_points": "lead moves (points)",
    "median_time": "median",
    "to_baseline_time": "to baseline",
    "to_baseline_time_p": "Holm p",
    "speed_ratio": "speed ratio",
    "num_bit_identical": "identical repeats",
    "samples_per_second": "images/s",
}


def header(name: str) -> str:
    """Return a column's name as a heading; a factor keeps torch's name.

    >>> header("num_pairs"), header("cudnn_benchmark"), header("first_step_extra_seconds"), header("seed_sd")
    ('pairs', 'cudnn_benchmark', 'first step, extra', 'seed SD (points)')
    """
    from lrbench.record import BY_NAME

    if name in HEADERS:
        return HEADERS[name]
    if name in BY_NAME and BY_NAME[name].group == "asked":
        return name
    return name.removeprefix("num_").removesuffix("_seconds").replace("_", " ")
