"""Does a flag change the lead of a scheduler? Contrasts of two factors, blocked by seed.

A contrast is what moving the one factor does to the other's lead over its reference, on one seed. Seeds that gave
bit-identical accuracies in both are counted first; where all did, there is nothing to test. What this does *not* do:
ask what a flag does to all schedulers alike (`analysis.throughput` and `analysis.reproducibility` do).
"""

import sys

import pandas as pd

from analysis import figures
from analysis.answers import Answer
from analysis.figures.colours import colours_of
from analysis.page.wording import after_colon, count, equals_p, known, level, listed, percent, points
from analysis.rows import conditions
from analysis.rows.conditions import CUDNN_FLAGS, completed, short_names
from analysis.statistics.contrasts import Contrast, Crossing, crossings, is_crossed
from analysis.statistics.fronts import in_force
from analysis.statistics.intervals import mismatch_bound
from analysis.statistics.verdicts import BETTER, EQUIVALENT, INCONCLUSIVE, NOT_TESTABLE, WORSE

TITLE = "Does a flag change which scheduler leads?"
NESTED = ()
SIGNIFICANT = 0.05
HOW = (
    "A contrast is, on one seed, a scheduler's lead over the baseline at one level of a flag less its lead at the "
    "flag's reference level; replicates and other flags are averaged first. p is that of the paired t-test over seeds, "
    "or of sign flips where a seed lies far outside of the others, Holm-corrected over all contrasts of a setting; the "
    "margin is one SD over seeds. The permutation p of a flag as a whole flips each seed's table of contrasts at "
    "random, which needs no normality."
)


def applies(rows: pd.DataFrame) -> bool:
    """Return whether two schedulers or more ran at two levels or more of a machine factor that was in force.

    On a CPU the cuDNN flags are not: that they move nothing there is no finding.
    """
    done = completed(rows)
    if not len(done) or done["scheduler"].nunique() < 2 or not in_force(done):
        return False
    return is_crossed(rows)


def answer(rows: pd.DataFrame, record: dict | None = None) -> Answer:
    """Return which flags move which scheduler's lead in accuracy, and by how much."""
    return conditions.by_place(rows, lambda here: _one_place(here, record or {}))


# ------------------------------------------------------------------------------------------------------------- words


def _one_place(rows: pd.DataFrame, record: dict) -> Answer:
    found = crossings(rows, record) if len(rows) else []
    sentences: list[str] = []
    for crossing in found:
        said = _sentences(crossing)
        sentences += [f"{crossing.part.label}: {after_colon(text)}" for text in said] if len(found) > 1 else said
    if not found:
        sentences = ["No two schedulers ran at two levels of a flag, so no lead can have moved."]
    words = {_verdict(crossing) for crossing in found}
    return Answer(
        title=TITLE,
        sentences=tuple(sentences),
        table=table(found),
        figure=lambda: _figure(found),
        notes=(HOW,) if found else (),
        verdict=words.pop() if len(words) == 1 else "differs between settings" if words else NOT_TESTABLE,
    )


def _verdict(crossing: Crossing) -> str:
    words = {c.judgement.verdict for c in crossing.contrasts}
    told = [c for c in crossing.contrasts if c.judgement.told_apart]
    if told:
        return (
            told[0].judgement.verdict if len({c.judgement.verdict for c in told}) == 1 else "differs between settings"
        )
    return words.pop() if len(words) == 1 else INCONCLUSIVE


def _sentences(crossing: Crossing) -> list[str]:
    return [text for factor in crossing.overall_p for text in _about(crossing, factor)]


def _about(crossing: Crossing, factor: str) -> list[str]:
    names = short_names(crossing.part.arms)
    mine = [c for c in crossing.contrasts if c.factor == factor]
    base, num_seeds = names[crossing.part.baseline], len(mine[0].values)
    if all(not c.values.any() for c in mine):
        bound = mismatch_bound(0, num_seeds)
        text = f"{factor} moves no lead: all {len(mine)} contrasts with {base} are exactly 0 on each of"
        if factor in CUDNN_FLAGS and not in_force(crossing.part.rows):
            return [f"{text} {count(num_seeds, 'seed')}, as it must be on a CPU."]
        text += f" {count(num_seeds, 'seed')} (at 95% confidence it moves one on at most {percent(bound)} of seeds)."
        return [text]
    told = sorted((c for c in mine if c.judgement.told_apart), key=lambda c: -abs(c.judgement.estimate.value))
    sentences = [_told(c, names, base) for c in told[:3]]
    alike = [c for c in mine if c.judgement.verdict == EQUIVALENT]
    open_ = [c for c in mine if c.judgement.verdict not in (EQUIVALENT,) and not c.judgement.told_apart]
    p = f"permutation p {_p(crossing.overall_p[factor])}"
    if not told and not open_:
        text = f"{factor} moves no scheduler's lead over {base} by as much as the margin of {_points(crossing.margin)}"
        return [f"{text} points ({count(num_seeds, 'seed')}, {p})."]
    if not told:
        largest = max(open_, key=lambda c: abs(c.judgement.estimate.value))
        sentences.append(
            f"Whether {factor} moves a lead over {base} cannot be told with {count(num_seeds, 'seed')} ({p}); the "
            f"largest shift is that of {names[largest.arm]}, {_size(largest)}{_seen(mine)}."
        )
    if told and alike:
        sentences.append(f"The lead of {listed([names[c.arm] for c in alike])} stays within the margin.")
    return sentences


