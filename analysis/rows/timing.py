"""Which rows tell of speed, and on how many of them others used the machine.

What this does *not* do: compare speeds (`analysis.throughput` does), or word what was found.
"""

import pandas as pd

from analysis.rows.conditions import completed

# a runner that serves every core makes a load of about one a core by itself
BUSY = 1.5
MOST_BUSY = 0.1  # a larger share of trials on a busy machine makes every advice on speed unsure


def timed(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that tell of speed: completed, alone on their device, with a steady state that was measured."""
    rows = completed(rows)
    return rows[(rows["packed"] == False) & (rows["samples_per_second"] > 0)]  # noqa: E712 (null is not False)


def num_busy(rows: pd.DataFrame) -> int:
    """Return how many trials began while others used the machine: more than 1.5 running processes on each core."""
    return int((rows["load_average"] > BUSY * rows["num_cores"]).sum())


def too_busy(rows: pd.DataFrame) -> bool:
    """Return whether others used the machine in so many of the timed rows that nothing should be chosen by speed."""
    usable = timed(rows)
    return num_busy(usable) > MOST_BUSY * len(usable)
