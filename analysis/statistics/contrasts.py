"""Two factors crossed, blocked by seed: contrasts of leads, their judgements, and whether the factors merely add up.

What this does *not* do: word findings or draw (`analysis.interaction` does).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.rows.conditions import MACHINE_FACTORS, completed, levels, varied
from analysis.rows.seed_tables import Part, parts
from analysis.statistics.intervals import holm, paired_p
from analysis.statistics.verdicts import Judgement, judge, seed_sd

_MOST_SIGNS = 1_000_000  # in memory at once: 8 MB


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """What level `at` of a factor does to an arm's lead: (seeds,) of accuracy, with its judgement in the family."""

    factor: str
    at: object
    reference: object
    arm: str
    values: np.ndarray
    judgement: Judgement

    @property
    def num_identical(self) -> int:
        return int((self.values == 0).sum())


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """All contrasts at one setting, and for each factor the permutation p that it moves no lead at all."""

    part: Part
    contrasts: tuple[Contrast, ...]
    overall_p: dict[str, float]
    margin: float


def interactions(scores) -> np.ndarray:
    """How much does a flag arm move each scheduler's lead on the first? (seeds, schedulers, arms) → contrasts.

    (seeds, schedulers - 1, arms - 1): (s_f - s_0) - (b_f - b_0) for scheduler s against the first one b, and flag arm f
    against the first. All zero where flags and schedulers add up.
    """
    scores = np.asarray(scores, dtype=float)
    leads = scores[:, 1:, :] - scores[:, :1, :]
    return leads[:, :, 1:] - leads[:, :, :1]


def interaction_p(scores, seed: int = 0, num_permutations: int = 10_000) -> float:
    """How surprising are these tables if the two factors only add up? (seeds, A, B) → permutation p.

    Each seed's table, less its row and column means, has its signs turned at random, all cells together; the statistic
    is the sum of squares of the mean table. Under the null a seed's table is as likely as its mirror image, however its
    cells scatter and hang together. Exact up to 12 seeds; beyond, random turns, the one that was seen counted among
    them. Nothing left after the means: 1. Repeats exactly for the same `seed`.
    """
    scores = np.asarray(scores, dtype=float)
    rest = scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=2, keepdims=True)
    rest = np.round(rest + scores.mean(axis=(1, 2), keepdims=True), 12).reshape(len(scores), -1)
    if len(rest) < 2 or not rest.any():
        return 1.0
    seen = float((rest.sum(axis=0) ** 2).sum()) * (1 - 1e-9)
    n, rng = len(rest), np.random.default_rng(seed)
    if n <= 12:  # all turns are tried; the first seed stays, as all mirrored is the same again
        signs = 1.0 - 2.0 * ((np.arange(2 ** (n - 1))[:, None] >> np.arange(n)) & 1)
        return float((((signs @ rest) ** 2).sum(axis=1) >= seen).mean())
    at_once = max(1, _MOST_SIGNS // n)
    reached = 0
    for first in range(0, num_permutations, at_once):  # the same turns however many are drawn at once
        turns = rng.choice([-1.0, 1.0], size=(min(at_once, num_permutations - first), n)) @ rest
        reached += int(((turns**2).sum(axis=1) >= seen).sum())
    return (reached + 1) / (num_permutations + 1)


def scores_of(part: Part, factor: str, column: str = "final_accuracy") -> tuple[np.ndarray, list[str], list]:
    """Return (seeds, arms, levels of the factor) of a part's means within a seed, with the arms and the levels.

    Seeds on which a cell is missing are left out. The baseline and the factor's reference come first.
    """
    usable = completed(part.rows)[["arm", "unit", factor, column]]
    usable = usable[usable[column].notna()]
    at = levels(usable, factor)
    found = [arm for arm in part.arms if (usable["arm"] == arm).any()]
    tables = []
    for value in at:
        here = usable[usable[factor].isna()] if value is None else usable[usable[factor] == value]
        wide = here.pivot_table(index="unit", columns="arm", values=column, aggfunc="mean", observed=True)
        tables.append(wide.reindex(columns=found))
    whole = [table.dropna().index for table in tables]
    shared = whole[0]
    for index in whole[1:]:
        shared = shared[shared.isin(index)]
    cube = np.stack([table.loc[shared].to_numpy(dtype=float) for table in tables], axis=2)
    return cube, found, at


def is_crossed(rows: pd.DataFrame) -> bool:
    """Return whether `crossings` of these rows is not empty, without judging one."""
    return any(next(_cubes(part), None) is not None for part in parts(rows, {}))


def crossings(rows: pd.DataFrame, record: dict | None = None) -> list[Crossing]:
    """Return the contrasts of the scheduler with each machine factor that varies, setting by setting."""
    return [crossing for part in parts(rows, record or {}) if (crossing := _crossing(part)).contrasts]


def _cubes(part: Part) -> Iterator[tuple[str, np.ndarray, list[str], list]]:
    """Yield each machine factor that varies with its `scores_of`, where two arms met two levels on a seed or more."""
    for factor in varied(completed(part.rows), tuple(MACHINE_FACTORS)):
        cube, arms, at = scores_of(part, factor)
        if len(cube) >= 1 and cube.shape[1] >= 2 and cube.shape[2] >= 2:
            yield factor, cube, arms, at


def _crossing(part: Part) -> Crossing:
    raw: list[tuple] = []
    overall, leads = {}, []
    for factor, cube, arms, at in _cubes(part):
        found = np.round(interactions(cube), 12)
        overall[factor] = interaction_p(cube)
        leads.append(cube[:, :, 0])
        raw += [
            (factor, at[f + 1], at[0], arms[s + 1], found[:, s, f])
            for s in range(found.shape[1])
            for f in range(found.shape[2])
        ]
    margin = seed_sd(leads[0]) if leads else float("nan")
    corrected = holm([paired_p(values) for *_, values in raw])
    contrasts = tuple(
        Contrast(
            factor=factor,
            at=value,
            reference=reference,
            arm=arm,
            values=values,
            judgement=judge(values, margin=margin, corrected_p=float(p), family=len(raw)),
        )
        for (factor, value, reference, arm, values), p in zip(raw, corrected, strict=True)
    )
    return Crossing(part=part, contrasts=contrasts, overall_p=overall, margin=margin)
