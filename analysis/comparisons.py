"""Any factor's levels against a baseline, by any metric: paired differences, seed by seed, each with its corrected p.

Settings that train differently (workload, epochs, base_lr, …) are kept apart; machine factors (the flags) and
replicates are averaged within a seed. Differences of ratio metrics (speed, memory, energy) are of logarithms, over
random blocks, from trials alone on their device. Trials that chose a base_lr ("selection") are in no comparison.
What this does *not* do: word findings or draw (`analysis.compared` and `analysis.schedulers` do).
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd

from analysis.page.wording import level, listed
from analysis.rows.alike import applied_alike
from analysis.rows.arms import Look, arm_names, at_look, comparable, is_inert, is_tuned, telling, up_to
from analysis.rows.cells import Cells
from analysis.rows.conditions import FACTORS, MACHINE_FACTORS, SCHEDULE, group_ids, is_baseline, levels, varied
from analysis.rows.outcomes import guessing, outcomes
from analysis.setting import SETTLING, SIGNIFICANT, Comparison, Setting, Settled
from analysis.statistics.intervals import holm, paired_p
from analysis.statistics.spending import overall_p, t_levels
from analysis.statistics.verdicts import EQUIVALENT, seed_sd
from lrbench.metrics import find_metric
from lrbench.questions import Compare, margin_of
from lrbench.stages import BOTH, DEFAULT, TUNED

# the factors besides the scheduler that change training: their levels are never pooled
TRAINING = tuple(name for name in FACTORS if name not in (*MACHINE_FACTORS, *SCHEDULE))
# what tuning chooses, arm by arm, and so keeps no settings apart
_CHOSEN = ("base_lr",)


STANDING = Compare(factor="scheduler")


def asked(record: dict) -> list[Compare]:
    """Return the [[compare]] tables of a study's record (study.json), in their order."""
    return [Compare(**table) for table in record.get("study", {}).get("compare", ())]


def settings(rows: pd.DataFrame) -> list[Setting]:
    """Return the standing comparison: schedulers by final accuracy, one Setting for each level of the other factors."""
    return compare(rows, STANDING)


def compare(rows: pd.DataFrame, question: Compare = STANDING, record: dict | None = None) -> list[Setting]:
    """Return one Setting for each level of the training factors besides the one asked for, in order; tuned ones lead.

    A question on a machine factor (a flag) averages over schedulers too, within a seed. Where rows hold trials at a
    base_lr that was chosen for each scheduler, there are settings for these and for those at the default.
    """
    return compare_all(rows, [question], record)[0]


def compare_all(rows: pd.DataFrame, questions: Sequence[Compare], record: dict | None = None) -> list[list[Setting]]:
    """Return the settings of each question, p-values corrected over all comparisons of the questions of one family.

    Tuned and default trials answer two questions, so each has a family of its own. In a study with [until] (`record`,
    its study.json) these are of the last complete look, and what a look settled stays settled: the looks before are
    judged again, from the rows that they had.
    """
    record = record or {}
    rows, look = at_look(rows, record)
    found = _judged(rows, questions, record, look)
    if not look.number:
        return found
    before = [
        _judged(up_to(rows, record, n), questions, record, replace(look, number=n)) for n in range(1, look.number)
    ]
    return _settled([*before, found], look)


def _judged(rows: pd.DataFrame, questions: Sequence[Compare], record: dict, look: Look) -> list[list[Setting]]:
    """Return the settings of each question as the rows of one look have them, corrected over families and looks."""
    found = [_settings(rows, question, record) for question in questions]
    families: dict[tuple, list[tuple[int, int]]] = {}
    for q, question in enumerate(questions):
        for s, setting in enumerate(found[q]):
            families.setdefault((question.family, setting.tuning), []).append((q, s))
    for places in families.values():
        for at, setting in zip(places, _corrected([found[q][s] for q, s in places], record, look), strict=True):
            found[at[0]][at[1]] = setting
    return found


# ----------------------------------------------------------------------------------------------------------- settings


def _settings(rows: pd.DataFrame, question: Compare, record: dict) -> list[Setting]:
    if comparable(rows).empty:
        return []
    rows = comparable(rows.assign(arm=arm_names(rows, question.factor, record)))
    if not is_tuned(rows):
        return _of_part(rows, question, "")
    parts = {part: rows[rows["tuning"].isin((part, BOTH))] for part in (TUNED, DEFAULT)}
    return [setting for part, own in parts.items() if len(own) for setting in _of_part(own, question, part)]


