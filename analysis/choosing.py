"""Which arm of a comparison to use, or to stay with, in one line: its gain, whether it diverges, what its search costs.

What this does *not* do: compare (`analysis.comparisons` does), or say what else is to be done (`analysis.advice`).
"""

import pandas as pd

from analysis.compared_looks import where_words
from analysis.comparisons import Comparison, Setting
from analysis.contrast import Contrast
from analysis.first_steps import SEARCHING, compared, set_faster
from analysis.page.wording import level, listed
from analysis.rows.conditions import MACHINE_FACTORS
from analysis.rows.outcomes import Outcomes
from analysis.rows.timing import timed
from analysis.sizes import plain, signed
from analysis.statistics.verdicts import BETTER, EQUIVALENT, WORSE
from lrbench.own_rate import name_of_rate


def choice(rows: pd.DataFrame, setting: Setting, names: dict) -> str:
    """What to use: an arm that is better, the baseline where all others are worse, either where they are equivalent."""
    if setting.num_seeds < 2 or not setting.baseline:
        return ""
    baseline, machine = names[setting.baseline], setting.question.factor in MACHINE_FACTORS
    words = {arm: c.verdict for arm, c in _compared(setting).items()}
    better = [arm for arm, word in words.items() if word == BETTER and not setting.against[arm].disputed]
    if better:
        c = setting.against[better[0]]
        of = " of" if setting.metric.scale == "difference" else ""
        gain = f"{signed(setting.metric, c.estimate.value)}{of} {setting.metric.label} against {baseline}"
        if o := diverging(setting, better[0]):
            return _better_but_diverged(setting, o, names, gain)
        if faster := _set_faster(rows, setting, better[0]):
            return faster
        sound = [arm for arm in better[1:] if not diverging(setting, arm)]
        tied = [names[arm] for arm in sound if _may_be_as_good(setting, better[0], arm)]
        also = f"; {listed(tied[:3], 'or')} may be as good" if tied else ""
        rate = _at_rate(setting, better[0]) if setting.tuning else ""
        settled = f", settled {where_words(c)}" if c.settled.num_looks > 1 else ""
        return f"Use {names[better[0]]}{rate}: {gain}{settled}{also}."
    if words and all(word == EQUIVALENT for word in words.values()):
        size, label = plain(setting.metric, setting.margin), setting.metric.label
        if machine and len(words) == 1:
            return f"Set {setting.question.factor} as you like: it changes {label} by less than {size} here."
        if len(words) == 1:
            return f"Do not choose by {label}: {names[next(iter(words))]} is equivalent to {baseline} within {size}."
        apart = "two of the others may be up to two such margins apart"
        return f"Do not leave {baseline} for {label}: each other is equivalent to it within {size}; {apart}."
    if words and all(word == WORSE for word in words.values()):
        no_other = f"no other is better in {setting.metric.label}"
        if o := diverging(setting, setting.baseline):
            diverged = f"it diverged itself on {o.num_diverged_seeds} of {o.diverged_seeds.n} seeds"
            return f"Stay with {baseline}, but lower {_rate_of(setting)}: {no_other}, and {diverged}."
        return f"Stay with {baseline}: {no_other}."
    return ""


def chosen(setting: Setting) -> str:
    """The arm that `choice` speaks of; what became of its trials is said there, in the same line."""
    words = _compared(setting)
    better = [arm for arm, c in words.items() if c.verdict == BETTER and not c.disputed]
    if better:
        return better[0]
    return setting.baseline if words and all(c.verdict == WORSE for c in words.values()) else ""


def _compared(setting: Setting) -> dict[str, Comparison]:
    """Return the comparisons with the baseline, best first: without those of the baseline under another name."""
    found = {arm: setting.against[arm] for arm in setting.arms if arm in setting.against}
    return {arm: c for arm, c in found.items() if not c.is_one}


def diverging(setting: Setting, arm: str) -> Outcomes | None:
    """What became of an arm that diverged on some seed, where that can be mended; None of any other."""
    o = setting.outcomes[arm]
    return o if o.num_diverged_seeds and setting.question.factor in ("scheduler", "optimizer", "base_lr") else None


def _better_but_diverged(setting: Setting, o: Outcomes, names: dict, gain: str) -> str:
    """One line for an arm that is better and not to be relied on yet."""
    seeds = f"{o.num_diverged_seeds} of {o.diverged_seeds.n} seeds"
    text = f"it diverged on {seeds}, and is better all the same ({gain} where it completed)"
    return f"Lower {_rate_of(setting)} for {names[o.arm]} and run it again before you use it: {text}."


def _rate_of(setting: Setting) -> str:
    return "the base_lr" if setting.question.factor != "base_lr" else "the rate"


def _at_rate(setting: Setting, arm: str) -> str:
    """Say at which base_lr an arm was tuned, and as what; of one that writes its own rate over it the call alone."""
    calls = setting.rates[arm].partition(", as ")[2]
    own = name_of_rate(arm.partition(" per ")[0]) != "base_lr"
    return (f" as {calls}" if calls else "") if own else f" with base_lr {setting.rates[arm]}"


def _set_faster(rows: pd.DataFrame, setting: Setting, arm: str) -> str:
    """What to set where a faster level makes the first step longer; "" where no machine factor is judged by speed."""
    factor = setting.question.factor
    if setting.metric.name != "samples_per_second" or factor != SEARCHING or setting.factors:
        return ""
    usable = timed(rows)
    of = {level(value): value for value in usable[factor].unique()}
    here, there = of[arm], of[setting.baseline]
    pairs = compared(usable, factor, here, there)
    if pairs.empty:
        return ""
    found = Contrast(factor=factor, level=here, reference=there, where="", pairs=pairs)
    return set_faster(usable, found, f"{factor} = {arm}")


def _may_be_as_good(setting: Setting, best: str, arm: str) -> bool:
    return not are_apart(setting, best, arm) and not setting.are_alike(best, arm)


def are_apart(setting: Setting, a: str, b: str) -> bool:
    c = setting.pairs.get((a, b)) or setting.pairs.get((b, a))
    return c is not None and c.told_apart