def _told(c: Contrast, names: dict, base: str) -> str:
    return (
        f"{c.factor}={level(c.at)} moves the lead of {names[c.arm]} over {base} by {_size(c)} against "
        f"{level(c.reference)} (Holm p {_p(c.judgement.corrected_p)})."
    )


def _size(c: Contrast) -> str:
    estimate = c.judgement.estimate
    span = f" (95% interval {points(estimate.low)} to {points(estimate.high)})" if estimate.bounded else ""
    return f"{points(estimate.value)} points{span}"


def _seen(mine: list[Contrast]) -> str:
    detectable = [c.judgement.detectable for c in mine if known(c.judgement.detectable)]
    return (
        f"; a shift of {_points(max(detectable))} points would have been found four times in five" if detectable else ""
    )


def _points(value: float) -> str:
    return points(value).lstrip("+")


def _p(value: float) -> str:
    return equals_p(value)


def table(found: list[Crossing]) -> pd.DataFrame:
    """Return one row for each setting, factor, level and scheduler."""
    records = []
    for crossing in found:
        for c in crossing.contrasts:
            estimate, moved = c.judgement.estimate, bool(c.values.any())
            records.append(
                {
                    **{name: level(value) for name, value in crossing.part.factors.items()},
                    "factor": c.factor,
                    "level": level(c.at),
                    "scheduler": c.arm,
                    "num_seeds": len(c.values),
                    "num_identical": c.num_identical,
                    "shift_points": estimate.value,
                    "shift_points_low": estimate.low,
                    "shift_points_high": estimate.high,
                    "holm_p": c.judgement.corrected_p if moved else float("nan"),
                    "verdict": _word(c) if moved else "identical",
                }
            )
    return pd.DataFrame(records)


def _figure(found: list[Crossing]):
    if not found:
        return figures.message("No two schedulers ran at two levels of a flag")
    crossing = found[0]
    names, colours = short_names(crossing.part.arms), colours_of(crossing.part.arms)
    groups: dict[str, list[figures.Line]] = {}
    for c in crossing.contrasts:
        word = _word(c) if c.values.any() else f"identical on {count(len(c.values), 'seed')}"
        line = figures.Line(label=names[c.arm], estimate=c.judgement.estimate, verdict=word, colour=colours[c.arm])
        groups.setdefault(f"{c.factor}={level(c.at)} against {level(c.reference)}", []).append(line)
    xlabel = f"points by which the lead over {names[crossing.part.baseline]} moves"
    margin = crossing.margin if known(crossing.margin) else 0.0
    drawn = [
        figures.Group(title=title, xlabel=xlabel, lines=tuple(lines), margin=margin, scale=100.0)
        for title, lines in groups.items()
    ]
    return figures.summary(drawn, _figure_title(crossing))


def _word(c: Contrast) -> str:
    """A lead is not better or worse: it grows or shrinks."""
    return {BETTER: "lead grows", WORSE: "lead shrinks"}.get(c.judgement.verdict, c.judgement.verdict)


def _figure_title(crossing: Crossing) -> str:
    told = [c for c in crossing.contrasts if c.judgement.told_apart]
    if told:
        names = short_names(crossing.part.arms)
        return f"The lead of {listed(dict.fromkeys(names[c.arm] for c in told))} depends on {told[0].factor}"
    if not any(c.values.any() for c in crossing.contrasts):
        return "No flag moved any scheduler's lead by a single bit"
    return f"No flag is seen to move a scheduler's lead ({count(len(crossing.contrasts), 'contrast')})"


if __name__ == "__main__":
    from analysis.page.command import main

    sys.exit(main("interaction"))
