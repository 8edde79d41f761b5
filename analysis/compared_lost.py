"""The sentences on failed trials of a setting: who diverged and what that does to a verdict, and what is missing.

What this does *not* do: word the comparisons themselves (`analysis.compared_words`), or count (`analysis.rows.outcomes`
does).
"""

from analysis.comparisons import Comparison, Setting
from analysis.page.wording import count, listed, percent
from analysis.rows.outcomes import MISSING, Outcomes
from analysis.sizes import bare, signed


def about_lost(setting: Setting, names: dict) -> list[str]:
    """Say what failed: divergence by seeds with exact bounds and what it does to the verdict, then what is missing."""
    sentences = [_about_diverged(setting, o, names) for o in setting.lost if o.num_diverged]
    missing = [
        f"{count(o.num_missing, 'trial')} of {names[o.arm]} ({missing_words(o)})" for o in setting.lost if o.num_missing
    ]
    if missing:
        sentences.append(f"Missing from every comparison, for they say nothing of the training: {listed(missing)}.")
    return sentences


def missing_words(o: Outcomes) -> str:
    """Return how an arm's missing trials ended: "2 crashed and 1 timed out"."""
    lost = sorted((s, n) for s, n in o.statuses.items() if s in MISSING)
    return listed([f"{n:,} {status.replace('_', ' ')}" for status, n in lost])


def _about_diverged(setting: Setting, o: Outcomes, names: dict) -> str:
    share = o.diverged_seeds
    bounds = f"95% bounds of the share {percent(share.low, 0)} to {percent(share.high, 0)}"
    text = f"{names[o.arm]} diverged on {o.num_diverged_seeds} of {share.n} seeds ({bounds}, exact)"
    if o.arm not in setting.scores:
        return f"{text} and completed none of its trials: it is in no comparison, and cannot be recommended."
    own = setting.against.get(o.arm)
    if not setting.guess:
        return f"{text}; a diverged trial has no {setting.metric.label}, so it is compared by those that completed."
    if own is None:
        return f"{text}; each counts {setting.guess} in a second analysis, and a verdict stands where both share it."
    counted = own.counted_judgement.estimate
    ends = (
        f", 95% interval {bare(setting.metric, counted.low)} to {bare(setting.metric, counted.high)}"
        if counted.bounded
        else ""
    )
    text += f"; with these counted {setting.guess} its difference is {signed(setting.metric, counted.value)}{ends}"
    if own.withdrawn:
        return f"{text}: what the completed trials alone would say ({own.withdrawn}) is withdrawn."
    return f"{text}."


def withheld(setting: Setting, c: Comparison, names: dict) -> str:
    """What is said of an arm whose diverged trials take back what the completed ones would say."""
    metric, e, counted = setting.metric, c.estimate, c.counted_judgement.estimate
    text = f"{who_diverged(setting, c, names)}, so nothing is concluded about {names[c.a]} against {names[c.b]}"
    done = f"on the {count(e.n, unit_of(setting))} that both completed it was {signed(metric, e.value)}"
    ends = f" ({bare(metric, counted.low)} to {bare(metric, counted.high)})" if counted.bounded else ""
    return f"{text}; {done}, and {signed(metric, counted.value)}{ends} with diverged trials counted {setting.guess}."


def who_diverged(setting: Setting, c: Comparison, names: dict) -> str:
    """Return which of two arms diverged, and on how many seeds."""
    found = [setting.outcomes[arm] for arm in (c.a, c.b) if setting.outcomes[arm].num_diverged]
    return listed([f"{names[o.arm]} diverged on {o.num_diverged_seeds} of {o.diverged_seeds.n} seeds" for o in found])


def unit_of(setting: Setting) -> str:
    """Return what the setting counts by: blocks for speed, else seeds."""
    return "block" if setting.metric.is_speed else "seed"
