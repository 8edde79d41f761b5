"""One comparison and one setting: the values that comparisons are made of, and the word that each earns.

What this does *not* do: make them from rows (`analysis.comparisons` does), or word sentences.
"""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

from analysis.rows.conditions import is_baseline
from analysis.rows.outcomes import Outcomes
from analysis.statistics.intervals import Estimate, no_spread, paired_interval
from analysis.statistics.power import smallest_detectable
from analysis.statistics.verdicts import BETTER, EQUIVALENT, INCONCLUSIVE, NOT_TESTABLE, WORSE, Judgement, judge
from lrbench.metrics import Metric, find_metric
from lrbench.questions import Compare

SIGNIFICANT = 0.05
SETTLING = (BETTER, WORSE, EQUIVALENT)  # the verdicts that end a question
_TURNED = {BETTER: WORSE, WORSE: BETTER}


@dataclass(frozen=True, kw_only=True)
class Settled:
    """As what (`word`) which look of a study with [until] was the first to settle a comparison: "" where none has.

    `p` is the corrected p that stood there (nan where equivalence was shown), `num_seeds` the seeds of that look.
    """

    word: str = ""
    look: int = 0
    num_looks: int = 0
    num_seeds: int = 0
    p: float = math.nan


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Arm a less arm b: (n,) differences, one for each seed (block, for ratio metrics), and p corrected for its family.

    `seeds` (n,) says of which seed each is. `counted` holds the differences with every diverged trial counted as
    guessing, and `counted_p` their corrected p: the same as the first two where none diverged. `margin` is on the scale
    of the differences. `family_size` comparisons share the 5 %. In a study that looks at its questions as it goes
    (`[until]`) p-values hold over all looks together, equivalence is shown at the `equivalence_level` of the look,
    and a difference that stands alone in its family found at its `told_level`; what one look settled stays `settled`,
    and before the first is complete (`is_early`) nothing is. `is_noise` holds for a flag that does nothing where the
    trials ran, `is_one` for one schedule under two names: it is in no family, and nothing of it can be tested.
    """

    a: str
    b: str
    differences: np.ndarray
    corrected_p: float
    margin: float = math.nan
    higher_is_better: bool = True
    seeds: np.ndarray = field(default_factory=lambda: np.empty(0))
    counted: np.ndarray = field(default_factory=lambda: np.empty(0))
    counted_p: float = 1.0
    any_diverged: bool = False
    family_size: int = 1
    equivalence_level: float = SIGNIFICANT
    told_level: float = SIGNIFICANT
    is_noise: bool = False
    is_one: bool = False
    settled: Settled = Settled()
    is_early: bool = False

    @property
    def estimate(self) -> Estimate:
        return paired_interval(self.differences)

    @property
    def turned(self) -> "Comparison":
        settled = replace(self.settled, word=_TURNED.get(self.settled.word, self.settled.word))
        other = {"differences": -self.differences, "counted": -self.counted, "settled": settled}
        return replace(self, a=self.b, b=self.a, **other)

    @property
    def has_looks(self) -> bool:
        """Whether looks share the error, so that this one has less than 5 %."""
        return self.equivalence_level < SIGNIFICANT

    @cached_property
    def judgement(self) -> Judgement:
        """What the completed trials say by themselves."""
        return self._judged(self.differences, self.corrected_p)

    @cached_property
    def counted_judgement(self) -> Judgement:
        """What is said where a diverged trial counts as guessing."""
        return self._judged(self.counted, self.counted_p) if self.any_diverged else self.judgement

    def _judged(self, differences: np.ndarray, p: float) -> Judgement:
        return judge(
            differences,
            margin=self.margin,
            higher_is_better=self.higher_is_better,
            corrected_p=p,
            look_levels=(self.told_level, self.equivalence_level),
        )

    @property
    def verdict(self) -> str:
        """The word for a against b: that of the look which settled it where one did, else that of the data by now."""
        if self.settled.word:
            return self.settled.word
        return INCONCLUSIVE if self.is_early and self.verdict_now in SETTLING else self.verdict_now

    @property
    def verdict_now(self) -> str:
        """The word that all data give by now. No conclusion that the diverged trials, counted, do not share."""
        word, counted = self._word(self.judgement), self._word(self.counted_judgement)
        return word if word in (counted, NOT_TESTABLE) else INCONCLUSIVE

    @property
    def disputed(self) -> bool:
        """Whether a look settled it, and all data by now say otherwise."""
        return bool(self.settled.word) and self.verdict_now != self.settled.word

    @property
    def withdrawn(self) -> str:
        """The word that the completed trials alone would give, where the diverged ones take it back; else ""."""
        return "" if self.settled.word else self._taken_back

    @property
    def _taken_back(self) -> str:
        word = self._word(self.judgement)
        return word if word != self.verdict_now else ""

    @property
    def shown_p(self) -> float:
        """The corrected p to print: the larger of both analyses, nan where they do not agree or no look is complete."""
        if self._taken_back or self.is_early or self.is_one:
            return math.nan
        return max(self.corrected_p, self.counted_p) if self.any_diverged else self.corrected_p

    def _word(self, judgement: Judgement) -> str:
        if self.is_noise or self.is_one:
            return NOT_TESTABLE
        shown = judgement.equivalence_p < self.equivalence_level
        return INCONCLUSIVE if judgement.verdict == EQUIVALENT and not shown else judgement.verdict

    @property
    def told_apart(self) -> bool:
        """Whether the corrected p says so, of the completed trials and of all with the diverged ones counted.

        Of what a look settled its word counts, as long as the mean of all data has not changed sides since.
        """
        if self.settled.word:
            return self.settled.word == (BETTER if self._is_above else WORSE)
        told = self.corrected_p < SIGNIFICANT and not (self.is_noise or self.is_one or self.is_early)
        if not told or not self.any_diverged:
            return told
        same = float(self.differences.mean()) * float(self.counted.mean()) > 0
        return same and self.counted_p < SIGNIFICANT

    @property
    def _is_above(self) -> bool:
        """Whether the mean of all data is on the better side."""
        return (
            float(self.counted.mean() if self.any_diverged else self.differences.mean()) > 0
        ) is self.higher_is_better

    @property
    def detectable(self) -> float:
        """The true difference that so many seeds find four times in five, in its family; nan where not known."""
        n = len(self.differences)
        if n < 2 or no_spread(self.differences):
            return math.nan
        sd = float(np.std(self.differences, ddof=1))
        return smallest_detectable(sd, n, level=self.told_level)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The arms of one factor at one setting of every other factor that changes training.

    `scores` (units × arms) holds the metric averaged over replicates and machine factors (geometric means for ratio
    metrics), nan where a unit has none; a unit is a seed, or for ratio metrics a random block. `counted_scores` are the
    same with diverged trials counted as guessing, and arms stand in the order of their mean there, best first. `tuning`
    is "tuned", "default" or "": which trials of a tuned study these are. `outcomes` holds every arm, those of which no
    trial completed too. `against` holds each arm's comparison with the baseline, `pairs` that of every two arms. There
    are two families for Holm, those with the baseline and those without it, so that a comparison has one p wherever it
    stands. `margin` is on the scale of the differences, `guess` says what a diverged trial counts for, and `averaged`
    are the factors that were averaged within a unit. `rates` says in a study with [tune] at which base_lr each arm ran,
    and as which call where its arguments were chosen. `alike` are the groups of schedulers that applied the same rates
    at every step: one schedule under several names.
    """

    question: Compare
    factors: dict
    tuning: str
    rates: dict[str, str]
    scores: pd.DataFrame
    counted_scores: pd.DataFrame
    losses: pd.Series
    outcomes: dict[str, Outcomes]
    guess: str
    baseline: str
    margin: float
    averaged: tuple[str, ...]
    seeds: tuple[int, ...]
    against: dict[str, Comparison]
    pairs: dict[tuple[str, str], Comparison]
    alike: tuple[tuple[str, ...], ...] = ()

    @property
    def metric(self) -> Metric:
        return find_metric(self.question.metric)

    @property
    def arms(self) -> list[str]:
        return list(self.scores.columns)

    @property
    def num_seeds(self) -> int:
        return len(self.scores)

    @property
    def num_trials(self) -> dict[str, int]:
        return {arm: o.statuses.get("completed", 0) for arm, o in self.outcomes.items()}

    @property
    def silent(self) -> list[Outcomes]:
        """The arms of which no trial completed: they are in no comparison."""
        return [self.outcomes[arm] for arm in sorted(self.outcomes) if arm not in self.scores]

    @property
    def lost_baseline(self) -> str:
        """The arm that was to be the baseline and of which no trial completed; "" where there is none such."""
        wanted = self.question.baseline
        if self.baseline or (wanted is None and self.question.factor != "scheduler"):
            return ""
        gone = [arm for arm in sorted(self.outcomes) if arm not in self.scores]
        asked = [arm for arm in gone if (is_baseline(arm) if wanted is None else str(wanted) in (arm, _class(arm)))]
        return next(iter(asked), "")

    @property
    def lost(self) -> list[Outcomes]:
        """The arms of which trials failed, by name."""
        return [
            self.outcomes[arm] for arm in sorted(self.outcomes) if self.outcomes[arm].statuses.keys() - {"completed"}
        ]

    @property
    def planned(self) -> list[Comparison]:
        """The comparisons that a study is made for: those with the baseline, or all pairs where there is none.

        Not those of one schedule with itself, under two names.
        """
        return [c for c in (self.against or self.pairs).values() if not c.is_one]

    def are_alike(self, a: str, b: str) -> bool:
        """Whether two arms are one schedule."""
        return any({a, b} <= {*arms} for arms in self.alike)

    @property
    def all_equal(self) -> bool:
        """Whether every two arms are exactly equal in every unit."""
        return not any(c.differences.any() or c.counted.any() for c in self.pairs.values())


def _class(arm: str) -> str:
    return arm.partition("(")[0]
