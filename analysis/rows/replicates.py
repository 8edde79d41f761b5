"""Replicates and what they tell: pairs of repeats and of seeds, counts of bit-identical ones, spread and churn.

A pair of repeats is two replicates of one trial (same factors, same seeds) in two fresh processes. What this does *not*
do: word findings or draw (`analysis.reproducibility` does).
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from analysis.rows.conditions import MACHINE_FACTORS, SEEDS, completed, describe, group_ids, levels, paired, varied
from analysis.statistics.intervals import Estimate, clopper_pearson, mismatch_bound, pooled_sd
from analysis.statistics.nested import seeds_and_runs

_CHUNK = 2048  # images that are looked at together: all at once would copy the predictions of a large study


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


def poke_pairs(rows: pd.DataFrame, ulps: int, columns: list[str]) -> pd.DataFrame:
    """Return trials with one weight moved by so many ulps beside the trials that differ from them in that alone.

    First replicates only; the named columns of the trial that was left alone stand under `…_second`.
    """
    if rows["poke_ulps"].isna().all():
        return rows[:0]
    first = rows.sort_values("replicate").drop_duplicates("content")
    pairs = paired(first, "poke_ulps", ulps, 0, columns)
    return pairs.rename(columns={f"{name}_reference": f"{name}_second" for name in columns})


def pokes(rows: pd.DataFrame) -> list[int]:
    """Return by how many ulps one weight was moved, 0 left out; rows of before there was such a factor have none."""
    return sorted(int(ulps) for ulps in rows["poke_ulps"].dropna().unique() if ulps)


def churn(pairs: pd.DataFrame) -> float:
    """Return the mean share of test predictions in which the two of a pair differ (Milani Fard et al., 2016)."""
    shares = [float(np.mean(a != b)) for a, b in _arrays(pairs, "predictions")]
    return float(np.mean(shares)) if shares else math.nan


def disagreement(rows: pd.DataFrame, group: pd.Series) -> float:
    """Return the share of test predictions in which two rows of one group differ, the mean over all such pairs of rows.

    nan where no two rows of a group have as many. Pairs are counted, not made: of n rows that say the same of an image
    there are n (n - 1) / 2.
    """
    differing = num_pairs = 0.0
    if "predictions" not in rows:
        return math.nan
    known = rows["predictions"].notna()
    lengths = rows.loc[known, "predictions"].map(len)
    for _, part in rows.loc[known, "predictions"].groupby([group[known], lengths], sort=False):
        n, num_images = len(part), len(part.iloc[0])
        if n < 2 or not num_images:
            continue
        pairs = n * (n - 1) / 2
        num_pairs += pairs
        differing += pairs - sum(_equal_pairs(part, start) for start in range(0, num_images, _CHUNK)) / num_images
    return differing / num_pairs if num_pairs else math.nan


def _equal_pairs(predictions: pd.Series, start: int) -> int:
    """How many pairs of runs say the same, summed over some of the images."""
    classes = np.sort(np.stack([np.asarray(values)[start : start + _CHUNK] for values in predictions]), axis=0)
    equal, alike = 0, np.zeros(classes.shape[1], dtype=np.int64)  # how many runs before this one say the same
    for last, here in pairwise(classes):
        alike = np.where(here == last, alike + 1, 0)
        equal += int(alike.sum())
    return equal


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
    return [_cell(factors, part) for factors, part in machine_parts(rows)]


def machine_parts(rows: pd.DataFrame) -> list[tuple[dict, pd.DataFrame]]:
    """Return the digested rows of each combination of workload and machine factors, in the order of their levels."""
    names = varied(rows, ("workload", *MACHINE_FACTORS))
    order = {name: levels(rows, name) for name in names}
    parts = [part for _, part in rows.groupby(group_ids(rows, names), sort=False)]
    found = [({name: _plain(part[name].iloc[0]) for name in names}, part) for part in parts]
    return sorted(found, key=lambda item: [order[name].index(value) for name, value in item[0].items()])


def _plain(value):
    return None if pd.isna(value) else value.item() if hasattr(value, "item") else value


def _cell(factors: dict, rows: pd.DataFrame) -> Cell:
    pairs = replicate_pairs(rows)
    first = rows.sort_values("replicate", kind="stable").drop_duplicates("content")  # a run a seed
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
        seed_sd=seeds_and_runs(accuracy, content, group_ids(measured, ("condition_id",))).seed.value,
        run_churn=churn(pairs),
        seed_churn=disagreement(first, group_ids(first, ("condition_id",))),
        max_logit_difference=max_difference(pairs),
    )