def _of_part(rows: pd.DataFrame, question: Compare, tuning: str) -> list[Setting]:
    apart = TRAINING if question.factor not in TRAINING else (*TRAINING, *SCHEDULE)
    chosen = (*_CHOSEN, *(SCHEDULE if question.factor == "scheduler" else ())) if tuning == TUNED else ()
    names = varied(rows, [name for name in apart if name not in (question.factor, *chosen)])
    order = {name: levels(rows, name) for name in names}
    found = []
    for _, part in rows.groupby(group_ids(rows, names), sort=False):
        usable = telling(part, find_metric(question.metric), question.factor)
        factors = {name: None if pd.isna(value) else value for name, value in part[names].iloc[0].items()}
        if len(usable):
            found.append(_setting(question, factors, tuning, part, usable))
    return sorted(found, key=lambda setting: [order[name].index(value) for name, value in setting.factors.items()])


def _setting(question: Compare, factors: dict, tuning: str, rows: pd.DataFrame, usable: pd.DataFrame) -> Setting:
    metric, happened = find_metric(question.metric), outcomes(rows)
    within = [n for n in (*MACHINE_FACTORS, *SCHEDULE) if n != question.factor and rows[n].nunique(dropna=False) > 1]
    if question.factor not in MACHINE_FACTORS:
        within = [name for name in within if name not in SCHEDULE]
    guess = guessing(rows, metric) if any(o.num_diverged for o in happened.values()) else None
    table = Cells.of(usable, metric, within)
    counted = table
    if guess is not None and not math.isnan(guess.value):
        diverged = rows[rows["status"] == "diverged"].assign(**{metric.name: guess.value})
        counted = Cells.of(pd.concat([usable, diverged]), metric, within)
    counted_scores = counted.scores(metric)
    scores = table.scores(metric)
    # a scheduler must not come first by the seeds that it did not lose
    scores = scores[[arm for arm in counted_scores if arm in scores]]
    baseline = _baseline(question, rows, list(scores))
    margin, noise = _margin(question, scores), is_inert(usable, question.factor)
    alike = applied_alike(usable) if question.factor == "scheduler" else ()

    def comparison(a: str, b: str) -> Comparison:
        return Comparison(
            a=a,
            b=b,
            differences=table.differences(a, b),
            seeds=table.seeds_of(a, b),
            corrected_p=math.nan,
            margin=margin,
            higher_is_better=metric.higher_is_better,
            counted=counted.differences(a, b),
            counted_p=math.nan,
            is_noise=noise,
            is_one=not metric.is_speed and any({a, b} <= {*arms} for arms in alike),
            any_diverged=counted is not table and bool(happened[a].num_diverged or happened[b].num_diverged),
        )

    others = [arm for arm in scores if arm != baseline]
    return Setting(
        question=question,
        factors=factors,
        tuning=tuning,
        rates=_rates(rows) if tuning else {},
        scores=scores,
        counted_scores=counted_scores[list(scores)],
        losses=usable.groupby("arm")["final_loss"].mean(),
        outcomes=happened,
        guess=guess.said if guess else "",
        baseline=baseline,
        margin=margin,
        averaged=(*within, *(["replicate"] if usable["replicate"].nunique() > 1 and not metric.is_speed else [])),
        seeds=tuple(sorted(int(seed) for seed in usable["seed"].dropna().unique())),
        against={arm: comparison(arm, baseline) for arm in others if baseline},
        pairs={pair: comparison(*pair) for pair in combinations(others, 2)},
        alike=alike,
    )


def _rates(rows: pd.DataFrame) -> dict[str, str]:
    """Return for each arm the base_lr of its trials, in words."""
    found = {}
    for arm, part in rows.groupby("arm", observed=True, sort=False):
        ran = part[["base_lr", "scheduler"]].astype(object).drop_duplicates()
        calls = [call for call in ran["scheduler"].astype(str).unique() if not arm.startswith(call)]
        text = listed([level(rate) for rate in sorted(ran["base_lr"].unique())])
        found[arm] = f"{text}, as {listed(calls)}" if calls else text
    return found


def _baseline(question: Compare, rows: pd.DataFrame, names: list[str]) -> str:
    """Return the arm that the others are held against; "" where schedulers were run without ConstantLR."""
    own = rows.drop_duplicates("arm").set_index("arm")[question.factor].astype(object)
    own = own[[arm for arm in own.index if arm in names]]
    if question.baseline is not None:
        wanted = level(question.baseline)
        exact = [arm for arm in own.index if arm == wanted or level(own[arm]) == wanted]
        of_class = [arm for arm in own.index if str(own[arm]).partition("(")[0] == wanted]
        return next(iter([*exact, *sorted(of_class, key=lambda arm: not is_baseline(arm))]), "")
    if question.factor == "scheduler":
        return next((arm for arm in names if is_baseline(arm)), "")
    first = level(levels(rows, question.factor)[0])
    return first if first in names else ""


