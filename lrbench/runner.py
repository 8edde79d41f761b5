"""What is left to do → executor → rows. No torch here.

`run_study` is the whole of it: plan the trials, skip those that have a row, give each of the others a process and
cores or a GPU of its own, write each row the moment it is known, and go on to the stage that the rows lead to. What
this does *not* do: train (`lrbench.trial`), make processes (`lrbench.executors`), know the stages (`lrbench.stages`) or
say what rows mean (`analysis`).
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lrbench.checkpoints import Checkpoint, parse_every
from lrbench.continuing import Course, agree_with_folder, rows_stay
from lrbench.devices import Devices
from lrbench.errors import InputError, device_meant, did_you_mean
from lrbench.executors import EXECUTORS, Job, open_executor
from lrbench.factors import Problems, Trial, check_level
from lrbench.own_folder import default_folder, other_levels
from lrbench.place import common_columns, default_device
from lrbench.plan_warnings import one_schedule, study_warnings
from lrbench.progress import Reporter, default_reporter
from lrbench.running import POLL_SECONDS, How, row_of, run_stages
from lrbench.stages import Stages
from lrbench.start import Zygote
from lrbench.store import Writer, damages, load, locked, scan
from lrbench.study import Study
from lrbench.watch import Watch


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a run left behind: how many trials the study has, how many have a row, and how those ended."""

    folder: Path
    num_trials: int
    num_rows: int
    statuses: dict[str, int]
    interrupted: bool

    @property
    def exit_code(self) -> int:
        """0 every trial that has a row completed, 1 some failed, 130 interrupted."""
        if self.interrupted:
            return 130
        return 0 if self.statuses.get("completed", 0) == self.num_rows else 1


def run_study(
    study: Study,
    out: str | Path | None = None,
    *,
    device: str = "auto",
    jobs: int | None = None,
    time_limit_seconds: float | None = None,
    retry: bool = False,
    limit: int | None = None,
    executor: str = "process",
    mixed: bool = False,
    checkpoint_every: int | str | None = None,
    watch: Watch | None = None,
    data_root: str | Path | None = None,
    reporter: Reporter | None = None,
    zygote: Zygote | None = None,
) -> Summary:
    """Run the study's trials that have no row yet in `out` and return a Summary.

    Without `out` the folder is results/NAME; that of a study with other levels than those written is named after them,
    such as results/NAME-epochs=1 (`lrbench.own_folder`), for its rows do not belong among the others.
    A study that tunes, or looks at its questions as it goes, is run stage by stage (`lrbench.stages`). The same call
    again goes on where the last one stopped, however it stopped. `jobs` bounds how many trials run at once (default:
    one for each GPU, or as many as there are cores for); `limit` how many are run by this call; `retry` runs the failed
    ones again; `mixed` allows a folder that was begun on another machine or torch version.
    After `checkpoint_every` optimizer steps, or each "epoch" (default: as the study says), a trial writes its whole
    state, off the clock, and one that was cut off goes on from there; "off" neither writes nor reads it. `watch`
    (default: the study's digest_every) says what else is looked at in each trial. `zygote` is the process to fork the
    trials from, where it was started before there was a study (default: one is started). Raises InputError for what is
    wrong with the request, before anything trains, and StoreError when the folder cannot be written. Ctrl-C ends the
    trials in flight and returns.
    """
    if not isinstance(study, Study):
        raise InputError(f"run_study takes a Study, found {study!r}. Write run_study(lrbench.read_study({study!r}))")
    _check_request(device, jobs, time_limit_seconds, limit, executor)
    every = parse_every(study.checkpoint_every if checkpoint_every is None else checkpoint_every, "--checkpoint-every")
    watch = watch or Watch(digest_every=study.digest_every)
    if watch.stop_after or watch.stop_after_seconds:
        raise InputError("run_study keeps the rows of whole trials; stop_after is for run_trial")
    if out is not None and not str(out):
        raise InputError("--out found ''; allowed: a folder, --out DIR")
    named, out = out is not None, Path(out if out is not None else default_folder(study))
    reporter = reporter or default_reporter()
    if device == "auto":
        device = default_device()
    stages = Stages(study, device, partial(load, out))
    how = How(
        executor=executor,
        zygote=zygote,
        devices=Devices(stages.certain, 1 if executor == "inline" else jobs),
        time_limit_seconds=time_limit_seconds,
        data_root=find_data_root(data_root),
        every=every,
        watch=watch,
        reporter=reporter,
    )
    with locked(out):
        seen = scan(out)
        record, changes = agree_with_folder(out, study, stages.certain, mixed, rows_stay(seen, retry))
        course = Course(stages=stages, folder=out, record=record, retry=retry, limit=limit, seen=seen)
        todo, found = course.go_on()
        how.devices.at_most(len(todo))
        done = course.statuses()
        reporter.planned(
            study=study,
            folder=out,
            num_trials=len(stages.certain),
            done=done,
            num_todo=course.num_left(),
            num_others=course.num_others(),
            devices=how.devices,
            changes=changes,
            may_grow=stages.num_more_at_most > 0,
        )
        if not named and (others := other_levels(study)):
            reporter.note(f"a folder of its own: other levels of {', '.join(sorted(others))} than {study.name} has")
        for line in (*found, *filter(None, [stages.now]), *damages(out)):
            reporter.note(line)
        alike = one_schedule(stages.certain) if todo else []
        for warning in (*study_warnings(trial for *_, trial in todo), *alike):
            reporter.note(f"warning: {warning}")
        interrupted = False
        if todo:
            with _terminate_as_interrupt():
                try:
                    run_stages(course, todo, how)
                except KeyboardInterrupt:
                    interrupted = True
                finally:
                    reporter.stop()
        if stages.several or not todo:
            course.write_record()
        course.seen = scan(out)
        statuses = course.statuses()
        with Writer(out) as writer:
            if stages.ended and sum(statuses.values()) == len(stages.certain):
                writer.compact()
            writer.close()
    summary = Summary(
        folder=out,
        num_trials=len(stages.certain),
        num_rows=sum(statuses.values()),
        statuses=dict(statuses),
        interrupted=interrupted,
    )
    reporter.ended(summary)
    return summary


