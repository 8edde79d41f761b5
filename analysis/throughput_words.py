"""What the flags cost, in words: verdicts, caveats, what to do.

What this does *not* do: compare (`analysis.throughput` does).
"""

import numpy as np
import pandas as pd

from analysis.advice import held_fixed, one_machine
from analysis.contrast import Contrast
from analysis.first_steps import change, set_faster
from analysis.going_on import MOST_SEEDS, more_seeds
from analysis.page.wording import count, equals_p, level, listed, number, percent
from analysis.rows.conditions import CUDNN_FLAGS
from analysis.rows.timing import BUSY, num_busy, too_busy
from analysis.statistics.verdicts import BETTER, EQUIVALENT, INCONCLUSIVE, NOT_TESTABLE, WORSE

HOW = (
    "Each ratio compares two trials of one random block that agree in every other factor; the mean of the logarithms "
    "over a block counts once, and the interval is Student's over blocks (95%); where a block lies far outside of the "
    "others, interval and p are those of sign flips. What a step saves, and by how much the first one is longer, are "
    "in the table medians, which single slow steps hardly move: near a ratio of 1 they may point the other way."
)
VERDICTS = (
    "A flag is called faster or slower where the p of the paired t-test over blocks, Holm-corrected over all factors, "
    'is below 5%; "equivalent" where two one-sided tests at 5% put the ratio within 2% of 1. Rows for single levels of '
    "another factor are parts of the row above them and get no verdict of their own."
)
INERT = "All of it ran on a CPU, where the cuDNN flags are inert: any difference between their levels is noise."
INERT_SHORT = "On this CPU the cuDNN flags are inert: any difference between their levels is noise."
# flags that are bought for repeats bit for bit
_FOR_REPEATS = ("cudnn_deterministic", "deterministic_algorithms")
DIFFERS = "differs between factors"


def verdict(live: list[Contrast]) -> str:
    """The word for all factors together; flags that do nothing here are not testable here."""
    words = {word(c) for c in live}
    return words.pop() if len(words) == 1 else DIFFERS if words else NOT_TESTABLE


def word(c: Contrast) -> str:
    """The word for one factor; without an interval there is none to test."""
    return c.judgement.verdict if c.ratio.bounded else NOT_TESTABLE


def sentence(c: Contrast, is_noise: bool) -> str:
    """One factor's cost in a sentence: verdict, ratio, interval, blocks; `is_noise` where the flag is inert."""
    ratio = c.ratio
    subject = f"{c.factor} = {level(c.level)} against {level(c.reference)}"
    counts = f"{count(ratio.n, 'block')}, {count(len(c.pairs), 'pair')}"
    if not ratio.bounded:
        why = "with a single block" if ratio.n < 2 else "without any spread over blocks"
        return f"{subject}: {ratio.value:.3f} times the speed ({counts}); {why} there is no interval."
    size = f"({ratio.value:.3f} times, 95% interval {ratio.low:.3f} to {ratio.high:.3f}; {counts})"
    if is_noise:
        if ratio.excludes(1.0):
            return f"{subject}: {change(c)} by chance or drift, since the flag is inert here {size}."
        return f"{subject}: no difference found {size}."
    if c.judgement.told_apart:
        small = ", less than the 2% that would matter" if c.judgement.negligible else ""
        return f"{subject}: {change(c)} {size[:-1]}; Holm-corrected p {_p(c.corrected_p)}){small}."
    if c.judgement.verdict == EQUIVALENT:
        return f"{subject}: equivalent in speed within 2% {size}."
    most = max(abs(ratio.low - 1), abs(ratio.high - 1))
    text = f"{subject}: inconclusive {size}"
    if ratio.excludes(1.0):
        p = f"Holm-corrected p {_p(c.corrected_p)}"
        return f"{text}; its interval leaves out 1, but {c.family_size} comparisons were asked for ({p})."
    needed = c.judgement.seeds_to_settle
    settled = f", and {needed:,} blocks in all would settle it if it is as seen" if needed > ratio.n else ""
    return f"{text}; a difference of more than {percent(most)} is ruled out{settled}."


def _p(value: float) -> str:
    return equals_p(value)


def nothing_varied(rows: pd.DataFrame, usable: pd.DataFrame, inert: bool) -> list[str]:
    """What can be said where no machine factor varies, and what to add."""
    if rows.empty:
        return ["There are no trials yet, so nothing can be said about speed."]
    if usable.empty:
        return ["No trial completed alone on its device, so nothing can be said about speed."]
    speed = f"The median speed is {number(usable['samples_per_second'].median())} images/s over"
    said = [f"{speed} {count(len(usable), 'trial')}; no machine factor varies, so its cost cannot be told."]
    if inert:
        return said
    flags = "cudnn_benchmark = [false, true] and cudnn_deterministic = [false, true]"
    return [*said, f"To ask what the flags cost, add {flags} under [grid]."]


