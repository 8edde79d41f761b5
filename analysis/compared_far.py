"""The words on seeds that lie far outside of the others: which, by how much, and what that does to the comparison.

What this does *not* do: decide which lie there (`analysis.statistics.intervals.outlying` does), or look for a cause.
"""

import numpy as np

from analysis.compared_lost import unit_of
from analysis.comparisons import Comparison, Setting
from analysis.page.wording import count, listed, percent
from analysis.sizes import signed
from analysis.statistics.intervals import outlying, shuffles_decide

_MOST_NAMED = 3


def far_outside(compared: list[Setting], names_of) -> str:
    """Say on which seeds a comparison lies far outside of its others, that sign flips decide there, what else it means.

    The comparisons with the baseline (or all, where there is none) of all settings; the first is told, the others are
    counted. "" where there is none such. `names_of` gives a setting's names of arms.
    """
    found = [(setting, c) for setting in compared for c in setting.planned if shuffles_decide(c.differences)]
    if not found:
        return ""
    setting, c = found[0]
    names, unit, n = names_of(setting), unit_of(setting), len(c.differences)
    far = outlying(c.differences)
    others = f", and in {count(len(found) - 1, 'other comparison')}" if len(found) > 1 else ""
    why = f"Student's t takes {unit}s to scatter normally, and such a {unit} does not"
    if _mostly_equal(c.differences):
        why = f"Most {unit}s being equal, Student's t has no scatter to go by"
    told = (
        f"{_which(setting, c, far)} {names[c.a]} less {names[c.b]} is {_sizes(setting, c, far)}, far from the "
        f"{signed(setting.metric, float(np.median(c.differences)))} of the median {unit}. {why}, so sign flips decide "
        f"here{others}: their p may be the smaller or the larger. Look at what happened "
        f"{f'on that {unit}' if far.sum() == 1 else f'on those {unit}s'}."
    )
    return told + _one_sided(c.differences, far, unit, n)


def _mostly_equal(differences: np.ndarray) -> bool:
    return 2 * np.count_nonzero(np.isclose(differences, np.median(differences), rtol=1e-12, atol=0)) > len(differences)


def _which(setting: Setting, c: Comparison, far: np.ndarray) -> str:
    """Return "On seed 3", "On seeds 3 and 7", "On 5 of 20 seeds"; of blocks, those of which seeds."""
    unit, num = unit_of(setting), int(far.sum())
    apart = unit == "seed" and len(set(c.seeds)) < len(c.seeds)  # streams of one seed that vary apart have no one name
    if num > _MOST_NAMED or apart:
        return f"On {num} of {count(len(far), unit)}"
    seeds = listed([str(int(seed)) for seed in c.seeds[far]])
    named = f"seed {seeds}" if num == 1 else f"seeds {seeds}"
    return f"On {named}" if unit == "seed" else f"In the {'block' if num == 1 else 'blocks'} of {named}"


def _sizes(setting: Setting, c: Comparison, far: np.ndarray) -> str:
    sizes = sorted(c.differences[far], key=abs, reverse=True)
    if len(sizes) > _MOST_NAMED:
        return f"up to {signed(setting.metric, float(sizes[0]))}"
    return listed(signed(setting.metric, float(size)) for size in c.differences[far])


def _one_sided(differences: np.ndarray, far: np.ndarray, unit: str, n: int) -> str:
    """Say what an interval is worth where one arm alone seems to have bad seeds, from the calibrated table."""
    middle = float(np.median(differences))
    sides = np.sign(differences[far] - middle)
    if not (sides == sides[0]).all() or _mostly_equal(differences):  # equal pairs are no scatter to judge by
        return ""
    num_seeds, share = covered_where_one_arm_fails(n)
    which = f"It lies on one side, as it would if one arm alone had bad {unit}s"
    if far.sum() > 1:
        which = f"They lie on one side, as they would if one arm alone had bad {unit}s"
    return (
        f" {which}: a 95% interval of a mean from few {unit}s then covers too little (it held the truth in "
        f"{percent(share)} of simulated studies of {num_seeds} seeds). Count the bad {unit}s too."
    )


def covered_where_one_arm_fails(n: int) -> tuple[int, float]:
    """Return (seeds, share): how often the deciding interval holds the truth where one arm alone has rare bad seeds.

    Of the committed calibration, at the number of seeds next to n that was simulated: of two as near, the smaller share
    counts.
    """
    from analysis.calibration import committed
    from analysis.calibration_cells import COVERAGE, ONE, PAIRED

    table = committed()
    asked = {"method": PAIRED, "arms": ONE, "noise": "rare bad seeds", "what": COVERAGE}
    rates = table[(table[list(asked)] == list(asked.values())).all(axis=1)].set_index("num_seeds")["rate"]
    nearest = min(rates.index, key=lambda seeds: (abs(seeds - n), rates[seeds]))
    return int(nearest), float(rates[nearest])
