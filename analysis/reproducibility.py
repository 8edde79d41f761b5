"""What do the flags buy? Bit-identical repeats as exact counts; where bits differ, run-to-run against seed variance.

A pair is two replicates of one trial (same factors, same seeds) in two fresh processes. Pairs are disjoint (replicates
0 and 1, 2 and 3, …), so that they are independent and the bounds are exact. Where every pair is identical nothing is
tested: zero variance needs no p-value. What this does *not* do: look for the operation that differs.
"""

import math
import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import conditions, figures
from analysis.answers import Answer
from analysis.conditions import CUDNN_FLAGS, MACHINE_FACTORS, SEEDS, completed, describe, group_ids, levels, varied
from analysis.intervals import Estimate, between_sd, clopper_pearson, mismatch_bound, pooled_sd, sd_interval
from analysis.wording import count, known, listed, number, percent, points

TITLE = "What do the flags buy?"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """All trials at one level of every machine factor. Shares are fractions; nan is what cannot be told."""

    factors: dict
    num_trials: int
    num_pairs: int
    num_identical: int
    num_other_kernels: int
    run_sd: float
    run_degrees: int
    seed_sd: float
    run_churn: float
    seed_churn: float
    max_logit_difference: float

    @property
    def label(self) -> str:
        return describe(self.factors) or "all trials"

    @property
    def num_different(self) -> int:
        return self.num_pairs - self.num_identical

    @property
    def mismatch(self) -> Estimate:
        """The share of pairs that differ; after no mismatch the upper end is the one-sided bound 1 - 0.05^(1/n)."""
        exact = clopper_pearson(self.num_different, self.num_pairs)
        if self.num_different:
            return exact
        return Estimate(value=exact.value, low=0.0, high=mismatch_bound(0, self.num_pairs), n=self.num_pairs)


def answer(rows: pd.DataFrame) -> Answer:
    """Return how often repeats were bit-identical, flag by flag, and how far apart they were where they were not."""
    return conditions.by_place(rows, _one_place)


