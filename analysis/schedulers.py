"""Do the schedulers differ by more than the noise? Final accuracy, paired by seed.

Two schedulers are compared inside one seed, replicate and setting of every other factor; the differences are averaged
over a seed, which then counts once. Settings that train differently (workload, epochs, base_lr, …) are never pooled;
machine factors (the flags) are averaged within the seed. "Not significant" is never "no effect": the smallest
difference that so many seeds could have seen stands beside it. What this does *not* do: tune, or choose a base_lr.
"""

import math
import sys

import numpy as np
import pandas as pd

from analysis import conditions, figures
from analysis.answers import Answer
from analysis.comparisons import Comparison, Setting, settings
from analysis.conditions import FACTORS, describe, short_names, varied
from analysis.intervals import (
    Estimate,
    no_spread,
    pairs_needed,
    rank_intervals,
    smallest_detectable,
    smallest_sign_flip_p,
    t_interval,
    win_probability,
)
from analysis.wording import count, known, level, listed, number, percent, points

TITLE = "Do the schedulers differ by more than the noise?"
HOW = (
    "Differences are paired by seed (mean over replicates and machine factors within a seed); intervals are Student's "
    "over seeds (95%) and not corrected for their number; p-values are those of the paired t-test, Holm-corrected: "
    "over the comparisons with the baseline, and over all pairs of the others. P(better) counts the seeds on "
    "which a scheduler beats the baseline, ties half. Ranks are 95% intervals of a bootstrap over seeds."
)
_SEEDS_FOR_SIGN_FLIP = 6
_MOST_NAMED = 6


def answer(rows: pd.DataFrame) -> Answer:
    """Return how the schedulers differ in final accuracy, with intervals, corrected tests and what could be seen."""
    return conditions.by_place(rows, _one_place)


# ---------------------------------------------------------------------------------------------------------- one place


def _one_place(rows: pd.DataFrame) -> Answer:
    found = settings(rows) if len(rows) else []
    sentences: list[str] = []
    for setting in found:
        before = f"{describe(setting.factors)}: " if setting.factors else ""
        sentences += [before + sentence for sentence in _sentences(setting)]
    if not found:
        sentences = ["No trial completed with an accuracy, so nothing can be said about schedulers."]
    elif any(len(setting.arms) > 1 for setting in found):
        sentences += _caveats(rows, found)
    return Answer(
        title=TITLE,
        sentences=tuple(sentences),
        table=pd.DataFrame([record for setting in found for record in _records(setting)]),
        figure=lambda: _figure(found),
        notes=(HOW,) if any(len(setting.arms) > 1 for setting in found) else (),
    )


def _sentences(setting: Setting) -> list[str]:
    best, *others = setting.arms
    names = short_names(setting.arms)
    scores = setting.scores[best].dropna()
    spread = f", SD over seeds {points(scores.std()).lstrip('+')} points" if len(scores) > 1 else ""
    mean = f"{percent(scores.mean(), 2)} ({count(len(scores), 'seed')}{spread})"
    if not others:
        how = 'list several under [grid], with { name = "ConstantLR", factor = 1.0 } as the baseline'
        return [f"Only {names[best]} was run, with a final accuracy of {mean}; to compare schedulers, {how}."]
    if setting.num_seeds < 2:
        first = f"{names[best]} came first with {percent(scores.mean(), 2)}, but the spread over seeds is unknown"
        return [f'With one seed no scheduler can be told from another: {first}. Add seed = "0-9" under [grid].']
    if _all_equal(setting):
        ended = (
            f"On every seed all schedulers ended at exactly the same accuracy, {percent(scores.mean(), 2)} on average"
        )
        return [f"{ended}: this workload does not tell them apart."]
    return [_about_best(setting, names, mean), *_about_ties(setting, names), *_about_power(setting, names)]


def _all_equal(setting: Setting) -> bool:
    return not any(c.differences.any() for c in setting.pairs.values())


