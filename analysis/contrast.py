"""One level of a machine factor against another in speed: paired log-ratios by block, and the word that they earn.

What this does *not* do: pair the trials (`analysis.throughput` does), or word sentences (`analysis.throughput_words`).
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from analysis.page.wording import level
from analysis.statistics.intervals import Estimate, break_even_interval, paired_interval
from analysis.statistics.verdicts import Judgement, judge

MARGIN = math.log1p(0.02)  # what a flag may cost before it matters
FLOOR = "A/A: replicate against replicate"


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """One level of a factor against another: paired log-ratios, one row per pair (log_ratio, block, extra, saved)."""

    factor: str
    level: object
    reference: object
    where: str
    pairs: pd.DataFrame
    corrected_p: float = math.nan
    family_size: int = 1

    @property
    def label(self) -> str:
        return FLOOR if not self.factor else f"{self.factor}: {level(self.level)} / {level(self.reference)}"

    @cached_property
    def blocks(self) -> np.ndarray:
        """(blocks,) mean log-ratios of samples_per_second."""
        return self.pairs.groupby("block")["log_ratio"].mean().to_numpy()

    @cached_property
    def ratio(self) -> Estimate:
        """The ratio of samples_per_second: block means of the log-ratios, Student's interval over blocks."""
        return paired_interval(self.blocks).map(math.exp)

    @cached_property
    def judgement(self) -> Judgement:
        """The verdict at a margin of 2 %, by the corrected p."""
        p = None if math.isnan(self.corrected_p) else self.corrected_p
        return judge(self.blocks, margin=MARGIN, corrected_p=p, family=self.family_size)

    @property
    def break_even_steps(self) -> Estimate:
        """After how many steps a longer first step has paid for itself: `extra_seconds` over `saved_seconds`."""
        return break_even_interval(*self._search)

    @property
    def extra_seconds(self) -> float:
        """How much longer the first step is: the median over blocks, each the median of its pairs."""
        return float(np.median(self._search[0]))

    @property
    def saved_seconds(self) -> float:
        """What each later step saves: the median over blocks, each the median of its pairs' median steps."""
        return float(np.median(self._search[1]))

    @cached_property
    def _search(self) -> tuple[np.ndarray, np.ndarray]:
        blocks = self.pairs.groupby("block")[["extra", "saved"]].median()
        return blocks["extra"].to_numpy(), blocks["saved"].to_numpy()
