"""How long does each scheduler take to a validation accuracy? Epochs and seconds to the first epoch that reaches it.

One trial a seed is taken, so that trials are independent. Validation comes once an epoch, so a time is that of the end
of the epoch in which the target was met. A trial that ended without it was not there in its budget, and stays so; one
that diverged never will be, whatever it had met before; one that was cut off by a crash is censored where it stopped.
Seconds are those of training alone, as `train_seconds_curve` has them: rows of before there was that column have epochs
only. What this does *not* do: look at test images.
"""

import math
import sys

import pandas as pd

from analysis import figures
from analysis.answers import Answer
from analysis.page.wording import after_colon, count, level, listed, number, percent
from analysis.rows import conditions
from analysis.rows.conditions import completed, short_names
from analysis.rows.reaching import Arm, Race, races
from analysis.rows.seed_tables import machine_note, parts
from analysis.statistics.intervals import t_interval
from analysis.statistics.survival import FEWEST
from analysis.statistics.verdicts import BETTER, INCONCLUSIVE, NOT_TESTABLE, WORSE

TITLE = "How long does each scheduler take to a target accuracy?"
NESTED = ("val_accuracy_curve", "train_seconds_curve")
SIGNIFICANT = 0.05
_MOST_TOLD = 4
HOW = (
    "One trial a seed; a time is that of the end of the first epoch whose validation accuracy meets the target. "
    "Medians are Kaplan and Meier's with Brookmeyer and Crowley's 95% interval on the log(-log) scale, from "
    f"{FEWEST} seeds on; shares have exact bounds (Clopper and Pearson). A difference is that of the mean time spent, "
    "cut at the end of training (restricted mean), paired by seed; a trial that diverged counts with a whole training. "
    "The cut makes a scheduler that misses the target look quicker than it is: one that is there on fewer seeds than "
    "the baseline is not called better, nor one that is there on more called worse. Student's interval, p of the "
    "paired t-test, Holm-corrected over schedulers, in seconds and epochs together."
)
NO_END = "Where a median's 95% interval has no upper end (half may never be there), the table leaves it out."


def applies(rows: pd.DataFrame) -> bool:
    """Return whether there is a race: two schedulers or more at one setting, with validation after several epochs."""
    if not len(rows) or "val_accuracy_curve" not in rows:
        return False
    several = completed(rows)
    several = several[several["epochs"].fillna(0) > 1]
    return any(len(part.arms) > 1 for part in parts(several, {})) if len(several) else False


def answer(rows: pd.DataFrame, record: dict | None = None, target: float = 0.0) -> Answer:
    """Return how long each scheduler takes to the target, a fraction; 0: the baseline's median final validation
    accuracy, by setting."""
    return conditions.by_place(rows, lambda here: _one_place(here, record or {}, target))


# ------------------------------------------------------------------------------------------------------------- words


def _one_place(rows: pd.DataFrame, record: dict, target: float) -> Answer:
    found = races(rows, record, target)
    several = len({race.part.label for race in found}) > 1
    sentences: list[str] = []
    for race in _preferred(found):
        said = _sentences(race, target)
        sentences += [f"{race.part.label}: {after_colon(text)}" for text in said] if several else said
    if not found:
        sentences = ["No trial has a validation accuracy after each epoch, so there is no target to be timed to."]
    leading = _preferred(found)[:1]
    return Answer(
        title=TITLE,
        sentences=tuple(sentences),
        table=table(found),
        figure=lambda: _figure(found),
        notes=_notes(rows, found),
        verdict=_verdict(leading[0]) if leading else "",
    )


def _preferred(found: list[Race]) -> list[Race]:
    """Return one race for each setting: in seconds where there is one."""
    return list({race.part.label: race for race in found}.values())


def _verdict(race: Race) -> str:
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


def _notes(rows: pd.DataFrame, found: list[Race]) -> tuple[str, ...]:
    if not found:
        return ()
    notes = [HOW]
    if where := machine_note(rows):
        notes.append(f"Times are those of the trials at {where}, replicate 0.")
    if not any(race.unit == "s" for race in found):
        packed = "packed" in rows and bool((rows["packed"] == True).any())  # noqa: E712 (null is not True)
        why = (
            "shared their device" if packed else "do not have the seconds to each epoch's end (older than that column)"
        )
        notes.append(f"Epochs only: some trials {why}, so no time can be given.")
    medians = [arm.median for race in found for arm in race.arms]
    if any(math.isfinite(median.low) and math.isinf(median.high) for median in medians if math.isfinite(median.value)):
        notes.append(NO_END)
    return tuple(notes)