def digested(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the completed rows that have a digest of their weights, numbered by trial content (`content`)."""
    rows = completed(rows)
    rows = rows[rows["weights_sha256"].notna()]
    return rows.assign(content=group_ids(rows, ("condition_id", *SEEDS))).sort_values(["content", "replicate"])


def replicate_pairs(rows: pd.DataFrame) -> pd.DataFrame:
    """Return disjoint pairs of replicates of one trial: two digested rows side by side, the second's `_second`.

    With an odd number of replicates the last one is in no pair. Comparing all with the first would use it, but such
    pairs hang together, and the bound after 0 mismatches would be too small.
    """
    place = rows.groupby("content").cumcount()
    keyed = rows.assign(pair=place // 2)
    first, second = keyed[place % 2 == 0], keyed[place % 2 == 1]
    return first.merge(second, on=["content", "pair"], suffixes=("", "_second"))


def seed_pairs(rows: pd.DataFrame) -> pd.DataFrame:
    """Return neighbouring seeds of one condition side by side, first replicates only; n seeds give n - 1 pairs."""
    first = rows.sort_values([*SEEDS, "replicate"]).drop_duplicates("content")
    keyed = first.assign(turn=first.groupby("condition_id", observed=True).cumcount())
    follower = keyed.assign(turn=keyed["turn"] - 1)
    return keyed.merge(follower, on=["condition_id", "turn"], suffixes=("", "_second"))


def churn(pairs: pd.DataFrame) -> float:
    """Return the mean share of test predictions in which the two of a pair differ (Milani Fard et al., 2016)."""
    shares = [float(np.mean(a != b)) for a, b in _arrays(pairs, "predictions")]
    return float(np.mean(shares)) if shares else math.nan


def max_difference(pairs: pd.DataFrame) -> float:
    """Return the largest difference of a probe logit within a pair; nan where there is none to compare."""
    found = [float(np.max(np.abs(a - b))) for a, b in _arrays(pairs, "probe_logits") if len(a)]
    found = [value for value in found if math.isfinite(value)]
    return max(found, default=math.nan)


def _arrays(pairs: pd.DataFrame, name: str) -> list[tuple[np.ndarray, np.ndarray]]:
    if name not in pairs:
        return []
    both = zip(pairs[name], pairs[f"{name}_second"], strict=True)
    arrays = [(np.asarray(a), np.asarray(b)) for a, b in both if a is not None and b is not None]
    return [(a, b) for a, b in arrays if a.shape == b.shape and a.ndim == 1]


def cells(rows: pd.DataFrame) -> list[Cell]:
    """Return one cell for each combination of workload and machine factors in digested rows."""
    names = varied(rows, ("workload", *MACHINE_FACTORS))
    key = group_ids(rows, names)
    parts = [part for _, part in rows.groupby(key, sort=False)]
    order = {name: levels(rows, name) for name in names}
    found = [_cell({name: _plain(part[name].iloc[0]) for name in names}, part) for part in parts]
    return sorted(found, key=lambda cell: [order[name].index(value) for name, value in cell.factors.items()])


def _plain(value):
    return None if pd.isna(value) else value.item() if hasattr(value, "item") else value


def _cell(factors: dict, rows: pd.DataFrame) -> Cell:
    pairs, neighbours = replicate_pairs(rows), seed_pairs(rows)
    different = pairs[pairs["weights_sha256"] != pairs["weights_sha256_second"]]
    kernels = different[different["kernel_fingerprint"].notna() & different["kernel_fingerprint_second"].notna()]
    measured = rows[rows["final_accuracy"].notna()]
    accuracy, content = measured["final_accuracy"], measured["content"]
    run_sd, degrees = pooled_sd(accuracy, content)
    return Cell(
        factors=factors,
        num_trials=len(rows),
        num_pairs=len(pairs),
        num_identical=len(pairs) - len(different),
        num_other_kernels=int(
            (kernels["kernel_fingerprint"].astype(str) != kernels["kernel_fingerprint_second"].astype(str)).sum()
        ),
        run_sd=run_sd,
        run_degrees=degrees,
        seed_sd=between_sd(accuracy, content, group_ids(measured, ("condition_id",))),
        run_churn=churn(pairs),
        seed_churn=churn(neighbours),
        max_logit_difference=max_difference(pairs),
    )


# ---------------------------------------------------------------------------------------------------------- one place


def _one_place(rows: pd.DataFrame) -> Answer:
    usable = digested(rows)
    found = cells(usable)
    compared = [cell for cell in found if cell.num_pairs]
    sentences = [
        _overall(usable, compared),
        *_differing(compared),
        *_seed_spread(found),
        *_flag_changes(usable, compared),
        *_twins(usable),
    ]
    notes = [
        "A pair is two replicates of one trial in two fresh processes; pairs are disjoint, so their counts have exact "
        "bounds (Clopper and Pearson). After no mismatch the upper end is the one-sided 95% bound 1 - 0.05^(1/n). "
        "Churn is the share of test images that two trials classify differently."
    ]
    return Answer(
        title=TITLE,
        sentences=tuple(sentences),
        table=_table(found),
        figure=lambda: _figure(found),
        notes=tuple(notes) if compared else (),
    )


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
    return [
        "Where repeats are identical the run-to-run variance is exactly zero; seeds alone spread accuracy by "
        f"{_range(spread, _sd)} points (SD){disagree}."
    ]


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
        pairs = conditions.paired(rows, flag, True, False)
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
    """Say where different seeds gave the same weights: a seed that reaches nothing makes every other count worthless."""
    neighbours = seed_pairs(rows)
    twins = int((neighbours["weights_sha256"] == neighbours["weights_sha256_second"]).sum())
    if not twins:
        return []
    return [
        f"{twins:,} of {count(len(neighbours), 'pair')} of different seeds gave bit-identical weights: this workload does "
        "not use the stream that was varied."
    ]


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
    from analysis.command import main

    sys.exit(main("reproducibility"))
