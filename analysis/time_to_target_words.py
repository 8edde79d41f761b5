"""The sentences on one race to a target accuracy: which scheduler is told from the baseline, who was there when.

What this does *not* do: find out when an arm was there (`analysis.rows.reaching` does).
"""

import math

from analysis.page.wording import count, equals_p, listed, number, percent
from analysis.rows.conditions import short_names
from analysis.rows.reaching import Arm, Race, middle_finals
from analysis.statistics.intervals import paired_interval
from analysis.statistics.verdicts import BETTER, INCONCLUSIVE, NOT_TESTABLE, WORSE

SIGNIFICANT = 0.05
_MOST_TOLD = 4


def verdict(race: Race) -> str:
    """Return the word of the comparison that leads, or of all where none was told."""
    if not any(len(gap) > 1 for gap in race.gaps.values()):
        return NOT_TESTABLE
    told = _told(race)
    return _word(race, told[0]) if told else INCONCLUSIVE


def _word(race: Race, name: str) -> str:
    """Return the word for an arm that is told from the baseline; none for one whose share of seeds says otherwise."""
    hits, base_hits = race.num_reached[name]
    if race.gaps[name].mean() < 0:
        return BETTER if hits >= base_hits else INCONCLUSIVE
    return WORSE if hits <= base_hits else INCONCLUSIVE


def _told(race: Race) -> list[str]:
    """Return the arms told from the baseline by the mean time they spend: better ones, worse ones, then the rest; of
    each the largest difference first."""
    told = [name for name, p in race.corrected_p.items() if p < SIGNIFICANT]
    order = (BETTER, WORSE, INCONCLUSIVE)
    return sorted(told, key=lambda name: (order.index(_word(race, name)), -abs(race.gaps[name].mean())))


def sentences(race: Race, stated: float) -> list[str]:
    names = short_names(arm.name for arm in race.arms)
    whose = "as stated" if stated else _whose(race, names[race.baseline])
    goal = f"{percent(race.target, 2)} validation accuracy ({whose})"
    if len(race.arms) < 2:
        only = race.arms[0]
        return [f"{names[only.name]} reached {goal} in {_share(only)}, {_median(only, race.unit)}; nothing to compare."]
    told = [_told_sentence(race, names, name, goal) for name in _told(race)[:_MOST_TOLD]]
    if not told and (none := _none_told(race, names, goal)):
        return [none, *_missed(race, names), *_lost(race, names)]
    # the badge is that of the first one told, so that one leads
    return [
        *told[:1],
        _soonest(race, names, goal),
        *told[1:],
        *_not_told(race, names),
        *_missed(race, names),
        *_lost(race, names),
    ]


def _whose(race: Race, baseline: str) -> str:
    low, high = middle_finals(race.part)
    of = "the median final one" if low == high else "the lower of the two middle final ones"
    return f"{of} of {baseline}"


def _none_told(race: Race, names: dict, goal: str) -> str:
    """Say that no arm is told from the baseline in its time, with both medians; "" where there is more to be said."""
    best, base = race.fastest, next((arm for arm in race.arms if arm.name == race.baseline), None)
    same = any(race.num_alike(name) for name in race.gaps)
    if base is None or best is base or same or not math.isfinite(best.median.value) or _num_pairs(race) < 2:
        return ""
    who = "No scheduler" if len(race.arms) > 2 else names[best.name]
    text = f"{who} can{'' if len(race.arms) > 2 else 'not'} be told from {names[base.name]} in the time to {goal}"
    shortest = f"{names[best.name]} was there soonest, {_median(best, race.unit)}, in {_share(best)}"
    return f"{text}; {shortest}; {names[base.name]}: {_median(base, race.unit)}, in {_share(base)}."


def _soonest(race: Race, names: dict, goal: str) -> str:
    best = race.fastest
    if not math.isfinite(best.median.value):
        if not best.reached.any():
            return f"No scheduler reached {goal} on any seed."
        most = listed([names[arm.name] for arm in race.arms if arm.share.value == best.share.value])
        return f"No scheduler reached {goal} in half of its seeds; {most} did most often, in {_share(best)}."
    tied = [arm for arm in race.arms if arm.median.value == best.median.value and arm is not best]
    if len(tied) == len(race.arms) - 1:
        who = "both" if len(race.arms) == 2 else f"all {len(race.arms)}"
        return f"To {goal} {who} schedulers take a median of {_time(best.median.value, race.unit)}{_within(race.arms)}."
    have = "have" if len(tied) > 1 else "has"
    also = f"; {listed([names[arm.name] for arm in tied])} {have} the same median" if tied else ""
    text = f"{names[best.name]} reached {goal} soonest, {_median(best, race.unit)}, in {_share(best)}{also}"
    base = next((arm for arm in race.arms if arm.name == race.baseline), best)
    if base is best or base in tied:
        return f"{text}."
    told = "" if race.corrected_p.get(best.name, 1.0) < SIGNIFICANT else "; not told apart"
    return f"{text}; {names[base.name]}: {_median(base, race.unit)}, in {_share(base)}{told}."


