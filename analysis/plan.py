"""What will a study be able to see, before anything trains? From the scatter of rows that are there already.

The comparisons are those that the analysis will make of the study: they are counted on rows that are made up for it.
The scatter is that of stored rows, paired as the study will pair them. What this does *not* do: estimate how long it
takes (`lrbench.plan`), or judge anything.
"""

import math
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.comparisons import STANDING, Setting, asked, compare_all
from analysis.rows.conditions import CUDNN_FLAGS
from analysis.statistics.intervals import no_spread, pooled_sd
from analysis.statistics.power import (
    MOST,
    PROBABILITY,
    equivalence_power,
    pairs_for_share,
    pairs_needed,
    smallest_detectable,
    smallest_sign_flip_p,
)
from analysis.statistics.spending import t_levels
from analysis.statistics.verdicts import MEANINGFUL
from lrbench.factors import Trial
from lrbench.metrics import Metric, find_metric
from lrbench.plan_warnings import known_course, one_schedule
from lrbench.questions import Compare
from lrbench.record import BY_NAME, FLAT, trial_columns
from lrbench.study import Study, trials

LEVEL = 0.05
_ENOUGH = 5  # degrees of freedom: an SD is then known within a factor of 2.5


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """How much paired differences scatter in stored rows: their SD, and from what it is known.

    That is: from so many comparisons on at most so many seeds (blocks), with `degrees` of freedom in all, in `folder`.
    `margin` is the difference that matters, on the same scale; nan where it is not known. `paired` is false where no
    pair was there and the SD is that of two independent arms. Where the SD is nan, `folder` names rows whose arms are
    all alike: what they scatter by is not known from that.
    """

    sd: float
    num_comparisons: int
    num_units: int
    degrees: int
    margin: float
    paired: bool
    folder: str


UNKNOWN = Scatter(sd=math.nan, num_comparisons=0, num_units=0, degrees=0, margin=math.nan, paired=False, folder="")


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What one question of a study will be able to see.

    `num_units` are the seeds (random blocks, for ratio metrics) that each comparison will have at the last look.
    `detectable` is the true difference that is found four times in five: by itself, and, `detectable_in_family`, with
    Holm's correction where it is the only one. Differences of ratio metrics are logarithms. `equivalence` is the
    probability to show two arms equivalent that do not differ. The last two are the seeds in all that find a difference
    as large as the margin (in the family), and that show equivalence, four times in five; 0 where more than 10,000, or
    where it is not known.
    """

    question: Compare
    num_arms: int
    num_comparisons: int
    family_size: int
    num_units: int
    level: float
    level_in_family: float
    scatter: Scatter
    detectable: float
    detectable_in_family: float
    equivalence: float
    units_to_find: int
    units_to_equal: int

    @property
    def metric(self) -> Metric:
        return find_metric(self.question.metric)

    @property
    def known(self) -> bool:
        return not math.isnan(self.scatter.sd)


def sights(
    study: Study,
    stored: Sequence[tuple[str, pd.DataFrame]] = (),
    device: str = "auto",
    distances: Mapping[str, int] | None = None,
) -> list[Sight]:
    """What will each question of a study be able to see? `stored` are rows of like trials, [(folder, rows)].

    Rows of two folders are not pooled. The first of the nearest folders that has pairs, and enough of them, is the one
    that is used; `distances` says in how many factors the trainings of a folder are others (0 where it does not).
    """
    record = {"study": {**study.model_dump(mode="json"), "until": None}}  # to count, no look is needed
    questions = asked(record) or [STANDING]
    planned = compare_all(_made_up(study, device), questions, record)
    sizes: dict[str, int] = {}
    for question, settings in zip(questions, planned, strict=True):
        sizes[question.family] = sizes.get(question.family, 0) + _num_comparisons(settings)
    found = []
    for question, settings in zip(questions, planned, strict=True):
        arms = {arm for setting in settings for arm in setting.arms}
        known = [scatter_in(rows, question, folder, arms) for folder, rows in stored]
        scatter = _most_telling(known, distances or {})
        units = num_seeds(study) * (study.replicates if find_metric(question.metric).is_speed else 1)
        num_arms = len(settings[0].arms) if settings else 0
        found.append(
            sight(
                question,
                scatter,
                num_units=units,
                num_arms=num_arms,
                num_comparisons=_num_comparisons(settings),
                family_size=sizes[question.family],
                levels=_last_levels(study, sizes[question.family]),
            )
        )
    return found


def _most_telling(known: Sequence[Scatter], distances: Mapping[str, int]) -> Scatter:
    """Return the scatter that tells most: of pairs, with more than one degree of freedom, of near trainings.

    Where trainings of the study's own kind have more than one degree of freedom, they come before any others.

    Arms that are equal throughout (a schedule that does not act within so few epochs) scatter by 0 there, and by
    nobody knows what where they differ.
    """
    alive = [s for s in known if s.sd > 0]
    if not alive:
        return replace(UNKNOWN, folder=next((s.folder for s in known if s.sd == 0), ""))
    same = [s for s in alive if not distances.get(s.folder, 0)]
    alive = same if any(s.degrees > 1 for s in same) else alive
    return max(alive, key=lambda s: (s.paired, s.degrees > 1, -distances.get(s.folder, 0), min(s.degrees, _ENOUGH)))


def sight(
    question: Compare,
    scatter: Scatter,
    *,
    num_units: int,
    num_arms: int = 2,
    num_comparisons: int = 1,
    family_size: int = 1,
    levels: tuple[float, float] | None = None,
) -> Sight:
    """What do so many units see, if their differences scatter so? `levels`: alone and in the family, at the last look.

    The paired t-test's power is exact for normal differences. In the family it is that of Holm's first step, level by
    family size: right where one comparison alone has an effect, and too low by what other effects add.
    """
    alone, together = levels or (LEVEL, LEVEL / max(1, family_size))
    sd, margin = scatter.sd, scatter.margin
    known, matters = not math.isnan(sd), not math.isnan(sd) and margin > 0
    flat = known and sd == 0
    equal = equivalence_power(0.0, margin / sd, num_units, alone) if matters and not flat else math.nan
    return Sight(
        question=question,
        num_arms=num_arms,
        num_comparisons=num_comparisons,
        family_size=family_size,
        num_units=num_units,
        level=alone,
        level_in_family=together,
        scatter=scatter,
        detectable=smallest_detectable(sd, num_units, level=alone) if known else math.nan,
        detectable_in_family=smallest_detectable(sd, num_units, level=together) if known else math.nan,
        equivalence=1.0 if flat and matters else equal,
        units_to_find=pairs_needed(margin, sd, level=together) if matters else 0,
        units_to_equal=_units_to_equal(margin / sd, alone) if matters and not flat else 0,
    )


def _units_to_equal(margin_sds: float, level: float) -> int:
    """How many units show two equal arms equivalent, four times in five? At least 2; 0 where more than `MOST`."""
    first = 2 + bisect_left(
        range(2, MOST), True, key=lambda n: equivalence_power(0.0, margin_sds, n, level) >= PROBABILITY
    )
    return first if first < MOST else 0


def _last_levels(study: Study, family_size: int) -> tuple[float, float]:
    """Return the levels at a study's last look: of one comparison alone, and of one in its family."""
    until, share = study.until, LEVEL / max(1, family_size)
    if until is None:
        return LEVEL, share
    alone, together = (t_levels(until.looks, until.spending, level)[-1] for level in (LEVEL, share))
    return float(alone), float(together)


