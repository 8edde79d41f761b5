"""S11: the conformance matrix, scheduler × what a user relies on; every cell is computed by running it.

A cell says "yes", "no: why" or "n/a: why". Cells of real trials (applied rates, AMP, parameter groups, resume) come
from the studies of `lrbench.claims.resume` and one more with a GradScaler that skips a step; the others drive the
scheduler alone. What this does *not* do: lay the matrix out (`analysis.claims` does).
"""

import pickle
from functools import partial

from lrbench import closed_forms
from lrbench.calls import known_names
from lrbench.claims.courses import built, course, drive, first_difference, named, new_optimizer, quiet, same
from lrbench.claims.examples import BASE_LR, METRICS, NUM_STEPS, example
from lrbench.claims.frame import Room, Verdict, claim
from lrbench.claims.planted import STEPS_PER_EPOCH, workload
from lrbench.claims.resume import (
    EPOCHS,
    RECIPE,
    called,
    names,
    resumed_at_boundary,
    resumed_mid_epoch,
    study_table,
    uninterrupted,
)
from lrbench.shares import resolved

COLUMNS = (
    "closed form",
    "resume at boundary",
    "resume mid-epoch",
    "pickling",
    "per-group",
    "AMP skip",
    "per-step and per-epoch",
    "nesting",
)
TOLERANCE = 1e-9
_NUM_TRIAL_STEPS = EPOCHS * STEPS_PER_EPOCH
BASE_LRS = [BASE_LR, 0.05]  # of the two parameter groups of the planted network
# What the installed torch gets wrong, and is known for: such a cell says "no" without failing the gate.
KNOWN = {
    ("SequentialLR", "nesting"): "pytorch#196243",
    ("ChainedScheduler", "nesting"): "pytorch#196243",
}
YES = "yes"


@claim(
    id="S11",
    where="C",
    kind="E",
    expected="yes but for torch's own nested compositions",
    source="this suite's own matrix",
    gate=True,
)
def s11(room: Room) -> Verdict:
    """Every scheduler that a study can name does what a user relies on (closed form, resume at a boundary and
    mid-epoch, pickling, parameter groups, AMP skips, stepping per step and per epoch, nesting), or the table says why
    it cannot."""
    table = cells(room)
    evidence = [
        {"scheduler": name, "what": what, "cell": table[name].get(what, ""), "holds": _sound(name, what, table)}
        for name in table
        for what in COLUMNS
    ]
    yes, cannot, empty = (sum(test(row["cell"]) for row in evidence) for test in (_is_yes, _is_not_applicable, _empty))
    broken = [f"{row['scheduler']}, {row['what']}: {row['cell'] or 'empty'}" for row in evidence if not row["holds"]]
    known = len(evidence) - yes - cannot - empty - len(broken)
    return Verdict(
        word="refuted" if broken else "supported",
        seen=f"{len(table)} schedulers × {len(COLUMNS)}: {yes} cells hold, {cannot} cannot apply and say why, {known} "
        f"are known faults of torch, {empty} are empty" + (f"; broken: {'; '.join(broken)}" if broken else ""),
        evidence=tuple(evidence),
    )


def _is_yes(cell: str) -> bool:
    return cell == YES


def _is_not_applicable(cell: str) -> bool:
    return cell.startswith("n/a: ")


def _empty(cell: str) -> bool:
    return not cell


def _sound(name: str, what: str, table: dict[str, dict[str, str]]) -> bool:
    cell = table[name].get(what, "")
    return _is_yes(cell) or _is_not_applicable(cell) or (bool(cell) and (name, what) in KNOWN)


