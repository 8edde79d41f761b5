"""Which conditions are worth their time? Accuracy against training time, and the front that no other condition beats.

A condition is a scheduler at one setting of the machine factors that are in force: on a CPU the cuDNN flags are not.
Times are of training alone, on the machine at hand, from trials that had their device alone. What this does *not* do:
weigh a point of accuracy against a second; that is the reader's.
"""

import sys

import pandas as pd

from analysis import figures
from analysis.answers import Answer
from analysis.page.wording import after_colon, count, level, listed, percent, points, seconds
from analysis.rows import conditions
from analysis.rows.conditions import short_names
from analysis.statistics.fronts import FEWEST, Condition, Trade, trades

TITLE = "Which conditions are worth their time?"
NESTED = ()
USUALLY = 0.9
HOW = (
    "A condition is on the front where no other is both faster and more accurate in its means over seeds (replicates "
    "are averaged first). P(front) is the share of 2,000 bootstrap draws in which it is: seeds are drawn anew with all "
    f"their conditions together, from {FEWEST} seeds on. Intervals are Student's over seeds, of time on its logarithm. "
    "Whether times differ at all is asked of Friedman's test over seeds (of two conditions: the paired t-test). "
    "Training time leaves validation out."
)
_MOST_NAMED = 5


def applies(rows: pd.DataFrame) -> bool:
    """Return whether two conditions or more at one setting have times that can be compared."""
    return any(len(trade.conditions) > 1 for trade in trades(rows)) if len(rows) else False


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
    without = sum(trade.num_without for trade in found)
    seeds = [f"{count(without, 'seed')} on which some condition failed or is missing are left out of the trade-off."]
    return tuple(seeds) if without else ()


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
    sentences = [*_same_time(trade, names), _front_sentence(trade, names, front)]
    if trade.num_seeds < FEWEST:
        sentences.append(
            f"How sure the front is cannot be told from {count(trade.num_seeds, 'seed')}: a bootstrap needs {FEWEST}."
        )
        return sentences
    sure = [c for c in front if c.front_share >= USUALLY]
    never = [c for c in trade.conditions if c.front_share <= 1 - USUALLY]
    if sure:
        text = listed([_name(c, names) for c in sure[:_MOST_NAMED]])
        sentences.append(f"With other seeds {text} would be there in at least {percent(USUALLY, 0)} of draws.")
    else:
        sentences.append(f"With other seeds none of these would be there in {percent(USUALLY, 0)} of draws.")
    if never:
        text = listed([_name(c, names) for c in never[:_MOST_NAMED]])
        more = f" and {count(len(never) - _MOST_NAMED, 'other')}" if len(never) > _MOST_NAMED else ""
        sentences.append(f"{text}{more} would be there in at most {percent(1 - USUALLY, 0)} of draws.")
    return sentences


def _same_time(trade: Trade, names: dict) -> list[str]:
    """Say first where the times are noise: then the front is made by chance, and accuracy is all there is."""
    if trade.times_told:
        return []
    best = max(trade.conditions, key=lambda c: c.accuracy.value)
    seeds = count(trade.num_seeds, "seed")
    text = (
        f"No difference in training time can be told between the {len(trade.conditions)} conditions with {seeds} "
        f"(p = {trade.time_p:.2f}), so only accuracy is left to choose by: {_name(best, names)} has the highest mean, "
        f"{percent(best.accuracy.value, 2)}"
    )
    return [f"{text}."]


def _name(condition: Condition, names: dict) -> str:
    return names[condition.arm, condition.machine]


def _front_sentence(trade: Trade, names: dict, front: list[Condition]) -> str:
    if len(front) == 1:
        best = front[0]
        return (
            f"{_name(best, names)} has the shortest time and the highest accuracy of {len(trade.conditions)} "
            f"conditions: {_point(best)} ({count(trade.num_seeds, 'seed')})."
        )
    first, last = front[0], front[-1]
    gain = last.accuracy.value - first.accuracy.value
    middle = f", by way of {listed([_name(c, names) for c in front[1:-1][:_MOST_NAMED]])}" if len(front) > 2 else ""
    cost = last.time.value / first.time.value
    span = f"from {_name(first, names)} ({_point(first)}) to {_name(last, names)} ({_point(last)}){middle}"
    return (
        f"Of {len(trade.conditions)} conditions {len(front)} are on the front, {span}: {points(gain)} points for "
        f"{cost:.3f} times the time ({count(trade.num_seeds, 'seed')})."
    )


def _point(condition: Condition) -> str:
    return f"{percent(condition.accuracy.value, 2)} in {seconds(condition.time.value)}"


def table(found: list[Trade]) -> pd.DataFrame:
    """Return one row for each setting and condition, the fastest first."""
    records = []
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
                    "on_front": "yes" if c.on_front else "no",
                    "front_share": c.front_share,
                }
            )
    return pd.DataFrame(records)


def _figure(found: list[Trade]):
    from analysis.figures.tradeoff import scatter

    drawn = [trade for trade in found if len(trade.conditions) > 1]
    if not drawn:
        return figures.message("There are no two conditions with a time and an accuracy")
    return scatter(drawn)


if __name__ == "__main__":
    from analysis.page.command import main

    sys.exit(main("tradeoff"))