def _margin(question: Compare, scores: pd.DataFrame) -> float:
    """Return the difference that matters, on the scale of the differences; nan where it is not known."""
    wanted = margin_of(question)
    if wanted.kind == "share":
        return math.log1p(wanted.size)
    return wanted.size * seed_sd(scores) if wanted.kind == "seed_sd" else wanted.size


# --------------------------------------------------------------------------------------------------------- correction


def _corrected(family: list[Setting], record: dict, look: Look) -> list[Setting]:
    """Correct the p-values of the settings' comparisons, those with a baseline and those without it each by Holm."""
    against = _with_p([c for setting in family for c in setting.against.values()], record, look)
    among = _with_p([c for setting in family for c in setting.pairs.values()], record, look)
    found = []
    for setting in family:
        own = {arm: next(against) for arm in setting.against}
        rest = [next(among) for _ in setting.pairs]
        found.append(replace(setting, against=own, pairs=_best_first(setting.arms, [*own.values(), *rest])))
    return found


def _with_p(comparisons: list[Comparison], record: dict, look: Look):
    """Yield the comparisons with their p corrected over all of them, and so with the diverged trials counted.

    One schedule under two names is no comparison: known from the rates, whatever came out, it takes no part of the 5 %.
    """
    family = [c for c in comparisons if not c.is_one]
    p_values = iter(holm([_p_over_looks(c.differences, record, look) for c in family]))
    diverged = any(c.any_diverged for c in family)
    counted = iter(holm([_p_over_looks(c.counted, record, look) for c in family])) if diverged else None
    shared = {
        "family_size": len(family),
        "equivalence_level": _level_of(record, look, SIGNIFICANT),
        "told_level": _level_of(record, look, SIGNIFICANT / max(1, len(family))),
        "is_early": look.is_early,
    }
    for c in comparisons:
        p = 1.0 if c.is_one else float(next(p_values))
        q = p if c.is_one or counted is None else float(next(counted))
        yield replace(c, corrected_p=p, counted_p=q, **shared)


def _p_over_looks(differences: np.ndarray, record: dict, look: Look) -> float:
    """The p of the paired t-test; of a study that looks several times, the level at which its looks would end it."""
    p = paired_p(differences)
    if not look.seeds or p >= 1:
        return p
    return overall_p(p, look.seeds, record["study"]["until"]["spending"], max(1, look.number))


def _level_of(record: dict, look: Look, share: float) -> float:
    """Return what a look leaves of this share of the error over all looks."""
    if not look.seeds:
        return share
    return float(t_levels(look.seeds, record["study"]["until"]["spending"], share)[max(1, look.number) - 1])


def _best_first(order: list[str], found: list[Comparison]) -> dict[tuple[str, str], Comparison]:
    """Key comparisons by (better arm, worse arm), each turned round where it stands the other way."""
    turned = [c if order.index(c.a) < order.index(c.b) else c.turned for c in found]
    return {(c.a, c.b): c for c in turned}


# -------------------------------------------------------------------------------------------------------------- looks


def _settled(looks: list[list[list[Setting]]], look: Look) -> list[list[Setting]]:
    """Return the settings of the last of these looks, each comparison with what the first look to settle it found.

    What is rejected at any look is rejected by Holm's procedure over the smallest of the looks' overall p-values too,
    and these hold over all looks, so a family's error stays at 5 % (Maurer and Bretz, 2013).
    """
    first: dict[tuple, tuple[Comparison, Settled]] = {}
    for number, found in enumerate(looks, 1):
        for key, c in _every(found):
            if c.verdict_now in SETTLING:
                first.setdefault(key, (c, _as_settled(c, number, look)))

    def with_settled(q: int, setting: Setting, c: Comparison) -> Comparison:
        then, settled = first.get(_key(q, setting, c), (c, Settled()))
        held = replace(then, settled=settled)
        return replace(c, settled=(held if then.a == c.a else held.turned).settled)

    return [
        [
            replace(
                setting,
                against={arm: with_settled(q, setting, c) for arm, c in setting.against.items()},
                pairs={pair: with_settled(q, setting, c) for pair, c in setting.pairs.items()},
            )
            for setting in settings
        ]
        for q, settings in enumerate(looks[-1])
    ]


def _as_settled(c: Comparison, number: int, look: Look) -> Settled:
    p = math.nan if c.verdict_now == EQUIVALENT else c.shown_p
    return Settled(word=c.verdict_now, look=number, num_looks=len(look.seeds), num_seeds=look.seeds[number - 1], p=p)


def _every(found: list[list[Setting]]):
    """Yield every comparison of two arms with its key, the same at every look."""
    for q, settings in enumerate(found):
        for setting in settings:
            for c in setting.pairs.values():
                yield _key(q, setting, c), c


def _key(q: int, setting: Setting, c: Comparison) -> tuple:
    return q, setting.tuning, repr(setting.factors), frozenset((c.a, c.b))
