"""Which scheduler holds over several workloads? Ranks, their critical difference, and gains over the baseline.

Ranks ask who comes first in each workload; gains ask by how much, in points above the baseline on the same seed.
What this does *not* do: speak of workloads that were not run, unless the critical difference does.
"""

import math
import sys

import numpy as np
import pandas as pd

from analysis import figures
from analysis.answers import Answer
from analysis.page.wording import after_colon, count, equals_p, level, listed, number, points
from analysis.rows import conditions
from analysis.rows.conditions import short_names
from analysis.rows.fields import FEWEST, Field, fields, stratified_iqm
from analysis.rows.seed_tables import parts
from analysis.statistics.intervals import Estimate
from analysis.statistics.ranks import critical_difference, rank_intervals

TITLE = "Which scheduler holds over several workloads?"
NESTED = ()
SIGNIFICANT = 0.05
HOW = (
    "In each workload the schedulers are ranked by their mean accuracy over seeds, 1 the best, ties sharing. "
    "Friedman's test asks whether mean ranks differ (p by permutation inside workloads); two are told apart where they "
    "differ by Nemenyi's critical difference. The best and the worst place left for a scheduler are the first and the "
    "last that it may have among endless workloads like these: any, where the ranks may be chance; those of all hold "
    "at once in 95% of studies. All of this is of the seeds that every scheduler completed. Intervals of "
    "gains draw seeds anew inside each workload (2,000 draws), so they speak of these workloads alone; they are given "
    f"from {FEWEST} seeds on. A gain is a run's "
    "accuracy less the baseline's on the same seed; its IQM is the mean of the middle half of all runs (Agarwal et "
    "al., 2021)."
)


def applies(rows: pd.DataFrame) -> bool:
    """Return whether two schedulers or more ran in two workloads or more."""
    return bool(len(rows)) and rows["workload"].nunique() > 1 and bool(fields(rows))


def answer(rows: pd.DataFrame, record: dict | None = None) -> Answer:
    """Return how the schedulers rank over workloads, and what they gain; of one workload nothing can be said."""
    return conditions.by_place(rows, lambda here: _one_place(here, record or {}))


# ------------------------------------------------------------------------------------------------------------- words


def _one_place(rows: pd.DataFrame, record: dict) -> Answer:
    found = fields(rows, record) if len(rows) else []
    sentences: list[str] = []
    lost = [_diverged(field, rows, record) for field in found]
    for field, arms in zip(found, lost, strict=True):
        said = _sentences(field, arms)
        sentences += [f"{field.label}: {after_colon(text)}" for text in said] if field.label else said
    if not found:
        sentences = ["Only one workload was run with several schedulers, so there is nothing to look across."]
    return Answer(
        title=TITLE,
        sentences=tuple(sentences),
        table=table(found),
        figure=lambda: _figure(found, lost),
        notes=(HOW,) if found else (),
        verdict=_verdict(found[0], lost[0]) if found else "not testable here",
        caveats=_caveats(found),
    )


def _verdict(field: Field, lost: dict[str, str]) -> str:
    """The best-ranked arm against the baseline; none where it diverged, which its rank does not count."""
    ranks = field.test.mean_ranks
    if field.difference >= len(field.arms) - 1:
        return "not testable here"
    gap = ranks[0] - ranks.min()
    told = field.test.p < SIGNIFICANT and gap >= field.difference
    return "better" if told and field.arms[int(np.argmin(ranks))] not in lost else "inconclusive"


def _diverged(field: Field, rows: pd.DataFrame, record: dict) -> dict[str, str]:
    """Return for each arm that diverged on how many seeds of which workloads of the field, in words."""
    found: dict[str, list[str]] = {}
    for part in parts(rows, record):
        others = {name: value for name, value in part.factors.items() if name != "workload"}
        if (others, part.stage) == (field.factors, field.stage):
            workload = part.rows["workload"].iloc[0]
            for arm, each in part.diverged.items():
                where = f"{each.num_diverged_seeds} of {count(each.num_seeds, 'seed')} of {workload}"
                found.setdefault(arm, []).append(where)
    return {arm: listed(where) for arm, where in found.items()}


def _about_diverged(field: Field, lost: dict[str, str]) -> list[str]:
    if not lost:
        return []
    names = short_names([*field.arms, *lost])
    text = listed([f"{names[arm]} diverged on {where}" for arm, where in lost.items()])
    return [f"{text}: ranks and gains are of the seeds that every scheduler completed, and do not count it."]


def _caveats(found: list[Field]) -> tuple[str, ...]:
    few = [field for field in found if len(field.tables) < 5]
    if not few:
        return ()
    amount = count(len(few[0].tables), "workload")
    return (f"{amount} are a small sample: what holds over them need not hold in the next.",)


