"""`lrbench audit TARGET`: is this training reproducible, what breaks it, what do the flags cost? Runs what answers it.

Everything lies in one folder, and the same command goes on where it stopped:

    DIR             the study of cudnn_benchmark x cudnn_deterministic, n replicates each: lrbench show DIR
    DIR/strict      deterministic_algorithms off and strict, in random blocks of their own
    DIR/threads     num_threads 1 and 2
    DIR/audit       what was asked and planned, what single processes said; the findings: audit.html, audit.json

What this does *not* do: say what the rows mean (`analysis.audit`), or find the operator that differs
(`lrbench.diverge`).
"""

import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from lrbench.audit.documented import found
from lrbench.audit.plan import Pilot, Plan, budget_said, limit_for, make_plan, seconds_of
from lrbench.audit.target import Asked, Notes, Processes, describe, folder_for, key_of, limited, slug, workload_of
from lrbench.errors import InputError, in_one_line
from lrbench.factors import Trial
from lrbench.place import default_device
from lrbench.progress import SilentReporter
from lrbench.record import PRINTED
from lrbench.study import parse_study
from lrbench.ulps import distance
from lrbench.watch import Watch

PILOT_STEPS, PILOT_EPOCHS, PILOT_REPEATS = 6, 2, 2
FLAGS = {"cudnn_benchmark": [False, True], "cudnn_deterministic": [False, True]}
HASH_SEEDS = ("0", "1", "2", "3")
LOADER_WORKERS = (0, 0, 2, 2)
LOADER_BATCH_SIZE = 8
# what is compared of a trial that went on from its checkpoint
RESUMED = ("weights_sha256", "optimizer_sha256", "losses_sha256", "order_sha256", "applied_lr_sha256", "logits_sha256")
RESUMED_CONDITIONS = ({"cudnn_deterministic": False}, {"cudnn_deterministic": True})
# what torch says where a tensor, or a label, does not fit
_OF_SHAPES = re.compile(
    r"shape|\bsize|dimension|channel|\bmat[12]\b|broadcast|IndexError|out of (?:bounds|range)|too (?:small|large)", re.I
)

Say = Callable[[str], None]


def audit_command(asked: Asked, out: Path | None = None, as_json: bool = False) -> int:
    """Run the audit, print its table and write its page; return the exit code: 0 made, 1 no trial completed."""

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        folder = run_audit(asked, out, say=say)
    except KeyboardInterrupt:
        say("interrupted; the same command goes on where it stopped")
        raise
    from analysis.audit import read_audit
    from analysis.page.audit_page import as_json_text, print_audit, write_page

    made = read_audit(folder)
    paths = write_page(made)
    print(as_json_text(made), end="") if as_json else print_audit(made)
    print(f"page: {paths.html}", file=sys.stderr if as_json else sys.stdout)
    return 0 if made.num_completed else 1


def run_audit(asked: Asked, out: Path | None = None, *, say: Say = lambda line: None) -> Path:
    """Run what the audit needs and has not got yet, and return its folder.

    Raises InputError for a target that cannot be had, or a folder that is another's, before anything trains.
    """
    began = time.monotonic()
    device = default_device() if asked.device == "auto" else asked.device
    key = key_of(asked, device)
    folder = folder_for(asked.target, key, out)
    notes, processes = Notes(folder), Processes(device)
    notes.check_writable()
    say(f"{asked.target} on {device}, within {budget_said(asked.budget)}, into {folder}")
    described = notes.read("described") if notes.known("described") else describe(asked, processes)
    if described["kind"] == "workload" and (problems := asked.of_a_workload()):
        raise InputError(*problems)
    audit = _Audit(asked, described, device, folder, say)
    loaded = [] if notes.known("examined") else audit.loaded(processes)
    if not notes.known("plan"):
        say("one short trial, to see what fits into the time")
        plan = audit.planned(seconds_of(asked.budget), began)
        for name, value in (("asked", key), ("described", described), ("plan", asdict(plan))):
            notes.write(name, value)
    plan = Plan(**{**notes.read("plan"), **{name: tuple(notes.read("plan")[name]) for name in ("parts", "cut")}})
    for line in plan.cut:
        say(line)
    if not notes.known("examined"):
        say("its operations, a row of a batch alone, the hash seed: asked of new processes")
        notes.write("examined", {**audit.examined(processes), "loaded": loaded})
    audit.run_studies(plan)
    if "resume" in plan.parts and not notes.known("resumed"):
        say("stopping a trial half-way, and going on in a new process")
        notes.write("resumed", audit.resumed(plan))
    if not notes.known("took"):
        notes.write("took", time.monotonic() - began)
    return folder


