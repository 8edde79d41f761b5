"""D8, D9, D11: DistributedDataParallel over gloo on the CPU, each rank a real process that meets the others.

What this does *not* do: NCCL, or more than one machine: the order in which those add up is theirs, and is not tested.
"""

from lrbench.claims.asked_ddp import BASE_LR, GAMMA
from lrbench.claims.frame import Room, Verdict, bound_after_none, claim
from lrbench.claims.processes import first_difference

NUM_REPEATS = 12
BUCKETS_MB = (25.0, 0.01)  # torch's default: one bucket; and about one for each parameter
WORLD_SIZES = (1, 2, 3, 4)
REPEATED = [{"world_size": 2, "num_steps": 10}] * NUM_REPEATS
VARIED = [
    {"world_size": world_size, "bucket_cap_mb": bucket, "batch_norm": False}
    for world_size in WORLD_SIZES
    for bucket in BUCKETS_MB
]
SCHEDULED = [
    {"world_size": 1},
    {"world_size": 2},
    {"world_size": 2, "scheduler_calls": 2},  # what a wrapper does that steps it once for each process
]


def trained(room: Room) -> tuple[list, list, list]:
    """Return what the ranks of REPEATED, VARIED and SCHEDULED saw, in two fresh processes that fork the ranks."""
    calls = [{"jobs": REPEATED[::2]}, {"jobs": REPEATED[1::2] + VARIED + SCHEDULED}]
    # gloo asks for the machine's address by its name, which not every machine can resolve: they meet over the loopback
    first, second = room.fresh("lrbench.claims.asked_ddp:train", calls, {"GLOO_SOCKET_IFNAME": "lo"})
    repeated, rest = first + second[: NUM_REPEATS // 2], second[NUM_REPEATS // 2 :]
    return repeated, rest[: len(VARIED)], rest[len(VARIED) :]


@claim(id="D8", where="C", kind="E", expected="yes", source="torch's notes on DistributedDataParallel")
def d8(room: Room) -> Verdict:
    """With DDP over gloo both of 2 ranks have equal weights after each step, and repeats have equal weights too."""
    repeats, *_ = room.once(trained)
    evidence = []
    for name in ("gradients", "weights", "buffers"):
        ranks = [(first[name], second[name]) for first, second in repeats]
        evidence.append(_told(f"{name}, rank against rank", ranks))
        # disjoint pairs of repeats, one of each process that forks: the bound after no mismatch is exact
        half = len(repeats) // 2
        again = [
            (first[0][name], second[0][name]) for first, second in zip(repeats[:half], repeats[half:], strict=True)
        ]
        evidence.append(_told(f"{name}, repeat against repeat", again))
    wanted = [row for row in evidence if not row["what"].startswith("buffers, rank")]
    buffers = next(row for row in evidence if row["what"].startswith("buffers, rank"))
    broken = [f"{row['what']}: {row['num_equal']} of {row['num_pairs']}" for row in wanted if not row["holds"]]
    num_steps = evidence[0]["num_steps"]
    told = "; ".join(broken) or (
        f"equal on both ranks after each of {num_steps} steps in {len(repeats)} runs, and in {half} of {half} pairs of "
        f"runs (a mismatch in at most {bound_after_none(half):.0%} of such pairs, 95 %)"
    )
    own = "are equal too" if buffers["holds"] else f"part at step {buffers['step'] + 1}: each rank keeps its own"
    return Verdict(
        word="refuted" if broken else "supported",
        seen=f"gradients and weights: {told}; batch norm's running statistics {own}; NCCL was not tested",
        evidence=tuple(evidence),
    )


def _told(what: str, pairs: list[tuple[list, list]]) -> dict:
    """Return a row of evidence on pairs of lists of digests, a digest for each step."""
    parted = [first_difference(a, b) for a, b in pairs]
    return {
        "what": what,
        "num_pairs": len(pairs),
        "num_equal": sum(step < 0 for step in parted),
        "num_steps": len(pairs[0][0]),
        "step": min((step for step in parted if step >= 0), default=-1),
        "holds": all(step < 0 for step in parted),
    }


@claim(
    id="D9",
    where="C,G",
    kind="E",
    expected="yes",
    source="pytorch#30509; a sum over ranks is added up in an order that hangs on their number and on the bucket",
)
def d9(room: Room) -> Verdict:
    """bucket_cap_mb or the number of ranks changes the bits of the training."""
    _, varied, _ = room.once(trained)
    weights = {
        (job["world_size"], job["bucket_cap_mb"]): ranks[0]["weights"]
        for job, ranks in zip(VARIED, varied, strict=True)
    }
    large, small = BUCKETS_MB
    evidence = []
    for world_size in WORLD_SIZES:
        by_bucket = first_difference(weights[world_size, large], weights[world_size, small])
        by_ranks = first_difference(weights[1, large], weights[world_size, large])
        for what, bucket, step in (("bucket", small, by_bucket), ("ranks", large, by_ranks)):
            if what == "bucket" or world_size > 1:
                evidence.append(
                    {
                        "what": f"another {what}" if what == "bucket" else "against one rank",
                        "world_size": world_size,
                        "bucket_cap_mb": bucket,
                        "step": step,
                        "num_steps": len(weights[world_size, bucket]),
                        "bit_equal": step < 0,
                    }
                )
    by_bucket = _world_sizes(evidence, "another bucket")
    by_ranks = _world_sizes(evidence, "against one rank")
    left = [world_size for world_size in WORLD_SIZES if world_size not in by_bucket]
    why = " (a sum of two has one order)" if 2 in left else ""
    return Verdict(
        word="supported" if by_bucket or by_ranks else "refuted",
        seen=f"over gloo bucket_cap_mb {small} instead of {large} changes the weights with {_listed(by_bucket)} ranks "
        f"and leaves them with {_listed(left)}{why}; "
        f"the same global batch on several ranks differs from one rank with {_listed(by_ranks)}; NCCL was not tested",
        evidence=tuple(evidence),
    )


def _world_sizes(evidence: list[dict], what: str) -> list[int]:
    return [row["world_size"] for row in evidence if row["what"] == what and not row["bit_equal"]]


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers)) or "no"


