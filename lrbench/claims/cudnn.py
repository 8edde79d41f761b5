"""C1: what cudnn.benchmark costs, buys and changes, on one CUDA GPU.

What this does *not* do: say anything of a CPU, where the flags are inert.
"""

from math import log

from lrbench.claims.cudnn_arms import (
    ASKED,
    NETS,
    NUM_PROCESSES,
    RANDOMNESS,
    arm,
    contrast,
    counted,
    flag_arms,
    inside_one_process,
    interval_columns,
    kernels_apart,
    repeated_passes,
    speed,
)
from lrbench.claims.effects import ratio_of, told, word_for
from lrbench.claims.frame import Room, Verdict, claim

IMAGE_SIZES = list(range(20, 68))
_LEVELS = (False, True)


# ---------------------------------------------------------------------------------------------------------------- speed


@claim(id="C1a", where="G", kind="S", expected="usually; size unknown", source=RANDOMNESS)
def c1a(room: Room) -> Verdict:
    """cudnn.benchmark=True raises steady-state throughput at fixed shapes."""
    rows = room.once(flag_arms)
    ratios = {level: speed(contrast(rows, "cudnn_benchmark", f"cudnn_deterministic={level}")) for level in _LEVELS}
    return Verdict(
        word=word_for(ratios[False], "above 1"),
        seen=f"speed of ResNet-18, on / off: {told(ratios[False])}; with deterministic=True {told(ratios[True])}",
        evidence=tuple(
            {"what": "ResNet-18", "cudnn_deterministic": level, **interval_columns(ratio), "holds": ratio.low > 1}
            for level, ratio in ratios.items()
        ),
    )


@claim(id="C1b", where="G", kind="S", expected="short jobs may lose", source=RANDOMNESS)
def c1b(room: Room) -> Verdict:
    """With the search time counted in, cudnn.benchmark=True has paid for itself within the job's own steps."""
    rows = room.once(flag_arms)
    evidence = []
    for level in _LEVELS:
        steps = contrast(rows, "cudnn_benchmark", f"cudnn_deterministic={level}").break_even_steps
        evidence.append({"what": "break-even step", "cudnn_deterministic": level, **interval_columns(steps)})
    num_steps = int(rows["num_steps"].median())
    first = evidence[0]
    return Verdict(
        word=break_even_word(first["low"], first["high"], num_steps),
        seen=f"it pays after {first['value']:.0f} steps [{first['low']:.0f}, {first['high']:.0f}]; the job has "
        f"{num_steps} (inf: a step saves nothing)",
        evidence=tuple({**row, "num_steps": num_steps, "holds": row["high"] <= num_steps} for row in evidence),
    )


def break_even_word(low: float, high: float, num_steps: int) -> str:
    """Return whether a break-even step that lies in an interval lies inside a job of so many steps.

    >>> break_even_word(10.0, 40.0, 100), break_even_word(200.0, float("inf"), 100), break_even_word(50.0, 150.0, 100)
    ('supported', 'refuted', 'inconclusive')
    """
    if high <= num_steps:
        return "supported"
    return "refuted" if low > num_steps else "inconclusive"


@claim(id="C1f", where="G", kind="S", expected="yes", source="vision#2759, #5985")
def c1f(room: Room) -> Verdict:
    """With many distinct input sizes cudnn.benchmark=True is slower until all have been seen."""
    call = {"device": room.device, "flags": {}, "net": NETS[1], "image_sizes": IMAGE_SIZES, "num_visits": 6}
    (seen,) = room.fresh(f"{ASKED}:sizes", [call])
    first, later = (ratio_of(_log_ratios_of_pairs(seen, visit)) for visit in ("first", "later"))
    return Verdict(
        word=word_for(first, "above 1"),
        seen=f"time of a step, on / off: the first at a new size {told(first)}, a later one {told(later)}; a block is "
        "a pair of neighbouring sizes, all in one process",
        evidence=tuple(
            {"what": f"{visit} visit, time with / without", **interval_columns(ratio), "holds": ratio.low > 1}
            for visit, ratio in (("first", first), ("later", later))
        ),
    )


def _log_ratios_of_pairs(seen: list[dict], visit: str) -> list[float]:
    """Return log(seconds with benchmark / seconds without) for each two neighbouring sizes."""
    found = []
    for pair in zip(seen[::2], seen[1::2], strict=True):
        by_flag = {one["benchmark"]: one[visit] for one in pair}
        found.append(log(by_flag[True] / by_flag[False]))
    return found


# ------------------------------------------------------------------------------------------------------------- sameness


@claim(
    id="C1c",
    where="G",
    kind="E",
    expected="equal: the plan is chosen once for a shape and kept",
    source="pytorch#2893; the notes say every forward then differs a little",
)
def c1c(room: Room) -> Verdict:
    """With benchmark=True and deterministic=False, repeated forwards of one input in one process are bit-equal, the
    first included."""
    return inside_one_process(arm(room.once(repeated_passes), True, False), "forwards", "forwards of one input")


@claim(
    id="C1e",
    where="G",
    kind="E",
    expected="if a nondeterministic plan is picked",
    source="cuDNN developer guide, reproducibility",
)
def c1e(room: Room) -> Verdict:
    """Weight gradients of one fixed batch vary inside one process when deterministic=False, with benchmark on and
    off."""
    rows = room.once(repeated_passes)
    arms = {
        benchmark: inside_one_process(arm(rows, benchmark, False), "gradients", "gradients")
        for benchmark in (True, False)
    }
    vary = {benchmark: verdict.word == "refuted" for benchmark, verdict in arms.items()}
    evidence = [{**row, "holds": not row["holds"]} for verdict in arms.values() for row in verdict.evidence]
    return Verdict(
        word="supported" if all(vary.values()) else "inconclusive",
        seen="; ".join(f"benchmark={benchmark}: {verdict.seen}" for benchmark, verdict in arms.items()),
        evidence=tuple(evidence),
    )


@claim(id="C1d", where="G", kind="P", expected="possible", source="pytorch#15359")
def c1d(room: Room) -> Verdict:
    """At benchmark=True the digest of a forward or the kernels of a step differ between fresh processes."""
    rows = arm(room.once(repeated_passes), True, False)
    evidence = [_between([row for row in rows if row["what"] == net["what"]]) for net in NETS]
    trained = room.once(flag_arms).query("cudnn_benchmark and not cudnn_deterministic")
    prints = [str(value) for value in trained["kernel_fingerprint"].dropna()]
    plans = {"num_processes": len(trained), "num_plans": len(set(prints)), "holds": len(set(prints)) > 1}
    evidence.append({"what": "ResNet-18, trained", **plans})
    parted = [row["what"] for row in evidence if row["holds"]]
    return Verdict(
        word="supported" if parted else "inconclusive",
        seen=f"{len(parted)} of {len(evidence)} networks differ between processes"
        + (f": {', '.join(parted)}" if parted else f"; {counted(0, NUM_PROCESSES - 1, 'processes')} for each network"),
        evidence=tuple(evidence),
    )


def _between(rows: list[dict]) -> dict:
    """Return evidence on one network in several processes: digests of the first forward, and kernels of a step."""
    digests, prints = [row["forwards"][0] for row in rows], {row["kernel_fingerprint"] for row in rows}
    return {
        "what": rows[0]["what"],
        "num_processes": len(rows),
        "num_distinct": len(set(digests)),
        "num_plans": len(prints),
        "kernels": kernels_apart([row["kernel_names"] for row in rows]),
        "holds": len(set(digests)) > 1 or len(prints) > 1,
    }
