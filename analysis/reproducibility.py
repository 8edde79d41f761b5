"""What do the flags buy? Bit-identical repeats as exact counts; where bits differ, run-to-run against seed variance.

A pair is two replicates of one trial (same factors, same seeds) in two fresh processes. Pairs are disjoint (replicates
0 and 1, 2 and 3, …), so that they are independent and the bounds are exact. Where every pair is identical nothing is
tested: zero variance needs no p-value. What this does *not* do: look for the operation that differs.
"""

import math
import sys

import pandas as pd

from analysis import divergence, figures
from analysis.answers import Answer
from analysis.page.wording import count, known, listed, number, percent, points
from analysis.rows import conditions
from analysis.rows.conditions import CUDNN_FLAGS, describe, varied
from analysis.rows.replicates import Cell, cells, digested, seed_pairs
from analysis.statistics.intervals import Estimate, mismatch_bound, sd_interval

TITLE = "What do the flags buy?"
HOW = (
    "A pair is two replicates of one trial in two fresh processes; pairs are disjoint, so their counts have exact "
    "bounds (Clopper and Pearson). After no mismatch the upper end is the one-sided 95% bound 1 − 0.05^(1/n). Churn is "
    "the share of test images that two trials classify differently; of seeds it is the mean over every two seeds of "
    "one condition."
)
APART = (
    "Of several pairs the median is given, and their range in brackets. Between a float32 and the next lies one ulp. "
    "Distances of weights are over up to 1,024 of them, evenly spaced."
)
RNG = {"python_rng_used": "Python's random", "numpy_rng_used": "NumPy's global generator"}


def answer(rows: pd.DataFrame) -> Answer:
    """Return how often repeats were bit-identical, flag by flag, and how far apart they were where they were not."""
    return conditions.by_place(rows, _one_place)


# ---------------------------------------------------------------------------------------------------------- one place


def _one_place(rows: pd.DataFrame) -> Answer:
    usable = digested(rows)
    found = cells(usable)
    compared = [cell for cell in found if cell.num_pairs]
    pairs = divergence.all_pairs(usable)
    forgotten = _forgotten_seeds(rows)
    sentences = [
        _overall(usable, compared),
        *forgotten,
        *_differing(compared),
        *divergence.sentences(pairs),
        *_seed_spread(found),
        *_flag_changes(usable, compared),
        *_twins(usable),
    ]
    return Answer(
        title=TITLE,
        sentences=tuple(sentences),
        table=_table(found),
        figure=lambda: _figure(found),
        notes=(*((HOW,) if compared else ()), *((APART,) if _any_apart(pairs) else ()), *divergence.not_told(pairs)),
        num_leading=1 + len(forgotten),
    )


def _any_apart(pairs: list[divergence.Pairs]) -> bool:
    return any(group.different for group in pairs)


def _forgotten_seeds(rows: pd.DataFrame) -> list[str]:
    """Say where the trials' own code drew random numbers that no seed of the study reaches."""
    drawn = {words: (rows[name] == True).sum() for name, words in RNG.items()}  # noqa: E712 (null is not True)
    parts = [f"{words} in {num:,}" for words, num in drawn.items() if num]
    if not parts:
        return []
    text = f"Of {count(len(rows), 'trial')}, code of the workload drew from {listed(parts)}"
    return [f"{text}: torch.manual_seed does not seed that, so such trials repeat only if the code seeds it itself."]


def _overall(rows: pd.DataFrame, found: list[Cell]) -> str:
    if rows.empty:
        return "No trial completed with a digest of its weights, so nothing can be said about reproducibility."
    num_pairs = sum(cell.num_pairs for cell in found)
    if not num_pairs:
        return (
            "Whether training repeats bit for bit cannot be told: no trial was repeated. "
            "Set replicates = 2 in the study."
        )
    identical = sum(cell.num_identical for cell in found)
    if identical == num_pairs:
        return (
            f"{_all_of(num_pairs)} ended with bit-identical weights; "
            f"at 95% confidence at most {percent(mismatch_bound(0, num_pairs))} of such pairs differ."
        )
    if not identical:
        return f"No repeat was bit-identical: the weights differ in {_all_of(num_pairs).lower()}."
    always = [cell for cell in found if cell.num_identical == cell.num_pairs]
    text = f"Weights were bit-identical in {identical:,} of {count(num_pairs, 'pair')} of replicates"
    if not always:
        return f"{text}, and in no condition always."
    same, others = _in_words(always, found), [cell for cell in found if cell not in always]
    num_same = sum(cell.num_pairs for cell in always)
    num_others = sum(cell.num_pairs for cell in others)
    return (
        f"{text}: in {'both' if num_same == 2 else f'all {num_same:,}'} under {same}, in "
        f"{identical - num_same:,} of {num_others:,} under {_in_words(others, found)}."
    )


