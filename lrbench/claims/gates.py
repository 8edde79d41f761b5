"""V6, V20, V21: whether this suite's own instruments can be trusted. Each gate has a control that it must see.

What this does *not* do: the rate of false alarms (`lrbench.claims.error_rates`), or whether one ulp is seen
(`lrbench.claims.one_ulp`).
"""

import os
import re
from collections.abc import Callable

from lrbench.claims.frame import Room, Verdict, claim
from lrbench.claims.planted import MODULE as PLANTED
from lrbench.claims.processes import repeated
from lrbench.claims.unruly import MODULE as UNRULY

# ------------------------------------------------------------------------------------------------------- flags (V6)

FLAGS = (
    "cudnn_benchmark",
    "cudnn_deterministic",
    "deterministic_algorithms",
    "cudnn_fp32_precision",
    "matmul_fp32_precision",
    "num_threads",
)
# no pooling: in strict mode its backward raises on a GPU, which says nothing of the flags
NET = {"model": f"{PLANTED}:cnn", "data": "digits", "train_limit": 144}


@claim(id="V6", where="C,G", kind="E", expected="equal", source="this suite's own check", gate=True)
def v6(room: Room) -> Verdict:
    """The flags that are read back after training equal those that the trial asked for, in every row; a model that
    switches one itself is seen."""
    threads = [1, 2] if len(os.sched_getaffinity(0)) > 1 else [1]
    grid = {
        "cudnn_benchmark": [False, True],
        "cudnn_deterministic": [False, True],
        "deterministic_algorithms": ["off", "warn", "strict"],
    }
    small = {"workload": NET, "epochs": 1, "batch_size": 64, "base_lr": 0.1, "optimizer": {"name": "SGD"}}
    precision = {"cudnn_fp32_precision": ["tf32", "ieee"], "matmul_fp32_precision": ["ieee", "tf32"]}
    studies = [
        room.study("flags", fixed=small, grid=grid),
        room.study("precision-and-threads", fixed=small, grid={**precision, "num_threads": threads}),
    ]
    evidence = [row for rows in studies for row in held(rows)]
    unruly = {**small, "workload": {**NET, "model": f"{UNRULY}:switches_benchmark"}}
    planted = room.study("flag-switched-by-the-model", fixed=unruly, grid={"cudnn_benchmark": [False, True]})
    switched = next(row for row in held(planted) if row["what"] == "cudnn_benchmark")
    marked = not planted["flags_held"].any()
    seen = switched["num_equal"] == 0 and marked
    evidence.append({**switched, "what": "control: a model that switches cudnn_benchmark", "holds": bool(seen)})
    num_trials = sum(len(rows) for rows in studies)
    broken = [row["what"] for row in evidence if not row["holds"]]
    uncovered = "; on a GPU this was not tested" if room.device == "cpu" else ""
    return Verdict(
        word="refuted" if broken else "supported",
        seen=f"{len(FLAGS)} flags and the device were read back in {num_trials} trials, "
        + (f"not as asked: {', '.join(broken)}" if broken else "each as asked")
        + f"; {len(planted) - switched['num_equal']} of {len(planted)} trials whose model switched one were seen"
        + uncovered,
        evidence=tuple(evidence),
    )


def held(rows) -> list[dict]:
    """Return for each flag in how many rows it was read back as it was asked for; a row without it is not equal."""
    equal = {name: rows[f"effective_{name}"].astype(str) == rows[name].astype(str) for name in FLAGS}
    equal["cudnn_enabled"] = rows["effective_cudnn_enabled"] == True  # noqa: E712 (null is not True)
    device = rows["device"].astype(str)
    equal["device"] = [
        str(found).startswith(asked) for found, asked in zip(rows["effective_device"], device, strict=True)
    ]
    return [
        {
            "what": name,
            "num_trials": len(rows),
            "num_equal": int(sum(as_asked)),
            "holds": bool(all(as_asked)),
        }
        for name, as_asked in equal.items()
    ]


# ----------------------------------------------------------------------------------------- against itself (V20)


@claim(id="V20", where="C", kind="E", expected="negative control", source="this suite's own check", gate=True)
def v20(room: Room) -> Verdict:
    """A run that is compared with itself shows 0 mismatches, is called bit-identical, and gets no p-value and no
    NaN."""
    import pandas as pd

    from analysis import reproducibility

    rows = room.once(repeated).query("replicate == 0")
    evidence = []
    for what, part in (("one run", rows.iloc[:1]), (f"{len(rows)} runs", rows)):
        twice = pd.concat([part, part.assign(replicate=1)], ignore_index=True)
        answer = reproducibility.answer(twice)
        said = " ".join([*answer.sentences, *answer.notes])
        counts = answer.table[["num_pairs", "num_identical", "differing_share", "max_logit_difference"]]
        faults = faults_of_equal(said, counts.iloc[0].tolist(), len(part))
        evidence.append(
            {
                "what": what,
                "num_pairs": int(counts["num_pairs"].sum()),
                "num_equal": int(counts["num_identical"].sum()),
                "differs": "; ".join(faults),
                "note": answer.sentences[0],
                "holds": not faults,
            }
        )
    broken = [f"{row['what']}: {row['differs']}" for row in evidence if not row["holds"]]
    return Verdict(
        word="refuted" if broken else "supported",
        seen="; ".join(broken) or f"of a run against itself the report says: {evidence[0]['note']}",
        evidence=tuple(evidence),
    )


