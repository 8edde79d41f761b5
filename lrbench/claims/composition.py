"""S5 and S10: going on from a later epoch, schedulers inside schedulers, and what lies past a scheduler's end.

pytorch#162591 (SequentialLR with last_epoch) and #196243 (nested SequentialLR) are shown on the installed torch, beside
lrbench.schedulers.SequenceLR. What this does *not* do: train; `lrbench.claims.resume` resumes real trials.
"""

from lrbench.calls import format_call, known_names
from lrbench.claims.courses import built, course, drive, first_difference, new_optimizer, quiet, same
from lrbench.claims.examples import BASE_LR, EXAMPLES, METRICS, NUM_STEPS, end_of, example
from lrbench.claims.frame import Room, Verdict, claim
from lrbench.claims.schedulers import NOTES

# What a user may have in hand at the end of epoch k: the optimizer's state_dict taken after or before the scheduler's
# step, or nothing but the rate it all began with.
_AFTER, _BEFORE, _ALONE = (
    "optimizer's state after the scheduler's step",
    "optimizer's state before the scheduler's step",
    "initial_lr alone",
)
_RESTORED = (_AFTER, _BEFORE, _ALONE)
_KEEP = {"name": "ConstantLR", "factor": 0.1, "total_iters": 99}
_HALF = {"name": "ConstantLR", "factor": 0.5, "total_iters": 99}
_DECAY = {"name": "ExponentialLR", "gamma": 0.9}
_TWO = {"schedulers": [_KEEP, _HALF], "milestones": [2]}
# (what it shows, the table without its name, the rates by hand from 0.1)
_NESTED = [
    (
        "one inside another",
        {"schedulers": [_TWO, _DECAY], "milestones": [4]},
        [0.01, 0.01, 0.05, 0.05, 0.1, 0.09, 0.081],
    ),
    ("a wrapper around one", {"schedulers": [_TWO], "milestones": []}, [0.01, 0.01, 0.05, 0.05, 0.05, 0.05, 0.05]),
]


@claim(
    id="S5",
    where="C",
    kind="E",
    expected="yes for the simple ones; SequentialLR is wrong (pytorch#162591), nested SequentialLR shifts (#196243)",
    source=f"{NOTES}; pytorch#162591, #168044, #125531, #196243",
)
def s5(room: Room) -> Verdict:
    """last_epoch=k with initial_lr set goes on at the right rate, for each scheduler."""
    evidence = [_go_on(name, restored) for name in _with_last_epoch() for restored in _RESTORED]
    right = {restored: _count_right(evidence, restored) for restored in _RESTORED}
    best = max(_RESTORED, key=lambda restored: len(right[restored]))
    never = [name for name in _with_last_epoch() if not any(name in names for names in right.values())]
    told = ", ".join(f"{len(right[restored])} with the {restored}" for restored in _RESTORED)
    evidence += [_nested(cls, *case) for cls in _COMPOSITIONS for case in _NESTED]
    evidence += [_state_dict_resume(cls) for cls in _COMPOSITIONS]
    of_torch, ours = (
        sum(row["holds"] for row in evidence if row["scheduler"].startswith(cls) and row["what"] in _FOR_BOTH)
        for cls in _COMPOSITIONS
    )
    return Verdict(
        word="refuted" if len(right[best]) < len(_with_last_epoch()) else "supported",
        seen=f"of {len(_with_last_epoch())} classes, {told} go on right at every k; {' and '.join(never)} with none "
        f"of these. Nested or resumed by state_dict, torch's SequentialLR is right in {of_torch} of {len(_FOR_BOTH)} "
        f"cases and lrbench's SequenceLR in {ours}",
        evidence=tuple(evidence),
    )


_COMPOSITIONS = ("SequentialLR", "SequenceLR")
_FOR_BOTH = (*(what for what, *_ in _NESTED), "state_dict at every step")


def _with_last_epoch() -> list[str]:
    from torch.optim import lr_scheduler

    return [
        name
        for name in EXAMPLES
        if (cls := getattr(lr_scheduler, name, None)) and "last_epoch" in cls.__init__.__annotations__
    ]


def _count_right(evidence: list[dict], restored: str) -> list[str]:
    return [row["scheduler"].partition("(")[0] for row in evidence if row["what"] == restored and row["holds"]]


