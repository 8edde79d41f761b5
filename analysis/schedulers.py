"""Do the schedulers differ by more than the noise? Final accuracy, paired by seed.

Two schedulers are compared inside one seed, replicate and setting of every other factor; the differences are averaged
over a seed, which then counts once. Settings that train differently (workload, epochs, base_lr, …) are never pooled;
machine factors (the flags) are averaged within the seed. "Not significant" is never "no effect": the smallest
difference that so many seeds could have seen stands beside it. What this does *not* do: tune, or choose a base_lr.
"""

import sys

import pandas as pd

from analysis import conditions, figures
from analysis.answers import Answer
from analysis.comparisons import Comparison, Setting, settings
from analysis.conditions import FACTORS, describe, is_baseline, short_names, varied
from analysis.intervals import smallest_sign_flip_p, t_interval
from analysis.scheduler_table import NO_RANKS, RANKS, accuracy_interval, is_ranked, table
from analysis.wording import after_colon, count, known, level, listed, number, percent, points

TITLE = "Do the schedulers differ by more than the noise?"
HOW = (
    "Differences are paired by seed (mean over replicates and machine factors within a seed); intervals are Student's "
    "over seeds (95%) and not corrected for their number; p-values are those of the paired t-test, Holm-corrected: "
    "over the comparisons with the baseline, and over all pairs of the others. P(better) counts the seeds on "
    "which a scheduler beats the baseline, ties half."
)
_SEEDS_FOR_SIGN_FLIP = 6
_MOST_LEADING = 2
_MOST_DRAWN = 4
_MOST_NAMED = 6


def answer(rows: pd.DataFrame) -> Answer:
    """Return how the schedulers differ in final accuracy, with intervals, corrected tests and what could be seen."""
    return conditions.by_place(rows, _one_place)


# ---------------------------------------------------------------------------------------------------------- one place


def _one_place(rows: pd.DataFrame) -> Answer:
    found = settings(rows) if len(rows) else []
    said = [_said(setting) for setting in found]
    sentences = [sentence for part in said for sentence in part]
    compared = [setting for setting in found if len(setting.arms) > 1]
    if not found:
        sentences = ["No trial completed with an accuracy, so nothing can be said about schedulers."]
    elif compared:
        sentences += _caveats(rows, found)
    return Answer(
        title=TITLE,
        sentences=tuple(sentences),
        table=table(found),
        figure=lambda: _figure(found),
        notes=_notes(compared),
        headline=_headline(found, said),
    )


def _said(setting: Setting) -> list[str]:
    """The sentences on one setting, each opened by its factors where there are several settings."""
    found = _sentences(setting)
    return [f"{describe(setting.factors)}: {after_colon(s)}" for s in found] if setting.factors else found


def _headline(found: list[Setting], said: list[list[str]]) -> tuple[str, ...]:
    """The first sentence on each of the first settings, those that compare schedulers before those that cannot."""
    order = sorted(range(len(found)), key=lambda index: len(found[index].arms) < 2)
    more = len(found) - _MOST_LEADING
    rest = [f"{count(more, 'more setting')} of the other factors: see the schedulers' part below."] if more > 0 else []
    return (*(said[index][0] for index in order[:_MOST_LEADING]), *rest)


def _notes(compared: list[Setting]) -> tuple[str, ...]:
    if not compared:
        return ()
    ranked = [setting for setting in compared if is_ranked(setting)]
    return (HOW, *((RANKS,) if ranked else ()), *((NO_RANKS,) if len(ranked) < len(compared) else ()))


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
    others = "the other one" if len(apart) == 1 else f"the other {len(apart):,}"
    return [f"{text}; from {others} it is." if apart else f"{text}."]


def _about_power(setting: Setting, names: dict) -> list[str]:
    """Say what the planned comparisons could have seen: those with the baseline, or all pairs where there is none."""
    planned = setting.planned
    found = sorted((c.detectable, index) for index, c in enumerate(planned) if known(c.detectable))
    if not found:
        return []
    (low, easiest), (high, hardest) = ((size, _other(planned[index], names)) for size, index in (found[0], found[-1]))
    sizes = f"{points(high).lstrip('+')} points"
    if points(low) != points(high):
        sizes = f"{points(low).lstrip('+')} ({easiest}) to {sizes} ({hardest})"
    whose = f"a comparison with {names[setting.baseline]}" if setting.baseline else "a comparison of two schedulers"
    text = (
        f"With {count(setting.num_seeds, 'seed')} {whose}, at 5% by itself, finds a true difference of "
        f"{sizes} four times in five; smaller ones may be there unseen"
    )
    runner_up = setting.pairs[setting.arms[0], setting.arms[1]]
    needed = runner_up.pairs_to_tell if not runner_up.told_apart else 0
    if needed > setting.num_seeds:
        text += f" (telling the first two apart, if their difference is as seen, takes about {needed:,} seeds)"
    return [f"{text}."]


def _other(c: Comparison, names: dict) -> str:
    return names[c.a] if is_baseline(c.b) else f"{names[c.a]} against {names[c.b]}"


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


# ------------------------------------------------------------------------------------------------------------- figure


def _figure(found: list[Setting]):
    if not found:
        return figures.message("No trial completed with an accuracy")
    compared = [setting for setting in found if len(setting.arms) > 1] or found
    drawn = compared[:_MOST_DRAWN]
    names = short_names(arm for setting in drawn for arm in setting.arms)
    return figures.comparison([_panel(setting, names) for setting in drawn], _title(compared, names))


def _panel(setting: Setting, names: dict) -> tuple[str, str, list]:
    """One setting as the figure takes it: its factors, what the differences are to, and its rows."""
    reference = setting.baseline or setting.arms[0]
    drawn = []
    for arm in setting.arms:
        scores = setting.scores[arm].dropna()
        c = setting.against.get(arm) if setting.baseline else setting.pairs.get((reference, arm))
        difference = t_interval((c.differences if setting.baseline else -c.differences) if c is not None else [])
        drawn.append((names[arm], accuracy_interval(scores), scores.tolist(), difference))
    return describe(setting.factors), names[reference], drawn


def _title(compared: list[Setting], names: dict) -> str:
    """The finding on the only setting; of several that on the first, and how many there are."""
    first, *others = compared
    title = _figure_title(first, names)
    if not others:
        return f"{title} ({describe(first.factors)})" if first.factors else title
    titles = {_figure_title(setting, names) for setting in compared}
    if len(titles) > 1:
        title = f"{describe(first.factors)}: {after_colon(title)}; {count(len(others), 'other setting')} below"
    else:
        title = f"{title}, in each of {len(compared):,} settings"
    return title if len(compared) <= _MOST_DRAWN else f"{title} (the first {_MOST_DRAWN} of {len(compared):,} drawn)"


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