def about_floor(floor: Contrast, rows: pd.DataFrame) -> list[str]:
    """How far identical trials lie apart."""
    if rows.empty:
        return []
    if floor.pairs.empty and rows["replicate"].nunique() > 1:
        return ["There is no noise floor: of no trial two replicates were timed."]
    if floor.pairs.empty:
        return ["There is no noise floor: no trial was repeated. To have one, set replicates = 2 in the study."]
    single = np.expm1(np.abs(floor.pairs["log_ratio"]))  # whichever of the two comes first
    ratio = floor.ratio
    text = (
        f"Noise floor: the faster of two identical trials is {percent(float(single.median()))} faster than the slower "
        f"in the median, and {percent(float(single.quantile(0.95)))} at the 95th percentile "
        f"({count(len(single), 'pair')})"
    )
    mean = f"on average a repeat ran at {ratio.value:.3f} times the speed of the trial that it repeats"
    if not ratio.bounded or ratio.n < 3:  # two blocks give an interval without use, 0.03 to 20 say
        return [f"{text}; {mean}."]
    mean += f" (95% interval {ratio.low:.3f} to {ratio.high:.3f})"
    if ratio.excludes(1.0):
        return [f"{text}; {mean}: the machine drifted, which random blocks hand to all conditions alike."]
    return [f"{text}; {mean}."]


# -------------------------------------------------------------------------------------------------- caveats and advice


def loaded(rows: pd.DataFrame) -> list[str]:
    """Say of timed rows that others used the machine; nothing where none did."""
    if not (busy := num_busy(rows)):
        return []
    began = f"Others used the machine when {busy:,} of {count(len(rows), 'timed trial')} began"
    return [f"{began} (more than {BUSY} running processes on each core): speeds here are those of a loaded machine."]


def caveats(rows: pd.DataFrame, overall: list[Contrast], inert: bool) -> tuple[str, ...]:
    """What the ratios do not show: an idle machine, other workloads, other machines, loading and evaluation."""
    if not overall:
        return ()
    factors = list(dict.fromkeys(c.factor for c in overall))
    flags = listed(dict.fromkeys(c.factor for c in overall if inert and c.factor in CUDNN_FLAGS))
    found = [f"On this CPU nothing is known of what {flags} would cost on a GPU."] if flags != "none" else []
    found.append("Speed is that of training steps in their steady state: first steps and validation are not in it.")
    return tuple(filter(None, [*loaded(rows), *found, held_fixed(rows, factors), one_machine(rows)]))


def advice(
    rows: pd.DataFrame, overall: list[Contrast], floor: Contrast, inert: bool, record: dict | None = None
) -> tuple[str, ...]:
    """What to set, what it costs, and what to run where that is not yet known."""
    found = []
    live = [c for c in overall if not (inert and c.factor in CUDNN_FLAGS)]
    for c in live:
        found.append(_for_one(rows, c, record or {}))
    if any(found) and too_busy(rows):
        factors = listed(dict.fromkeys(c.factor for c, line in zip(live, found, strict=True) if line))
        found = [f"Time {factors} again on a machine that nobody else uses before you choose by speed."]
    if inert and any(c.factor in CUDNN_FLAGS for c in overall):
        found.append("Ask for the cuDNN flags on a GPU: on a CPU they do nothing.")
    if len(rows) and floor.pairs.empty and overall and rows["replicate"].nunique() < 2:
        found.append("Set replicates = 2: without repeats nobody knows how far two identical trials lie apart.")
    return tuple(filter(None, found))


def _for_one(rows: pd.DataFrame, c: Contrast, record: dict) -> str:
    if not c.ratio.bounded:
        return ""
    here, there = f"{c.factor} = {level(c.level)}", f"{c.factor} = {level(c.reference)}"
    found = c.judgement.verdict
    if c.factor in _FOR_REPEATS and found in (EQUIVALENT, BETTER):
        return f"Leave {c.factor if c.level is True else here} on: it costs less than 2% of the speed here."
    if c.factor in _FOR_REPEATS and found == WORSE:
        cost = percent(1 - c.ratio.value)
        return f"Set {here} only where you need repeats bit for bit: it costs {cost} of the speed."
    if found == EQUIVALENT:
        return f"Set {c.factor} as you like: it changes the speed by less than 2% here."
    if found == BETTER:
        return set_faster(rows, c, here)
    if found == WORSE:
        return f"Stay with {there}: {here} is {change(c)}."
    needed = c.judgement.seeds_to_settle
    if found != INCONCLUSIVE or not needed:
        return ""
    seeds = sorted(int(seed) for seed in rows["seed"].dropna().unique())
    more = more_seeds(rows, seeds, needed, per_block=True, record=record)
    if not more or needed > MOST_SEEDS:
        return ""
    return f"Run {more[0]} to tell what {here} costs{more[1]}."
