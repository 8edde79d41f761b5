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
from analysis.statistics.intervals import Estimate, no_spread, t_interval
from analysis.statistics.power import smallest_detectable
from analysis.statistics.verdicts import EQUIVALENT, INCONCLUSIVE, NOT_TESTABLE, Judgement, judge
from lrbench.metrics import Metric, find_metric
from lrbench.questions import Compare

SIGNIFICANT = 0.05


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Arm a less arm b: (n,) differences, one for each seed (block, for ratio metrics), and p corrected for its family.

    `counted` holds the differences with every diverged trial counted as guessing, and `counted_p` their corrected p:
    the same as the first two where none diverged. `margin` is on the scale of the differences. `family_size`
    comparisons share the 5 %. In a study that looks at its questions as it goes (`[until]`) p-values hold over all
    looks together, and equivalence is shown at the `equivalence_level` of the look. `is_noise` holds for a flag that
    does nothing where the trials ran.
    """

    a: str
    b: str
    differences: np.ndarray
    corrected_p: float
    margin: float = math.nan
    higher_is_better: bool = True
    counted: np.ndarray = field(default_factory=lambda: np.empty(0))
    counted_p: float = 1.0
    any_diverged: bool = False
    family_size: int = 1
    equivalence_level: float = SIGNIFICANT
    is_noise: bool = False

    @property
    def estimate(self) -> Estimate:
        return t_interval(self.differences)

    @property
    def turned(self) -> "Comparison":
        return replace(self, a=self.b, b=self.a, differences=-self.differences, counted=-self.counted)

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
            family=self.family_size,
        )

    @property
    def verdict(self) -> str:
        """The word for a against b. No conclusion that the diverged trials, counted, do not share."""
        word, counted = self._word(self.judgement), self._word(self.counted_judgement)
        return word if word in (counted, NOT_TESTABLE) else INCONCLUSIVE

    @property
    def withdrawn(self) -> str:
        """The word that the completed trials alone would give, where the diverged ones take it back; else ""."""
        word = self._word(self.judgement)
        return word if word != self.verdict else ""

    @property
    def shown_p(self) -> float:
        """The corrected p to print: the larger of both analyses, nan where they do not agree on a word."""
        if self.withdrawn:
            return math.nan
        return max(self.corrected_p, self.counted_p) if self.any_diverged else self.corrected_p

    def _word(self, judgement: Judgement) -> str:
        if self.is_noise:
            return NOT_TESTABLE
        shown = judgement.equivalence_p < self.equivalence_level
        return INCONCLUSIVE if judgement.verdict == EQUIVALENT and not shown else judgement.verdict

    @property
    def told_apart(self) -> bool:
        """Whether the corrected p says so, of the completed trials and of all with the diverged ones counted."""
        told = self.corrected_p < SIGNIFICANT and not self.is_noise
        if not told or not self.any_diverged:
            return told
        same = float(self.differences.mean()) * float(self.counted.mean()) > 0
        return same and self.counted_p < SIGNIFICANT

    @property
    def detectable(self) -> float:
        """The true difference that so many seeds find four times in five, in its family; nan where not known."""
        n = len(self.differences)
        if n < 2 or no_spread(self.differences):
            return math.nan
        sd = float(np.std(self.differences, ddof=1))
        return smallest_detectable(sd, n, level=SIGNIFICANT / self.family_size)


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
    and as which call where its arguments were chosen.
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
        """The comparisons that a study is made for: those with the baseline, or all pairs where there is none."""
        return list((self.against or self.pairs).values())

    @property
    def all_equal(self) -> bool:
        """Whether every two arms are exactly equal in every unit."""
        return not any(c.differences.any() or c.counted.any() for c in self.pairs.values())


def _class(arm: str) -> str:
    return arm.partition("(")[0]
