"""C2: what cudnn.deterministic costs, buys and leaves open, on one CUDA GPU.

Digits in two arms and 18 seeds serve the questions of accuracy. What this does *not* do: say anything of a CPU, where
the flags are inert.
"""

from collections.abc import Sequence
from math import log

from lrbench.claims.cudnn_arms import (
    ASKED,
    NUM_PROCESSES,
    NUM_REPEATS,
    RANDOMNESS,
    arm,
    contrast,
    counted,
    flag_arms,
    inside_one_process,
    interval_columns,
    mismatches,
    repeated_passes,
    whole,
)
from lrbench.claims.effects import different, equivalence, findable, ratio_of, sd_ratio
from lrbench.claims.frame import Room, Verdict, claim
from lrbench.claims.nets import ATOMIC, RESNET18, convolution_net

ACCURACY = {"workload": "digits-cnn", "epochs": 5}
ACCURACY_SEEDS = "0-17"
KERNEL_SIZES = [RESNET18, *(convolution_net(size, channels=128) for size in (1, 3, 5, 7, 11))]
NUM_BLOCKS, NUM_STEPS = 6, 10


def _same_weights(rows, benchmark: bool, deterministic: bool) -> dict:
    """Return how many repeats in fresh processes ended with other weights than the first, in one arm."""
    chosen = rows[(rows["cudnn_benchmark"] == benchmark) & (rows["cudnn_deterministic"] == deterministic)]
    digests = chosen.sort_values("replicate")["weights_sha256"].tolist()
    differ = mismatches(digests)
    return {
        "what": "weights after training, fresh processes",
        "cudnn_benchmark": benchmark,
        "cudnn_deterministic": deterministic,
        "num_trials": len(digests),
        "num_weights": len(set(digests)),
        "num_plans": int(chosen["kernel_fingerprint"].nunique()),
        "num_pairs": len(digests) - 1,
        "num_weights_differ": differ,
        "holds": differ == 0,
    }


@claim(id="C2a", where="G", kind="E", expected="yes", source=RANDOMNESS)
def c2a(room: Room) -> Verdict:
    """With deterministic=True and benchmark=False, fresh processes train ResNet-18 to equal weights, bit for bit."""
    row = _same_weights(room.once(flag_arms), False, True)
    return Verdict(
        word="supported" if row["holds"] else "refuted",
        seen=counted(row["num_weights_differ"], row["num_pairs"], "repeats in fresh processes"),
        evidence=(row,),
    )


@claim(
    id="C2b",
    where="G",
    kind="E",
    expected="inside a process yes; across processes not promised",
    source="pytorch#15359, #6351, #3659 disagree",
)
def c2b(room: Room) -> Verdict:
    """With deterministic=True and benchmark=True, repeats are equal inside a process; between processes they are
    counted."""
    rows = arm(room.once(repeated_passes), True, True)
    inside = [inside_one_process(rows, kind, kind) for kind in ("forwards", "gradients")]
    between = _same_weights(room.once(flag_arms), True, True)
    equal = all(verdict.word == "supported" for verdict in inside)
    told_inside = "; ".join(verdict.seen for verdict in inside)
    return Verdict(
        word="supported" if equal else "refuted",
        seen=f"inside: {told_inside}. Between processes: "
        + counted(between["num_weights_differ"], between["num_pairs"], "trained repeats")
        + f", with {between['num_plans']} kernel fingerprints",
        evidence=(*inside[0].evidence, *inside[1].evidence, between),
    )


MODES = {"off": "cudnn.deterministic=True", "strict": "use_deterministic_algorithms(True)", "warn": "warn_only=True"}


def atomic_nets(room: Room) -> list[dict]:
    """Return one entry for each net with atomics and each mode: weights after a step, from equal seeds each time."""
    calls = [
        {
            "device": room.device,
            "flags": {"cudnn_deterministic": True, "deterministic_algorithms": mode},
            "nets": ATOMIC,
            "num_repeats": NUM_REPEATS,
        }
        for mode in MODES
    ]
    found = room.fresh(f"{ASKED}:retrained", calls)
    return [{"mode": mode, **net} for mode, nets in zip(MODES, found, strict=True) for net in nets]


