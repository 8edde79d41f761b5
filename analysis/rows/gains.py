"""What did tuning buy? Each scheduler at the rate chosen for it against the default, on seeds that chose nothing.

What this does *not* do: choose (`lrbench.tuning`), or compare schedulers with each other (`analysis.comparisons`).
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.rows.conditions import MACHINE_FACTORS, SEEDS, completed, describe
from analysis.rows.rates import at
from analysis.statistics.intervals import Estimate, holm, paired_p, t_interval
from analysis.statistics.rankings import moved, tau_interval
from analysis.statistics.verdicts import Judgement, judge, seed_sd
from lrbench.stages import BOTH, DEFAULT, TUNED
from lrbench.tuning import Choice

METRIC = "final_accuracy"
FEWEST = 6  # seeds: of fewer a bootstrap is too sure
_CELL = (*SEEDS, "replicate", *MACHINE_FACTORS)


@dataclass(frozen=True, kw_only=True)
class Gain:
    """A scheduler tuned less the same at the default, paired by seed: (seeds,) differences of final accuracy.

    `default` and `tuned` are (seeds,) means by seed, of all trials that completed. `unchanged` says that the default is
    what was chosen: then there is nothing to compare. `failed` counts the trials that failed, (default, tuned).
    `family` is the number of schedulers that share the level of the test.
    """

    choice: Choice
    default: pd.Series
    tuned: pd.Series
    differences: np.ndarray
    unchanged: bool
    failed: tuple[int, int]
    corrected_p: float = 1.0
    family: int = 1

    @property
    def arm(self) -> str:
        return self.choice.scheduler

    @property
    def judgement(self) -> Judgement:
        """Whether it is better tuned, by more than the noise; the margin is one seed SD of the default's."""
        margin = seed_sd(self.default)
        return judge(self.differences, margin=margin, corrected_p=self.corrected_p, family=self.family)

    @property
    def interval_90(self) -> Estimate:
        """The 90% interval of the mean difference: inside the margin, both one-sided tests at 5% reject it."""
        return t_interval(self.differences, 0.9)


@dataclass(frozen=True, kw_only=True)
class Orders:
    """The schedulers' order at the default beside their order tuned, at one setting: (seeds, arms) tables.

    `tau` is Kendall's, with its interval over seeds; `moved` are the arms whose places do not overlap. Both are to be
    told where they are `is_sure`, from FEWEST seeds on.
    """

    factors: dict
    default: pd.DataFrame
    tuned: pd.DataFrame
    tau: Estimate
    moved: tuple[str, ...]

    @property
    def label(self) -> str:
        return describe(self.factors)

    @property
    def same(self) -> bool:
        return self.order(self.default) == self.order(self.tuned)

    @property
    def is_sure(self) -> bool:
        return self.tau.n >= FEWEST

    @staticmethod
    def order(table: pd.DataFrame) -> list[str]:
        """The arms, the best mean first."""
        return list(table.mean().sort_values(ascending=False, kind="stable").index)


def gains(rows: pd.DataFrame, choices: list[Choice]) -> list[Gain]:
    """Return what tuning bought for each choice that was run both ways, p corrected over all of them by Holm."""
    found = [gain for choice in choices if (gain := _gain(rows, choice)) is not None]
    tested = [gain for gain in found if not gain.unchanged]
    corrected = iter(holm([paired_p(gain.differences) for gain in tested]))
    family = len(tested)
    return [
        gain if gain.unchanged else replace(gain, corrected_p=float(next(corrected)), family=family) for gain in found
    ]


def orders(found: list[Gain]) -> list[Orders]:
    """Return the two orders of each setting at which two schedulers or more were run on the same seeds both ways."""
    by_setting: dict[str, list[Gain]] = {}
    for gain in found:
        by_setting.setdefault(describe(gain.choice.factors), []).append(gain)
    both = []
    for part in by_setting.values():
        tables = [pd.concat({gain.arm: getattr(gain, way) for gain in part}, axis=1) for way in ("default", "tuned")]
        seeds = tables[0].dropna().index.intersection(tables[1].dropna().index)
        if len(part) < 2 or not len(seeds):
            continue
        default, tuned = (table.loc[seeds] for table in tables)
        both.append(
            Orders(
                factors=part[0].choice.factors,
                default=default,
                tuned=tuned,
                tau=tau_interval(default, tuned),
                moved=tuple(part[index].arm for index in moved(default, tuned)),
            )
        )
    return both


def runs(rows: pd.DataFrame, choice: Choice) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the comparison's rows of a choice, at the default and tuned; the same rows where both agree."""
    here = at(rows, {"scheduler_interval": choice.interval, **choice.factors})
    part = here["tuning"].astype(object)
    default = here[part.isin((DEFAULT, BOTH)) & (here["scheduler"] == choice.scheduler)]
    tuned = here[part.isin((TUNED, BOTH))]
    return default, at(tuned, {"scheduler": choice.chosen_scheduler, "base_lr": choice.base_lr})


def _gain(rows: pd.DataFrame, choice: Choice) -> Gain | None:
    both = runs(rows, choice)
    if not all(map(len, both)):
        return None
    unchanged = set(both[0]["trial_id"]) == set(both[1]["trial_id"])
    done = [completed(part) for part in both]
    cells = [part.set_index(list(_CELL))[METRIC].dropna() for part in done]
    default, tuned = (cell.groupby(level=list(SEEDS)).mean() for cell in cells)
    differences = (cells[1] - cells[0]).dropna().groupby(level=list(SEEDS)).mean().to_numpy(float)
    return Gain(
        choice=choice,
        default=default,
        tuned=tuned,
        differences=differences,
        unchanged=unchanged,
        failed=tuple(len(part) - len(good) for part, good in zip(both, done, strict=True)),
    )
