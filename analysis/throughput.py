"""What do the flags cost? Throughput with a machine factor at one level against another, paired inside random blocks.

Every comparison is between two trials of one block (same seed and replicate) that agree in every other factor; their
log-ratios are averaged over a block, and the interval is Student's over blocks. Replicates at identical factors give
the noise floor (A/A). What this does *not* do: mix machines or versions, or use trials that shared their device.
"""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import conditions, figures
from analysis.answers import Answer
from analysis.conditions import (
    CUDNN_FLAGS,
    MACHINE_FACTORS,
    SEEDS,
    completed,
    describe,
    levels,
    varied,
)
from analysis.intervals import Estimate, break_even_interval, t_interval
from analysis.wording import count, known, level, listed, number, percent, seconds

TITLE = "What do the flags cost?"
HOW = (
    "Each ratio compares two trials of one random block that agree in every other factor; the mean of the logarithms "
    "over a block counts once, and the interval is Student's over blocks (95%)."
)
INERT = "All of it ran on a CPU, where the cuDNN flags are inert: any difference between their levels is noise."
INERT_SHORT = "On this CPU the cuDNN flags are inert: any difference between their levels is noise."
MEASURED = ["samples_per_second", "first_step_seconds", "step_seconds_median"]
FLOOR = "A/A: replicate against replicate"


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """One level of a factor against another: paired log-ratios, one row per pair (log_ratio, block, extra, saved)."""

    factor: str
    level: object
    reference: object
    where: str
    pairs: pd.DataFrame

    @property
    def label(self) -> str:
        return FLOOR if not self.factor else f"{self.factor}: {level(self.level)} / {level(self.reference)}"

    @property
    def ratio(self) -> Estimate:
        """The ratio of samples_per_second: block means of the log-ratios, Student's interval over blocks."""
        return t_interval(self.pairs.groupby("block")["log_ratio"].mean()).map(math.exp)

    @property
    def break_even_steps(self) -> Estimate:
        blocks = self.pairs.groupby("block")[["extra", "saved"]].median()
        return break_even_interval(blocks["extra"], blocks["saved"])


def answer(rows: pd.DataFrame) -> Answer:
    """Return what each machine factor that varies does to samples_per_second, with its interval and the noise floor."""
    return conditions.by_place(rows, _one_place)


