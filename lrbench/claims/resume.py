"""R1–R4: a trial that is cut off and goes on in a new process, against the same trial uninterrupted. Real trials.

Each trial trains a small network with momentum, batch norm, dropout, Python's and NumPy's random numbers and two
parameter groups. It is killed (SIGKILL) in the middle of training and run again, as a user's `lrbench run --retry`
does. What this does *not* do: know what a checkpoint holds beyond its names (`lrbench.trial.checkpoint`).
"""

import re
from pathlib import Path

from lrbench.calls import format_call, known_names
from lrbench.claims.examples import EXAMPLES
from lrbench.claims.frame import Room, Verdict, bound_after_none, claim
from lrbench.claims.planted import FORGETTABLE, MODULE, STEPS_PER_EPOCH, workload
from lrbench.factors import check_level
from lrbench.record import PRINTED

EPOCHS = 6
NUM_STEPS = EPOCHS * STEPS_PER_EPOCH
# A process that begins anew dies in this step, three into the fourth epoch; one that goes on from a checkpoint lives.
DIES_AT = 18
CHECKPOINTS = {"boundary": "epoch", "mid-epoch": 13}  # after steps 5, 10, 15; or after step 13, three into the third
INTERVALS = {"boundary": "epoch", "mid-epoch": "step"}
SAME = (  # what must be equal, bit for bit; the rest of a row is time, place and the number of resumes
    "weights_sha256",
    "predictions_sha256",
    "logits_sha256",
    "applied_lr",
    "train_loss_steps",
    "train_loss_curve",
    "val_loss_curve",
    "val_accuracy_curve",
    "final_loss",
    "final_accuracy",
    "lr_plan",
    "lr_plan_note",
    "lr_plan_max_relative_error",
    "lr_plan_bit_equal",
)
RECIPE = {
    "epochs": EPOCHS,
    "batch_size": 13,
    "base_lr": 0.1,
    "optimizer": {"name": "SGD", "momentum": 0.9},
}


def study_table(name: str, interval: str) -> dict:
    """Return the example of a class as a study takes it; a scheduler that follows a metric is told which."""
    table = {**EXAMPLES[name], "interval": interval}
    if name == "ReduceLROnPlateau":
        table["monitor"] = "val_loss" if interval == "epoch" else "train_loss"
    return table


def called(table: dict) -> str:
    """Return how a row calls the scheduler of a study's table."""
    checked = check_level("scheduler", table)
    return format_call({key: value for key, value in checked.items() if key != "interval"})


def names() -> list[str]:
    """Return the classes that a study can name and that have an example, in the order of the examples."""
    return [name for name in EXAMPLES if name in known_names("scheduler")]


def uninterrupted(room: Room):
    """Return the rows of every scheduler, stepped each epoch and each step, trained in one go without checkpoints."""
    tables = [study_table(name, interval) for interval in INTERVALS.values() for name in names()]
    return room.study("whole", fixed={**RECIPE, "workload": workload()}, grid={"scheduler": tables}, device="cpu")


def resumed_at_boundary(room: Room) -> list[dict]:
    """Return one row of evidence for each scheduler, stepped each epoch, killed and gone on from an epoch's end."""
    return _resumed(room, "boundary")


def resumed_mid_epoch(room: Room) -> list[dict]:
    """Return one row of evidence for each scheduler, stepped each step, killed and gone on from amid an epoch."""
    return _resumed(room, "mid-epoch")


def _resumed(room: Room, where: str) -> list[dict]:
    whole = room.once(uninterrupted)
    name, every = f"cut-{where}", CHECKPOINTS[where]
    tables = [study_table(name, INTERVALS[where]) for name in names()]
    fixed = {**RECIPE, "workload": workload(dies_at_call=DIES_AT)}
    died = room.study(name, fixed=fixed, grid={"scheduler": tables}, device="cpu", checkpoint_every=every)
    gone_on = room.go_on(name, checkpoint_every=every)
    whole = whole[whole["scheduler_interval"] == INTERVALS[where]]
    by_name = [rows.astype({"scheduler_name": str}).set_index("scheduler_name") for rows in (whole, died, gone_on)]
    missing = [name for name in known_names("scheduler") if name not in EXAMPLES]
    found = [_compare(where, *(rows.loc[name] for rows in by_name)) for name in names()]
    return found + [{"scheduler": name, "note": "has no example to run", "holds": False} for name in missing]


