"""D3 to D7: DataLoader workers, the company in a batch, and the seeds of a distributed sampler.

What this does *not* do: train on several ranks (`lrbench.claims.distributed` does), or look into a user's own loader.
"""

from lrbench.claims.asked_loader import NUM_EPOCHS as LOADED_EPOCHS
from lrbench.claims.frame import Room, Verdict, claim
from lrbench.seeds import STREAMS, derive_seed


@claim(
    id="D3",
    where="C",
    kind="E",
    expected="yes",
    source="torch's DataLoader: workers seed torch, random and NumPy anew",
)
def d3(room: Room) -> Verdict:
    """A DataLoader with 2 workers gives the same order of images as one with none, and other random transforms."""
    answers: dict[tuple[bool, int], list[dict]] = {}
    calls = [{"own_generator": own, "num_workers": n} for own in (True, False) for n in (0, 0, 1, 1, 2, 2)]
    (found,) = room.fresh("lrbench.claims.asked_loader:drawn_each", [{"calls": calls}])
    for call, answer in zip(calls, found, strict=True):
        answers.setdefault((call["own_generator"], call["num_workers"]), []).append(answer)
    repeats = all(first == again for first, again in answers.values())
    equal = {
        (name, own, n): _by_item(answers[own, 0][0], name) == _by_item(answer, name)
        for (own, n), (answer, _) in answers.items()
        for name in answer
        if n
    }
    other = [name for name in ("torch", "python", "numpy") if not equal[name, True, 2]]
    holds = equal["order", True, 2] and len(other) == 3
    own_order, global_order = ("the same" if equal["order", own, 2] else "another" for own in (True, False))
    by_item = "equal" if equal["by item", True, 1] and equal["by item", True, 2] else "different as well"
    return Verdict(
        word="inconclusive" if not repeats else "supported" if holds else "refuted",
        seen=f"over {LOADED_EPOCHS} epochs with a generator of the loader's own the order is {own_order}, and other "
        f"numbers come from {', '.join(other) or 'no generator'}; without one the order is {global_order}; numbers "
        f"from a generator seeded by epoch and image are {by_item}"
        + ("" if repeats else "; but repeats with equal workers differ too"),
        evidence=tuple(
            {
                "what": name,
                "note": "the loader has a generator of its own"
                if own
                else "the loader draws from the global generator",
                "num_workers": n,
                "bit_equal": same,
            }
            for (name, own, n), same in equal.items()
        ),
    )


def _by_item(answer: dict, name: str) -> list:
    """Return what was drawn, epoch by epoch, in the order of the items' numbers; of the order itself, as it came."""
    order, values = answer["order"], answer[name]
    if name == "order":
        return order
    half = len(order) // LOADED_EPOCHS
    epochs = [range(begin, begin + half) for begin in range(0, len(order), half)]
    return [values[place] for epoch in epochs for place in sorted(epoch, key=order.__getitem__)]


@claim(
    id="D5",
    where="C,G",
    kind="E",
    expected="may differ",
    source="matrix products and convolutions choose their blocking by the size of the batch",
)
def d5(room: Room) -> Verdict:
    """Row i of a batch is not bit-equal to the same row alone."""
    arguments = {"device": room.device, "batch_size": 64}
    (found,) = room.fresh("lrbench.claims.asked_numerics:rows_alone", [arguments])
    evidence = tuple(
        {
            "what": name,
            "num_rows": of["num_rows"],
            "num_rows_differ": of["num_differ"],
            "max_ulp": of["max_ulp"],
            "max_relative_l2": of["max_relative_l2"],
            "bit_equal": of["num_differ"] == 0,
        }
        for name, of in found.items()
    )
    told = ", ".join(
        f"{row['what']} {row['num_rows_differ']} of {row['num_rows']}"
        + ("" if row["bit_equal"] else f" (by up to {row['max_relative_l2']:.1e} of its norm)")
        for row in evidence
    )
    differ = any(not row["bit_equal"] for row in evidence)
    untested = "; CUDA was not tested" if room.device == "cpu" else ""
    return Verdict(
        word="supported" if differ else "refuted",
        seen=f"rows that differ on {room.device}: {told}{untested}",
        evidence=evidence,
    )


# -------------------------------------------------------------------------------------------- seeds and distribution

