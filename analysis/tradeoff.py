"""Which conditions are worth their time? Accuracy against training time, and the front that no other condition beats.

A condition is a scheduler at one setting of the machine factors that are in force: on a CPU the cuDNN flags are not.
Times are of training alone, on the machine at hand, from trials that had their device alone. What this does *not* do:
weigh a point of accuracy against a second; that is the reader's.
"""

import math
import sys

import numpy as np
import pandas as pd

from analysis import figures
from analysis.answers import Answer
from analysis.page.wording import after_colon, count, level, listed, percent, points, seconds
from analysis.rows import conditions
from analysis.rows.conditions import short_names
from analysis.rows.outcomes import Outcomes
from analysis.statistics.fronts import FEWEST, SIGNIFICANT, Condition, Trade, several, trades
from analysis.statistics.intervals import paired_interval

TITLE = "Which conditions are worth their time?"
NESTED = ()
USUALLY = 0.9
HOW = (
    "A condition is on the front where no other is both faster and more accurate in its means over seeds (replicates "
    "are averaged first), of the seeds that every condition completed. The share of resamples is of 2,000: seeds are "
    f"drawn anew with all their conditions together, from {FEWEST} seeds on; it is no probability of being on the true "
    "front. Intervals are Student's over seeds, of time on its logarithm, and not corrected for their number. "
    "Whether times differ at all is asked of Friedman's test over seeds (of two conditions: the paired t-test); where "
    "they are not shown to, no front is given. Two conditions are told apart where the p of the paired t-test, times "
    "the number of pairs of conditions, is below 5%. Where a seed's difference lies far outside of the others, its "
    "interval and p are those of sign flips. Training time leaves validation out."
)
_MOST_NAMED = 5


def applies(rows: pd.DataFrame) -> bool:
    """Return whether two conditions or more at one setting have times that can be compared."""
    return len(rows) > 0 and several(rows)


def answer(rows: pd.DataFrame, record: dict | None = None) -> Answer:
    """Return which conditions are on the front of accuracy against training time, and how sure that is."""
    return conditions.by_place(rows, lambda here: _one_place(here, record or {}))


# ------------------------------------------------------------------------------------------------------------- words


def _one_place(rows: pd.DataFrame, record: dict) -> Answer:
    found = [trade for trade in trades(rows, record) if trade.conditions] if len(rows) else []
    sentences: list[str] = []
    for trade in found:
        said = _sentences(trade)
        sentences += [f"{trade.part.label}: {after_colon(text)}" for text in said] if len(found) > 1 else said
    if not found:
        sentences = ["No trial has an accuracy and a training time of its own, so there is nothing to trade."]
    return Answer(
        title=TITLE,
        sentences=tuple(sentences),
        table=table(found),
        figure=lambda: _figure(found),
        notes=(HOW,) if found else (),
        caveats=_caveats(found),
    )


def _caveats(found: list[Trade]) -> tuple[str, ...]:
    without = len(frozenset().union(*(trade.without for trade in found)))
    are = "is" if without == 1 else "are"
    text = f"{count(without, 'seed')} on which some condition failed or is missing {are} left out of the trade-off"
    where = " of its setting" if len(found) > 1 else ""
    return (f"{text}{where}: means here can differ from those of other sections.",) if without else ()


def names_of(trade: Trade) -> dict[tuple[str, str], str]:
    """Return a short name for each condition."""
    short = short_names(condition.arm for condition in trade.conditions)
    several = len(short) > 1
    return {
        (c.arm, c.machine): ", ".join(
            text for text in (short[c.arm] if several or not c.machine else "", c.machine) if text
        )
        for c in trade.conditions
    }


