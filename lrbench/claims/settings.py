"""V4, V5, V7 and V9 to V11: what torch's settings around the cuDNN flags do, and leave alone.

What this does *not* do: ask which plan cuDNN chooses (`lrbench.claims.kernels`).
"""

from collections.abc import Sequence
from itertools import combinations
from math import log

from lrbench.claims.cudnn_arms import ASKED, NUM_REPEATS, counted, interval_columns, kernels_apart, mismatches
from lrbench.claims.deterministic import MODES, NUM_BLOCKS, NUM_STEPS, atomic_evidence, atomic_nets, mean_log_ratio
from lrbench.claims.effects import Ratio, different, findable, ratio_of
from lrbench.claims.frame import Room, Verdict, claim
from lrbench.claims.nets import RESNET18, convolution_net, linear_net

SEEDS = "lrbench.claims.asked_seeds"
NETS = [convolution_net(3), convolution_net(7), linear_net()]
CONVOLUTION = convolution_net(3, channels=32)
NUM_PROCESSES = 3
WORKSPACES = ("unset", ":4096:8", ":16:8")


@claim(
    id="V4",
    where="C",
    kind="E",
    expected="yes: its default is enabled=False",
    source="torch.backends.cudnn.flags' signature",
)
def v4(room: Room) -> Verdict:
    """torch.backends.cudnn.flags(deterministic=True) switches cuDNN off inside; assigning the attribute does not."""
    (seen,) = room.fresh(f"{SEEDS}:door_of_flags", [{}])
    wanted = {
        "before": True,
        "deterministic=True": False,
        "benchmark=True": False,
        "enabled=True, deterministic=True": True,
        "assigned": True,
        "after": True,
    }
    rows = [
        {"what": f"cuDNN enabled, {how}", "level": str(seen[how]), "holds": seen[how] is on}
        for how, on in wanted.items()
    ]
    off = [how for how, on in seen.items() if not on]
    return Verdict(
        word="supported" if all(row["holds"] for row in rows) else "refuted",
        seen=f"cuDNN is off inside flags({') and flags('.join(off) or 'none'}), and on with enabled=True, after it, "
        "and where the attribute is assigned",
        evidence=tuple(rows),
    )


@claim(id="V5", where="C,G", kind="E", expected="yes", source="torch's documentation of use_deterministic_algorithms")
def v5(room: Room) -> Verdict:
    """use_deterministic_algorithms(True) leaves cudnn.benchmark alone and makes convolutions deterministic."""
    call = {"device": room.device, "net": CONVOLUTION, "num_repeats": NUM_REPEATS}
    (found,) = room.fresh(f"{SEEDS}:strict_mode", [call])
    return strict_verdict(found, room.device)


def strict_verdict(found: dict, device: str) -> Verdict:
    """Judge V5: both flags as they were, repeated gradients equal; on CUDA, whose kernels ran is told."""
    alone = found["flags"]["True"] == found["flags"]["False"] == [True, False]
    strict, flag = found["seen"]["strict"], found["seen"]["flag"]
    differ, pairs = mismatches(strict["digests"]), len(strict["digests"]) - 1
    plan = strict["kernel_fingerprint"] == flag["kernel_fingerprint"]
    rows = [{"what": "cudnn.benchmark and cudnn.deterministic in strict mode", "holds": alone}]
    for mode, seen in found["seen"].items():
        rows.append(
            {
                "what": "gradients of convolutions",
                "level": mode,
                "num_tried": len(seen["digests"]),
                "num_distinct": len(set(seen["digests"])),
                "kernels": kernels_apart([seen["kernel_names"], flag["kernel_names"]]),
                "holds": mode == "neither" or not mismatches(seen["digests"]),
            }
        )
    on_gpu = device.startswith("cuda")
    kernels = f"and runs {'the kernels' if plan else 'other kernels than those'} of cudnn.deterministic=True"
    told = kernels if on_gpu else "the kernels are not covered: a CPU's convolutions repeat in every mode"
    return Verdict(
        word="supported" if alone and not differ else "refuted",
        seen=f"both flags stay as they were: {'yes' if alone else 'no'}; in strict mode "
        f"{counted(differ, pairs, 'repeated gradients')}, {told}",
        evidence=tuple(rows),
    )


@claim(id="V7", where="G", kind="E", expected="yes", source="torch's documentation of use_deterministic_algorithms")
def v7(room: Room) -> Verdict:
    """use_deterministic_algorithms(True, warn_only=True) warns of a nondeterministic operation, and its results may
    still differ."""
    rows = [atomic_evidence(row) for row in room.once(atomic_nets) if row["mode"] == "warn"]
    return warned([{**row, "holds": bool(row["num_warnings"]) and row["num_distinct"] > 1} for row in rows])


