"""Two folders' costs: how much faster, slower or larger is B, by condition and over all? Ratios, B over A.

The folders ran at other times or on other machines, so no block of one shares its conditions with a block of the
other: blocks are not paired. The unit is a block (the mean of its logarithms), the interval Welch's (1947).
What this does *not* do: use trials that shared their device, or tell one night's machine from another's.
"""

import json
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import figures
from analysis.answers import Answer
from analysis.folders import Matched, worded
from analysis.page.wording import count, listed, number, percent
from analysis.rows.conditions import FACTORS, MACHINE_FACTORS, completed, describe, short_names, varied
from analysis.statistics import verdicts
from analysis.statistics.intervals import (
    Estimate,
    holm,
    outlying,
    shuffles_decide,
    welch_error,
    welch_interval,
    welch_p,
)
from analysis.throughput import timed
from lrbench.metrics import METRICS

TITLE = "What changed in cost?"
MARGIN = 0.02
MOST_TOLD = 0.5  # an interval wider than this rules out nothing that is worth a sentence
_MOST_NAMED = 3  # blocks far outside
COSTS = ("samples_per_second", "first_step_seconds", "peak_memory_mib", "energy_joules")
HOW = (
    "Ratios are B over A: of the geometric means over blocks, each block being the mean of the logarithms of the "
    "conditions that both folders have. Blocks of two folders share no conditions, so they are not paired: interval "
    "(95%) and p are Welch's, or a permutation test's where one of six or more blocks lies far outside of the others. "
    "The p of single conditions is corrected by Holm's method over conditions."
)
ONE_TIME = (
    "Each folder is one stretch of time on its machine: an interval covers what varied within it, not what changes "
    "from one day to the next. To be sure of a cause, run both sides in one study, whose blocks hold both{how}."
)


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """One metric of B over A: `where` "" for all conditions. `n` of the estimate is the smaller number of blocks.

    `blocks_a` and `blocks_b` number the blocks of `a` and `b` as the rows do.
    """

    metric: str
    where: str
    a: np.ndarray
    b: np.ndarray
    blocks_a: tuple[int, ...] = ()
    blocks_b: tuple[int, ...] = ()
    corrected_p: float = math.nan

    @property
    def estimate(self) -> Estimate:
        return welch(self.a, self.b)[0].map(math.exp)

    @property
    def p(self) -> float:
        return welch(self.a, self.b)[1]

    @property
    def equivalence_p(self) -> float:
        """Two one-sided tests against the margin, Welch's as the interval is; 1 where nothing can be tested."""
        from scipy import stats

        estimate, _, degrees, error = welch(self.a, self.b)
        if math.isnan(error):
            return 1.0
        return float(stats.t.sf((math.log1p(MARGIN) - abs(estimate.value)) / error, degrees))

    @property
    def verdict(self) -> str:
        """One of the five words, from B's side."""
        estimate, p, _, _ = welch(self.a, self.b)
        if math.isnan(p):
            return verdicts.NOT_TESTABLE
        p = self.corrected_p if math.isfinite(self.corrected_p) else p
        higher_is_better = METRICS[self.metric].higher_is_better
        return verdicts.verdict(estimate.n, estimate.value, p, self.equivalence_p, higher_is_better)

    @property
    def negligible(self) -> bool:
        """Whether a difference was found, and is shown to be smaller than the margin."""
        return self.verdict in (verdicts.BETTER, verdicts.WORSE) and self.equivalence_p < verdicts.LEVEL