def run_trial(
    trial: Trial,
    *,
    device: str = "auto",
    data_root: str | Path | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int | str = "epoch",
    watch: Watch = Watch(),
) -> dict:
    """Run one trial in a fresh process and return its row; nothing is written. See results/README.md for the columns.

    With a `checkpoint`, a file, the trial goes on from what lies there and writes its state there after every
    `checkpoint_every` optimizer steps, or each "epoch"; the file is left where it is. `watch` says what else is looked
    at, and can end the trial at a step.

    Raises InputError where the trial's workload, data, optimizer or scheduler cannot be had.
    """
    if not isinstance(trial, Trial):
        example = f"lrbench.Trial(workload={trial!r})" if isinstance(trial, str) else "lrbench.trials(study)[0]"
        raise InputError(f"run_trial takes a Trial, found {trial!r}. Write run_trial({example})")
    _check_request(device)
    every = parse_every(checkpoint_every, "checkpoint_every")
    if trial.device == "auto":
        trial = Trial(**{**trial.content, "device": default_device() if device == "auto" else device})
    devices = Devices([trial], jobs=1)
    root = find_data_root(data_root)
    processes = open_executor("process", [trial], root)
    try:
        if problems := processes.check([trial], root):
            raise InputError(*problems)
        claim = devices.claim(trial)
        columns = {**common_columns(os.getcwd()), "packed": False, "executor": "process"}
        at = Checkpoint(path=Path(checkpoint).resolve(), every=every) if checkpoint is not None else None
        job = Job(
            trial=trial, cores=claim.cores, gpu=claim.gpu, data_root=root, columns=columns, checkpoint=at, watch=watch
        )
        processes.start(job)
        while True:
            for running in processes.wait(POLL_SECONDS):
                return row_of(running, None)
    finally:
        processes.close()


def find_data_root(data_root: str | Path | None) -> Path | None:
    """Return the folder of data sets: the argument, else LRBENCH_DATA, else None."""
    value = data_root if data_root is not None else os.environ.get("LRBENCH_DATA")
    return Path(value).resolve() if value else None


def _check_request(
    device: str,
    jobs: int | None = None,
    time_limit_seconds: float | None = None,
    limit: int | None = None,
    executor: str = "process",
) -> None:
    """Raise InputError with everything that is wrong with a request, by the names that the command line has for it."""
    problems = []
    if executor not in EXECUTORS:
        allowed = f"allowed: {', '.join(EXECUTORS)}.{did_you_mean(executor, EXECUTORS)}"
        problems.append(f"--executor found {executor!r}; {allowed}")
    try:
        check_level("device", device)
    except Problems:
        allowed = f"allowed: auto, cpu, cuda or cuda:N.{device_meant(device)}"
        problems.append(f"--device found {device!r}; {allowed}")
    if jobs is not None and jobs < 1:
        problems.append(f"--jobs found {jobs}; allowed: a whole number from 1 on")
    if limit is not None and limit < 0:
        problems.append(f"--limit found {limit}; allowed: a whole number from 0 on")
    if time_limit_seconds is not None and not time_limit_seconds > 0:
        problems.append(f"--time-limit found {time_limit_seconds:g}; allowed: a number of seconds above 0")
    if executor == "inline" and time_limit_seconds is not None:
        problems.append("--time-limit needs --executor process: nothing can end a trial in the runner's own process")
    if executor == "inline" and jobs is not None and jobs > 1:
        problems.append(f"--jobs {jobs} needs --executor process: the runner's own process runs one trial at a time")
    if problems:
        raise InputError(*problems)


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does. Only the main thread may set handlers; elsewhere SIGTERM stays as it is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