def _all_of(num_pairs: int) -> str:
    words = {1: "The one pair of replicates", 2: "Both pairs of replicates"}
    return words.get(num_pairs, f"All {num_pairs:,} pairs of replicates")


def _in_words(part: list[Cell], found: list[Cell]) -> str:
    """Name some of the cells: by one factor's level where that picks out exactly these, else one by one."""
    for name in part[0].factors:
        value = part[0].factors[name]
        if part == [cell for cell in found if cell.factors[name] == value]:
            return describe({name: value})
    return listed([f"({cell.label})" for cell in part], "and")


def _differing(found: list[Cell]) -> list[str]:
    sentences = []
    different = [cell for cell in found if cell.num_different]
    for cell in different[:4]:
        share = cell.mismatch
        text = (
            f"{cell.label}: {cell.num_different:,} of {count(cell.num_pairs, 'pair')} differ "
            f"({percent(share.value)}, exact 95% interval {percent(share.low)} to {percent(share.high)})"
        )
        parts = [part for part in (_accuracy_part(cell), _churn_part(cell), _logit_part(cell)) if part]
        sentences.append(f"{text}; {'; '.join(parts)}." if parts else f"{text}.")
    if len(different) > 4:
        sentences.append(f"{count(len(different) - 4, 'more condition')} with differing repeats: see the table.")
    other = sum(cell.num_other_kernels for cell in different)
    if other:
        sentences.append(
            f"{count(other, 'differing pair')} ran different CUDA kernels: another algorithm was chosen. The other "
            f"{sum(cell.num_different for cell in different) - other:,} differ although the kernels recorded do not."
        )
    return sentences


def _accuracy_part(cell: Cell) -> str:
    if not known(cell.run_sd):
        return ""
    run = sd_interval(cell.run_sd, cell.run_degrees)
    spread = f" (95% interval {_sd(run.low)} to {_sd(run.high)})" if run.bounded and cell.run_sd > 0 else ""
    text = f"run-to-run SD of accuracy {_sd(cell.run_sd)} points{spread}"
    if not known(cell.seed_sd):
        return f"{text}, seed SD unknown with one seed"
    if cell.seed_sd == 0:
        return f"{text}; what seeds add to it cannot be told from zero"
    return f"{text} against {_sd(cell.seed_sd)} from seeds, a ratio of {number(cell.run_sd / cell.seed_sd, 2)}"


def _sd(value: float) -> str:
    return points(value).lstrip("+")


def _churn_part(cell: Cell) -> str:
    if not known(cell.run_churn):
        return ""
    other = f", seeds on {percent(cell.seed_churn)}" if known(cell.seed_churn) else ""
    return f"repeats disagree on {percent(cell.run_churn)} of test images{other}"


def _logit_part(cell: Cell) -> str:
    return f"logits differ by up to {number(cell.max_logit_difference, 2)}" if known(cell.max_logit_difference) else ""


def _seed_spread(found: list[Cell]) -> list[str]:
    """Where repeats are identical, all variance there is comes from seeds: say how much."""
    fixed = [cell for cell in found if cell.num_pairs and not cell.num_different]
    spread = [cell.seed_sd for cell in fixed if known(cell.seed_sd)]
    if not fixed:
        return []
    if not spread:
        return ['How much seeds matter cannot be told from one seed: add seed = "0-4" under [grid].']
    shares = [cell.seed_churn for cell in fixed if known(cell.seed_churn)]
    disagree = f", and two seeds disagree on {_range(shares, percent)} of test images" if shares else ""
    zero = "Where repeats are identical the run-to-run variance is exactly zero"
    return [f"{zero}; seeds alone spread accuracy by {_range(spread, _sd)} points (SD){disagree}."]