def cells(room: Room) -> dict[str, dict[str, str]]:
    """Return the matrix: {scheduler: {column: cell}}, a row for each class that a study can name."""
    whole = room.once(uninterrupted)
    amp = _run(room, "amp-skip", "fp16", {name: study_table(name, "step") for name in names()})
    nested = _run(
        room, "nested", "fp32", {name: {**_nested_table(name, "SequentialLR"), "interval": "step"} for name in names()}
    )
    boundary, mid_epoch = (
        {row["scheduler"].partition("(")[0]: row for row in room.once(question)}
        for question in (resumed_at_boundary, resumed_mid_epoch)
    )
    rows = {(row["scheduler_name"], row["scheduler_interval"]): row for _, row in whole.iterrows()}
    table: dict[str, dict[str, str]] = {name: {} for name in known_names("scheduler")}
    for name in names():
        table[name] = {
            "closed form": closed_form(name),
            "resume at boundary": _resume_cell(boundary[name]),
            "resume mid-epoch": _resume_cell(mid_epoch[name]),
            "pickling": pickling(name),
            "per-group": per_group(name, rows[name, "step"]),
            "AMP skip": amp_skip(name, amp[name]),
            "per-step and per-epoch": _both(applied(name, rows[name, "epoch"]), applied(name, rows[name, "step"])),
            "nesting": nesting(name, nested[name]),
        }
    return table


def _run(room: Room, study: str, precision: str, tables: dict[str, dict]) -> dict:
    """Train one trial with each table; return {name: row, a pandas.Series} by the names of the tables."""
    fixed = {**RECIPE, "precision": precision, "workload": workload()}
    rows = room.study(study, fixed=fixed, grid={"scheduler": list(tables.values())}, device="cpu")
    by_call = {row["scheduler"]: row for _, row in rows.iterrows()}
    return {name: by_call[called(table)] for name, table in tables.items()}


def closed_form(name: str) -> str:
    """Compare the class, stepped alone over its course with two groups, with the formula written by hand."""
    table = example(name)
    found = course(table, NUM_STEPS, BASE_LRS)
    return _agree(found, _planned(table, NUM_STEPS, METRICS))


def _planned(table: dict, num_steps: int, metrics) -> list[list[float]]:
    return closed_forms.rates(table, base_lrs=BASE_LRS, num_steps=num_steps, metrics=list(metrics), call=named)


def _agree(found: list[list[float]], planned: list[list[float]]) -> str:
    for group, (rates, wanted) in enumerate(zip(found, planned, strict=True)):
        step = first_difference(rates, wanted, TOLERANCE)
        if step != -1:
            return f"no: at step {step} of group {group} the rate is {rates[step]:g}, not {wanted[step]:g}"
    return YES


def _resume_cell(row: dict) -> str:
    return YES if row["holds"] else f"no: {row['differs'] or row['note']}"


def _both(*found: str) -> str:
    return next((cell for cell in found if cell != YES), YES)


# ------------------------------------------------------------------------------------------------- from real trials


def applied(name: str, row) -> str:
    """Compare the rates that a real trial applied with the formula, per step or per epoch, in both groups."""
    if row["status"] != "completed":
        return f"no: the trial {row['status']}"
    return _agree(_applied(row), _expected(name, row))


def per_group(name: str, row) -> str:
    """Tell whether each group of a real trial followed the plan from its own base rate, and not the other's."""
    if row["status"] != "completed":
        return f"no: the trial {row['status']}"
    found, planned = _applied(row), _expected(name, row)
    cell = _agree(found, planned)
    if cell == YES and same(found[0], found[1]) and not same(planned[0], planned[1]):
        return "no: both groups have the first one's rates"
    return cell


def amp_skip(name: str, row) -> str:
    """Tell whether a step that the GradScaler skipped left the schedule where it was, in a real trial."""
    skipped = int(row["num_steps"] - row["num_optimizer_steps"])
    if row["status"] != "completed":
        return f"no: the trial {row['status']}"
    if not skipped:
        return "no: no step was skipped, so nothing was seen"
    taken = int(row["num_optimizer_steps"])
    # the scheduler was stepped once after each step that was taken, and shown the loss of that step
    metrics = list(row["train_loss_steps"])[skipped:]
    planned = _planned(resolved(_bare(study_table(name, "step")), _NUM_TRIAL_STEPS), taken, metrics)
    return _agree(_applied(row), planned)


def _applied(row) -> list[list[float]]:
    return [[float(rate) for rate in rates] for rates in row["applied_lr"]]


