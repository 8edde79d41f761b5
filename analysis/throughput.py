"""What do the flags cost? Throughput with a machine factor at one level against another, paired inside random blocks.

Every comparison is between two trials of one block (same seed and replicate) that agree in every other factor; their
log-ratios are averaged over a block, and the interval is Student's over blocks. A verdict counts the comparisons of all
factors together (Holm), and "equivalent" is within 2 %. Replicates at identical factors give the noise floor (A/A).
What this does *not* do: mix machines or versions, use trials that shared their device, or word the sentences
(`analysis.throughput_words`).
"""

import math
import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis import figures
from analysis import throughput_words as words
from analysis.answers import Answer
from analysis.contrast import Contrast
from analysis.first_steps import about_search, change, compared
from analysis.page.wording import DASH, count, level, listed
from analysis.rows import conditions
from analysis.rows.conditions import CUDNN_FLAGS, MACHINE_FACTORS, SEEDS, completed, describe, levels, varied
from analysis.rows.timing import timed
from analysis.statistics.intervals import holm, paired_p
from analysis.statistics.verdicts import EQUIVALENT
from analysis.throughput_words import INERT

TITLE = "What do the flags cost?"


def answer(rows: pd.DataFrame, record: dict | None = None) -> Answer:
    """Return what each machine factor that varies does to samples_per_second, with its interval and the noise floor."""
    return conditions.by_place(rows, lambda here: _one_place(here, record or {}))


def contrasts(rows: pd.DataFrame) -> Iterator[Contrast]:
    """Yield every contrast of timed rows: each varied machine factor overall, then inside each level of the others."""
    machine = varied(rows, tuple(MACHINE_FACTORS))
    splits = varied(rows, ("workload", "batch_size", *MACHINE_FACTORS))
    for factor in machine:
        reference, *others = levels(rows, factor)
        for other in others:
            pairs = compared(_live(rows, factor), factor, other, reference)
            if pairs.empty:
                continue
            named = {"factor": factor, "level": other, "reference": reference}
            yield Contrast(**named, where="", pairs=pairs)
            for split in splits:
                parts = dict(list(pairs.groupby(split, observed=True, sort=False))) if split != factor else {}
                if len(parts) > 1:
                    for value in levels(pairs, split):
                        if value in parts:
                            yield Contrast(**named, where=describe({split: value}), pairs=parts[value])


def _live(rows: pd.DataFrame, factor: str) -> pd.DataFrame:
    """Leave out rows in which a cuDNN flag is inert, where others show what it does (a study on both CPU and GPU)."""
    if factor not in CUDNN_FLAGS or _inert(rows):
        return rows
    return rows[rows["cudnn_flags_inert"] != True]  # noqa: E712 (null is not True)


def live_contrasts(rows: pd.DataFrame) -> list[Contrast]:
    """Return the judged contrasts of the machine factors that vary, over all timed rows; none of a flag that is inert.

    `rows` are of one place.
    """
    usable = timed(rows)
    inert = _inert(usable)
    return [c for c in judged([c for c in contrasts(usable) if not c.where], inert) if not is_noise(c, inert)]


def noise_floor(rows: pd.DataFrame) -> Contrast:
    """Return odd replicates against even ones at identical factors, as a contrast whose true ratio is 1."""
    last = int(rows["replicate"].max()) if len(rows) else 0
    parts = [compared(rows, "replicate", odd, odd - 1, SEEDS) for odd in range(1, max(1, last) + 1, 2)]
    return Contrast(factor="", level="", reference="", where="", pairs=pd.concat(parts, ignore_index=True))


def judged(found: list[Contrast], inert: bool) -> list[Contrast]:
    """Return the overall contrasts with p corrected over all of them (Holm), those that are noise last and apart."""
    live = [c for c in found if not is_noise(c, inert)]
    p_values = holm([paired_p(c.blocks) for c in live])
    live = [replace(c, corrected_p=float(p), family_size=len(live)) for c, p in zip(live, p_values, strict=True)]
    return [*live, *(c for c in found if is_noise(c, inert))]


def is_noise(contrast: Contrast, inert: bool) -> bool:
    """Return whether a contrast is of a flag that does nothing where the trials ran."""
    return inert and contrast.factor in CUDNN_FLAGS


# ---------------------------------------------------------------------------------------------------------- one place