class _Audit:
    """An audit that is being made: its workload and recipe, and the parts that it consists of."""

    def __init__(self, asked: Asked, described: dict, device: str, folder: Path, say: Say):
        self._asked, self._described, self._device, self._folder, self._say = asked, described, device, folder, say
        self._workload, self._recipe = workload_of(asked, described)
        self._data_root = asked.data_root or None

    def _limited(self, num_images: int) -> str | dict:
        """The workload on so many training images (0: all), or on all where it has no more."""
        there = self._described.get("num_train_images", 0)
        return limited(self._workload, 0 if there and num_images >= there else num_images)

    def _trial(self, plan: Plan, **levels) -> Trial:
        levels = {**self._recipe, "device": self._device, **levels}
        return Trial(workload=self._limited(plan.train_limit), epochs=plan.epochs, **levels)

    def planned(self, budget_seconds: float, began: float) -> Plan:
        """Run one short trial, and return what fits into the time."""
        pilot = self._pilot()
        inert = not self._device.startswith("cuda")
        return make_plan(
            pilot,
            batch_size=self._recipe["batch_size"],
            num_images=self._described.get("num_train_images", 0),
            cuttable=not isinstance(self._workload, str),
            asked_epochs=self._asked.epochs,
            asked_steps=self._asked.steps,
            asked_replicates=self._asked.replicates,
            seconds_left=budget_seconds - (time.monotonic() - began),
            jobs=len(os.sched_getaffinity(0)) if inert else 1,
            inert=inert,
        )

    def _pilot(self) -> Pilot:
        import lrbench

        limit = limit_for(PILOT_STEPS // PILOT_EPOCHS, self._recipe["batch_size"])
        plan = Plan(
            num_steps=PILOT_STEPS, epochs=PILOT_EPOCHS, train_limit=limit, replicates=1, repeats=PILOT_REPEATS, parts=()
        )
        watch = Watch(digest_every=1, repeats=PILOT_REPEATS)
        if isinstance(self._workload, str):  # it cannot be cut short by its images
            watch = Watch(digest_every=1, stop_after=PILOT_STEPS)
        began = time.monotonic()
        row = lrbench.run_trial(self._trial(plan), data_root=self._data_root, watch=watch)
        wall_seconds = time.monotonic() - began
        if row["status"] not in ("completed", "diverged"):
            error = _last_line(row["error"])
            shape = f"images of {self._asked.shape} and {self._asked.classes} classes"
            hint = f". It was given {shape}; for others type --input and --classes" * (
                self._described["kind"] == "model" and bool(_OF_SHAPES.search(error))
            )
            raise InputError(f"{self._asked.target} does not train: {error.rstrip('.') if hint else error}{hint}")
        num_steps, seconds = max(1, row.get("num_steps") or 0), row["total_seconds"]
        step_seconds = row.get("step_seconds_median") or seconds / num_steps
        return Pilot(
            start_seconds=max(0.5, wall_seconds - seconds),
            fixed_seconds=max(0.05, seconds - (num_steps + 2 * PILOT_REPEATS) * step_seconds),
            step_seconds=step_seconds,
        )

    def loaded(self, processes: Processes) -> list[dict]:
        """Ask what a DataLoader gives of the user's Dataset, for each of LOADER_WORKERS; nothing where none is named.

        Raises InputError where it cannot be had, or raises.
        """
        if not self._asked.dataset:
            return []
        named = {"dataset": self._asked.dataset, "batch_size": LOADER_BATCH_SIZE}
        calls = [{**named, "num_workers": n} for n in LOADER_WORKERS]
        return processes.answers("loaded", calls, [""] * len(calls))

    def examined(self, processes: Processes) -> dict:
        """Ask what no row holds: operations and a batch's rows alone, the hash seed."""
        batch_size = self._recipe["batch_size"]
        few = {"workload": self._limited(limit_for(1, batch_size)), "data_root": self._asked.data_root}
        begun = processes.answers("begin", [few] * len(HASH_SEEDS), list(HASH_SEEDS))
        if any(answer != begun[0] for answer in begun):  # a process that differs from its twin proves nothing
            begun += processes.answers("begin", [few], list(HASH_SEEDS[:1]))
        seen = processes.answer("examine", **few, device=self._device, batch_size=batch_size)
        return {"model": _judged(seen), "begun": begun}

    def run_studies(self, plan: Plan) -> None:
        """Run the trials that have no row yet: the flags, strict mode, threads."""
        self._run("", FLAGS, plan, plan.replicates, "What do cudnn.benchmark and cudnn.deterministic cost and buy?")
        if "strict" in plan.parts:
            grid = {"deterministic_algorithms": ["off", "strict"]}
            self._run("strict", grid, plan, plan.replicates, "What do deterministic algorithms cost and buy?")
        if "threads" in plan.parts and len(os.sched_getaffinity(0)) > 1:
            self._run("threads", {"num_threads": [1, 2]}, plan, 2, "Does the number of threads change the bits?")

    def _run(self, part: str, grid: dict, plan: Plan, replicates: int, question: str) -> None:
        import lrbench

        fixed = {"workload": self._limited(plan.train_limit), "epochs": plan.epochs, **self._recipe}
        name = f"audit-{slug(self._asked.target)}" + (f"-{part}" if part else "")
        document = {"question": question, "replicates": replicates, "fixed": fixed, "grid": grid}
        summary = lrbench.run_study(
            parse_study(document, name, source=name),
            self._folder / part,
            device=self._device,
            watch=Watch(digest_every=1, repeats=plan.repeats),
            data_root=self._data_root,
            reporter=_Lines(part or "flags", self._say),
        )
        if summary.interrupted:
            raise KeyboardInterrupt

    def resumed(self, plan: Plan) -> list[dict]:
        """Stop a trial amid its last epoch, let it go on from its checkpoint in a new process; return what it gave."""
        import lrbench

        stop = plan.num_steps - max(1, plan.num_steps // plan.epochs // 2)
        gave = []
        for levels in RESUMED_CONDITIONS[: 2 if self._device.startswith("cuda") else 1]:
            trial = self._trial(plan, **levels)
            with tempfile.TemporaryDirectory(prefix="lrbench-") as scratch:
                run = {"data_root": self._data_root, "checkpoint": Path(scratch) / "trial.pt", "checkpoint_every": stop}
                lrbench.run_trial(trial, watch=Watch(stop_after=stop, digest_every="off"), **run)
                row = lrbench.run_trial(trial, watch=Watch(digest_every="off"), **run)
            kept = {name: row.get(name) for name in ("status", "error", "resumed_at_step", *RESUMED)}
            gave.append({"trial_id": trial.trial_id, **kept})
        return gave


class _Lines(SilentReporter):
    """A line for each quarter of a study's trials, and one for each that failed."""

    def __init__(self, part: str, say: Say):
        self._part, self._say = part, say

    def planned(self, *, num_trials, num_todo, **_) -> None:
        self._num_trials, self._num_done = num_trials, num_trials - num_todo
        if num_todo:
            self._say(f"{self._part}: {num_todo} trials, each in a fresh process")

    def finished(self, row: dict) -> None:
        self._num_done += 1
        if row["status"] not in ("completed", "diverged"):
            self._say(f"{self._part}: trial {row['trial_id']} {row['status']}: {_last_line(row['error'])}")
        if self._num_done % max(1, self._num_trials // 4) == 0:
            self._say(f"{self._part}: {self._num_done} of {self._num_trials}")


def _judged(seen: dict) -> dict:
    """Return which operations of a model torch documents, and how far rows of a batch are from the same rows alone."""
    import numpy

    bits = [numpy.array(seen[name], dtype=numpy.int32).view(numpy.uint32) for name in ("together", "alone")]
    num_rows = seen["num_rows"]
    rows = [bits[0].reshape(num_rows, -1), bits[1].reshape(num_rows, -1)]
    apart = distance(*bits, "float32")
    return {
        "documented": [asdict(operation) for operation in found(seen["forward"], seen["backward"], seen["modules"])],
        "num_operators": len({*seen["forward"], *seen["backward"]}),
        "data_sha256": seen["data_sha256"],
        "batch_repeats": seen["batch_repeats"],
        "num_rows": num_rows,
        "num_rows_differ": int((rows[0] != rows[1]).any(axis=1).sum()),
        "max_ulp": apart.max_ulp,
        "max_abs": apart.max_abs,
    }


def _last_line(error: str | None) -> str:
    return in_one_line((error or "").partition(PRINTED)[0]) or "no reason was left behind"