def num_seeds(study: Study) -> int:
    """Return how many seeds each condition is run at, streams of their own counted as they are crossed."""
    return math.prod(len(levels) for name, levels in study.grid.items() if name.startswith("seed"))


# ------------------------------------------------------------------------------------------------- planned comparisons


def _made_up(study: Study, device: str) -> pd.DataFrame:
    """Return rows as the study's trials at one seed would leave them, their outcomes all alike.

    Schedules whose planned rates are the same are one schedule in them, as they will be in the study's own rows.
    """
    outcome = {"status": "completed", "packed": False, "cudnn_flags_inert": False}
    outcome |= {name: 1.0 for name in FLAT if BY_NAME[name].type == "float64" and BY_NAME[name].group != "asked"}
    rows = [
        {**trial_columns(trial), **outcome, "applied_lr_sha256": _course(trial)}
        for trial in _at_one_seed(study, "cpu" if device == "auto" else device)
    ]
    return pd.DataFrame(rows, columns=FLAT)


def _course(trial: Trial) -> str | None:
    """Return a text that trials of the same planned rates share; None where those are not known."""
    course = known_course(trial)
    return repr(course) if course else None


def _at_one_seed(study: Study, device: str) -> list[Trial]:
    grid = {name: levels[:1] if name.startswith("seed") else levels for name, levels in study.grid.items()}
    return trials(study.model_copy(update={"grid": grid, "replicates": 1}), device)


def _num_comparisons(settings: list[Setting]) -> int:
    return sum(len(setting.planned) for setting in settings)


# ------------------------------------------------------------------------------------------------------- stored rows