def _sentences(trade: Trade) -> list[str]:
    names, front = names_of(trade), trade.front
    if len(trade.conditions) < 2:
        only = trade.conditions[0]
        return [f"Only {names[only.arm, only.machine]} was run: {_point(only)}; there is nothing to weigh it against."]
    warned = _about_diverged(trade)
    if not trade.times_told:
        return [*_same_time(trade, names), *warned]
    sentences = [_front_sentence(trade, names, front), *warned]
    if trade.num_seeds < FEWEST:
        sentences.append(
            f"How sure the front is cannot be told from {count(trade.num_seeds, 'seed')}: a bootstrap needs {FEWEST}."
        )
        return sentences
    sure = [c for c in front if c.front_share >= USUALLY]
    never = [c for c in trade.conditions if c.front_share <= 1 - USUALLY]
    if sure:
        text = listed([_name(c, names) for c in sure[:_MOST_NAMED]])
        stay = "stay" if len(sure) > 1 else "stays"
        sentences.append(f"In at least {percent(USUALLY, 0)} of resamples of the seeds {text} {stay} on the front.")
    else:
        sentences.append(f"None of these stays on the front in {percent(USUALLY, 0)} of resamples of the seeds.")
    if never:
        text = listed([_name(c, names) for c in never[:_MOST_NAMED]])
        more = f" and {count(len(never) - _MOST_NAMED, 'other')}" if len(never) > _MOST_NAMED else ""
        sentences.append(
            f"{text}{more} {'are' if len(never) > 1 else 'is'} on it in at most {percent(1 - USUALLY, 0)} of resamples."
        )
    return sentences


def _same_time(trade: Trade, names: dict) -> list[str]:
    """Say where the times are not shown to differ: a front would be made by chance, and none is given."""
    best = max(trade.conditions, key=lambda c: c.accuracy.value)
    time = (
        f"No difference in training time can be told between the {len(trade.conditions)} conditions with "
        f"{count(trade.num_seeds, 'seed')} (p = {trade.time_p:.2f}), so no front is given; that does not show "
        "that they take the same time."
    )
    first = [c for c in trade.conditions if np.array_equal(c.accuracies, best.accuracies)]
    mean = percent(best.accuracy.value, 2)
    if len(first) == len(trade.conditions):
        return [time, f"All {len(first)} conditions have the same accuracy on every seed, {mean} in the mean."]
    highest = f"{_name(best, names)} has the highest mean accuracy, {mean}{_diverged(trade, best)}; it"
    if len(first) > 1:
        highest = f"{_some(first, names)} have the highest mean accuracy, {mean}, the same on every seed; each"
    return [time, f"{highest} {_told_in_accuracy(trade, best, names)}."]


def _told_in_accuracy(trade: Trade, best: Condition, names: dict) -> str:
    others = [c for c in trade.conditions if not np.array_equal(c.accuracies, best.accuracies)]
    same = [c for c in others if trade.accuracy_p(best, c) >= SIGNIFICANT]
    if not same:
        return "is told apart from every other in accuracy"
    return f"is not told apart in accuracy from {_some(same, names)}{_over_all_pairs(trade)}"


def _over_all_pairs(trade: Trade) -> str:
    """Say why two may be told apart in another section and not here."""
    pairs = math.comb(len(trade.conditions), 2)
    return f" (all {pairs} pairs share the 5% here: stricter than comparisons with a baseline)" if pairs > 1 else ""


def _some(found: list[Condition], names: dict) -> str:
    """Name the first of these, and count the rest."""
    rest = len(found) - _MOST_NAMED
    return listed([*(_name(c, names) for c in found[:_MOST_NAMED]), *([count(rest, "other")] if rest > 0 else [])])


def _name(condition: Condition, names: dict) -> str:
    return names[condition.arm, condition.machine]


def on_how_many(lost: Outcomes) -> str:
    """Return on how many of its seeds a scheduler diverged: "3 of 10 seeds"."""
    return f"{lost.num_diverged_seeds} of {count(lost.num_seeds, 'seed')}"


def _diverged(trade: Trade, condition: Condition) -> str:
    lost = trade.part.diverged.get(condition.arm)
    return f" where it completed (it diverged on {on_how_many(lost)})" if lost else ""


def _about_diverged(trade: Trade) -> list[str]:
    lost = trade.part.diverged
    if not lost:
        return []
    short, here = short_names(trade.part.arms), {c.arm for c in trade.conditions}
    some = [f"{short[arm]} diverged on {on_how_many(each)}" for arm, each in lost.items() if arm in here]
    gone = [f"{short[arm]} diverged on {on_how_many(each)}" for arm, each in lost.items() if arm not in here]
    seeds = f"the {count(trade.num_seeds, 'seed')} that every condition completed"
    said = [f"{listed(some)}: means here are of {seeds}, and count no divergence against it."] if some else []
    left_out = "is not weighed here" if len(gone) == 1 else "are not weighed here"
    return [*said, *([f"{listed(gone)} and completed none of its trials: it {left_out}."] if gone else [])]