def _sentences(race: Race, stated: float) -> list[str]:
    names = short_names(arm.name for arm in race.arms)
    whose = "as stated" if stated else f"the median final one of {names[race.baseline]}"
    goal = f"{percent(race.target, 2)} validation accuracy ({whose})"
    if len(race.arms) < 2:
        only = race.arms[0]
        return [f"{names[only.name]} reached {goal} in {_share(only)}, {_median(only, race.unit)}; nothing to compare."]
    told = [_told_sentence(race, names, name, goal) for name in _told(race)[:_MOST_TOLD]]
    # the badge is that of the first one told, so that one leads
    return [
        *told[:1],
        _soonest(race, names, goal),
        *told[1:],
        *_not_told(race, names),
        *_missed(race, names),
        *_lost(race, names),
    ]


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
    gap, base, arm = t_interval(race.gaps[name]), names[race.baseline], names[name]
    ends = sorted((abs(gap.low), abs(gap.high)))
    span = f"{number(ends[0])} to {number(ends[1])}" if gap.bounded else "the same on every seed"
    amount = number(abs(gap.value))
    much = "1 epoch" if (amount, race.unit) == ("1", "epochs") else f"{amount} {race.unit}"
    text = (
        f"{arm} trains {much} {'less' if gap.value < 0 else 'more'} than {base} until "
        f"{goal}, in the mean, cut at the end of training ({span}; paired over {count(gap.n, 'seed')}, "
        f"Holm p {_p(race.corrected_p[name])})."
    )
    if _word(race, name) != INCONCLUSIVE:
        return text
    hits, base_hits = race.num_reached[name]
    not_called = "better" if gap.value < 0 else "worse"
    return f"{text} It got there on {hits} of these seeds and {base} on {base_hits}: not called {not_called}."


def _not_told(race: Race, names: dict) -> list[str]:
    """Say which arms are identical to the baseline in the time they take, and which are not told from it."""
    base, sentences = names[race.baseline], []
    same = [name for name, gap in race.gaps.items() if len(gap) > 1 and not gap.any()]
    if same:
        few = listed([names[name] for name in same])
        sentences.append(f"{few} took exactly as long as {base} on every seed.")
    left = [name for name in race.gaps if race.corrected_p[name] >= SIGNIFICANT and name not in same]
    if left:
        few = listed([names[name] for name in left[:6]] + (["others"] if len(left) > 6 else []), "or")
        sentences.append(
            f"With {count(_num_pairs(race), 'seed')} {few} cannot be told from {base} in the mean time spent."
        )
    return sentences


def _num_pairs(race: Race) -> int:
    return max((len(gap) for gap in race.gaps.values()), default=0)


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


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


def table(found: list[Race]) -> pd.DataFrame:
    """Return one row for each setting, unit and scheduler, the soonest first."""
    records = []
    for race in found:
        for arm in sorted(race.arms, key=lambda arm: (arm.median.value, -arm.share.value)):
            gap = t_interval(race.gaps.get(arm.name, []))
            share, median = arm.share, arm.median
            records.append(
                {
                    **{name: level(value) for name, value in race.part.factors.items()},
                    **({"stage": race.part.stage} if race.part.stage else {}),
                    "scheduler": arm.name,
                    "target_accuracy": race.target,
                    "time_unit": race.unit,
                    "num_seeds": len(arm.times),
                    "reached_share": share.value,
                    "reached_share_low": share.low,
                    "reached_share_high": share.high,
                    "median_time": median.value if math.isfinite(median.value) else math.nan,
                    "median_time_low": median.low if math.isfinite(median.low) else math.nan,
                    "median_time_high": median.high,
                    "to_baseline_time": gap.value,
                    "to_baseline_time_low": gap.low,
                    "to_baseline_time_high": gap.high,
                    "to_baseline_time_p": race.corrected_p.get(arm.name, math.nan)
                    if gap.n > 1 and race.gaps[arm.name].any()
                    else math.nan,
                    "num_diverged": arm.num_diverged,
                }
            )
    return pd.DataFrame(records)


def _figure(found: list[Race]):
    from analysis.figures.time_to_target import reach_curves

    drawn = [race for race in _preferred(found) if len(race.arms) > 0]
    if not drawn:
        return figures.message("No trial has a validation accuracy after each epoch")
    return reach_curves(drawn)


if __name__ == "__main__":
    from analysis.page.command import main

    sys.exit(main("time_to_target"))
