"""Where does the spread of accuracy come from? Seeds, repeats, and the luck of which images are in the test set.

Seeds and replicates are told apart in closed form; what seeds do to accuracy is then parted into what other test images
would have undone and what they would not; and each scheduler's spread is set against the baseline's. What this does
*not* do: ask which stream of a seed it is (`lrbench claims` does), or whether repeats are bit-identical
(`analysis.reproducibility` does).
"""

import math
import sys

import numpy as np
import pandas as pd

from analysis import figures
from analysis.answers import Answer
from analysis.page.wording import after_colon, count, equals_p, known, level, listed, number, percent, points
from analysis.rows import conditions
from analysis.rows.conditions import completed, short_names
from analysis.rows.seed_tables import machine_note, parts
from analysis.rows.spreads import Source, sources
from analysis.statistics.dispersion import LEVEL
from analysis.statistics.intervals import sd_interval
from analysis.statistics.luck import distribution_sd_of, share_of

TITLE = "Where does the spread of accuracy come from?"
NESTED = ("predictions",)
FEWEST = 6
HOW = (
    "The SD over seeds is what is left of the spread of seed means when the run-to-run variance in them is taken off; "
    "intervals are closed forms for normal values (Ting et al., 1990; chi-square). The luck of the test images is the "
    "spread that independent errors on each of them would make (Jordan, arXiv 2304.01910, theorem 1), one run a seed; "
    "what is left is the spread on test images without end. The interval of the share is that of the SD over seeds; "
    "over several schedulers that of one of them, for they share their seeds. A scheduler is set against the baseline "
    "by its mean distance from the median, not by its SD, paired by seed (Brown and Forsythe's test and Fieller's "
    "interval, Holm-corrected over schedulers; one that applied the baseline's rates at every "
    "step is the baseline under another name, and is left out). All of this is of completed trials."
)
BOUND = (
    "Rows hold no labels of these test images, so their luck is bounded from above by how often two runs disagree, and "
    "the SD on test images without end from below. A bound above the spread itself says nothing, and is left out."
)


def applies(rows: pd.DataFrame) -> bool:
    """Return whether some scheduler has two seeds or more at one setting."""
    done = completed(rows)
    done = done[done["final_accuracy"].notna()]
    if not len(done):
        return False
    return any(part.rows.groupby("arm")["unit"].nunique().max() > 1 for part in parts(done, {}))


def answer(rows: pd.DataFrame, record: dict | None = None) -> Answer:
    """Return how far seeds, repeats and the choice of test images spread accuracy, scheduler by scheduler."""
    return conditions.by_place(rows, lambda here: _one_place(here, record or {}))


# ------------------------------------------------------------------------------------------------------------- words


def _one_place(rows: pd.DataFrame, record: dict) -> Answer:
    found = [source for source in sources(rows, record) if source.components.num_seeds > 1] if len(rows) else []
    by_part: dict[str, list[Source]] = {}
    for source in found:
        by_part.setdefault(source.part.label, []).append(source)
    sentences: list[str] = []
    for label, group in by_part.items():
        said = _sentences(group)
        sentences += [f"{label}: {after_colon(text)}" for text in said] if len(by_part) > 1 else said
    if not found:
        sentences = ["No scheduler has two completed seeds, so there is no spread to part."]
    return Answer(
        title=TITLE,
        sentences=tuple(sentences),
        table=table(found),
        figure=lambda: _figure(found),
        notes=_notes(found, rows),
    )


def _notes(found: list[Source], rows: pd.DataFrame) -> tuple[str, ...]:
    if not found:
        return ()
    bounded = any(known(source.luck.by_images) and not source.luck.exact for source in found)
    where = machine_note(completed(rows))
    at = (f"Trials are those at {where}: repeats can scatter otherwise at other levels.",) if where else ()
    return (HOW, *((BOUND,) if bounded else ()), *at)


def _sentences(group: list[Source]) -> list[str]:
    names = short_names(source.arm for source in group)
    return [
        *_about_luck(group),
        *_about_repeats(group, names),
        *_about_diverged(group, names),
        *_about_noise(group, names),
    ]


def _span(values: list[float], form) -> str:
    low, high = form(min(values)), form(max(values))
    return low if low == high else f"{low} to {high}"


def _sd(value: float) -> str:
    return points(value).lstrip("+")


def _about_luck(group: list[Source]) -> list[str]:
    lucks = [source.luck for source in group if known(source.luck.by_images) and source.luck.total.value > 0]
    if not lucks:
        return []
    total = math.sqrt(np.mean([each.total.value**2 for each in lucks]))
    images = math.sqrt(np.mean([each.by_images**2 for each in lucks]))
    exact = lucks[0].exact
    if not exact and images >= total:
        return []
    # schedulers share their seeds: the mean of their variances is hardly better known than one of them
    spread = sd_interval(total, min(each.total.n for each in lucks))
    share, up_to = share_of(images, spread), "" if exact else "at most "
    whose = "95% interval" if exact else "the bound's own 95% interval"
    num_seeds = _seeds([each.total.n + 1 for each in lucks])
    over = f"root mean square of {count(len(lucks), 'scheduler')}, {num_seeds} each" if len(lucks) > 1 else num_seeds
    text = (
        f"Seeds spread accuracy by an SD of {_sd(total)} points ({over}); {up_to}{percent(share.value, 0)} of that "
        f"variance ({whose} {percent(share.low, 0)} to {percent(share.high, 0)}) is luck of which "
        f"{lucks[0].num_images:,} images are in the test set, {up_to}{_sd(images)} points as an SD"
    )
    left = spread.map(lambda sd: distribution_sd_of(sd, images, lucks[0].num_images))
    if not exact and _sd(left.value) == _sd(0.0):
        return [f"{text}."]
    least = "" if exact else "at least "
    ends = f" ({whose} {_sd(left.low)} to {_sd(left.high)})"
    return [f"{text}; with endless test images {least}{_sd(left.value)} points{ends} would be left."]


