"""Do the schedulers differ by more than the noise? Final accuracy, paired by seed: the standing comparison.

Two schedulers are compared inside one seed, replicate and setting of every other factor; the differences are averaged
over a seed, which then counts once. Settings that train differently (workload, epochs, base_lr, …) are never pooled;
machine factors (the flags) are averaged within the seed. Where the study tuned each scheduler's base_lr, the tuned ones
lead and the ones at the default stand beside. What this does *not* do: tune, or choose a base_lr.
"""

import sys

import pandas as pd

from analysis import compared
from analysis.answers import Answer
from analysis.comparisons import STANDING, asked


def answer(rows: pd.DataFrame, record: dict | None = None) -> Answer:
    """Return how the schedulers differ in final accuracy, with intervals, corrected tests and what could be seen.

    Where the study (`record`, its study.json) asks for this itself, its own baseline, margin and family count.
    """
    named = asked(record or {})
    same = [question for question in named if (question.factor, question.metric) == (STANDING.factor, STANDING.metric)]
    return compared.answer(rows, same[0] if same else STANDING, named, record)


if __name__ == "__main__":
    from analysis.page.command import main

    sys.exit(main("schedulers"))
