"""How much of a difference is luck? What fewer seeds would have said, counted over the seeds that were run.

Nothing is drawn at random: every choice of seeds is counted, so the same rows give the same numbers. The seeds at hand
stand for all seeds, and the more seeds a choice takes the less choices differ: shares near their end are too small.
What this does *not* do: test (`analysis.statistics.verdicts` does), or pool settings that train differently.
"""

from itertools import combinations
from math import comb

import numpy as np
import pandas as pd

from analysis.comparisons import TRAINING
from analysis.page.wording import count, percent, points
from analysis.rows.conditions import completed, group_ids, levels, short_names

MOST_CUTS = 20_000  # ways to cut the seeds in two that are counted: all of up to 16 seeds


def scores(rows: pd.DataFrame) -> pd.DataFrame:
    """Return final accuracy as seeds × schedulers, the mean over repeats and flags; seeds that all schedulers have.

    Of several settings that train differently the one with the most trials.
    """
    done = completed(rows)
    done = done[done["final_accuracy"].notna()]
    setting = group_ids(done, [name for name in TRAINING if name != "scheduler"])
    done = done[setting == setting.mode().iloc[0]] if len(done) else done
    order = [str(name) for name in levels(done, "scheduler")]
    short = short_names(order)
    named = done.assign(name=done["scheduler"].astype(str).map(short))
    return named.pivot_table(index="seed", columns="name", values="final_accuracy")[list(short.values())].dropna()


def wrong_orders(table: pd.DataFrame) -> pd.DataFrame:
    """How often would single runs have put the worse of two schedulers first? A row a pair, by what all seeds say.

    `worse_first_share` counts every seed of the one with every seed of the other, `worse_first_same_seed_share` each
    seed with itself; ties count half. Pairs whose means are equal have no order and are left out.
    """
    records = []
    for one, other in combinations(table.columns, 2):
        better, worse = sorted((one, other), key=lambda name: -table[name].mean())
        a, b = table[better].to_numpy(), table[worse].to_numpy()
        gap = round(float((a - b).mean()), 12)
        if gap > 0:
            records.append(
                {
                    "better": better,
                    "worse": worse,
                    "difference_points": gap,
                    "worse_first_share": _wrong(a[:, None] - b[None, :]),
                    "worse_first_same_seed_share": _wrong(a - b),
                }
            )
    names = ("better", "worse", "difference_points", "worse_first_share", "worse_first_same_seed_share")
    return pd.DataFrame(records, columns=names).sort_values("difference_points", ignore_index=True)


def by_num_seeds(table: pd.DataFrame, better: str, worse: str) -> pd.DataFrame:
    """How often would so many seeds have put the worse of two schedulers first? A row for 1, 2, … seeds.

    Means over every choice of n seeds: the same for both schedulers, or one choice for each. Choices that are too many
    to count (above 16 seeds) are left out.
    """
    a, b = table[better].to_numpy(), table[worse].to_numpy()
    records = []
    for n in range(1, len(table)):
        if comb(len(table), n) > MOST_CUTS:
            continue
        first, second, paired = (np.sort(_means(values, n)) for values in (a, b, a - b))
        records.append(
            {
                "num_seeds": n,
                "num_choices": len(paired),
                "worse_first_share": _wrong_sorted(first, second),
                "worse_first_same_seed_share": _wrong(paired),
            }
        )
    return pd.DataFrame(records)


def against_itself(table: pd.DataFrame) -> np.ndarray:
    """What differences does a scheduler show against itself? (values,): half of its seeds less the other half.

    Every way to cut the seeds in two, for every scheduler; of an odd number, or of more than 16, the last are left out.
    Truth is zero.
    """
    half = min(len(table) // 2, 8)
    values = table.to_numpy()[: 2 * half]
    whole = values.sum(axis=0)
    found = [2 * values[list(chosen)].sum(axis=0) - whole for chosen in combinations(range(2 * half), half)]
    return np.array(found).ravel() / half if half else np.zeros(0)


def best_seed(table: pd.DataFrame) -> pd.DataFrame:
    """What does naming the best of n seeds add to a score that has not changed? A row a scheduler: best less mean."""
    gain = table.max() - table.mean()
    return pd.DataFrame(
        {
            "scheduler": table.columns,
            "num_seeds": len(table),
            "mean_accuracy": table.mean().to_numpy(),
            "best_seed_accuracy": table.max().to_numpy(),
            "gained_by_choice_points": gain.to_numpy(),
        }
    ).sort_values("gained_by_choice_points", ascending=False, ignore_index=True)


def sentences(table: pd.DataFrame) -> list[str]:
    """Say how much of what one would have seen is luck."""
    pairs = wrong_orders(table)
    if pairs.empty or len(table) < 2:
        return ["With one seed or one scheduler nothing can be said about luck."]
    itself = np.abs(against_itself(table))
    half = min(len(table) // 2, 8)
    worst = pairs.sort_values("worse_first_share").iloc[-1]
    gains = best_seed(table)["gained_by_choice_points"]
    typical, large = (_unsigned(np.quantile(itself, q)) for q in (0.5, 0.95))
    below = int((pairs["difference_points"] < np.quantile(itself, 0.95)).sum())
    one_run = (
        f"One run of each of two schedulers puts the worse one first in "
        f"{percent(float(pairs['worse_first_share'].mean()), 0)} of comparisons "
        f"({count(len(pairs), 'pair')} of schedulers); most often in {percent(float(worst['worse_first_share']), 0)}, "
        f"for {worst['better']} and {worst['worse']}, which are {_unsigned(worst['difference_points'])} points apart."
    )
    against = (
        f"A scheduler against itself, {count(half, 'seed')} against {count(half, 'other')}, shows {typical} points in "
        f"the median and {large} at the 95th percentile: with so few seeds each, luck would hide {below:,} of "
        f"{count(len(pairs), 'difference')} between schedulers."
    )
    low, high = (_unsigned(value) for value in (gains.min(), gains.max()))
    best = f"Naming the best of {len(table)} seeds adds {low} to {high} points to a scheduler that has not changed."
    return [one_run, against, best]


def _unsigned(fraction: float) -> str:
    return points(float(fraction)).lstrip("+")


def _wrong(differences: np.ndarray) -> float:
    """The share of differences on the wrong side; zero, up to the rounding of means, counts half."""
    rounded = np.round(differences, 12)
    return float(np.mean(rounded < 0) + 0.5 * np.mean(rounded == 0))


def _wrong_sorted(first: np.ndarray, second: np.ndarray) -> float:
    """The same over all pairs of two sorted samples, without making the pairs."""
    first, second = np.round(first, 12), np.round(second, 12)
    above = len(second) - np.searchsorted(second, first, side="right")
    tied = np.searchsorted(second, first, side="right") - np.searchsorted(second, first, side="left")
    return float((above.sum() + 0.5 * tied.sum()) / (len(first) * len(second)))


def _means(values: np.ndarray, n: int) -> np.ndarray:
    return np.array([values[list(chosen)].mean() for chosen in combinations(range(len(values)), n)])
