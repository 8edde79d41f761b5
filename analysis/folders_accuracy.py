"""Two folders' accuracies: is B better or worse, seed by seed, than the noise explains? B less A.

Trials of one seed are a pair wherever they ran. Accuracies that are equal in every pair are counted and not tested.
What this does *not* do: compare trials whose data are not the same, or seeds that only one folder has.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import figures
from analysis.answers import Answer
from analysis.folders import Matched, worded
from analysis.folders_bits import both_completed
from analysis.page.wording import count, known, percent, points
from analysis.rows.conditions import SEEDS, group_ids, short_names
from analysis.statistics import verdicts
from analysis.statistics.intervals import holm, mismatch_bound, paired_p
from analysis.statistics.verdicts import Judgement, judge, seed_sd

TITLE = "What changed in accuracy?"
HOW = (
    "Differences are B less A on the same seed (mean over replicates and conditions within a seed); intervals are "
    "Student's over seeds (95%), and those of sign flips where a seed lies far outside of the others. The margin is "
    "one standard deviation over the seeds of A. The p-values of single schedulers are corrected by Holm's method."
)


@dataclass(frozen=True, kw_only=True)
class Compared:
    """B less A of one scheduler ("" for all): a difference a seed, its judgement, the pairs that agree exactly."""

    scheduler: str
    num_pairs: int
    num_equal: int
    a_mean: float
    b_mean: float
    judgement: Judgement

    @property
    def identical(self) -> bool:
        return self.num_equal == self.num_pairs > 0


def compared(matched: Matched) -> list[Compared]:
    """Return the comparison over all trials, and where there are several schedulers that of each."""
    pairs = both_completed(matched, ["status", "scheduler", "final_accuracy"])
    pairs = pairs[pairs["final_accuracy"].notna() & pairs["final_accuracy_b"].notna()]
    if pairs.empty:
        return []
    pairs = pairs.assign(
        matched_seed=group_ids(pairs, SEEDS), difference=pairs["final_accuracy_b"] - pairs["final_accuracy"]
    )
    margin = _margin(pairs)
    parts = [("", pairs)]
    if pairs["scheduler"].nunique() > 1:
        short = short_names(pairs["scheduler"].astype(str).unique())
        parts += [(short[str(name)], part) for name, part in pairs.groupby("scheduler", observed=True, sort=False)]
    by_seed = [part.groupby("matched_seed")["difference"].mean().to_numpy() for _, part in parts]
    corrected = [paired_p(by_seed[0]), *holm([paired_p(values) for values in by_seed[1:]])]
    return [
        Compared(
            scheduler=name,
            num_pairs=len(part),
            num_equal=int((part["final_accuracy"] == part["final_accuracy_b"]).sum()),
            a_mean=float(part["final_accuracy"].mean()),
            b_mean=float(part["final_accuracy_b"].mean()),
            judgement=judge(values, margin=margin, corrected_p=float(p), family=1 if not name else len(parts) - 1),
        )
        for (name, part), values, p in zip(parts, by_seed, corrected, strict=True)
    ]


def _margin(pairs: pd.DataFrame) -> float:
    """One SD over the seeds of A, the median over its schedulers."""
    scores = pairs.pivot_table(index="matched_seed", columns="scheduler", values="final_accuracy", observed=True)
    return seed_sd(scores.to_numpy(dtype=float))


# ---------------------------------------------------------------------------------------------------------- the answer


def answer(matched: Matched, found: list[Compared]) -> Answer:
    """Return whether accuracy changed by more than the noise of the seeds."""
    sentences = [_overall(found[0]), *_single(found[1:])] if found else [_nothing(matched)]
    return Answer(
        title=TITLE,
        sentences=tuple(sentences),
        table=_table(found),
        figure=lambda: figures.message("No trial of both folders tells of accuracy"),
        notes=(HOW,) if found and not found[0].identical else (),
        verdict=verdicts.NOT_TESTABLE if not found else "" if found[0].identical else _worded(found[0].judgement),
    )


def _worded(j: Judgement) -> str:
    return worded(j.verdict, j.negligible)


def line_of(one: Compared) -> "figures.Line":
    """Return a comparison as a row of the summary figure."""
    from analysis.figures.colours import BLUE, colour_of

    word = "identical" if one.identical else _worded(one.judgement)
    return figures.Line(
        label=one.scheduler or "all trials",
        estimate=one.judgement.estimate,
        verdict=word,
        colour=colour_of(one.scheduler) if one.scheduler else BLUE,
    )


def _nothing(matched: Matched) -> str:
    if matched.num_same_runs and not matched.counts["num_matched"]:
        return "The runs are the same: so are their accuracies."
    if matched.no_bits or matched.nothing:
        return "What the trials in both were tested on is not the same: accuracy is not compared."
    return "No trial of the same seed completed in both folders, so accuracy is not compared. Run the same seeds."


def _overall(one: Compared) -> str:
    if one.identical:
        bound = percent(mismatch_bound(0, one.num_pairs))
        what = "The one trial" if one.num_pairs == 1 else f"All {one.num_pairs:,} trials"
        return (
            f"{what} reached exactly the same accuracy in both folders, so there is nothing to test; at 95% confidence "
            f"at most {bound} of such trials differ."
        )
    j = one.judgement
    equal = f"; {one.num_equal:,} of {count(one.num_pairs, 'trial')} agree exactly" if one.num_equal else ""
    size = f"{points(j.estimate.value)} points"
    if not j.estimate.bounded:
        return f"B less A: {size} on {count(j.n, 'seed')}{equal}; there is no interval, so nothing is tested."
    size += f" (95% interval {points(j.estimate.low)} to {points(j.estimate.high)}; {count(j.n, 'seed')}{equal})"
    margin = points(j.margin).lstrip("+")
    if j.verdict in (verdicts.BETTER, verdicts.WORSE):
        if j.negligible:
            return f"{_worded(j).capitalize()}, being less than one seed SD ({margin} points): B less A is {size}."
        return f"B is {j.verdict} than A by {size}."
    if j.verdict == verdicts.EQUIVALENT:
        return f"The same within one seed SD ({margin} points): B less A is {size}."
    seen = f"; a true difference of {points(j.detectable).lstrip('+')} points would have been found four times in five"
    return f"Inconclusive: B less A is {size}{seen if known(j.detectable) else ''}."


def _single(found: list[Compared]) -> list[str]:
    if not found:
        return []
    told = [one for one in found if one.judgement.told_apart and not one.identical]
    if not told:
        return []
    parts = [f"{one.scheduler} {points(one.judgement.estimate.value)} points" for one in told]
    return [f"By itself, corrected for {len(found)} schedulers, changed: {', '.join(parts)}."]


def _table(found: list[Compared]) -> pd.DataFrame:
    records = [
        {
            "scheduler": one.scheduler or "all",
            "num_seeds": one.judgement.n,
            "num_pairs": one.num_pairs,
            "exactly_equal": f"{one.num_equal:,} of {one.num_pairs:,}",
            "A_accuracy": one.a_mean,
            "B_accuracy": one.b_mean,
            "B_less_A_points": one.judgement.estimate.value,
            "B_less_A_points_low": one.judgement.estimate.low,
            "B_less_A_points_high": one.judgement.estimate.high,
            "holm_p": np.nan if one.identical else one.judgement.corrected_p,
            "verdict": "identical" if one.identical else _worded(one.judgement),
        }
        for one in found
    ]
    return pd.DataFrame(records)