def _about_best(setting: Setting, names: dict, mean: str) -> str:
    best = setting.arms[0]
    if not setting.baseline:
        worst = setting.pairs[best, setting.arms[-1]]
        return f"{names[best]} has the highest mean accuracy, {mean}: {_difference(worst, names, whose=False)}."
    told = [c for c in setting.against.values() if c.told_apart]
    if not told:
        largest = max(setting.against.values(), key=lambda c: abs(c.estimate.value))
        return (
            f"No scheduler can be told from {names[setting.baseline]} with {count(setting.num_seeds, 'seed')}; "
            f"the largest difference is {_difference(largest, names)}."
        )
    first = max(told, key=lambda c: abs(c.estimate.value)) if best == setting.baseline else setting.against[best]
    if best == setting.baseline:
        return f"{names[best]}, the baseline, has the highest mean accuracy, {mean}: {_difference(first, names)}."
    verdict = "" if first.told_apart else "; not told apart"
    return f"{names[best]} has the highest mean accuracy, {mean}: {_difference(first, names, whose=False)}{verdict}."


def _difference(c: Comparison, names: dict, whose: bool = True) -> str:
    estimate = c.estimate
    subject = f"{names[c.a]} " if whose else ""
    if not estimate.bounded:
        seen = "from one seed" if estimate.n < 2 else f"the same on all {estimate.n} seeds"
        return f"{subject}{points(estimate.value)} points against {names[c.b]} ({seen}: no interval)"
    return (
        f"{subject}{points(estimate.value)} points against {names[c.b]} "
        f"(95% interval {points(estimate.low)} to {points(estimate.high)}, Holm-corrected p {_p(c.corrected_p)})"
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _about_ties(setting: Setting, names: dict) -> list[str]:
    best, *others = setting.arms
    apart = [arm for arm in others if setting.pairs[best, arm].told_apart]
    tied = [arm for arm in others if arm not in apart]
    if not tied:
        return ["It can be told from every other scheduler, the number of comparisons taken into account."]
    some = [names[arm] for arm in tied[:_MOST_NAMED]]
    if len(tied) > _MOST_NAMED:
        some.append(count(len(tied) - _MOST_NAMED, "other"))
    text = f"The first place is not certain: {names[best]} is not told from {listed(some)}"
    return [f"{text}; from the other {len(apart):,} it is." if apart else f"{text}."]


def _about_power(setting: Setting, names: dict) -> list[str]:
    spread = [c.differences for c in setting.pairs.values() if len(c.differences) > 1 and not no_spread(c.differences)]
    if not spread:
        return []
    sd = float(np.median([np.std(differences, ddof=1) for differences in spread]))
    smallest = smallest_detectable(sd, setting.num_seeds)
    if not known(smallest):
        return []
    text = (
        f"With {count(setting.num_seeds, 'seed')} one planned comparison finds a true difference of "
        f"{points(smallest).lstrip('+')} points four times in five; smaller ones may be there unseen"
    )
    runner_up = setting.pairs[setting.arms[0], setting.arms[1]]
    needed = pairs_needed(runner_up.estimate.value, sd) if not runner_up.told_apart else 0
    if needed > setting.num_seeds:
        text += f" (telling the first two apart, if their difference is as seen, takes about {needed:,} seeds)"
    return [f"{text}."]


def _caveats(rows: pd.DataFrame, found: list[Setting]) -> list[str]:
    sentences = []
    lost: dict[str, int] = {}
    for setting in found:
        for arm, amount in setting.num_lost.items():
            lost[arm] = lost.get(arm, 0) + int(amount)
    if lost:
        names = short_names(lost)
        parts = [f"{names[arm]} {amount:,}" for arm, amount in sorted(lost.items())]
        sentences.append(
            f"Trials that failed are in no comparison, which flatters a scheduler that diverges ({', '.join(parts)})."
        )
    if "base_lr" in varied(rows, FACTORS):
        sentences.append(
            "Each table row compares schedules at one base_lr; no schedule was tuned on seeds of its own, so the best "
            "of several rates is chosen and judged on the same seeds."
        )
    else:
        rate = level(float(rows["base_lr"].iloc[0]))
        sentences.append(
            f"All schedules share base_lr {rate}: none was tuned to its own best rate, so this ranks schedules at that "
            "rate, not at their best."
        )
    num_seeds = min((s.num_seeds for s in found if not _all_equal(s)), default=0)
    if 1 < num_seeds < _SEEDS_FOR_SIGN_FLIP:
        sentences.append(
            f"With {num_seeds} seeds a sign-flip test cannot go below p = {number(smallest_sign_flip_p(num_seeds))}: "
            "the p-values here lean on the t-test's assumption that differences over seeds are normal. 6 seeds or more "
            "would do without it."
        )
    return sentences


# ------------------------------------------------------------------------------------------------------ table, figures


def _records(setting: Setting) -> list[dict]:
    complete = setting.scores.dropna()
    ranks, firsts = rank_intervals(complete) if len(complete) > 1 else (None, None)
    best = setting.arms[0]
    records = []
    for index, arm in enumerate(setting.arms):
        scores = setting.scores[arm].dropna()
        mean = _accuracy_interval(scores)
        record = {
            **{name: level(value) for name, value in setting.factors.items()},
            "scheduler": arm,
            "num_seeds": len(scores),
            "rank": _span(*ranks[index]) if ranks is not None else "–",
            "first_share": float(firsts[index]) if firsts is not None else math.nan,
            "final_accuracy": mean.value,
            "final_accuracy_low": mean.low,
            "final_accuracy_high": mean.high,
            "accuracy_sd": float(scores.std()) if len(scores) > 1 else math.nan,
            "final_loss": setting.losses.get(arm, math.nan),
        }
        if setting.baseline:
            against = setting.against.get(arm)
            record |= _difference_columns("to_baseline", against)
            record["better_share"] = win_probability(against.differences).value if against else math.nan
        record |= _difference_columns("to_best", setting.pairs.get((best, arm)), sign=-1)
        records.append(record)
    return records


def _span(low: int, high: int) -> str:
    return f"{low}" if low == high else f"{low}–{high}"


def _accuracy_interval(scores) -> Estimate:
    """Student's interval over seeds, cut where accuracy ends: few seeds would take it beyond 100%."""
    estimate = t_interval(scores)
    return estimate.map(lambda value: min(1.0, max(0.0, value))) if estimate.bounded else estimate


def _difference_columns(name: str, c: Comparison | None, sign: int = 1) -> dict:
    if c is None or not len(c.differences):
        return {
            f"{name}_points": math.nan,
            f"{name}_points_low": math.nan,
            f"{name}_points_high": math.nan,
            f"{name}_p": math.nan,
        }
    estimate = t_interval(sign * c.differences)
    p = c.corrected_p if estimate.n > 1 else math.nan
    return {
        f"{name}_points": estimate.value,
        f"{name}_points_low": estimate.low,
        f"{name}_points_high": estimate.high,
        f"{name}_p": p,
    }


def _figure(found: list[Setting]):
    if not found:
        return figures.message("No trial completed with an accuracy")
    setting = max(found, key=lambda s: (len(s.arms), s.num_seeds))
    names = short_names(setting.arms)
    reference = setting.baseline or setting.arms[0]
    drawn = []
    for arm in setting.arms:
        scores = setting.scores[arm].dropna()
        c = setting.against.get(arm) if setting.baseline else setting.pairs.get((reference, arm))
        difference = t_interval((c.differences if setting.baseline else -c.differences) if c is not None else [])
        drawn.append((names[arm], _accuracy_interval(scores), scores.tolist(), difference))
    title = _figure_title(setting, names)
    if setting.factors:
        title += f" ({describe(setting.factors)})"
    return figures.comparison(drawn, title, names[reference])


def _figure_title(setting: Setting, names: dict) -> str:
    best, *others = setting.arms
    if not others:
        return f"{names[best]}: final accuracy {percent(setting.scores[best].mean(), 2)}"
    if setting.num_seeds < 2:
        return "One seed: the order of the schedulers may be chance"
    told = [c for c in setting.against.values() if c.told_apart]
    if setting.baseline and not told:
        return f"No scheduler can be told from {names[setting.baseline]} with {count(setting.num_seeds, 'seed')}"
    tied = [arm for arm in others if not setting.pairs[best, arm].told_apart]
    if tied:
        return f"{names[best]} is highest, but not told from {listed([names[arm] for arm in tied[:3]], 'or')}"
    return f"{names[best]} is highest, and told from all others"


if __name__ == "__main__":
    from analysis.command import main

    sys.exit(main("schedulers"))