def atomic_evidence(row: dict) -> dict:
    """Return a row of evidence on one net in one mode; `holds` is whether all repeats were equal."""
    weights = row["weights"]
    return {
        "what": row["what"],
        "level": MODES[row["mode"]],
        "raises": row["raises"],
        "num_warnings": row["num_warnings"],
        "num_tried": len(weights),
        "num_distinct": len(set(weights)),
        "holds": len(set(weights)) == 1 and not row["raises"],
    }


@claim(
    id="C2c",
    where="G",
    kind="E",
    expected="differs or raises",
    source="torch's documentation of use_deterministic_algorithms; pytorch#50198",
)
def c2c(room: Room) -> Verdict:
    """cudnn.deterministic=True alone does not make networks with overlapping AdaptiveAvgPool2d, bilinear upsampling or
    index_add bit-equal; strict mode raises or fixes."""
    rows = [atomic_evidence(row) for row in room.once(atomic_nets) if row["mode"] != "warn"]
    alone = [row for row in rows if row["level"] == MODES["off"]]
    strict = [row for row in rows if row["level"] == MODES["strict"]]
    vary = [row["what"] for row in alone if not row["holds"]]
    slips = [row["what"] for row in strict if not row["holds"] and not row["raises"]]
    fixed = "supported" if len(vary) == len(alone) else "inconclusive"
    raises = [row["what"] for row in strict if row["raises"]]
    bound = "" if len(vary) == len(alone) else f"; the others: {counted(0, NUM_REPEATS - 1, 'repeats')}"
    return Verdict(
        word="refuted" if slips else fixed,
        seen=f"with the flag alone {_listed(vary)} vary over {NUM_REPEATS} repeats{bound}; in strict mode "
        f"{_listed(raises)} raise and {_listed(slips)} still vary",
        evidence=tuple(rows),
    )


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"


@claim(
    id="C2d",
    where="G",
    kind="S",
    expected="papers disagree",
    source='up to 7.5x (arXiv 2106.11872); "not as significant" (arXiv 2410.02806)',
)
def c2d(room: Room) -> Verdict:
    """cudnn.deterministic=True costs speed; by how much depends on the network and the size of its kernels."""
    call = {
        "device": room.device,
        "flags": {},
        "nets": KERNEL_SIZES,
        "setting": "cudnn_deterministic",
        "levels": [False, True],
        "num_blocks": NUM_BLOCKS,
        "num_steps": NUM_STEPS,
    }
    processes = room.fresh(f"{ASKED}:alternating", [call] * NUM_PROCESSES)
    ratios = {
        net["what"]: ratio_of([mean_log_ratio(process[place]["seconds"]) for process in processes])
        for place, net in enumerate(KERNEL_SIZES)
    }
    ratios["ResNet-18, whole training"] = _slower(room.once(flag_arms))
    stands = different([ratio.p for ratio in ratios.values()])
    slower = [what for (what, ratio), stand in zip(ratios.items(), stands, strict=True) if stand and ratio.value > 1]
    most = max(ratios.values(), key=lambda ratio: ratio.value)
    return Verdict(
        word="supported" if slower else "inconclusive",
        seen=f"{len(slower)} of {len(ratios)} cases take longer (5 % for all together, Holm); time per step, on / off: "
        + "; ".join(f"{what} {ratio}" for what, ratio in ratios.items())
        + (f". At most {most}" if slower else f"; {findable(ratios.values())}"),
        evidence=tuple(
            {"what": what, **interval_columns(ratio), "p": ratio.p, "holds": what in slower}
            for what, ratio in ratios.items()
        ),
    )


def _slower(rows):
    """Return the time of a trial's step with deterministic=True over that without, benchmark off, by block."""
    blocks = contrast(rows, "cudnn_deterministic", "cudnn_benchmark=False").pairs.groupby("block")["log_ratio"].mean()
    return ratio_of(-blocks)


def mean_log_ratio(blocks: Sequence[Sequence[float]]) -> float:
    """Return the mean over blocks of log(seconds at the second level / seconds at the first).

    >>> mean_log_ratio([[1.0, 2.0], [2.0, 1.0]])
    0.0
    """
    return sum(log(second / first) for first, second in blocks) / len(blocks)