def welch(a, b) -> tuple[Estimate, float, float, float]:
    """How far apart are the means of two samples that may scatter differently? (n,), (m,) → b less a. Welch (1947).

    Returns (Estimate, two-sided p, degrees of freedom, standard error). With fewer than two values in one, or no
    spread in both, the interval is unbounded and p is nan: t would claim certainty from nothing. Where a value lies
    far outside of the others, interval and p are a permutation test's (`analysis.statistics.intervals.welch_p`).
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    error, degrees = welch_error(a, b)
    return welch_interval(b, a), math.nan if math.isnan(error) else welch_p(b, a), degrees, error


def ratios(matched: Matched) -> list[Ratio]:
    """Return the ratio of every cost over all conditions, and that of throughput in each condition."""
    found = []
    for metric in COSTS:
        a, b = (_usable(rows, metric) for rows in matched.rows(for_speed=True))
        shared = set(a["matched_condition"]) & set(b["matched_condition"])
        a, b = (rows[rows["matched_condition"].isin(shared)] for rows in (a, b))
        if a.empty:
            continue
        found.append(Ratio(metric=metric, where="", **_by_block(a, b)))
        if metric == "samples_per_second" and len(shared) > 1:
            found += _by_condition(a, b, metric)
    return found


def _usable(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    needed = ["status", "packed", "samples_per_second", "block", "matched_condition", metric, *FACTORS]
    rows = rows[list(dict.fromkeys(needed))]
    rows = completed(rows) if metric == "peak_memory_mib" else timed(rows)
    rows = rows[rows[metric] > 0]
    return rows.assign(log=np.log(rows[metric].astype(float)))


def _by_block(a: pd.DataFrame, b: pd.DataFrame) -> dict[str, np.ndarray | tuple[int, ...]]:
    """Block means of the logarithms, each less its condition's mean over both folders: blocks may lack conditions."""
    middles = (a.groupby("matched_condition")["log"].mean() + b.groupby("matched_condition")["log"].mean()) / 2
    found = {}
    for name, rows in (("a", a), ("b", b)):
        less = rows["log"] - rows["matched_condition"].map(middles)
        means = less.groupby(rows["block"]).mean()
        found |= {name: means.to_numpy(), f"blocks_{name}": tuple(map(int, means.index))}
    return found


def _by_condition(a: pd.DataFrame, b: pd.DataFrame, metric: str) -> list[Ratio]:
    names = varied(a, FACTORS)
    short = short_names(a["scheduler"].astype(str).unique())
    found = []
    for condition, part in a.groupby("matched_condition", sort=False):
        row = part.iloc[0]
        levels = {name: short[row[name]] if name == "scheduler" else row[name] for name in names}
        where = describe(levels).replace("scheduler=", "")
        logs = {"a": part["log"].to_numpy(), "b": b.loc[b["matched_condition"] == condition, "log"].to_numpy()}
        found.append(Ratio(metric=metric, where=where, **logs))
    p_values = np.array([ratio.p for ratio in found])
    known = ~np.isnan(p_values)
    corrected = np.full(len(found), math.nan)
    corrected[known] = holm(p_values[known])
    return [
        Ratio(metric=r.metric, where=r.where, a=r.a, b=r.b, corrected_p=float(p))
        for r, p in zip(found, corrected, strict=True)
    ]


# ---------------------------------------------------------------------------------------------------------- the answer


def answer(matched: Matched, found: list[Ratio]) -> Answer:
    """Return how the costs of B stand to those of A."""
    overall = [ratio for ratio in found if not ratio.where]
    sentences = [_sentence(ratio) for ratio in overall] or [_nothing(matched)]
    sentences += _packed(matched)
    return Answer(
        title=TITLE,
        sentences=tuple(sentences),
        table=_table(found),
        figure=lambda: figures.message("No trial of both folders tells of cost"),
        notes=(HOW,) if found else (),
        verdict=worded(overall[0].verdict, overall[0].negligible) if overall else verdicts.NOT_TESTABLE,
        caveats=(ONE_TIME.format(how=_one_study(matched)), *_load(matched)) if found else (),
    )


def _one_study(matched: Matched) -> str:
    """What to type to have both levels of a machine factor in one study; "" where none is apart, or more are."""
    apart = {name: levels for name, levels in matched.apart.items() if name in MACHINE_FACTORS}
    if len(matched.apart) != 1 or not apart:
        return ""
    ((name, levels),) = apart.items()
    return f": --set {name}={json.dumps(levels, separators=(',', ':'), default=str)}"


def line_of(ratio: Ratio) -> "figures.Line":
    """Return a ratio as a row of the summary figure."""
    return figures.Line(label=ratio.where or "all conditions", estimate=ratio.estimate, verdict=word(ratio))


def word(ratio: Ratio) -> str:
    """The verdict in the words of its metric: "3.1% faster", "same within 2%"."""
    change = percent(abs(ratio.estimate.value - 1))
    if ratio.verdict in (verdicts.BETTER, verdicts.WORSE):
        return f"{change} {_DIRECTION[ratio.metric][ratio.estimate.value > 1]}"
    return f"same within {percent(MARGIN, 0)}" if ratio.verdict == verdicts.EQUIVALENT else ratio.verdict


_DIRECTION = {
    "samples_per_second": ("slower", "faster"),
    "first_step_seconds": ("shorter", "longer"),
    "peak_memory_mib": ("smaller", "larger"),
    "energy_joules": ("less", "more"),
}