def _bare(table: dict) -> dict:
    """Return a study's table without what only a study has, in the tables inside it too."""
    bare = {key: value for key, value in table.items() if key not in ("interval", "monitor")}
    if "schedulers" in bare:
        bare["schedulers"] = [_bare(child) for child in bare["schedulers"]]
    return bare


def _expected(name: str, row) -> list[list[float]]:
    """Return the planned rate at each optimizer step of a real trial in which no step was skipped."""
    per_step = row["scheduler_interval"] == "step"
    budget = _NUM_TRIAL_STEPS if per_step else EPOCHS
    metrics = row["train_loss_steps"] if per_step else row["val_loss_curve"]
    planned = _planned(resolved(_bare(study_table(name, row["scheduler_interval"])), budget), budget, metrics)
    return planned if per_step else [[rate for rate in rates for _ in range(STEPS_PER_EPOCH)] for rates in planned]


# ------------------------------------------------------------------------------------------ from the scheduler alone


def pickling(name: str) -> str:
    """Pickle a scheduler with its optimizer in mid-course; the copy must go on as the original does."""
    optimizer = new_optimizer(BASE_LRS)
    scheduler = built(example(name), optimizer)
    drive(scheduler, optimizer, 5)
    try:
        copy = pickle.loads(pickle.dumps(scheduler))
        state = pickle.loads(pickle.dumps(scheduler.state_dict()))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        return f"no: {type(error).__name__}: {error}"
    again = new_optimizer(BASE_LRS)
    resumed = built(example(name), again)
    again.load_state_dict(pickle.loads(pickle.dumps(optimizer.state_dict())))
    resumed.load_state_dict(state)
    with quiet():
        wanted = _rest(scheduler, optimizer)
        if _rest(resumed, again) != wanted:
            return "no: a pickled state_dict goes on differently"
        return YES if _rest(copy, copy.optimizer) == wanted else "no: the unpickled scheduler goes on differently"


_rest = partial(drive, num_steps=6, metrics=(0.5, 0.51, 0.5, 0.3, 0.3, 0.31))


def nesting(name: str, row) -> str:
    """Compare the scheduler inside a sequence inside a sequence with the formula: in a real trial whose study writes it
    so, within lrbench's SequenceLR, and torch's compositions within torch's SequentialLR too."""
    from torch.optim import lr_scheduler

    if row["status"] != "completed":
        return f"no: the trial {row['status']}"
    metrics = list(row["train_loss_steps"])
    planned = _planned(
        resolved(_bare(_nested_table(name, "SequentialLR")), _NUM_TRIAL_STEPS), _NUM_TRIAL_STEPS, metrics
    )
    ours = _both(_agree(_applied(row), planned), _nested_in("SequenceLR", name))
    if ours != YES or not (hasattr(lr_scheduler, name) and "schedulers" in example(name)):
        return ours
    torchs = _nested_in("SequentialLR", name)
    if torchs == YES:
        return YES
    known = KNOWN.get((name, "nesting"), "unknown")
    return f"{torchs} within torch's SequentialLR ({known}); right in a study and within lrbench's SequenceLR"


def _nested_table(name: str, outer: str) -> dict:
    """Return a study's table: hold, the class, decay, the first two in a sequence of their own."""
    hold = {"name": "ConstantLR", "factor": 0.5, "total_iters": 99}
    child = {key: value for key, value in study_table(name, "step").items() if key != "interval"}
    inner = {"name": outer, "schedulers": [hold, child], "milestones": [2]}
    return {"name": outer, "schedulers": [inner, {"name": "ExponentialLR", "gamma": 0.9}], "milestones": [10]}


def _nested_in(outer: str, name: str) -> str:
    table = resolved(_bare(_nested_table(name, outer)), NUM_STEPS)
    try:
        with quiet():
            found = course(table, NUM_STEPS, BASE_LRS)
    except NotImplementedError:
        return "no: NotImplementedError"
    return _agree(found, _planned(table, NUM_STEPS, METRICS))
