"""L1 and L2: what rates real trials applied, each trained in a fresh process of its own.

On a CPU the cuDNN flags are inert: L1 then shows that setting them moves no rate, and the page says so. What this does
*not* do: compare with a formula (`lrbench.claims.conformance` does), or say what a rate is worth.
"""

from lrbench.calls import known_names
from lrbench.claims.examples import EXAMPLES
from lrbench.claims.frame import Room, Verdict, bound_after_none, claim
from lrbench.claims.planted import MODULE

FLAG_ARMS = {"cudnn_benchmark": [False, True], "cudnn_deterministic": [False, True]}


@claim(
    id="L1",
    where="C",
    kind="E",
    expected="yes",
    source="an open-loop schedule is a function of the step alone",
    gate=True,
)
def l1(room: Room) -> Verdict:
    """The applied rates of every open-loop scheduler are identical in all arms of the cuDNN flags and for all seeds."""
    open_loop = [name for name in EXAMPLES if name in known_names("scheduler") and name != "ReduceLROnPlateau"]
    workload = {"base": "digits-cnn", "train_limit": 216, "groups": f"{MODULE}:two_groups"}
    rows = room.study(
        "flags-and-seeds",
        fixed={"workload": workload, "epochs": 6},
        grid={"scheduler": [EXAMPLES[name] for name in open_loop], **FLAG_ARMS, "seed": "0-1"},
    )
    evidence = []
    for scheduler, arms in rows.groupby("scheduler", observed=True, sort=False):
        courses = arms["applied_lr_sha256"].nunique(dropna=False)
        completed = (arms["status"] == "completed").all()
        evidence.append(
            {
                "scheduler": str(scheduler),
                "num_trials": len(arms),
                "num_courses": courses,
                "num_weights": arms["weights_sha256"].nunique(),
                "status": "completed" if completed else "not all completed",
                "holds": bool(courses == 1 and completed),
            }
        )
    held = sum(row["holds"] for row in evidence)
    inert = "; the flags are inert on this CPU" if rows["cudnn_flags_inert"].all() else ""
    return Verdict(
        word="supported" if held == len(evidence) else "refuted",
        seen=f"{held} of {len(evidence)} schedulers applied one course of rates, bit for bit, in all of their "
        f"{len(rows) // len(evidence)} trials (2 × 2 flags, 2 seeds){inert}",
        evidence=tuple(evidence),
    )


# A high rate, patience 0 and threshold 0: cuts hang on the smallest differences of the metric, and small differences
# of the weights grow. At base_lr 0.1 one ulp in training parts one schedule in nine (2 cores of an AMD EPYC, 24 trials,
# torch 2.15.0, 2026-11-22).
_SENSITIVE = {
    "epochs": 40,
    "batch_size": 16,
    "base_lr": 0.3,
    "cudnn_deterministic": True,
    "scheduler": {"name": "ReduceLROnPlateau", "patience": 0, "threshold": 0.0, "factor": 0.9, "monitor": "val_loss"},
}
_ARMS = {
    "cross_entropy": "no noise",
    f"{MODULE}:noisy_metric": "one ulp on the metric",
    f"{MODULE}:noisy_training": "one ulp on the training loss",
}


@claim(
    id="L2",
    where="C,G",
    kind="E",
    expected="yes",
    source="arXiv 2103.04514 (small noise grows in training); this suite's own trials",
)
def l2(room: Room) -> Verdict:
    """ReduceLROnPlateau turns tiny numerical noise into a different schedule; never when training is
    bit-deterministic."""
    rows = room.study(
        "plateau-and-noise",
        fixed=_SENSITIVE,
        grid={
            "workload": [{"base": "digits-cnn", "train_limit": 144, "loss": loss} for loss in _ARMS],
            "seed": "0-2",
        },
        replicates=3,
    )
    evidence = [
        _arm(rows[rows["workload"].str.contains(f"loss={loss}", regex=False)], what) for loss, what in _ARMS.items()
    ]
    exact, metric, training = evidence
    deterministic = exact["num_weights_differ"] == 0
    if not deterministic:
        word = "inconclusive"
    elif exact["num_courses_differ"]:
        word = "refuted"
    else:
        word = "supported" if training["num_courses_differ"] + metric["num_courses_differ"] else "inconclusive"
    pairs = exact["num_pairs"]
    return Verdict(
        word=word,
        seen=f"without noise {exact['num_courses_differ']} of {pairs} repeats in a new process took another schedule "
        f"({exact['num_weights_differ']} other weights; at most {bound_after_none(pairs):.0%}, 95 %); with one ulp "
        f"planted in the training loss {training['num_courses_differ']} of {pairs}, the earliest at step "
        f"{training['step']}; with one ulp on the metric alone {metric['num_courses_differ']} of {pairs}",
        evidence=tuple(evidence),
    )


def _arm(rows, what: str) -> dict:
    """Compare every repeat with the first one of its seed."""
    pairs = [
        (repeats.iloc[0], repeat)
        for _, repeats in rows.sort_values("replicate").groupby("seed")
        for _, repeat in repeats.iloc[1:].iterrows()
    ]
    parted = [_first_parting(a["applied_lr"], b["applied_lr"]) for a, b in pairs]
    return {
        "what": what,
        "scheduler": str(rows["scheduler"].iloc[0]),
        "num_trials": len(rows),
        "num_pairs": len(pairs),
        "num_weights_differ": sum(a["weights_sha256"] != b["weights_sha256"] for a, b in pairs),
        "num_courses_differ": sum(step >= 0 for step in parted),
        "step": min((step for step in parted if step >= 0), default=-1),
    }


def _first_parting(left, right) -> int:
    """Return the first optimizer step at which two courses of rates differ in any group; -1 where none does."""
    steps = [
        step
        for rates, others in zip(left, right, strict=True)
        for step, (rate, other) in enumerate(zip(rates, others, strict=True))
        if rate != other
    ]
    return min(steps, default=-1)