def _sentence(ratio: Ratio) -> str:
    estimate, blocks = ratio.estimate, f"{count(len(ratio.a), 'block')} in A, {len(ratio.b):,} in B"
    label = METRICS[ratio.metric].label
    if not estimate.bounded:
        same = "is the same to the last digit" if estimate.value == 1 else f"is {estimate.value:.3f} times A's"
        return f"{label.capitalize()} of B {same} ({blocks}); there is no interval, so nothing is tested."
    size = f"{estimate.value:.3f} times, 95% interval {estimate.low:.3f} to {estimate.high:.3f}; {blocks}"
    far = _far_outside(ratio)
    if ratio.verdict in (verdicts.BETTER, verdicts.WORSE):
        less = f": {worded(ratio.verdict, True)}, being less than {percent(MARGIN, 0)}" if ratio.negligible else ""
        return f"{label.capitalize()}: B is {word(ratio)}{less} ({size}){far}."
    if ratio.verdict == verdicts.EQUIVALENT:
        return f"{label.capitalize()}: the same within {percent(MARGIN, 0)} ({size}){far}."
    most = max(abs(estimate.low - 1), abs(estimate.high - 1))
    ruled_out = f"; a change of more than {percent(most)} is ruled out" if most < MOST_TOLD else ""
    return f"{label.capitalize()}: inconclusive ({size}){ruled_out}{far}."


def _far_outside(ratio: Ratio) -> str:
    """Say which blocks lie far outside of the others, and the change without them; "" where none does.

    Less than the margin is not told: where most blocks are equal to the digit the least difference stands out.
    """
    if not shuffles_decide(ratio.a, ratio.b):
        return ""
    told, others, num_far = [], [], 0
    for side, values, blocks in (("A", ratio.a, ratio.blocks_a), ("B", ratio.b, ratio.blocks_b)):
        apart = values - np.median(values)
        far = outlying(values) & (np.abs(apart) > math.log1p(MARGIN))
        others.append(values[~far].mean())
        num_far += far.sum()
        named = (f"block {blocks[i]} of {side} ({number(math.exp(apart[i]), 2)} times)" for i in np.flatnonzero(far))
        few = far.sum() <= _MOST_NAMED
        told += named if few else [f"{far.sum():,} of {len(far):,} blocks of {side}"]
    if not num_far:
        return ""
    without = math.exp(others[1] - others[0])
    change = f"{percent(abs(without - 1))} {_DIRECTION[ratio.metric][without > 1]}"
    return f"; far from the median block: {listed(told)}; without {'it' if num_far == 1 else 'them'} B is {change}"


def _nothing(matched: Matched) -> str:
    if matched.num_same_runs and not matched.counts["num_matched"]:
        return "The runs are the same: there is no second measurement."
    a, b = matched.rows(for_speed=True)
    if not set(a["matched_condition"]) & set(b["matched_condition"]):
        return "No condition is in both folders, so cost cannot be compared."
    return "No condition was timed in both folders, alone on its device, so cost cannot be compared."


def _packed(matched: Matched) -> list[str]:
    said = []
    for side, rows in zip("AB", matched.rows(for_speed=True), strict=True):
        done = completed(rows)
        if out := len(done) - len(timed(rows)):
            said.append(
                f"{count(out, 'completed trial')} of {side} left out of speed: they shared their device (packed), went "
                "on from a checkpoint, or have no measured steady state."
            )
    return said


def _load(matched: Matched) -> list[str]:
    """Say how busy the machines were, where one of them was busier than it has cores for."""
    loads = []
    for side, rows in zip("AB", matched.rows(for_speed=True), strict=True):
        each = (rows["load_average"] / rows["num_cores"]).median()
        loads.append((side, float(each)))
    if any(each > 1 for _, each in loads):
        told = ", ".join(f"{number(each, 2)} in {side}" for side, each in loads)
        return [f"Others used the machines: running processes on each core when a trial began, in the median {told}."]
    return []


def _table(found: list[Ratio]) -> pd.DataFrame:
    records = [
        {
            "metric": METRICS[r.metric].label,
            "where": r.where or "all conditions",
            "num_blocks_A": len(r.a),
            "num_blocks_B": len(r.b),
            "cost_ratio": r.estimate.value,
            "cost_ratio_low": r.estimate.low,
            "cost_ratio_high": r.estimate.high,
            "p": r.corrected_p if r.where else r.p,
            "verdict": worded(r.verdict, r.negligible),
        }
        for r in found
    ]
    return pd.DataFrame(records)
