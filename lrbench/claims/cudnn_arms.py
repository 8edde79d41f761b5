"""The four arms of the cuDNN flags, run once for every claim that asks of them: trained, and repeated in one process.

ResNet-18 in all four arms, each repeated in fresh processes, serves the questions of speed and of sameness alike. TF32
in convolutions is as torch has it, on. What this does *not* do: register a claim (`lrbench.claims.cudnn` and
`deterministic` do).
"""

from collections.abc import Sequence

from lrbench.claims.effects import ratio_of
from lrbench.claims.frame import Room, Verdict, bound_after_none
from lrbench.claims.nets import RESNET18, convolution_net

ASKED = "lrbench.claims.asked_kernels"
RANDOMNESS = "torch's note on reproducibility"
NUM_REPLICATES = 6
FLAGS = {
    "workload": {"model": "torchvision:resnet18", "data": "synthetic", "image_size": 64},
    "epochs": 20,
    "batch_size": 32,
    "base_lr": 0.05,
    "optimizer": {"name": "SGD", "momentum": 0.9},
}
NETS = [RESNET18, convolution_net(3), convolution_net(5), convolution_net(7, channels=128)]
NUM_REPEATS, NUM_PROCESSES = 20, 4


def flag_arms(room: Room):
    """Return the rows of one seed in all four arms of the flags, each repeated in fresh processes."""
    arms = {"cudnn_benchmark": [False, True], "cudnn_deterministic": [False, True]}
    return whole(room.study("flags", fixed=FLAGS, grid=arms, replicates=NUM_REPLICATES))


def whole(rows):
    """Return a study's rows. Raises RuntimeError where a trial did not complete, or had other flags than asked."""
    failed = rows[rows["status"] != "completed"]
    if len(failed):
        told = str(failed["error"].iloc[0]).strip().splitlines()[-1:]
        raise RuntimeError(f"{len(failed)} of {len(rows)} trials did not complete: {''.join(told)}")
    if not rows["flags_held"].all():
        raise RuntimeError(f"{int((~rows['flags_held']).sum())} of {len(rows)} trials had other flags than asked")
    return rows


def repeated_passes(room: Room) -> list[dict]:
    """Return one entry for each process and net: digests of forwards and gradients repeated inside one process."""
    arms = [(True, False)] * NUM_PROCESSES + [(False, False), (True, True)]
    calls = [
        {
            "device": room.device,
            "flags": {"cudnn_benchmark": benchmark, "cudnn_deterministic": deterministic},
            "nets": NETS,
            "num_repeats": NUM_REPEATS,
        }
        for benchmark, deterministic in arms
    ]
    return [
        {**call["flags"], **net}
        for call, nets in zip(calls, room.fresh(f"{ASKED}:repeats", calls), strict=True)
        for net in nets
    ]


def arm(rows: list[dict], benchmark: bool, deterministic: bool) -> list[dict]:
    """Return the entries of one arm of the flags."""
    asked = {"cudnn_benchmark": benchmark, "cudnn_deterministic": deterministic}
    return [row for row in rows if asked.items() <= row.items()]


def mismatches(digests: Sequence[str]) -> int:
    """Return how many digests differ from the first.

    >>> mismatches(["a", "a", "b"])
    1
    """
    return sum(digest != digests[0] for digest in digests[1:])


def counted(num_differ: int, num_pairs: int, of: str) -> str:
    """Return a count of mismatches in words, with the bound that no mismatch leaves.

    >>> counted(0, 10, "repeats")
    '0 of 10 repeats differ (at most 26%, 95 %)'
    """
    bound = "" if num_differ or not num_pairs else f" (at most {bound_after_none(num_pairs):.0%}, 95 %)"
    return f"{num_differ} of {num_pairs} {of} differ{bound}"


def contrast(rows, factor: str, where: str):
    """Return how one flag changes the speed at one level of the other (analysis.throughput.Contrast)."""
    from analysis import throughput

    found = throughput.contrasts(throughput.timed(rows))
    return next(one for one in found if (one.factor, one.where) == (factor, where))


def speed(one):
    """Return the ratio of speeds of a contrast over its blocks, with the smallest that could have been seen."""
    return ratio_of(one.pairs.groupby("block")["log_ratio"].mean())


def interval_columns(ratio) -> dict:
    """Return the columns of evidence that an estimate fills."""
    return {"value": ratio.value, "low": ratio.low, "high": ratio.high, "num_blocks": ratio.n}


def inside_one_process(rows: list[dict], kind: str, called: str) -> Verdict:
    """Judge "repeats inside one process are bit-equal" over processes and nets."""
    evidence = []
    for row in rows:
        differ = mismatches(row[kind])
        evidence.append(
            {
                "what": f"{row['what']}: {kind}",
                "cudnn_benchmark": row["cudnn_benchmark"],
                "cudnn_deterministic": row["cudnn_deterministic"],
                "num_tried": len(row[kind]),
                "num_distinct": len(set(row[kind])),
                "num_pairs": len(row[kind]) - 1,
                "num_equal": len(row[kind]) - 1 - differ,
                "holds": differ == 0,
            }
        )
    pairs = sum(row["num_pairs"] for row in evidence)
    differ = pairs - sum(row["num_equal"] for row in evidence)
    where = sorted({row["what"].partition(":")[0] for row in evidence if not row["holds"]})
    return Verdict(
        word="refuted" if differ else "supported",
        seen=counted(differ, pairs, f"repeated {called} in one process") + (f": {', '.join(where)}" if where else ""),
        evidence=tuple(evidence),
    )


def kernels_apart(lists: Sequence[Sequence[str]]) -> str:
    """Return the kernels ("2 × name") that some ran and others did not, shortened; "" where all ran the same.

    >>> kernels_apart([["1 × a", "2 × b"], ["1 × a", "2 × c"]])
    '2 × b; 2 × c'
    """
    apart = sorted(set().union(*lists) - set(lists[0]).intersection(*lists))
    return "; ".join(name[:80] for name in apart[:6]) + (f"; and {len(apart) - 6} more" if len(apart) > 6 else "")