def _front_sentence(trade: Trade, names: dict, front: list[Condition]) -> str:
    if len(front) == 1:
        return _single_front(trade, names, front[0])
    first, last = front[0], front[-1]
    gain, cost = paired_interval(last.accuracies - first.accuracies), _cost(first, last)
    middle = (
        f", by way of {listed([_name(c, names) + _diverged(trade, c) for c in front[1:-1][:_MOST_NAMED]])}"
        if len(front) > 2
        else ""
    )
    span = (
        f"from {_name(first, names)} ({_point(first)}){_diverged(trade, first)} to {_name(last, names)} "
        f"({_point(last)}){_diverged(trade, last)}{middle}"
    )
    ends = f" (95% interval {points(gain.low)} to {points(gain.high)})" if gain.bounded else ""
    times = f" ({cost.low:.3f} to {cost.high:.3f})" if cost.bounded else ""
    text = (
        f"Of {len(trade.conditions)} conditions {len(front)} are on the front, {span}: {points(gain.value)} points"
        f"{ends} for {cost.value:.3f} times the time{times} ({count(trade.num_seeds, 'seed')})"
    )
    p_values = {"accuracy": trade.accuracy_p(last, first), "time": trade.pair_time_p(last, first)}
    untold = [what for what, p in p_values.items() if p >= SIGNIFICANT]
    return (
        f"{text}; these two are not told apart in {listed(untold)}{_over_all_pairs(trade)}." if untold else f"{text}."
    )


def _cost(first: Condition, last: Condition):
    """Return how many times the first one's time the last one takes, with its interval."""
    return paired_interval(np.log(last.train_seconds) - np.log(first.train_seconds)).map(np.exp)


def _single_front(trade: Trade, names: dict, best: Condition) -> str:
    text = (
        f"In the mean {_name(best, names)} has the shortest time and the highest accuracy of {len(trade.conditions)} "
        f"conditions{_diverged(trade, best)}: {_point(best)} ({count(trade.num_seeds, 'seed')})"
    )
    others = [c for c in trade.conditions if c is not best]
    untold = {
        "time": [c for c in others if trade.pair_time_p(best, c) >= SIGNIFICANT],
        "accuracy": [c for c in others if trade.accuracy_p(best, c) >= SIGNIFICANT],
    }
    said = [f"in {what} from {_some(same, names)}" for what, same in untold.items() if same]
    return f"{text}; it is not told apart {', nor '.join(said)}{_over_all_pairs(trade)}." if said else f"{text}."


def _point(condition: Condition) -> str:
    return f"{percent(condition.accuracy.value, 2)} in {seconds(condition.time.value)}"


def table(found: list[Trade]) -> pd.DataFrame:
    """Return one row for each setting and condition, the fastest first."""
    records, lost = [], any(trade.part.diverged for trade in found)
    for trade in found:
        for c in trade.conditions:
            time, accuracy = c.time, c.accuracy
            records.append(
                {
                    **{name: level(value) for name, value in trade.part.factors.items()},
                    **({"stage": trade.part.stage} if trade.part.stage else {}),
                    "scheduler": c.arm,
                    **({"machine": c.machine} if any(other.machine for other in trade.conditions) else {}),
                    "num_seeds": trade.num_seeds,
                    "train_seconds": time.value,
                    "train_seconds_low": time.low,
                    "train_seconds_high": time.high,
                    "final_accuracy": accuracy.value,
                    "final_accuracy_low": accuracy.low,
                    "final_accuracy_high": accuracy.high,
                    **({"num_diverged_seeds": _num_diverged(trade, c)} if lost else {}),
                    "on_front": ("yes" if c.on_front else "no") if trade.times_told else "not told",
                    "front_share": c.front_share if trade.times_told else math.nan,
                }
            )
    return pd.DataFrame(records)


def _num_diverged(trade: Trade, condition: Condition) -> int:
    lost = trade.part.diverged.get(condition.arm)
    return lost.num_diverged_seeds if lost else 0


def _figure(found: list[Trade]):
    from analysis.figures.tradeoff import scatter

    drawn = [trade for trade in found if len(trade.conditions) > 1]
    if not drawn:
        return figures.message("There are no two conditions with a time and an accuracy")
    return scatter(drawn)


if __name__ == "__main__":
    from analysis.page.command import main

    sys.exit(main("tradeoff"))