def timed(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that tell of speed: completed, alone on their device, with a steady state that was measured."""
    rows = completed(rows)
    return rows[(rows["packed"] == False) & (rows["samples_per_second"] > 0)]  # noqa: E712 (null is not False)


def contrasts(rows: pd.DataFrame) -> Iterator[Contrast]:
    """Yield every contrast of timed rows: each varied machine factor overall, then inside each level of the others."""
    machine = varied(rows, tuple(MACHINE_FACTORS))
    splits = varied(rows, ("workload", "batch_size", *MACHINE_FACTORS))
    for factor in machine:
        reference, *others = levels(rows, factor)
        for other in others:
            pairs = _compared(_live(rows, factor), factor, other, reference)
            if pairs.empty:
                continue
            named = {"factor": factor, "level": other, "reference": reference}
            yield Contrast(**named, where="", pairs=pairs)
            for split in splits:
                parts = dict(list(pairs.groupby(split, observed=True, sort=False))) if split != factor else {}
                if len(parts) > 1:
                    for value in levels(pairs, split):
                        if value in parts:
                            yield Contrast(**named, where=describe({split: value}), pairs=parts[value])


def _live(rows: pd.DataFrame, factor: str) -> pd.DataFrame:
    """Leave out rows in which a cuDNN flag is inert, where others show what it does (a study on both CPU and GPU)."""
    if factor not in CUDNN_FLAGS or _inert(rows):
        return rows
    return rows[rows["cudnn_flags_inert"] != True]  # noqa: E712 (null is not True)


def noise_floor(rows: pd.DataFrame) -> Contrast:
    """Return odd replicates against even ones at identical factors, as a contrast whose true ratio is 1."""
    last = int(rows["replicate"].max()) if len(rows) else 0
    parts = [_compared(rows, "replicate", odd, odd - 1, SEEDS) for odd in range(1, max(1, last) + 1, 2)]
    return Contrast(factor="", level="", reference="", where="", pairs=pd.concat(parts, ignore_index=True))


def _compared(rows: pd.DataFrame, factor: str, here, there, *block) -> pd.DataFrame:
    pairs = conditions.paired(rows, factor, here, there, MEASURED, *block)
    return pairs.assign(
        log_ratio=np.log(pairs["samples_per_second"] / pairs["samples_per_second_reference"]),
        extra=pairs["first_step_seconds"] - pairs["first_step_seconds_reference"],
        saved=pairs["step_seconds_median_reference"] - pairs["step_seconds_median"],
    )


# ---------------------------------------------------------------------------------------------------------- one place


def _one_place(rows: pd.DataFrame) -> Answer:
    usable = timed(rows)
    left_out = len(completed(rows)) - len(usable)
    found = list(contrasts(usable))
    floor = noise_floor(usable)
    inert = _inert(usable)
    overall = sorted((c for c in found if not c.where), key=lambda c: _is_noise(c, inert))
    num_live = sum(not _is_noise(c, inert) for c in overall)
    about = [INERT] if num_live < len(overall) else []
    sentences = [*about, *(_sentence(c, inert) for c in overall)]
    if not overall:
        sentences += _nothing_varied(rows, usable, inert)
    sentences += [*_floor_sentences(floor, usable), *_search_sentences(overall, usable, inert)]
    notes = [HOW]
    if left_out:
        notes.append(
            f"{count(left_out, 'completed trial')} of {len(completed(rows))} left out: they shared their device with "
            "others (packed), went on from a checkpoint in a new process, or have no measured steady state."
        )
    if usable["gpu_uuid"].nunique() > 1:
        notes.append(
            f"Trials ran on {usable['gpu_uuid'].nunique()} GPUs of one model; differences between them add noise."
        )
    drawn = [*found, floor] if len(floor.pairs) else found
    return Answer(
        title=TITLE,
        sentences=tuple(sentences),
        table=_table(drawn),
        figure=lambda: _figure(drawn, floor, inert),
        notes=tuple(notes),
        num_leading=max(1, len(about) + min(2, num_live)),
    )


def _inert(rows: pd.DataFrame) -> bool:
    return bool(len(rows)) and bool((rows["cudnn_flags_inert"] == True).all())  # noqa: E712 (null is not True)


def _is_noise(contrast: Contrast, inert: bool) -> bool:
    return inert and contrast.factor in CUDNN_FLAGS


def _sentence(c: Contrast, inert: bool) -> str:
    ratio = c.ratio
    subject = f"{c.factor} = {level(c.level)} against {level(c.reference)}"
    counts = f"{count(ratio.n, 'block')}, {count(len(c.pairs), 'pair')}"
    if not ratio.bounded:
        why = "with a single block" if ratio.n < 2 else "without any spread over blocks"
        return f"{subject}: {ratio.value:.3f} times the speed ({counts}); {why} there is no interval."
    size = f"({ratio.value:.3f} times, 95% interval {ratio.low:.3f} to {ratio.high:.3f}; {counts})"
    if ratio.excludes(1.0):
        change = percent(abs(ratio.value - 1))
        verdict = f"{change} {'faster' if ratio.value > 1 else 'slower'}"
        caveat = " by chance or drift, since the flag is inert here" if _is_noise(c, inert) else ""
        return f"{subject}: {verdict}{caveat} {size}."
    most = max(abs(ratio.low - 1), abs(ratio.high - 1))
    return f"{subject}: no difference found {size}; one of more than {percent(most)} is ruled out."


def _nothing_varied(rows: pd.DataFrame, usable: pd.DataFrame, inert: bool) -> list[str]:
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


def _floor_sentences(floor: Contrast, rows: pd.DataFrame) -> list[str]:
    if rows.empty:
        return []
    if floor.pairs.empty and rows["replicate"].nunique() > 1:
        return ["There is no noise floor: of no trial two replicates were timed."]
    if floor.pairs.empty:
        return ["There is no noise floor: no trial was repeated. To have one, set replicates = 2 in the study."]
    single = np.abs(np.expm1(floor.pairs["log_ratio"]))
    ratio = floor.ratio
    text = (
        f"Noise floor: two identical trials differ in speed by {percent(float(single.median()))} in the median and by "
        f"{percent(float(single.quantile(0.95)))} at the 95th percentile ({count(len(single), 'pair')})"
    )
    mean = f"on average a repeat ran at {ratio.value:.3f} times the speed of the trial that it repeats"
    if not ratio.bounded or ratio.n < 3:  # two blocks give an interval without use, 0.03 to 20 say
        return [f"{text}; {mean}."]
    mean += f" (95% interval {ratio.low:.3f} to {ratio.high:.3f})"
    if ratio.excludes(1.0):
        return [f"{text}; {mean}: the machine drifted, which random blocks hand to all conditions alike."]
    return [f"{text}; {mean}."]


def _search_sentences(overall: list[Contrast], rows: pd.DataFrame, inert: bool) -> list[str]:
    found = [c for c in overall if c.factor == "cudnn_benchmark" and not inert]
    if not found:
        return []
    contrast = found[0]
    blocks = contrast.pairs.groupby("block")["extra"].median()
    extra, steps = t_interval(blocks), contrast.break_even_steps
    if not known(extra.value) or not known(contrast.pairs["saved"].median()):
        return []
    low, high = seconds(extra.low), seconds(extra.high)
    spread = f" (95% interval {low} to {high})" if extra.bounded and low != high else ""
    if extra.value <= 0 or (extra.bounded and not extra.excludes(0.0)):
        return [f"No longer first step was found with cudnn_benchmark: {seconds(extra.value)}{spread}."]
    cost = f"The search of cudnn_benchmark makes the first step {seconds(extra.value)} longer{spread}"
    job = int(rows["num_steps"].median())
    if math.isinf(steps.value):
        return [f"{cost}, and a step saves nothing, so it never pays for itself."]
    ends = ""
    if known(steps.low):
        ends = f" (95% interval {number(steps.low)} to {number(steps.high) if known(steps.high) else 'never'})"
    pays = "inside" if steps.value <= job else "outside"
    return [
        f"{cost}; it has paid for itself after {number(math.ceil(steps.value))} steps{ends}, {pays} a job of {job}."
    ]


def _table(found: list[Contrast]) -> pd.DataFrame:
    records = []
    for c in found:
        ratio = c.ratio
        record = {
            "contrast": c.label,
            "where": c.where or "all",
            "num_blocks": ratio.n,
            "num_pairs": len(c.pairs),
            "speed_ratio": ratio.value,
            "speed_ratio_low": ratio.low,
            "speed_ratio_high": ratio.high,
            "first_step_extra_seconds": float(c.pairs["extra"].median()),
            "step_saved_seconds": float(c.pairs["saved"].median()),
        }
        records.append(record)
    names = ("contrast", "where", "num_blocks", "num_pairs", "speed_ratio", "speed_ratio_low", "speed_ratio_high")
    return pd.DataFrame(records, columns=[*names, "first_step_extra_seconds", "step_saved_seconds"])


def _figure(found: list[Contrast], floor: Contrast, inert: bool):
    if not found:
        return figures.message("No two trials can be compared in speed")
    band = np.exp(floor.pairs["log_ratio"].quantile([0.025, 0.975])).tolist() if len(floor.pairs) else []
    drawn = [(c.label, c.where, c.ratio, np.exp(c.pairs.groupby("block")["log_ratio"].mean())) for c in found]
    return figures.forest(drawn, title=_figure_title(found, inert), xlabel="speed ratio (images/s)", band=band)


def _figure_title(found: list[Contrast], inert: bool) -> str:
    overall = [c for c in found if not c.where and c.factor]
    if not overall:
        return "The noise floor: identical trials against each other"
    if inert and all(c.factor in CUDNN_FLAGS for c in overall):
        return "On a CPU the cuDNN flags are inert: all of this is noise"
    told = [c for c in overall if c.ratio.bounded and c.ratio.excludes(1.0) and not _is_noise(c, inert)]
    if not told:
        return f"No difference in speed found for {listed(dict.fromkeys(c.factor for c in overall))}"
    parts = [
        f"{c.factor} = {level(c.level)} is {percent(abs(c.ratio.value - 1))} "
        f"{'faster' if c.ratio.value > 1 else 'slower'}"
        for c in told
    ]
    return "; ".join(parts[:2])


if __name__ == "__main__":
    from analysis.command import main

    sys.exit(main("throughput"))
