"""The loop: trials in, each in a process with its device alone, rows out, stage by stage. No torch here.

What this does *not* do: decide what is left to run (`lrbench.continuing`), or make processes (`lrbench.executors`).
"""

import os
import time
from collections import deque
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from lrbench.checkpoints import Every, checkpoint_of, forget
from lrbench.continuing import Course
from lrbench.devices import Claim, Devices
from lrbench.errors import InputError
from lrbench.executors import Executor, Job, Running, how_it_ended, open_executor
from lrbench.factors import Trial
from lrbench.interrupts import raise_lost
from lrbench.place import common_columns
from lrbench.progress import Reporter
from lrbench.record import PRINTED, trial_columns
from lrbench.start import Zygote
from lrbench.store import Writer, scan
from lrbench.watch import Watch

POLL_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class How:
    """How the trials of a run are run."""

    executor: str
    zygote: Zygote | None
    devices: Devices
    time_limit_seconds: float | None
    data_root: Path | None
    every: Every
    watch: Watch
    reporter: Reporter


def run_stages(course: Course, todo: list[tuple], how: How) -> None:
    """Run what is left of a study: the trials to do, and stage by stage what they lead to."""
    how.reporter.preparing(how.executor)
    trials = [trial for *_, trial in todo]
    if course.stages.several:  # what comes later is checked now: nothing is to fail after a night
        trials += [trial for trial in course.stages.certain if trial.trial_id not in course.seen]
    opened = open_executor(how.executor, trials, how.data_root, zygote=how.zygote)
    with closing(opened) as executor, Writer(course.folder) as writer:
        # While the executor loads torch: what the first fold wants (pyarrow imports pandas), and what git has to say.
        import pandas  # noqa: F401
        import pyarrow.parquet  # noqa: F401

        where = {**common_columns(os.getcwd()), "study": course.record["study"]["name"]}
        where |= {"packed": False, "executor": how.executor}
        while todo:
            if problems := executor.check(trials, how.data_root):
                raise InputError(*problems)
            raise_lost()
            course.write_record()  # not before: a run that is refused leaves no folder behind
            how.reporter.running()
            of_stage = course.stages.columns()
            _run_stage(todo, executor, writer, where, of_stage, how)
            course.tried |= {trial.trial_id for *_, trial in todo}
            course.seen = scan(course.folder)
            todo, decided = course.go_on()
            trials = [trial for *_, trial in todo]
            how.devices.at_most(len(todo))
            for line in (*decided, *([course.stages.now] if todo else [])):
                how.reporter.note(line)
            how.reporter.grown(course.num_left())
        writer.close()  # now, while its rows are in memory: a later writer would read them from the journal


def _run_stage(todo: list[tuple], executor: Executor, writer: Writer, where: dict, of_stage: dict, how: How) -> None:
    queue = deque(todo)
    running: dict[int, tuple[Running, Claim]] = {}
    written: set[int] = set()

    def write(key: int) -> None:
        known, claim = running[key]
        row = {**row_of(known, how.time_limit_seconds), "packed": claim.shared}
        writer.commit(row)
        written.add(key)
        if row["status"] in ("completed", "diverged"):  # any other may go on, with --retry
            forget(writer.folder, row["trial_id"])
        how.reporter.finished(row)
        if how.executor == "inline" and row["status"] != "completed":  # somebody is looking for a fault
            how.reporter.note(row["error"])

    while queue or running:
        while queue and (claim := how.devices.claim(queue[0][3])):
            block, position, attempt, trial = queue.popleft()
            place = {"block": block, "position": position, "attempt": attempt, **of_stage.get(trial.trial_id, {})}
            started = executor.start(_job(trial, claim, {**where, **place}, writer.folder, how))
            running[id(started)] = (started, claim)
            how.reporter.started(started)
        ended = executor.wait(patience(running, how.time_limit_seconds))
        for key, (known, _) in running.items():  # on the disk while its process is still being taken down
            if key not in written and known.row is not None and known.row["status"] == "completed":
                write(key)
        for key in map(id, ended):
            if key not in written:  # what a failed trial printed belongs to its row, to the last word
                write(key)
            written.discard(key)
            how.devices.release(running.pop(key)[1])
        raise_lost()
        for late, _ in running.values():
            if how.time_limit_seconds is not None and time.monotonic() - late.started > how.time_limit_seconds:
                executor.kill(late)
        how.reporter.tick([known for key, (known, _) in running.items() if key not in written])


def _job(trial: Trial, claim: Claim, columns: dict, folder: Path, how: How) -> Job:
    return Job(
        trial=trial,
        cores=claim.cores,
        gpu=claim.gpu,
        data_root=how.data_root,
        columns=columns,
        checkpoint=checkpoint_of(folder, trial.trial_id, how.every),
        watch=how.watch,
    )


def patience(running: dict, time_limit_seconds: float | None) -> float:
    if time_limit_seconds is None or not running:
        return POLL_SECONDS
    first = min(r.started for r, _ in running.values()) + time_limit_seconds - time.monotonic()
    return min(POLL_SECONDS, max(0.01, first))


def row_of(ended: Running, time_limit_seconds: float | None) -> dict:
    """Return the row of an ended job; where its process left none, one that says how it ended."""
    if ended.row is not None:
        if ended.row["status"] != "completed" and ended.output:
            ended.row["error"] = f"{ended.row.get('error') or ''}{PRINTED}{ended.output}"
        return ended.row
    seconds = time.monotonic() - ended.started
    if time_limit_seconds is not None and seconds > time_limit_seconds:
        status, error = "timed_out", f"still in {ended.stage!r} after the time limit of {time_limit_seconds:g} s"
    else:
        status = "crashed"
        error = f"the process {how_it_ended(ended.exit)} in {ended.stage!r}"
    if ended.output:
        error += f"{PRINTED}{ended.output}"
    return {
        **trial_columns(ended.job.trial),
        **ended.job.columns,
        "status": status,
        "error": error,
        "stage": ended.stage,
        "total_seconds": seconds,
    }