def _go_on(name: str, restored: str) -> dict:
    """Stop at the end of every epoch k; build the scheduler anew with last_epoch=k on what was restored; compare."""
    table = example(name)
    (planned,) = course(table, NUM_STEPS)
    epochs = range(NUM_STEPS - 2)
    wrong, raises = [], ""
    for k in epochs:
        optimizer = new_optimizer()
        optimizer.load_state_dict(_state_at_the_end_of(table, k, restored))
        try:
            with quiet():
                (applied,) = drive(built(table, optimizer, last_epoch=k), optimizer, NUM_STEPS - k - 1)
        except KeyError as error:
            wrong.append((k, -1.0, planned[k + 1]))
            raises = f"KeyError: {error}"
            continue
        step = first_difference(applied, planned[k + 1 :])
        if step != -1:
            wrong.append((k, applied[step], planned[k + 1 + step]))
    found = {"k": wrong[0][0], "found": wrong[0][1], "wanted": wrong[0][2]} if wrong and not raises else {}
    return {
        "scheduler": format_call(table),
        "what": restored,
        "num_tried": len(epochs),
        "num_right": len(epochs) - len(wrong),
        **found,
        "raises": raises,
        "holds": not wrong,
    }


def _state_at_the_end_of(table: dict, epoch: int, restored: str) -> dict:
    optimizer = new_optimizer()
    scheduler = built(table, optimizer)
    if restored == _ALONE:
        (group,) = optimizer.param_groups
        group["lr"] = group["initial_lr"] = BASE_LR
        return optimizer.state_dict()
    drive(scheduler, optimizer, epoch)
    optimizer.step()
    if restored == _AFTER:
        scheduler.step()
    return optimizer.state_dict()


def _nested(cls: str, what: str, table: dict, by_hand: list[float]) -> dict:
    """Drive a nested composition; the inner ones without a name are of class `cls` too."""
    full = {
        "name": cls,
        **table,
        "schedulers": [child if "name" in child else {"name": cls, **child} for child in table["schedulers"]],
    }
    try:
        with quiet():
            (applied,) = course(full, len(by_hand))
    except NotImplementedError:
        return {"scheduler": format_call(full), "what": what, "raises": "NotImplementedError", "holds": False}
    step = first_difference(applied, by_hand)
    where = {"step": step, "found": applied[step], "wanted": by_hand[step]} if step != -1 else {}
    return {"scheduler": format_call(full), "what": what, **where, "raises": "", "holds": step == -1}


def _state_dict_resume(cls: str) -> dict:
    """Stop after every step; load the state_dicts into new objects, in the order that torch asks for; compare."""
    table = {"name": cls, "schedulers": [_KEEP, _DECAY], "milestones": [3]}
    (planned,) = course(table, NUM_STEPS)
    right = 0
    for step in range(NUM_STEPS):
        optimizer = new_optimizer()
        scheduler = built(table, optimizer)
        drive(scheduler, optimizer, step)
        again = new_optimizer()
        resumed = built(table, again)
        again.load_state_dict(optimizer.state_dict())
        resumed.load_state_dict(scheduler.state_dict())
        (applied,) = drive(resumed, again, NUM_STEPS - step)
        right += applied == planned[step:]
    return {
        "scheduler": format_call(table),
        "what": _FOR_BOTH[-1],
        "num_tried": NUM_STEPS,
        "num_right": right,
        "holds": right == NUM_STEPS,
    }


@claim(
    id="S10",
    where="C",
    kind="E",
    expected="a table: CosineAnnealingLR rebounds, OneCycleLR raises, the others hold",
    source=f"{NOTES}; torch's documentation names no rule",
)
def s10(room: Room) -> Verdict:
    """Past its end (T_max, total_steps, total_iters) a scheduler rebounds, holds or raises; the table says which."""
    evidence = [_past_the_end(name) for name in _known_classes()]
    ended = [row for row in evidence if row["past_end"] != "has no end"]
    of = {what: [_class(row) for row in ended if row["past_end"] == what] for what in ("rebounds", "holds", "raises")}
    return Verdict(
        word="supported" if sum(map(len, of.values())) == len(ended) else "refuted",
        seen="; ".join(f"{what}: {', '.join(names) or 'none'}" for what, names in of.items())
        + f"; {len(evidence) - len(ended)} more have no end",
        evidence=tuple(evidence),
    )


def _known_classes() -> list[str]:
    known = known_names("scheduler")
    return [name for name in EXAMPLES if name in known]


def _class(row: dict) -> str:
    return row["scheduler"].partition("(")[0]


def _past_the_end(name: str) -> dict:
    """Step a scheduler to four times its end and say what its rate does there."""
    table = example(name)
    end = end_of(table)
    row = {"scheduler": format_call(table), "step": end, "past_end": "has no end", "raises": "", "holds": True}
    if not end:
        return row
    optimizer = new_optimizer()
    scheduler = built(table, optimizer)
    drive(scheduler, optimizer, end)
    try:
        (past,) = drive(scheduler, optimizer, 3 * end + 1, METRICS)
    except ValueError as error:
        return {**row, "past_end": "raises", "raises": f"ValueError: {error}"}
    at_end, highest = past[0], max(past)
    row |= {"found": past[1], "wanted": at_end, "highest_after": highest}
    if same(past, [at_end] * len(past)):
        return {**row, "past_end": "holds"}
    return {**row, "past_end": "rebounds" if highest > at_end else "goes on falling"}