def _range(values: list[float], form) -> str:
    low, high = form(min(values)), form(max(values))
    return low if low == high else f"{low} to {high}"


def _flag_changes(rows: pd.DataFrame, found: list[Cell]) -> list[str]:
    """Say for each cuDNN flag whether switching it changed any bit, among cells whose repeats are always identical.

    Elsewhere the same seed gives other bits anyhow, and a difference says nothing of the flag.
    """
    stable = [cell.factors for cell in found if not cell.num_different]
    keep = pd.Series(False, index=rows.index)
    for factors in stable:
        here = [rows[n].isna() if v is None else rows[n] == v for n, v in factors.items()]
        keep |= pd.concat(here, axis=1).all(axis=1) if here else True
    rows = rows[keep]
    inert = bool(len(rows)) and bool((rows["cudnn_flags_inert"] == True).all())  # noqa: E712 (null is not True)
    sentences = []
    for flag in varied(rows, CUDNN_FLAGS):
        pairs = conditions.paired(rows, flag, True, False, ["weights_sha256"])
        if pairs.empty:
            continue
        changed = int((pairs["weights_sha256"] != pairs["weights_sha256_reference"]).sum())
        where = "" if len(stable) == len(found) else ", where repeats are identical"
        if changed:
            text = (
                f"changed the weights in {changed:,} of {count(len(pairs), 'pair')} of trials with the same seed{where}"
            )
        else:
            text = f"changed no bit of the weights in {count(len(pairs), 'pair')} of trials with the same seed{where}"
            text += ", as it must on a CPU" if inert else ""
        sentences.append(f"Switching {flag} {text}.")
    return sentences


def _twins(rows: pd.DataFrame) -> list[str]:
    """Say where different seeds gave the same weights: a seed that reaches nothing makes the other counts worthless."""
    neighbours = seed_pairs(rows)
    twins = int((neighbours["weights_sha256"] == neighbours["weights_sha256_second"]).sum())
    if not twins:
        return []
    text = f"{twins:,} of {count(len(neighbours), 'pair')} of different seeds gave bit-identical weights"
    return [f"{text}: this workload does not use the stream that was varied."]


def _table(found: list[Cell]) -> pd.DataFrame:
    records = [
        {
            **{name: str(value) if value is not None else "off" for name, value in cell.factors.items()},
            "num_trials": cell.num_trials,
            "num_pairs": cell.num_pairs,
            "num_identical": cell.num_identical,
            "differing_share": cell.mismatch.value,
            "differing_share_low": cell.mismatch.low if cell.num_pairs else math.nan,
            "differing_share_high": cell.mismatch.high if cell.num_pairs else math.nan,
            "run_to_run_sd": cell.run_sd,
            "seed_sd": cell.seed_sd,
            "run_to_run_churn_share": cell.run_churn,
            "seed_churn_share": cell.seed_churn,
            "max_logit_difference": cell.max_logit_difference,
        }
        for cell in found
    ]
    return pd.DataFrame(records)


def _figure(found: list[Cell]):
    compared = [cell for cell in found if cell.num_pairs]
    if not compared:
        return figures.message("No trial was repeated: set replicates = 2 in the study")
    identical = sum(cell.num_identical for cell in compared)
    total = sum(cell.num_pairs for cell in compared)
    title = (
        f"Every repeat was bit-identical ({total:,} of {total:,} pairs)"
        if identical == total
        else f"{identical:,} of {count(total, 'pair')} of repeats were bit-identical"
    )
    drawn = [
        (
            cell.label.replace(", ", "\n"),
            Estimate(
                value=1 - cell.mismatch.value, low=1 - cell.mismatch.high, high=1 - cell.mismatch.low, n=cell.num_pairs
            ),
            f"{cell.num_identical:,} of {cell.num_pairs:,}",
            (cell.run_churn, cell.seed_churn),
        )
        for cell in compared
    ]
    return figures.identity(drawn, title)


if __name__ == "__main__":
    from analysis.page.command import main

    sys.exit(main("reproducibility"))