NUM_SEEDS, NUM_EPOCHS = 500, 500  # for each stream: a million derived seeds


@claim(
    id="D6",
    where="C",
    kind="E",
    expected="yes",
    source="torch's DistributedSampler seeds with seed + epoch; this suite's own check",
    gate=True,
)
def d6(room: Room) -> Verdict:
    """DistributedSampler(seed=0) in epoch 1 gives the order of seed=1 in epoch 0; this suite's derived seeds do not
    collide."""
    added = _orders(seed=0, epochs=[1]) == _orders(seed=1, epochs=[0])
    seeds = [
        derive_seed(stream, seed, epoch)
        for stream in STREAMS
        for seed in range(NUM_SEEDS)
        for epoch in range(NUM_EPOCHS)
    ]
    sums = [seed + epoch for seed in range(NUM_SEEDS) for epoch in range(NUM_EPOCHS)]
    collisions, low, of_sums = num_collisions(seeds), num_collisions([s % 2**32 for s in seeds]), num_collisions(sums)
    reads_low_half = _permutation(5) == _permutation(5 + 2**32)
    by_chance = len(seeds) ** 2 / 2 / 2**32
    # 4 SD above what chance gives (Poisson): more would be a fault of the derivation, and not of a 32-bit generator
    low_ok = low <= by_chance + 4 * by_chance**0.5
    evidence = (
        {"what": "DistributedSampler (0, 1) = (1, 0)", "bit_equal": added, "holds": added},
        {"what": "derived", "num_seeds": len(seeds), "num_collisions": collisions, "holds": collisions == 0},
        {"what": "derived, low 32 bits", "num_seeds": len(seeds), "num_collisions": low, "holds": low_ok},
        {"what": "seed + epoch", "num_seeds": len(sums), "num_collisions": of_sums},
        {"what": "torch's CPU generator reads the low 32 bits alone", "bit_equal": reads_low_half},
    )
    chance = f"{low} collide (by chance {by_chance:.0f} would)"
    half = f"; torch's generator on the CPU reads their low 32 bits alone, in which {chance}" if reads_low_half else ""
    return Verdict(
        word="supported" if added and collisions == 0 and low_ok else "refuted",
        seen=f"the sampler's orders are {'equal' if added else 'different'}; of {len(seeds):,} derived seeds "
        f"{collisions} collide, of {len(sums):,} sums of seed and epoch {of_sums:,} do{half}",
        evidence=evidence,
    )


def num_collisions(seeds: list[int]) -> int:
    """Return how many of the seeds an earlier one had taken.

    >>> num_collisions([1, 2, 2, 2])
    2
    """
    return len(seeds) - len(set(seeds))


def _permutation(seed: int) -> list[int]:
    import torch

    return torch.randperm(64, generator=torch.Generator().manual_seed(seed)).tolist()


def _orders(seed: int, epochs: list[int], set_epoch: bool = True) -> list[tuple[int, ...]]:
    """Return one of two ranks' order of 64 images in each epoch, from one sampler."""
    from torch.utils.data import DistributedSampler

    sampler = DistributedSampler(range(64), num_replicas=2, rank=0, shuffle=True, seed=seed)
    orders = []
    for epoch in epochs:
        if set_epoch:
            sampler.set_epoch(epoch)
        orders.append(tuple(sampler))
    return orders


@claim(id="D7", where="C", kind="E", expected="yes", source="torch's DistributedSampler")
def d7(room: Room) -> Verdict:
    """Without set_epoch a DistributedSampler gives the same order in every epoch."""
    num_epochs = 5
    epochs = list(range(num_epochs))
    distinct = {
        "without set_epoch": len(set(_orders(0, epochs, set_epoch=False))),
        "with set_epoch": len(set(_orders(0, epochs))),
    }
    wanted = {"without set_epoch": 1, "with set_epoch": num_epochs}
    return Verdict(
        word="supported" if distinct == wanted else "refuted",
        seen=f"different orders in {num_epochs} epochs: {distinct['without set_epoch']} without set_epoch, "
        f"{distinct['with set_epoch']} with it",
        evidence=tuple(
            {"what": what, "num_epochs": num_epochs, "num_orders": n, "holds": n == wanted[what]}
            for what, n in distinct.items()
        ),
    )