@claim(
    id="D11",
    where="C",
    kind="E",
    expected="yes",
    source="accelerate#2926, #1398 (a wrapped scheduler was stepped once for each process)",
    gate=True,
)
def d11(room: Room) -> Verdict:
    """In DDP a scheduler advances once for each step of the optimizer, whatever the number of ranks; one that is
    stepped once for each rank is seen."""
    *_, scheduled = room.once(trained)
    evidence = []
    for job, ranks in zip(SCHEDULED, scheduled, strict=True):
        wanted = by_hand(len(ranks[0]["lr"]))
        steps = [first_difference(rank["lr"], wanted) for rank in ranks]
        control = "scheduler_calls" in job
        evidence.append(
            {
                "what": "control: stepped once for each rank" if control else "stepped once",
                "world_size": job["world_size"],
                "num_steps": len(wanted),
                "step": max(steps),
                "found": ranks[0]["lr"][-1],
                "wanted": wanted[-1],
                "holds": all((step >= 0) is control for step in steps),
            }
        )
    held = all(row["holds"] for row in evidence)
    control = evidence[-1]
    applied = f"every rank {'applies' if held else 'does not apply'} {BASE_LR} x {GAMMA}^step"
    return Verdict(
        word="supported" if held else "refuted",
        seen=f"{applied} at each of {control['num_steps']} steps, bit for bit, with 1 and 2 ranks; "
        f"stepped once for each of 2 ranks the last rate is {control['found']:.2g} instead of {control['wanted']:.2g}",
        evidence=tuple(evidence),
    )


def by_hand(num_steps: int) -> list[float]:
    """Return the rates that ExponentialLR applies when it is stepped once for each step: halves are exact in binary.

    >>> by_hand(3)
    [0.1, 0.05, 0.025]
    """
    return [BASE_LR * GAMMA**step for step in range(num_steps)]