def _compare(where: str, expected, killed, seen) -> dict:
    differs = differences(expected, seen)
    at_step = -1 if seen.isna()["resumed_at_step"] else int(seen["resumed_at_step"])
    right_place = at_step > 0 and (at_step % STEPS_PER_EPOCH == 0) == (where == "boundary")
    died_there = killed["status"] == "crashed" and "SIGKILL" in killed["error"]
    return {
        "scheduler": str(seen["scheduler"]),
        "what": where,
        "interval": INTERVALS[where],
        "status": str(seen["status"]),
        "step": at_step,
        "num_steps": NUM_STEPS,
        "differs": ", ".join(differs),
        "note": "" if died_there else f"the first process was to be killed, and ended {killed['status']}",
        "bit_equal": not differs,
        "holds": not differs and died_there and right_place,
    }


def differences(expected, seen) -> list[str]:
    """Return the columns of SAME in which two rows differ, bit for bit; of a row that did not complete, why."""
    if seen["status"] != "completed":
        last = (seen["error"] or "").partition(PRINTED)[0].strip().splitlines()[-1:]
        return [f"{seen['status']}: {''.join(last).partition('. Delete it')[0]}"]  # not where it lies
    return [column for column in SAME if _bits(expected[column]) != _bits(seen[column])]


def _bits(value) -> object:
    """Return a value whose equality is that of its bits: floats by their exact text, nested or not."""
    if isinstance(value, float):
        return value.hex()
    return [_bits(item) for item in value] if hasattr(value, "__iter__") and not isinstance(value, str) else value


def _verdict(rows: list[dict], where: str) -> Verdict:
    held = [row for row in rows if row["holds"]]
    broken = [f"{row['scheduler']} ({row.get('differs') or row['note']})" for row in rows if not row["holds"]]
    seen = f"{len(held)} of {len(rows)} schedulers end bit-identical to the uninterrupted trial, {where}"
    if broken:
        seen += f"; not: {'; '.join(broken)}"
    else:
        seen += f" (a mismatch in at most {bound_after_none(len(rows)):.0%} of such trials, 95 %)"
    return Verdict(word="refuted" if broken else "supported", seen=seen, evidence=tuple(rows))


SOURCE = "pytorch#162591, #168044, #125531; torch's notes on saving and loading"


@claim(id="R1", where="C", kind="E", expected="yes", source=SOURCE, gate=True)
def r1(room: Room) -> Verdict:
    """A trial that stops at an epoch boundary and goes on from its checkpoint in a new process ends as the
    uninterrupted one does, bit for bit, for every scheduler."""
    return _verdict(room.once(resumed_at_boundary), "killed and gone on from an epoch's end")


@claim(id="R2", where="C", kind="E", expected="yes", source=SOURCE, gate=True)
def r2(room: Room) -> Verdict:
    """A trial that stops in the middle of an epoch and goes on from its checkpoint in a new process ends as the
    uninterrupted one does, bit for bit, for every scheduler."""
    return _verdict(room.once(resumed_mid_epoch), "killed and gone on from the middle of an epoch")


# ------------------------------------------------------------------------------------------------ leaving one out

# A trial in which everything matters: a warm-up that lasts past the checkpoint, a GradScaler that has halved its scale,
# a scheduler that counts bad steps.
_EVERYTHING = {
    **RECIPE,
    "precision": "fp16",
    "warmup": {"kind": "linear", "steps": 25},
    "scheduler": study_table("ReduceLROnPlateau", "step"),
}
# Times and counts of the process itself: no bit of the training hangs on them, so their loss is not looked for.
_MEASURED = ("course evaluate_seconds", "course peak_mib", "course num_resumes", "course resumed_at_step")


