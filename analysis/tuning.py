"""Is each schedule at its own best rate? What [tune] chose, how sure that is, and what it bought on fresh seeds.

Where nothing was chosen and base_lr varies in the grid, the curves alone. Trials that chose are in no comparison with
each other: what is the best of many looks better than it is. What this does *not* do: choose (`lrbench.tuning`),
or compare the schedulers (`analysis.schedulers`).
"""

import sys
from dataclasses import replace

import pandas as pd

from analysis.answers import Answer
from analysis.page.wording import DASH, level, number
from analysis.rows import conditions
from analysis.rows.conditions import SCHEDULE, varied
from analysis.rows.gains import Gain, gains, orders, runs
from analysis.rows.rates import Curve, choices, curves, tune_of
from analysis.rows.selection import Selection, selection
from analysis.tuning_advice import CURVES, advice, caveats, notes
from analysis.tuning_words import headline, names_of, rate_of, sentences, tied_with, unfinished
from lrbench.stages import TUNED
from lrbench.tuning import Choice

TITLE = "Is each schedule at its own best rate?"
NESTED = ()
BOUNDARY = {"": "inside", "lowest": "lowest tried", "highest": "highest tried"}


def applies(rows: pd.DataFrame) -> bool:
    """Return whether schedulers were tried at several rates: by [tune], or as base_lr varies in the grid."""
    return bool(curves(rows, {}))


def answer(rows: pd.DataFrame, record: dict | None = None) -> Answer:
    """Return which rate suits each scheduler, how wide it is good, and what tuning bought; `record` is study.json.

    While trials of the selection are missing nothing is chosen: then the curves so far, and what to type.
    """
    at = selection(rows, record or {})
    return conditions.by_place(rows, lambda here: _one_place(here, record or {}, at))


def arms(rows: pd.DataFrame, record: dict | None = None) -> pd.Series:
    """Name the arm of each row of a comparison: its scheduler's call as the grid has it, whatever was chosen for it.

    With how it is stepped, where that varies. Two arms of a class that were tuned to the same setting share its trials;
    these go by the arm that has that call in the grid, or by the first of the two: `analysis.rows.gains.runs` has the
    rows of each. Without the trials that chose among the rows, study.json (`record`) tells what was chosen.
    """
    names = rows["scheduler"].astype(str)
    tuned = rows[rows["tuning"].astype(object) == TUNED]
    chosen = choices(rows, record or {}) if len(tuned) else []
    # the last one stands: one that kept its own call, else the first
    backwards = chosen[::-1]
    for choice in sorted(backwards, key=_kept):
        names[runs(tuned, choice)[1].index] = choice.scheduler
    if "scheduler_interval" in varied(rows, SCHEDULE):
        return names + " per " + rows["scheduler_interval"].astype(str)
    return names


def _kept(choice: Choice) -> bool:
    return choice.chosen_scheduler == choice.scheduler


def _one_place(rows: pd.DataFrame, record: dict, at: Selection) -> Answer:
    found = curves(rows, record)
    if not found:
        return Answer(
            title=TITLE,
            sentences=(
                "Every scheduler was run at one base_lr, so nothing is known of others; add [tune] to the study.",
            ),
            table=pd.DataFrame(),
            figure=_figure(found),
        )
    if at.is_open:
        return _unfinished([replace(curve, chosen=False, tied=(), decided_by="") for curve in found], at)
    tune = tune_of(rows, record)
    bought = gains(rows, choices(rows, record))
    both = orders(bought)
    return Answer(
        title=TITLE,
        sentences=tuple(sentences(found, bought, both, tune)),
        table=table(found, bought),
        figure=_figure(found),
        notes=tuple(notes(found, bought)),
        headline=tuple(headline(found, bought, both, tune)),
        caveats=tuple(caveats(found, tune)),
        advice=tuple(advice(found, tune, bought)),
    )


def _unfinished(found: list[Curve], at: Selection) -> Answer:
    said = unfinished(found, at)
    of_choice = ["of_those_tried", "good_rates", "good_factor"]  # of a choice that is not made
    so_far = table(found, []).drop(columns=of_choice).rename(columns={"best_rate": "best_so_far"})
    return Answer(
        title=TITLE,
        sentences=tuple(said),
        table=so_far,
        figure=_figure(found, at),
        notes=(CURVES,),
        headline=(said[0],),
    )


def _figure(found: list[Curve], at: Selection = Selection(num_done=0, num_trials=0)):
    def draw():
        from analysis.figures import message
        from analysis.figures.tuning import sensitivity

        return sensitivity(found, at) if found else message("Every scheduler was run at one base_lr")

    return draw


def table(found: list[Curve], bought: list[Gain]) -> pd.DataFrame:
    """Return one row for each setting and scheduler: what was tried and chosen, how wide it is good, what it bought."""
    names = names_of(found)
    by_arm = {(gain.choice.scheduler, gain.choice.interval, str(gain.choice.factors)): gain for gain in bought}
    own = [by_arm.get((curve.arm, curve.interval, str(curve.factors))) for curve in found]
    return pd.DataFrame(
        [_record(curve, names[curve.key], gain, bool(bought)) for curve, gain in zip(found, own, strict=True)]
    )


def _record(curve: Curve, name: str, gain: Gain | None, with_gains: bool) -> dict:
    wide = curve.width == curve.width and not curve.nothing_completed
    record = {
        **{name: level(value) for name, value in curve.factors.items()},
        "scheduler": name,
        "num_candidates": curve.num_candidates,
        "num_trials": curve.num_trials,
        "num_failed": curve.num_failed,
        ("chosen_rate" if curve.chosen else "best_rate"): DASH if curve.nothing_completed else rate_of(curve),
        curve.metric.name: curve.best.mean,
        "of_those_tried": _of_those_tried(curve),
        "good_rates": _span(curve) if wide else DASH,
        "good_factor": f"{'≥ ' if curve.is_open else ''}{number(curve.width)}" if wide else DASH,
    }
    return record | (_gained(gain) if with_gains else {})


def _of_those_tried(curve: Curve) -> str:
    if curve.nothing_completed:
        return "none completed"
    return BOUNDARY[curve.boundary] + (f", a tie with {tied_with(curve)}" if curve.tied else "")


def _span(curve: Curve) -> str:
    low, high = curve.good[0].rate, curve.good[-1].rate
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _gained(gain: Gain | None) -> dict:
    if gain is None:
        return {"default_accuracy": float("nan"), "tuned_accuracy": float("nan"), "verdict": "not run"}
    estimate = gain.judgement.estimate
    record = {"default_accuracy": gain.default.mean(), "tuned_accuracy": gain.tuned.mean()}
    if gain.choice.nothing_completed:
        return record | {"gained_points": float("nan"), "gained_p": float("nan"), "verdict": "nothing was chosen"}
    if gain.unchanged:
        return record | {"gained_points": 0.0, "gained_p": float("nan"), "verdict": "same as default"}
    ends = {"gained_points_low": estimate.low, "gained_points_high": estimate.high}
    return record | {
        "gained_points": estimate.value,
        **ends,
        "margin_points": gain.judgement.margin,
        "gained_p": gain.corrected_p,
        "verdict": gain.judgement.verdict,
    }


if __name__ == "__main__":
    from analysis.page.command import main

    sys.exit(main("tuning"))