def warned(rows: list[dict]) -> Verdict:
    """Judge V7: at least one operation is warned of and varies; varying without a warning refutes it."""
    both = [row["what"] for row in rows if row["holds"]]
    silent = [row["what"] for row in rows if row["num_distinct"] > 1 and not row["num_warnings"]]
    word = "refuted" if silent else "supported" if both else "inconclusive"
    calm = [row for row in rows if row["num_distinct"] == 1]
    bound = f"; {counted(0, rows[0]['num_tried'] - 1, 'repeats')} of the other {len(calm)}" if calm else ""
    return Verdict(
        word=word,
        seen=f"with {MODES['warn']} warned of and varying: {', '.join(both) or 'none'}; varying unwarned: "
        f"{', '.join(silent) or 'none'}{bound}",
        evidence=tuple(rows),
    )


# ------------------------------------------------------------------------------------------- changes speed, not digests


@claim(id="V9", where="G", kind="S", expected="9.00 to 3.45 it/s once", source="pytorch#109856")
def v9(room: Room) -> Verdict:
    """CUBLAS_WORKSPACE_CONFIG changes throughput, and no digest."""
    calls = [
        {"device": room.device, "flags": {}, "nets": [NETS[-1]], "workspace": level, "num_steps": NUM_STEPS}
        for _ in range(NUM_PROCESSES)
        for level in WORKSPACES
    ]
    found = [nets[0] for nets in room.fresh(f"{ASKED}:timed", calls)]
    by_level = {level: found[place :: len(WORKSPACES)] for place, level in enumerate(WORKSPACES)}
    ratios = {
        f"{b} / {a}": ratio_of(
            [log(two["seconds"] / one["seconds"]) for one, two in zip(by_level[a], by_level[b], strict=True)]
        )
        for a, b in combinations(WORKSPACES, 2)
    }
    return other_speed(ratios, {"linear": [one["gradients"] for one in found]}, wanted_equal=True)


@claim(id="V10", where="G", kind="S", expected="yes", source="torch.utils.deterministic.fill_uninitialized_memory")
def v10(room: Room) -> Verdict:
    """In strict mode, fill_uninitialized_memory on and off give the same digests at another speed."""
    strict = {"deterministic_algorithms": "strict"}
    return other_speed(*_alternating(room, "fill_uninitialized_memory", [False, True], strict), wanted_equal=True)


@claim(id="V11", where="G", kind="S", expected="yes; TF32 is on by default", source="torch's notes on TF32")
def v11(room: Room) -> Verdict:
    """TF32 for convolutions, which is on by default, changes their digests and their speed."""
    ratios, digests = _alternating(room, "cudnn_fp32_precision", ["ieee", "tf32"], {})
    convolutions = {what: pair for what, pair in digests.items() if what != NETS[-1]["what"]}
    return other_speed(ratios, convolutions, wanted_equal=False)


def _alternating(room: Room, setting: str, levels: list, flags: dict) -> tuple[dict[str, Ratio], dict[str, list[str]]]:
    """Return for each net the ratio of times at the second level and the first, over processes, and all digests."""
    nets = [RESNET18, *NETS]
    call = {
        "device": room.device,
        "flags": flags,
        "nets": nets,
        "setting": setting,
        "levels": levels,
        "num_blocks": NUM_BLOCKS,
        "num_steps": NUM_STEPS,
    }
    processes = room.fresh(f"{ASKED}:alternating", [call] * NUM_PROCESSES)
    ratios = {
        net["what"]: ratio_of([mean_log_ratio(process[place]["seconds"]) for process in processes])
        for place, net in enumerate(nets)
    }
    digests = {net["what"]: processes[0][place]["digests"] for place, net in enumerate(nets)}
    return ratios, digests


def other_speed(ratios: dict[str, Ratio], digests: dict[str, Sequence[str]], *, wanted_equal: bool) -> Verdict:
    """Judge "another speed, and the same digests" (or, not wanted_equal, other ones): both parts have to hold.

    Digests that are not as stated refute it; a speed for which no difference is found leaves it open.
    """
    stands = different([ratio.p for ratio in ratios.values()])
    rows = [
        {"what": f"time of a step, {what}", **interval_columns(ratio), "p": ratio.p, "holds": stand}
        for (what, ratio), stand in zip(ratios.items(), stands, strict=True)
    ]
    for what, found in digests.items():
        equal = len(set(found)) == 1
        rows.append(
            {
                "what": f"gradients, {what}",
                "num_tried": len(found),
                "num_distinct": len(set(found)),
                "bit_equal": equal,
                "holds": equal is wanted_equal,
            }
        )
    of_digests = [row for row in rows if "bit_equal" in row]
    right = sum(row["holds"] for row in of_digests)
    as_stated = right == len(of_digests) if wanted_equal else right > 0
    word = "inconclusive" if not any(stands) else "supported"
    missed = "" if any(stands) else f" ({findable(ratios.values())})"
    differ = sum(not row["bit_equal"] for row in of_digests)
    return Verdict(
        word=word if as_stated else "refuted",
        seen="; ".join(f"{what}: {ratio}" for what, ratio in ratios.items())
        + f" times as long{missed}; other gradients for {differ} of {len(of_digests)}",
        evidence=tuple(rows),
    )