# ---------------------------------------------------------------------------------------------------------- accuracy


def accuracy_arms(room: Room):
    """Return by seed the accuracy on, off and again (off once more, in a new process), and the digests of weights."""
    import pandas as pd

    grid = {"seed": ACCURACY_SEEDS, "cudnn_deterministic": [False, True]}
    run = {"fixed": ACCURACY, "jobs": 4 if room.device.startswith("cuda") else None}  # nothing is timed here
    rows = whole(room.study("accuracy", grid=grid, **run))
    once_more = whole(room.study("accuracy-again", grid={**grid, "cudnn_deterministic": [False]}, **run))
    parts = {"off": rows[~rows["cudnn_deterministic"]], "on": rows[rows["cudnn_deterministic"]], "again": once_more}
    by_seed = {name: part.set_index("seed") for name, part in parts.items()}
    return pd.DataFrame(
        {name: part["final_accuracy"] for name, part in by_seed.items()}
        | {f"{name} weights": part["weights_sha256"] for name, part in by_seed.items()}
    )


@claim(id="C2e", where="G", kind="S", expected="yes for top-1", source="arXiv 2106.11872")
def c2e(room: Room) -> Verdict:
    """Final accuracy with deterministic on and off is equivalent within ±1 seed SD (TOST)."""
    rows = room.once(accuracy_arms)
    margin = float(rows["on"].std(ddof=1))
    found = equivalence(rows["on"] - rows["off"], margin)
    equal = int((rows["on weights"] == rows["off weights"]).sum())
    p = {} if found.p != found.p else {"p": found.p}
    enough = max(abs(found.low), abs(found.high))
    return Verdict(
        word=found.word,
        seen=f"mean difference {found.value:+.2%}, 90 % interval [{found.low:+.2%}, {found.high:+.2%}], margin "
        f"±{margin:.2%} (the SD over seeds; ±{enough:.2%} would do), {found.n} pairs, {equal} with equal "
        "weights, bit for bit",
        evidence=(
            {
                "what": "accuracy, deterministic on less off",
                "value": found.value,
                "low": found.low,
                "high": found.high,
                "margin": margin,
                "num_pairs": found.n,
                "num_equal": equal,
                "holds": found.word == "equivalent within margin",
                **p,
            },
        ),
    )


@claim(
    id="C2f",
    where="G",
    kind="S",
    expected="near 1 for long runs, less for short ones",
    source="arXiv 2103.04514",
)
def c2f(room: Room) -> Verdict:
    """Repeats of one seed with deterministic=False scatter in accuracy as much as seeds do (ratio of SDs 1)."""
    from analysis.statistics.intervals import pooled_sd

    rows = room.once(accuracy_arms)
    repeats = [*rows["off"], *rows["again"]]
    sd, degrees = pooled_sd(repeats, [*rows.index, *rows.index])
    seed_sd = float(rows["on"].std(ddof=1))
    ratio = sd_ratio(sd, degrees, seed_sd, len(rows) - 1)
    differ = int((rows["off weights"] != rows["again weights"]).sum())
    return Verdict(
        word=spread_word(ratio.low, ratio.high),
        seen=f"run-to-run SD {sd:.2%} over seed SD {seed_sd:.2%} is {ratio.value:.2f} [{ratio.low:.2f}, "
        f"{ratio.high:.2f}] after {ACCURACY['epochs']} epochs; {counted(differ, len(rows), 'pairs of repeats')}",
        evidence=(
            {
                "what": "run-to-run SD / seed SD of accuracy",
                "value": ratio.value,
                "low": ratio.low,
                "high": ratio.high,
                "num_pairs": len(rows),
                "num_weights_differ": differ,
                "holds": ratio.low <= 1 <= ratio.high,
            },
        ),
    )


def spread_word(low: float, high: float) -> str:
    """Return the verdict on "the ratio of SDs is 1", equivalence being within a factor of 2 either way.

    >>> spread_word(0.7, 1.6), spread_word(0.2, 0.6), spread_word(0.4, 1.6)
    ('equivalent within margin', 'refuted', 'inconclusive')
    """
    if low > 1 or high < 1:
        return "refuted"
    return "equivalent within margin" if low >= 0.5 and high <= 2 else "inconclusive"
