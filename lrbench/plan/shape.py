"""What a study has to run, stage by stage: trials, seeds, blocks, at least and at most. No torch here.

What this does *not* do: decide what is run (`lrbench.stages` does, from rows), or know how long it takes.
"""

import math
from dataclasses import dataclass

from lrbench.factors import SEEDS, Trial
from lrbench.grid import product
from lrbench.stages import Stages
from lrbench.study import Study, condition


@dataclass(frozen=True, kw_only=True)
class Part:
    """One stage: how many trials it has for certain and at most, and on how many seeds in all it ends.

    `optional` parts run only where the ones before leave something open. `conditions` are its kinds of trials, each run
    equally often.
    """

    name: str
    conditions: tuple[Trial, ...]
    num_seeds: int
    num_blocks: int
    least: int
    most: int
    optional: bool = False


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A study's stages. `least` and `most` are its trials in all: they are the same without [tune] and [until]."""

    num_conditions: int
    num_seeds: int
    replicates: int
    parts: tuple[Part, ...]

    @property
    def least(self) -> int:
        return sum(part.least for part in self.parts if not part.optional)

    @property
    def most(self) -> int:
        return sum(part.most for part in self.parts)

    def with_seeds(self, num_seeds: int) -> int:
        """Return how many trials it takes at most until so many seeds of the first look are compared, in all if fewer.

        Trials that choose a rate come before, and with them each condition may run twice, as written and tuned.
        """
        *before, first = [part for part in self.parts if not part.optional]
        seeds = min(num_seeds, first.num_seeds)
        return sum(part.most for part in before) + first.most * seeds // first.num_seeds

    @property
    def conditions(self) -> list[Trial]:
        """Every kind of trial, once."""
        return list({trial.condition_id: trial for part in self.parts for trial in part.conditions}.values())


def shape_of(study: Study, device: str) -> Shape:
    """Return what a study has to run; `device` stands in where it says "auto".

    Tuned trials agree with those at the default where the study's own setting is the one that is chosen, so that a
    comparison that is tuned has between once and twice the trials of its grid.
    """
    others = [name for name in study.grid if name not in SEEDS]
    conditions = tuple(condition({**study.fixed, **point}, device) for point in product(study.grid, others))
    num_seeds = math.prod(len(levels) for name, levels in study.grid.items() if name in SEEDS)
    parts = []
    if study.tune is not None:
        selection = Stages(study, device, _no_rows).reached[0].trials
        kinds = {trial.condition_id: trial for trial in selection}
        parts.append(
            Part(
                name="selection",
                conditions=tuple(kinds.values()),
                num_seeds=len(study.tune.seeds),
                num_blocks=len(study.tune.seeds),
                least=len(selection),
                most=len(selection),
            )
        )
    seeds_of_one = num_seeds // max(1, len(study.grid.get("seed", [0])))
    looks = [n * seeds_of_one for n in study.until.looks] if study.until is not None else [num_seeds]
    for index, (before, seeds) in enumerate(zip([0, *looks], looks, strict=False)):
        blocks = (seeds - before) * study.replicates
        parts.append(
            Part(
                name=f"look {index + 1}" if len(looks) > 1 else "comparison" if study.tune else "trials",
                conditions=conditions,
                num_seeds=seeds,
                num_blocks=blocks,
                least=blocks * len(conditions),
                most=blocks * len(conditions) * (2 if study.tune else 1),
                optional=index > 0,
            )
        )
    return Shape(num_conditions=len(conditions), num_seeds=num_seeds, replicates=study.replicates, parts=tuple(parts))


def _no_rows():
    import pandas as pd

    return pd.DataFrame()