def _sentences(field: Field, lost: dict[str, str]) -> list[str]:
    names, test = short_names(field.arms), field.test
    order = np.argsort(test.mean_ranks, kind="stable")
    best = field.arms[order[0]]
    workloads = count(len(field.tables), "workload")
    where = f" where all completed (it diverged on {lost[best]})" if best in lost else ""
    warned = _about_diverged(field, lost)
    if not test.uncorrected and math.isnan(test.chi_square):
        return [f"In each of {workloads} all schedulers tie: there is no order to speak of.", *warned]
    first = (
        f"Over {workloads} {names[best]} has the best mean rank, {number(test.mean_ranks[order[0]])} of "
        f"{len(field.arms)}{where}"
    )
    if test.p < SIGNIFICANT:
        first += f"; mean ranks differ by more than chance (Friedman, permutation p {_p(test.p)})."
    else:
        first += f", but the ranks may be chance (Friedman, permutation p {_p(test.p)})."
    return [first, *warned, *_critical(field, names, order), *_gain_sentences(field, names)]


def _p(value: float) -> str:
    return equals_p(value)


def _critical(field: Field, names: dict, order) -> list[str]:
    difference, most = field.difference, len(field.arms) - 1
    if difference >= most:
        needed = next(n for n in range(2, 1_000) if critical_difference(len(field.arms), n) < most)
        workloads = count(len(field.tables), "workload")
        text = (
            f"Which two differ cannot be told over {workloads}: the critical difference, {number(difference)} ranks, is"
        )
        return [f"{text} larger than from the first place to the last; it takes {needed} workloads at least."]
    ranks = field.test.mean_ranks
    worse = [field.arms[i] for i in order if ranks[i] - ranks[order[0]] >= difference]
    if not worse or field.test.p >= SIGNIFICANT:
        return [f"No two ranks are told apart: none differ by the critical difference of {number(difference)}."]
    told = listed([names[arm] for arm in worse])
    return [f"{names[field.arms[order[0]]]} is told from {told} (critical difference {number(difference)})."]


def _gain_sentences(field: Field, names: dict) -> list[str]:
    base, found = names[field.baseline], _gain_estimates(field)
    if not found:
        return []
    name = max(found, key=lambda arm: found[arm].value)
    gain = found[name]
    ends = f"95% interval {points(gain.low)} to {points(gain.high)}"
    span = f" ({ends}, over seeds of these workloads alone)" if gain.bounded else ""
    text = f"The largest gain over {base} on the same seed is that of {names[name]}: {points(gain.value)} points in the"
    best = field.arms[int(np.argmin(field.test.mean_ranks))]
    apart = "; ranks count places and gains points, so they need not name the same scheduler" if name != best else ""
    return [f"{text} middle half of {count(gain.n, 'run')}{span}{apart}."]


def _gain_estimates(field: Field) -> dict[str, Estimate]:
    return {arm: stratified_iqm(strata) for arm, strata in field.gains.items() if arm != field.baseline}


def table(found: list[Field]) -> pd.DataFrame:
    """Return one row for each setting and scheduler, the best mean rank first, with its mean in each workload."""
    records = []
    for field in found:
        gains, ranks, places = _gain_estimates(field), field.test.mean_ranks, _places(field)
        for index in np.argsort(ranks, kind="stable"):
            arm = field.arms[index]
            gain = gains.get(arm, Estimate(value=math.nan, low=math.nan, high=math.nan, n=0))
            records.append(
                {
                    **{name: level(value) for name, value in field.factors.items()},
                    **({"stage": field.stage} if field.stage else {}),
                    "scheduler": arm,
                    "num_workloads": len(field.tables),
                    "mean_rank": float(ranks[index]),
                    "place_low": places[index][0],
                    "place_high": places[index][1],
                    "gain_points": gain.value,
                    "gain_points_low": gain.low,
                    "gain_points_high": gain.high,
                    **{f"{name}_accuracy": float(scores[arm].mean()) for name, scores in field.tables.items()},
                }
            )
    return pd.DataFrame(records)


def _places(field: Field) -> list[tuple[int, int]]:
    """The places that each arm may have: any, where the ranks may be chance."""
    told = field.test.p < SIGNIFICANT
    return rank_intervals(field.test.mean_ranks, field.difference if told else math.inf)


def _figure(found: list[Field], lost: list[dict[str, str]]):
    from analysis.figures.across import critical_difference_diagram

    if not found:
        return figures.message("Only one workload was run with several schedulers")
    return critical_difference_diagram(found[0], lost[0])


def title_of(field: Field, lost: dict[str, str]) -> str:
    """Return the figure's finding; none of a best arm that is among `lost`, those that diverged."""
    names, ranks = short_names(field.arms), field.test.mean_ranks
    best, workloads = names[field.arms[int(np.argmin(ranks))]], count(len(field.tables), "workload")
    if field.difference >= len(field.arms) - 1:
        return f"{workloads} are too few to tell ranks apart; {best} has the best mean"
    if field.arms[int(np.argmin(ranks))] in lost:
        return f"Over {workloads}, where all completed, {best} has the best mean rank; it diverged elsewhere"
    worse = int((ranks - ranks.min() >= field.difference).sum())
    if worse and field.test.p < SIGNIFICANT:
        return f"Over {workloads} {best} has the best mean rank, told from {worse} of {len(field.arms) - 1}"
    return f"Over {workloads} no two mean ranks are told apart"


if __name__ == "__main__":
    from analysis.page.command import main

    sys.exit(main("across"))
