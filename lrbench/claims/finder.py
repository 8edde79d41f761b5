"""V22: the divergence finder, on faults that were planted and on pairs where nothing was.

What this does *not* do: plant (`lrbench.claims.faulty`), or find (`lrbench.diverge`).
"""

import tempfile
from pathlib import Path

from lrbench.claims.faulty import (
    MODULE,
    RECIPE,
    SMALL_DIGITS,
    find_planted,
    one_ulp_placements,
    other_placements,
    pair,
)
from lrbench.claims.frame import Room, Verdict, bound_after_none, claim
from lrbench.diverge.steps import first_mismatch
from lrbench.watch import Watch

NUM_EQUAL_PAIRS = 60


@claim(
    id="V22",
    where="C",
    kind="E",
    expected="yes",
    source="this suite's own finder; a detector is worth what it finds of planted faults",
    gate=True,
)
def v22(room: Room) -> Verdict:
    """The divergence finder names the planted operation exactly, and raises no alarm where nothing was planted."""
    from lrbench.diverge.sides import Sides

    placements = [*one_ulp_placements(), *other_placements()]
    trials = [trial for placement in placements for trial in pair(placement)]
    with tempfile.TemporaryDirectory(prefix="lrbench-finder-") as name, Sides(trials) as sides:
        found = [
            find_planted(placement, Path(name) / str(number), sides=sides)
            for number, placement in enumerate(placements)
        ]
    equal = room.study(
        "equal-pairs",
        fixed={"workload": {"model": f"{MODULE}:one_ulp", **SMALL_DIGITS}, **RECIPE},
        grid={"seed": f"0-{NUM_EQUAL_PAIRS - 1}"},
        replicates=2,
        device="cpu",
        watch=Watch(digest_every=1),
    )
    pairs = [rows.to_dict("records") for _, rows in equal.groupby("seed")]
    alarms = sum(first_mismatch(one, other) is not None for one, other in pairs)
    control = {"what": "nothing planted", "num_pairs": len(pairs), "num_equal": len(pairs) - alarms}
    right = sum(row["holds"] for row in found)
    missed = [f"{row['fault']} ({row['what']})" for row in found if not row["holds"]]
    return Verdict(
        word="supported" if right == len(found) and not alarms else "refuted",
        seen=f"{right} of {len(found)} planted faults found and named"
        + (f" (not {', '.join(missed)})" if missed else "")
        + f"; {alarms} alarms in {len(pairs)} pairs of equal runs (at most {bound_after_none(len(pairs)):.0%}, 95 %)",
        evidence=(*found, {**control, "holds": not alarms}),
    )