def _seeds(amounts: list[int]) -> str:
    """Return "10 seeds", or "7 to 10 seeds" where they differ."""
    low, high = min(amounts), max(amounts)
    return count(high, "seed") if low == high else f"{low:,} to {count(high, 'seed')}"


def _about_diverged(group: list[Source], names: dict) -> list[str]:
    lost = [source for source in group if source.diverged]
    each = [f"{names[s.arm]} on {s.diverged.num_diverged_seeds} of {count(s.diverged.num_seeds, 'seed')}" for s in lost]
    return [f"Spread is of completed trials alone: {listed(each)} diverged."] if each else []


def _about_repeats(group: list[Source], names: dict) -> list[str]:
    found = [source for source in group if known(source.components.seed.value)]
    if not found:
        return []
    spread = f"Seeds spread accuracy by {_span([s.components.seed.value for s in found], _sd)} points (SD)"
    repeated = [source for source in found if source.components.num_repeats]
    sentences = []
    if not repeated:
        sentences.append(f"{spread}, repeats not told from them: no trial was repeated.")
    elif all(source.components.identical for source in repeated):
        sentences.append(f"{spread}, repeats by exactly nothing.")
    else:
        runs = _span([source.components.run.value for source in repeated], _sd)
        sentences.append(f"{spread}, repeats of one seed by {runs}.")
    below = [names[source.arm] for source in repeated if source.components.negative]
    if below:
        text = f"For {listed(below)} the estimate of what seeds add came out below zero, and is given as 0"
        sentences.append(f"{text}: repeats scatter as far as seeds do.")
    return sentences


def _about_noise(group: list[Source], names: dict) -> list[str]:
    compared = [source for source in group if source.against is not None and known(source.corrected_p)]
    if not compared:
        return []
    base = names[group[0].part.baseline]
    told = [source for source in compared if source.corrected_p < LEVEL]
    sentences = []
    for source in told[:3]:
        ratio = source.against.ratio
        end = f"to {number(ratio.high)}" if math.isfinite(ratio.high) else "upwards"
        way = "more" if ratio.value > 1 else "less"
        text = f"{names[source.arm]} scatters {way} than {base}: {number(ratio.value)} times as far"
        p = equals_p(source.corrected_p)
        sentences.append(f"{text} from the median in the mean (95% interval {number(ratio.low)} {end}, Holm p {p}).")
    if len(told) < len(compared):
        best = min((s for s in compared if s not in told), key=lambda source: source.against.detectable)
        seen, num_seeds = best.against.detectable, best.against.ratio.n
        could = f"a ratio of {number(seen)} at best" if math.isfinite(seen) else "no ratio, however large,"
        could += f" ({names[best.arm]})" if math.isfinite(seen) and len(compared) > 1 else ""
        who = "No scheduler" if not told else "No other scheduler"
        among = f", and {len(compared)} comparisons that share the 5%," if len(compared) > 1 else ""
        text = f"{who} can be told to be noisier or calmer than {base}; with {count(num_seeds, 'seed')}{among} {could}"
        sentences.append(f"{text} would have been seen four times in five.")
    return sentences


def table(found: list[Source]) -> pd.DataFrame:
    """Return one row for each setting and scheduler."""
    records, lost = [], any(source.diverged for source in found)
    for source in found:
        c, l_, against = source.components, source.luck, source.against
        records.append(
            {
                **{name: level(value) for name, value in source.part.factors.items()},
                **({"stage": source.part.stage} if source.part.stage else {}),
                "scheduler": source.arm,
                "num_seeds": c.num_seeds,
                **({"num_diverged_seeds": s.num_diverged_seeds if (s := source.diverged) else 0} if lost else {}),
                "seed_sd": c.seed.value,
                "seed_sd_low": c.seed.low,
                "seed_sd_high": c.seed.high,
                "run_to_run_sd": c.run.value,
                "run_to_run_sd_low": c.run.low,
                "run_to_run_sd_high": c.run.high,
                "test_images_sd": math.nan if l_.is_empty else l_.by_images,
                "distribution_sd": math.nan if l_.is_empty else l_.distribution.value,
                "distribution_sd_low": math.nan if l_.is_empty else l_.distribution.low,
                "distribution_sd_high": math.nan if l_.is_empty else l_.distribution.high,
                "luck_share": l_.share.value,
                "luck_share_low": l_.share.low,
                "luck_share_high": l_.share.high,
                "spread_ratio": against.ratio.value if against else math.nan,
                "spread_ratio_low": against.ratio.low if against else math.nan,
                "spread_ratio_high": against.ratio.high if against else math.nan,
                "spread_ratio_p": source.corrected_p,
            }
        )
    return pd.DataFrame(records)


def _figure(found: list[Source]):
    from analysis.figures.components import spreads

    drawn = [source for source in found if known(source.components.seed.value)]
    if not drawn:
        return figures.message("No scheduler has two completed seeds")
    return spreads(drawn)


if __name__ == "__main__":
    from analysis.page.command import main

    sys.exit(main("components"))
