"""D1 and D2: the same trial in another process, and with another number of threads.

What this does *not* do: look for the operation that parts two trials of a user's (`lrbench diverge` does).
"""

import os

from lrbench.claims.frame import Room, Verdict, bound_after_none, claim

WORKLOAD: str | dict = "digits-cnn"
NUM_SEEDS = 30
# what a row says to the bit of the training's course and end
DIGESTS = (
    "order_sha256",
    "applied_lr_sha256",
    "losses_sha256",
    "gradients_sha256",
    "optimizer_sha256",
    "weights_sha256",
    "logits_sha256",
    "predictions_sha256",
)


def repeated(room: Room):
    """Return the rows of NUM_SEEDS seeds, each trained twice in processes of its own: pairs that ought to be equal."""
    fixed = {"workload": WORKLOAD, "epochs": 2}
    return room.study("repeated", fixed=fixed, grid={"seed": f"0-{NUM_SEEDS - 1}"}, replicates=2, device="cpu")


@claim(id="D1", where="C", kind="E", expected="yes", source="torch's note on reproducibility", gate=True)
def d1(room: Room) -> Verdict:
    """On a CPU, in fp32 and at a fixed number of threads, the same trial in fresh processes gives equal digests."""
    from analysis.rows.replicates import digested, replicate_pairs

    rows = room.once(repeated)
    settings = rows[["status", "executor", "precision", "effective_num_threads", "effective_device"]].astype(str)
    fresh = settings.drop_duplicates().to_numpy().tolist() == [["completed", "process", "fp32", "1", "cpu"]]
    pairs = replicate_pairs(digested(rows))
    evidence = []
    for name in DIGESTS:
        equal = pairs[name].notna() & (pairs[name] == pairs[f"{name}_second"])
        num_equal = int(equal.sum())
        evidence.append(
            {"what": name, "num_pairs": len(pairs), "num_equal": num_equal, "holds": num_equal == len(pairs)}
        )
    differ = [f"{row['what']} in {row['num_pairs'] - row['num_equal']}" for row in evidence if not row["holds"]]
    if not fresh or len(pairs) * 2 < len(rows):
        found = settings.value_counts().to_dict()
        return Verdict(
            word="inconclusive", seen=f"not all trials completed as asked: {found}", evidence=tuple(evidence)
        )
    bound = "" if differ else f" (a mismatch in at most {bound_after_none(len(pairs)):.1%} of such pairs, 95 %)"
    return Verdict(
        word="refuted" if differ else "supported",
        seen=f"of {len(pairs)} pairs of fresh processes {len(pairs) if not differ else 'not all'} agree in all of "
        f"{len(DIGESTS)} digests{bound}" + (f"; different: {', '.join(differ)}" if differ else ""),
        evidence=tuple(evidence),
    )


# ------------------------------------------------------------------------------------------------------------ threads


@claim(
    id="D2",
    where="C",
    kind="E",
    expected="may differ (seen: sum and mean of a million elements)",
    source="a sum over threads is added up in another order",
)
def d2(room: Room) -> Verdict:
    """With 2 threads a training step gives other bits than with 1, and the first operation that differs has a name."""
    if len(os.sched_getaffinity(0)) < 2:
        return Verdict(word="not testable here", seen="there is one core, and so one thread")
    counts = (1, 1, 2, 2)
    found = room.fresh("lrbench.claims.asked_numerics:at_threads", [{"num_threads": n} for n in counts])
    one, one_again, two, two_again = found
    evidence = [
        {
            "what": "an operation by itself",
            "operator": name,
            "num_threads": 2,
            "bit_equal": one["operations"][name] == two["operations"][name],
            "holds": one["operations"][name] == one_again["operations"][name]
            and two["operations"][name] == two_again["operations"][name],
        }
        for name in one["operations"]
    ]
    steps = [answer["training_step"] for answer in found]
    place = first_difference(steps[0], steps[2])
    source = steps[0][place][0] if place >= 0 else ""
    repeat = steps[0] == steps[1] and steps[2] == steps[3]
    evidence.append(
        {"what": "the first in a training step", "operator": source, "step": place, "num_threads": 2, "holds": repeat}
    )
    evidence += _trained_with_threads(room)
    repeats = all(row["holds"] for row in evidence)
    other = [row["operator"] for row in evidence if row.get("bit_equal") is False and "operator" in row]
    differ = [row for row in evidence if row["what"] == "a trial" and not row["bit_equal"]]
    trials = sum(row["what"] == "a trial" for row in evidence)
    told = f"the first is {source} (number {place + 1} of {len(steps[0])})" if source else "none of its operators"
    return Verdict(
        word="inconclusive" if not repeats else "supported" if source else "refuted",
        seen=f"in a training step of small_cnn, {told}; by themselves {len(other)} of {len(one['operations'])} "
        f"operations differ ({', '.join(other) or 'none'}); whole trials on the digits differ in {len(differ)} of "
        f"{trials}; "
        + ("at one number of threads all repeats are equal" if repeats else "repeats at one number differ as well"),
        evidence=tuple(evidence),
    )


def first_difference(left: list, right: list) -> int:
    """Return the first place at which two lists differ, the end of the shorter one counting; -1 where they are equal.

    >>> first_difference([1, 2], [1, 3]), first_difference([1], [1, 2]), first_difference([1], [1])
    (1, 1, -1)
    """
    for place, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return place
    return -1 if len(left) == len(right) else min(len(left), len(right))


def _trained_with_threads(room: Room) -> list[dict]:
    """Return for each seed whether a trial with 2 threads ended in the bits that it has with 1."""
    fixed = {"workload": WORKLOAD, "epochs": 2, "batch_size": 256}
    rows = room.study("threads", fixed=fixed, grid={"num_threads": [1, 2], "seed": "0-2"}, replicates=2, device="cpu")
    found = []
    for seed, of_seed in rows.groupby("seed"):
        digests = {n: part["weights_sha256"].tolist() for n, part in of_seed.groupby("num_threads")}
        found.append(
            {
                "what": "a trial",
                "seed": int(seed),
                "num_threads": 2,
                "bit_equal": digests[1][0] == digests[2][0],
                "holds": all(len(set(repeats)) == 1 for repeats in digests.values()),
            }
        )
    return found