def scatter_in(rows: pd.DataFrame, question: Compare, folder: str = "", arms: Collection[str] = ()) -> Scatter:
    """How much do the differences that a question is about scatter in these rows? (trials) → Scatter.

    The root of the mean variance of its comparisons, settings included, each weighted by its degrees of freedom: of
    those between two of `arms`, or of all where there is none. Where
    no two arms share two seeds: √2 times the SD over seeds, which is right for independent arms and too much for pairs.
    """
    (settings,) = compare_all(rows, [question]) if len(rows) else ([],)
    margins = [setting.margin for setting in settings if not math.isnan(setting.margin)]
    margin = float(np.median(margins)) if margins else math.nan
    planned = [c for setting in settings for c in setting.planned if len(c.differences) > 1]
    pairs = [c.differences for c in planned if {c.a, c.b} <= {*arms}] or [c.differences for c in planned]
    if pairs:
        squares = sum(float(np.var(d, ddof=1)) * (len(d) - 1) if not no_spread(d) else 0.0 for d in pairs)
        degrees = sum(len(d) - 1 for d in pairs)
        return Scatter(
            sd=math.sqrt(squares / degrees),
            num_comparisons=len(pairs),
            num_units=max(len(d) for d in pairs),
            degrees=degrees,
            margin=margin,
            paired=True,
            folder=folder,
        )
    return _of_single_arms(settings, question, margin, folder)


def _of_single_arms(settings: list[Setting], question: Compare, margin: float, folder: str) -> Scatter:
    metric = find_metric(question.metric)
    columns = [setting.scores[arm].dropna().to_numpy() for setting in settings for arm in setting.arms]
    columns = [np.log(c) if metric.scale == "ratio" else c for c in columns]
    values = np.concatenate(columns) if columns else np.empty(0)
    groups = np.repeat(np.arange(len(columns)), [len(c) for c in columns])
    sd, degrees = pooled_sd(values, groups)
    if not degrees:
        return UNKNOWN
    return Scatter(
        sd=math.sqrt(2) * sd,
        num_comparisons=0,
        num_units=max(len(c) for c in columns),
        degrees=degrees,
        margin=margin,
        paired=False,
        folder=folder,
    )


# --------------------------------------------------------------------------------------------------- what it cannot see


def blind_spots(study: Study, found: Sequence[Sight], inert: bool) -> list[str]:
    """What will a study not be able to tell, whatever its trials say? In sentences; `inert`: it runs on a CPU."""
    seeds = num_seeds(study)
    compared = [s for s in found if s.num_comparisons]
    said = [f"{text}, and no seed tells them apart." for text in one_schedule(_at_one_seed(study, "cpu"))]
    said += [*(_about_seeds(seeds, compared) if compared else []), *_about_repeats(study, inert)]
    flags = [name for name in CUDNN_FLAGS if len(study.grid.get(name, ())) > 1]
    if inert and flags:
        verb = "varies" if len(flags) == 1 else "vary"
        said.append(
            f"{' and '.join(flags)} {verb}, but on a CPU the cuDNN flags are inert: their levels differ in nothing but "
            "noise, and are A/A pairs."
        )
    if inert and any(s.metric.name == "energy_joules" for s in found):
        said.append("energy_joules is not measured on a CPU.")
    return said


def _about_seeds(seeds: int, found: Sequence[Sight]) -> list[str]:
    if seeds < 2:
        return ["With one seed no scheduler can be told from another: the spread over seeds stays unknown."]
    said = []
    least = smallest_sign_flip_p(seeds)
    if least >= LEVEL:
        said.append(
            f"{seeds} seeds cannot reach p < 0.05 with a sign-flip test: its smallest is 2 / 2^{seeds} = {least:.3g}. "
            "The t-test can, but has to take the differences for about normal."
        )
    largest = max((s.family_size for s in found), default=0)
    if largest > 1 and least * largest >= LEVEL > least:
        enough = next(n for n in range(seeds, MOST) if smallest_sign_flip_p(n) * largest < LEVEL)
        said.append(
            f"With {largest} comparisons in the family {seeds} seeds cannot reach p < 0.05 with a sign-flip test, even "
            f"where an arm wins on every seed: {largest} × 2 / 2^{seeds} = {least * largest:.3g}. {enough} seeds can."
        )
    wanted = pairs_for_share(MEANINGFUL)
    if seeds < wanted and any(s.metric.scale == "difference" for s in found):
        said.append(
            f"Which arm wins on most seeds: one that wins on three seeds of four is shown to, 19 times in 20, with "
            f"{wanted} seeds (Noether, 1987), not with {seeds}."
        )
    return said


def _about_repeats(study: Study, inert: bool) -> list[str]:
    if study.replicates > 1:
        return []
    flags = any(len(study.grid.get(name, ())) > 1 for name in CUDNN_FLAGS)
    said = "replicates = 1: run-to-run noise cannot be told from that of the seeds"
    return [f"{said}." if inert and flags else f"{said}, and no A/A pair shows what differs by itself."]