@claim(id="R3", where="C", kind="E", expected="yes (a mutation test)", source="this suite's own check", gate=True)
def r3(room: Room) -> Verdict:
    """Leaving out any one saved item (each random stream, scheduler, momentum, data position, …) is detected."""
    every = CHECKPOINTS["mid-epoch"]
    run = {"fixed": _EVERYTHING, "device": "cpu", "checkpoint_every": every}
    whole = room.study("left-out-nothing", grid={"workload": [workload()]}, **run).iloc[0]
    died = room.study("left-out-control", grid={"workload": [workload(dies_at_call=DIES_AT)]}, **run)
    items = saved_items(room.checkpoint("left-out-control", died["trial_id"].iloc[0]))
    control = room.go_on("left-out-control", checkpoint_every=every).iloc[0]
    planted = [workload(dies_at_call=DIES_AT, forgets=item) for item in FORGETTABLE]
    planted += [workload(dies_at_call=DIES_AT, label=item) for item in items]
    died = room.study("left-out-one", grid={"workload": planted}, **run)
    for _, row in died.iterrows():
        if item := _planted(row, "label"):
            remove(room.checkpoint("left-out-one", row["trial_id"]), item)
    evidence = [_detected(whole, control, control, "nothing", "control")]
    for _, row in room.go_on("left-out-one", checkpoint_every=every).iterrows():
        how = "not put back" if _planted(row, "forgets") else "not in the file"
        evidence.append(_detected(whole, control, row, _planted(row, "forgets") or _planted(row, "label"), how))
    missed = [f"{row['item']} ({row['what']})" for row in evidence if not row["holds"]]
    tried = len(evidence) - 1
    return Verdict(
        word="refuted" if missed else "supported",
        seen=f"{tried} times an item was left out, {tried - len(missed)} were detected"
        + (f"; not: {', '.join(missed)}" if missed else "; with nothing left out no bit differs"),
        evidence=tuple(evidence),
    )


def saved_items(path: Path) -> list[str]:
    """Return the items of a checkpoint that training needs and that are not empty there: "rng numpy", "scheduler", …"""
    state = _read(path)
    nested = [f"{part} {name}" for part in ("rng", "course") for name in state[part] if _says(state[part][name])]
    whole = [name for name in state if name not in ("rng", "course")]
    return [item for item in whole + nested if item not in _MEASURED]


def _says(value: object) -> bool:
    """Return whether a saved value differs from what a trial begins with: 0, nothing, an empty list."""
    return value is not None and (not isinstance(value, int | float | list) or bool(value))


def remove(path: Path, item: str) -> None:
    """Write a checkpoint anew without one item."""
    import torch

    state = _read(path)
    part, _, name = item.partition(" ")
    del (state[part] if name else state)[name or part]
    torch.save(state, path)


def _read(path: Path) -> dict:
    import torch

    return torch.load(path, map_location="cpu", weights_only=False)  # written by the trial a moment ago


def _planted(row, argument: str) -> str:
    """Return an argument of the planted network, from the label of a row's workload."""
    found = re.search(rf"'{argument}': '([^']*)'", row["workload"])
    return found[1] if found else ""


def _detected(whole, control, row, item: str, how: str) -> dict:
    differs = differences(whole, row)
    if row["status"] == "completed" and row["resumed_at_step"] != control["resumed_at_step"]:
        differs.append("resumed_at_step")
    return {
        "item": item,
        "what": how,
        "status": str(row["status"]),
        "differs": ", ".join(differs),
        "bit_equal": not differs,
        "holds": bool(differs) is (how != "control"),
    }


@claim(id="R4", where="G", kind="E", expected="possible", source="pytorch#15359; cuDNN's plans live in the process")
def r4(room: Room) -> Verdict:
    """Resuming with cudnn.benchmark=True in a new process may differ from the uninterrupted trial."""
    fixed = {**RECIPE, "batch_size": 64, "cudnn_benchmark": True}
    net = {"model": f"{MODULE}:cnn", "data": "digits"}
    cut = {**net, "model_args": {"dies_at_call": 70}}  # in the fourth of six epochs of 20 steps
    whole = room.study("benchmark-whole", fixed={**fixed, "workload": net}, grid={"seed": "0-9"})
    room.study("benchmark-cut", fixed={**fixed, "workload": cut}, grid={"seed": "0-9"}, checkpoint_every="epoch")
    gone_on = room.go_on("benchmark-cut", checkpoint_every="epoch")
    evidence = []
    for seed in range(10):
        expected, seen = (rows[rows["seed"] == seed].iloc[0] for rows in (whole, gone_on))
        differs = differences(expected, seen)
        evidence.append({"seed": seed, "differs": ", ".join(differs), "bit_equal": not differs, "holds": bool(differs)})
    num_differ = sum(row["holds"] for row in evidence)
    bound = "" if num_differ else f" (at most {bound_after_none(len(evidence)):.0%} of such trials, 95 %)"
    return Verdict(
        word="supported" if num_differ else "inconclusive",
        seen=f"{num_differ} of {len(evidence)} resumed trials differ from the uninterrupted one{bound}",
        evidence=tuple(evidence),
    )