def _one_place(rows: pd.DataFrame, record: dict) -> Answer:
    usable = timed(rows)
    left_out = len(completed(rows)) - len(usable)
    found = list(contrasts(usable))
    floor, inert = noise_floor(usable), _inert(usable)
    overall = judged([c for c in found if not c.where], inert)
    num_live = sum(not is_noise(c, inert) for c in overall)
    about = [INERT] if num_live < len(overall) else []
    said = [*about, *(words.sentence(c, is_noise(c, inert)) for c in overall)]
    if not overall:
        said += words.nothing_varied(rows, usable, inert)
    benchmark = [c for c in overall if c.factor == "cudnn_benchmark" and not inert]
    said += words.about_floor(floor, usable)
    said += [sentence for c in benchmark for sentence in about_search(c, usable)]
    drawn = _with_parts(found, overall)
    drawn = [*drawn, floor] if len(floor.pairs) else drawn
    return Answer(
        title=TITLE,
        sentences=tuple(said),
        table=_table(drawn),
        figure=lambda: _figure(drawn, floor, inert),
        notes=_notes(rows, usable, left_out, bool(overall)),
        num_leading=max(1, len(about) + min(2, num_live)),
        verdict=words.verdict([c for c in overall if not is_noise(c, inert)]),
        caveats=words.caveats(usable, overall, inert),
        advice=words.advice(usable, overall, floor, inert, record),
    )


def _notes(rows: pd.DataFrame, usable: pd.DataFrame, left_out: int, any_compared: bool) -> tuple[str, ...]:
    notes = [words.HOW, *([words.VERDICTS] if any_compared else [])]
    if left_out:
        notes.append(
            f"{count(left_out, 'completed trial')} of {len(completed(rows))} left out: they shared their device with "
            "others (packed), went on from a checkpoint in a new process, or have no measured steady state."
        )
    if usable["gpu_uuid"].nunique() > 1:
        notes.append(
            f"Trials ran on {usable['gpu_uuid'].nunique()} GPUs of one model; differences between them add noise."
        )
    return tuple(notes)


def _with_parts(found: list[Contrast], overall: list[Contrast]) -> list[Contrast]:
    """Return the contrasts in their first order, the overall ones as they were judged."""
    by_label = {c.label: c for c in overall}
    return [by_label[c.label] if not c.where else c for c in found]


def _inert(rows: pd.DataFrame) -> bool:
    return bool(len(rows)) and bool((rows["cudnn_flags_inert"] == True).all())  # noqa: E712 (null is not True)


def _table(found: list[Contrast]) -> pd.DataFrame:
    records = []
    for c in found:
        ratio = c.ratio
        record = {
            "contrast": c.label,
            "where": c.where or "all",
            "num_blocks": ratio.n,
            "num_pairs": len(c.pairs),
            "speed_ratio": ratio.value,
            "speed_ratio_low": ratio.low,
            "speed_ratio_high": ratio.high,
            "first_step_extra_seconds": c.extra_seconds,
            "step_saved_seconds": c.saved_seconds,
        }
        if not math.isnan(c.corrected_p) and ratio.bounded:
            record |= {"holm_p": c.corrected_p, "equivalence_p": c.judgement.equivalence_p}
            record["verdict"] = c.judgement.verdict
        records.append(record)
    names = ("contrast", "where", "num_blocks", "num_pairs", "speed_ratio", "speed_ratio_low", "speed_ratio_high")
    judged_ones = ("holm_p", "equivalence_p", "verdict") if any("verdict" in record for record in records) else ()
    made = pd.DataFrame(records, columns=[*names, *judged_ones, "first_step_extra_seconds", "step_saved_seconds"])
    return made.fillna({"verdict": DASH}) if judged_ones else made


def _figure(found: list[Contrast], floor: Contrast, inert: bool):
    if not found:
        return figures.message("No two trials can be compared in speed")
    band = np.exp(floor.pairs["log_ratio"].quantile([0.025, 0.975])).tolist() if len(floor.pairs) else []
    drawn = [(c.label, c.where, c.ratio, np.exp(c.pairs.groupby("block")["log_ratio"].mean())) for c in found]
    return figures.forest(drawn, title=_figure_title(found, inert), xlabel="speed ratio (images/s)", band=band)


def _figure_title(found: list[Contrast], inert: bool) -> str:
    overall = [c for c in found if not c.where and c.factor]
    if not overall:
        return "The noise floor: identical trials against each other"
    if inert and all(c.factor in CUDNN_FLAGS for c in overall):
        return "On a CPU the cuDNN flags are inert: all of this is noise"
    live = [c for c in overall if not is_noise(c, inert)]
    if told := [c for c in live if c.ratio.bounded and c.judgement.told_apart]:
        return "; ".join(f"{c.factor} = {level(c.level)} is {change(c)}" for c in told[:2])
    names = listed(dict.fromkeys(c.factor for c in live))
    if all(c.judgement.verdict == EQUIVALENT for c in live):
        return f"Equivalent in speed within 2%, whatever the level of {names}"
    return f"No difference in speed found for {names}"


if __name__ == "__main__":
    from analysis.page.command import main

    sys.exit(main("throughput"))