def faults_of_equal(said: str, counts: list[float], num_pairs: int) -> list[str]:
    """Return what is wrong with what was said of equal runs: sentences, and pairs, identical ones, share and distance.

    >>> faults_of_equal("The pair is bit-identical.", [1, 1, 0.0, 0.0], 1)
    []
    >>> faults_of_equal("They are alike (p = 0.9).", [1, 1, 0.0, float("nan")], 1)
    ['"bit-identical" is not said', 'a p-value', 'counts [1, 1, 0.0, nan]']
    """
    faults = [] if "bit-identical" in said else ['"bit-identical" is not said']
    faults += ["a p-value"] if re.search(r"\bp[ -]?(value|[=<>])", said) else []
    faults += ["NaN in a sentence"] if re.search(r"\b(nan|NaN|inf)\b", said) else []
    return faults if counts == [num_pairs, num_pairs, 0.0, 0.0] else [*faults, f"counts {counts}"]


# ----------------------------------------------------------------------------------------------------- digests (V21)


def tensors_to_separate() -> dict[str, tuple]:
    """Return pairs of different tensors, by what tells them apart."""
    import torch

    x = torch.tensor([1.0, 2.0, 3.0])
    zero = torch.tensor([0.0])
    return {
        "[1, 1] and [2, 2]": (torch.tensor([1.0, 1.0]), torch.tensor([2.0, 2.0])),
        "x and -x": (x, -x),
        "a permutation": (x, x[[2, 0, 1]]),
        "0.0 and -0.0": (zero, -zero),
        "one ulp": (x, torch.nextafter(x, torch.full_like(x, torch.inf))),
        "float32 and float64": (x, x.double()),
        "float32 and int32 of the same bytes": (x, x.view(torch.int32)),
        "float16 and bfloat16": (x.half(), x.bfloat16()),
        "a row and a column": (x[None], x[:, None]),
        "a number and a list of it": (torch.tensor(1.0), torch.tensor([1.0])),
        "a list and the same twice": (x, torch.cat([x, x])),
        "NaN and infinity": (zero / 0, torch.tensor([torch.inf])),
    }


def hashes() -> dict[str, Callable]:
    """Return the suite's two digests, and what else might be taken for one: functions of a tensor."""
    import torch

    from lrbench.trial.digest import digest, fast_digest

    return {
        "digest": lambda tensor: digest([("x", tensor)]),
        "fast_digest": lambda tensor: fast_digest([("x", tensor)]),
        "torch.hash_tensor": lambda tensor: torch.hash_tensor(tensor).item(),
        "L1 norm in float64": lambda tensor: tensor.double().nan_to_num().norm(p=1).item(),
    }


OURS = ("digest", "fast_digest")


@claim(
    id="V21",
    where="C",
    kind="E",
    expected="torch.hash_tensor (an XOR) and DebugMode's norm do not",
    source="torch.hash_tensor's documentation; this suite's own check",
    gate=True,
)
def v21(room: Room) -> Verdict:
    """The suite's digests separate [1, 1] from [2, 2], x from -x, permutations, -0.0 from 0.0, one ulp, types and
    shapes, and give equal tensors the same."""
    evidence = []
    for function, of in hashes().items():
        for what, (one, other) in tensors_to_separate().items():
            separate, repeats = of(one) != of(other), of(one) == of(one.clone())
            row = {"what": what, "operator": function, "bit_equal": not separate}
            evidence.append({**row, "holds": separate and repeats} if function in OURS else row)
    missed = {
        function: [
            row["what"]
            for row in evidence
            if row["operator"] == function and not row.get("holds", not row["bit_equal"])
        ]
        for function in hashes()
    }
    broken = [f"{function}: {', '.join(missed[function])}" for function in OURS if missed[function]]
    tried = len(tensors_to_separate())
    others = "; ".join(
        f"{function} takes {len(names)} of {tried} for equal ({', '.join(names)})"
        for function, names in missed.items()
        if function not in OURS
    )
    return Verdict(
        word="refuted" if broken else "supported",
        seen=f"not told apart by {'; '.join(broken)}"
        if broken
        else f"both digests tell all {tried} pairs apart; {others}",
        evidence=tuple(evidence),
    )
