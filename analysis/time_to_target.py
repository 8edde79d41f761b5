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
from analysis import time_to_target_words as words
from analysis.answers import Answer
from analysis.page.wording import after_colon, level
from analysis.rows import conditions
from analysis.rows.conditions import completed
from analysis.rows.reaching import Race, races
from analysis.rows.seed_tables import machine_note, parts
from analysis.statistics.intervals import paired_interval
from analysis.statistics.survival import FEWEST
from analysis.statistics.verdicts import of_settings

TITLE = "How long does each scheduler take to a target accuracy?"
NESTED = ("val_accuracy_curve", "train_seconds_curve")
_MOST_LEADING = 2
HOW = (
    "One trial a seed; a time is that of the end of the first epoch whose validation accuracy meets the target. "
    "Medians are Kaplan and Meier's with Brookmeyer and Crowley's 95% interval on the log(-log) scale, from "
    f"{FEWEST} seeds on; shares have exact bounds (Clopper and Pearson). A difference is that of the mean time spent, "
    "cut at the end of training (restricted mean), paired by seed: a trial that misses the target counts with the "
    "longer training of its pair, one that diverged with a whole one at least; a dash stands where the cut alone makes "
    "two equal. "
    "The cut makes a scheduler that misses the target look quicker than it is: one that is there on fewer seeds than "
    "the baseline is not called better, nor one that is there on more called worse. Student's interval, p of the "
    "paired t-test (where a seed lies far outside of the others both are those of sign flips), Holm-corrected over "
    "schedulers, in seconds and epochs together. A scheduler that applied the baseline's rates at every step is the "
    "baseline under another name, and is left out."
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
    first: list[str] = []
    for race in _preferred(found):
        said = words.sentences(race, target)
        said = [f"{race.part.label}: {after_colon(text)}" for text in said] if several else said
        sentences, first = [*sentences, *said], [*first, said[0]]
    if not found:
        sentences = ["No trial has a validation accuracy after each epoch, so there is no target to be timed to."]
    return Answer(
        title=TITLE,
        sentences=tuple(sentences),
        table=table(found),
        figure=lambda: _figure(found),
        notes=_notes(rows, found),
        headline=tuple(first[:_MOST_LEADING]),
        verdict=of_settings([words.verdict(race) for race in _preferred(found)]) if found else "",
    )


def _preferred(found: list[Race]) -> list[Race]:
    """Return one race for each setting: in seconds where there is one."""
    return list({race.part.label: race for race in found}.values())


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


def table(found: list[Race]) -> pd.DataFrame:
    """Return one row for each setting, unit and scheduler, the soonest first."""
    records = []
    for race in found:
        for arm in sorted(race.arms, key=lambda arm: (arm.median.value, -arm.share.value)):
            gap = paired_interval([] if _by_the_cut_alone(race, arm.name) else race.gaps.get(arm.name, []))
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
                    "to_baseline_time_low": _zero_if_rounding(gap.low),
                    "to_baseline_time_high": _zero_if_rounding(gap.high),
                    "to_baseline_time_p": race.corrected_p.get(arm.name, math.nan)
                    if gap.n > 1 and race.gaps[arm.name].any()
                    else math.nan,
                    "num_diverged": arm.num_diverged,
                }
            )
    return pd.DataFrame(records)


def _by_the_cut_alone(race: Race, name: str) -> bool:
    """Whether an arm spends what the baseline does on every seed, and not since it got there as soon."""
    return name in race.gaps and not race.gaps[name].any() and not race.num_alike(name) and len(race.gaps[name]) > 1


def _zero_if_rounding(end: float) -> float:
    """An end that is 0 but for rounding, as 0: times are told to 3 digits, and no epoch is as short."""
    return 0.0 if abs(end) < 1e-12 else end


def _figure(found: list[Race]):
    from analysis.figures.time_to_target import reach_curves

    drawn = [race for race in _preferred(found) if len(race.arms) > 0]
    if not drawn:
        return figures.message("No trial has a validation accuracy after each epoch")
    return reach_curves(drawn)


if __name__ == "__main__":
    from analysis.page.command import main

    sys.exit(main("time_to_target"))