def _share(arm: Arm) -> str:
    return f"{int(arm.reached.sum())} of {count(len(arm.times), 'seed')}"


def _median(arm: Arm, unit: str) -> str:
    found = arm.median
    if not math.isfinite(found.value):
        return "half of its seeds never there"
    text = f"median {_time(found.value, unit)}"
    if not math.isfinite(found.low):
        return text
    if math.isinf(found.high):
        return f"{text} (95% interval from {_time(found.low, unit)}, no upper end)"
    return f"{text} (95% interval {number(found.low)} to {_time(found.high, unit)})"


def _within(arms: tuple[Arm, ...]) -> str:
    """Say what the intervals of medians that are equal span; "" where one has no bounds."""
    ends = {(arm.median.low, arm.median.high) for arm in arms}
    if not all(math.isfinite(end) for pair in ends for end in pair):
        return ""
    span = f"{number(min(low for low, _ in ends))} to {number(max(high for _, high in ends))}"
    return f" (95% interval of each {span})" if len(ends) == 1 else f" (95% intervals within {span})"


def _time(value: float, unit: str) -> str:
    return count(int(value), "epoch") if unit == "epochs" else f"{number(value)} s"


def _told_sentence(race: Race, names: dict, name: str, goal: str) -> str:
    """Say how the mean time that an arm spends differs from the baseline's, and where its share of seeds forbids it."""
    gap, base, arm = paired_interval(race.gaps[name]), names[race.baseline], names[name]
    ends = sorted((abs(gap.low), abs(gap.high)))
    span = f"{number(ends[0])} to {number(ends[1])}" if gap.bounded else "the same on every seed"
    amount = number(abs(gap.value))
    much = "1 epoch" if (amount, race.unit) == ("1", "epochs") else f"{amount} {race.unit}"
    text = (
        f"{arm} trains {much} {'less' if gap.value < 0 else 'more'} than {base} until "
        f"{goal}, in the mean, cut at the end of training ({span}; paired over {count(gap.n, 'seed')}, "
        f"Holm p {equals_p(race.corrected_p[name])})."
    )
    if _word(race, name) != INCONCLUSIVE:
        return text
    hits, base_hits = race.num_reached[name]
    not_called = "better" if gap.value < 0 else "worse"
    return f"{text} It got there on {hits} of these seeds and {base} on {base_hits}: not called {not_called}."


def _not_told(race: Race, names: dict) -> list[str]:
    """Say which arms are identical to the baseline in the time they take, and which are not told from it."""
    base, sentences = names[race.baseline], []
    same = [name for name in race.gaps if race.num_alike(name)]
    by_seeds: dict[tuple[int, int], list[str]] = {}
    for name in same:
        by_seeds.setdefault((race.num_alike(name), len(race.gaps[name])), []).append(names[name])
    for (num_there, num_seeds), few in by_seeds.items():
        where = "on every seed"
        if num_there < num_seeds:
            where = f"on the {num_there} of {count(num_seeds, 'seed')} on which both got there, and on the rest neither"
            where += " did"
        sentences.append(f"{listed(few)} took exactly as long as {base} {where}.")
    nowhere = [name for name, hits in race.num_reached.items() if hits == (0, 0)]
    left = [name for name in race.gaps if race.corrected_p[name] >= SIGNIFICANT and name not in (*same, *nowhere)]
    if left:
        few = listed([names[name] for name in left[:6]] + (["others"] if len(left) > 6 else []), "or")
        sentences.append(
            f"With {count(_num_pairs(race), 'seed')} {few} cannot be told from {base} in the mean time spent."
        )
    return sentences


def _num_pairs(race: Race) -> int:
    return max((len(gap) for gap in race.gaps.values()), default=0)


def _missed(race: Race, names: dict) -> list[str]:
    missed = [arm for arm in race.arms if not arm.reached.all()]
    shares = [f"{names[arm.name]} {int((~arm.reached).sum())} of {len(arm.times)}" for arm in missed]
    return [f"Not there by the end of training: {listed(shares)}."] if shares else []


def _lost(race: Race, names: dict) -> list[str]:
    gone = [f"{names[arm.name]} in {arm.num_diverged} of {len(arm.times)}" for arm in race.arms if arm.num_diverged]
    cut = sum(arm.num_cut_off for arm in race.arms)
    sentences = [f"Diverged, and so never there: {listed(gone)}."] if gone else []
    if cut:
        counts = "counts as not there yet where it" if cut == 1 else "count as not there yet where they"
        sentences.append(f"{count(cut, 'trial')} ended early by a crash, and {counts} stopped.")
    return sentences
