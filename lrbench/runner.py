"""What is left to do → executor → rows. No torch here.

`run_study` is the whole of it: plan the trials, skip those that have a row, give each of the others a process and
cores or a GPU of its own, write each row the moment it is known. What this does *not* do: train (`lrbench.trial`),
make processes (`lrbench.executors`) or say what rows mean (`analysis`).
"""

import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lrbench import nvml
from lrbench.changes import differences
from lrbench.checkpoints import Checkpoint, checkpoint_of, forget, parse_every
from lrbench.errors import InputError, did_you_mean
from lrbench.executors import EXECUTORS, Job, Running, how_it_ended, open_executor
from lrbench.factors import Problems, Trial, check_level
from lrbench.place import common_columns, default_device, place
from lrbench.plan_warnings import study_warnings
from lrbench.progress import Reporter, default_reporter
from lrbench.record import PRINTED, SCHEMA_VERSION, trial_columns
from lrbench.start import Zygote
from lrbench.store import Writer, damages, locked, read_study_record, scan, write_study_record
from lrbench.study import Study, blocks
from lrbench.user_code import changed, digests
from lrbench.watch import Watch

POLL_SECONDS = 0.5


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
    """Run the study's trials that have no row yet in `out` (default: results/NAME) and return a Summary.

    The same call again goes on where the last one stopped, however it stopped. `jobs` bounds how many trials run at
    once (default: one for each GPU, or as many as there are cores for); `limit` how many are run by this call; `retry`
    runs the failed ones again; `mixed` allows a folder that was begun on another machine or torch version.
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
    if watch.stop_after:
        raise InputError("run_study keeps the rows of whole trials; stop_after is for run_trial")
    out = Path(out if out is not None else Path("results") / study.name)
    reporter = reporter or default_reporter()
    data_root = find_data_root(data_root)
    if device == "auto":
        device = default_device()
    plan = [(block, trial) for block, trials in blocks(study, device) for trial in trials]
    devices = _Devices([trial for _, trial in plan], 1 if executor == "inline" else jobs)
    with locked(out):
        seen = scan(out)
        record, changes = _agree_with_folder(out, study, [trial for _, trial in plan], mixed, _stay(seen, retry))
        todo = _left_to_do(plan, seen, retry)[:limit]
        devices.at_most(len(todo))
        planned = {trial.trial_id for _, trial in plan}
        done = Counter(status for trial_id, (status, _) in seen.items() if trial_id in planned)
        reporter.planned(
            study=study,
            folder=out,
            num_trials=len(plan),
            done=done,
            num_todo=len(todo),
            num_others=len(seen) - sum(done.values()),
            devices=devices,
            changes=changes,
        )
        for damage in damages(out):
            reporter.note(damage)
        for warning in study_warnings(trial for *_, trial in todo):
            reporter.note(f"warning: {warning}")
        interrupted = False
        if not todo:
            write_study_record(out, record)
        else:
            with _terminate_as_interrupt():
                try:
                    opening = partial(open_executor, executor, zygote=zygote)
                    _run(todo, out, opening, devices, time_limit_seconds, data_root, record, every, watch, reporter)
                except KeyboardInterrupt:
                    interrupted = True
                finally:
                    reporter.stop()
        seen = scan(out)
        statuses = Counter(status for trial_id, (status, _) in seen.items() if trial_id in planned)
        with Writer(out) as writer:
            if sum(statuses.values()) == len(plan):
                writer.compact()
            writer.close()
    summary = Summary(
        folder=out,
        num_trials=len(plan),
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
    devices = _Devices([trial], jobs=1)
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
                return _row_of(running, None)
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
        allowed = f"allowed: auto, cpu, cuda or cuda:N.{did_you_mean(device, ('auto', 'cpu', 'cuda'))}"
        problems.append(f"--device found {device!r}; {allowed}")
    if jobs is not None and jobs < 1:
        problems.append(f"--jobs found {jobs}; allowed: a whole number from 1 on")
    if limit is not None and limit < 0:
        problems.append(f"--limit found {limit}; allowed: a whole number from 0 on")
    if time_limit_seconds is not None and not time_limit_seconds > 0:
        problems.append(f"--time-limit found {time_limit_seconds:g}; allowed: more than 0 seconds")
    if executor == "inline" and time_limit_seconds is not None:
        problems.append("--time-limit needs --executor process: nothing can end a trial in the runner's own process")
    if executor == "inline" and jobs is not None and jobs > 1:
        problems.append(f"--jobs {jobs} needs --executor process: the runner's own process runs one trial at a time")
    if problems:
        raise InputError(*problems)


# -------------------------------------------------------------------------------------------------- what is left to do


def _left_to_do(plan: list[tuple[int, Trial]], seen: dict[str, tuple[str, int]], retry: bool) -> list:
    """Return [(block, position, attempt, trial)] of the trials without a row, in planned order."""
    todo = []
    for position, (block, trial) in enumerate(plan):
        status, attempt = seen.get(trial.trial_id, (None, -1))
        if status is None or (retry and status != "completed"):
            todo.append((block, position, attempt + 1, trial))
    return todo


def _stay(seen: dict[str, tuple[str, int]], retry: bool) -> bool:
    """Tell whether rows of earlier runs stay: all do, but for failed ones that are run again."""
    return any(status == "completed" or not retry for status, _ in seen.values())


def _agree_with_folder(
    folder: Path, study: Study, trials: list[Trial], mixed: bool, rows_stay: bool
) -> tuple[dict, list[str]]:
    """Return the record that the folder is to have, and how the study in it differs from this one, in words.

    Raises InputError where the folder is another study's; and, unless `mixed`, where it was begun at another place, or
    with other code of the user's and its rows stay.
    """
    here = place()
    places = [here]
    code = digests(trials)
    known: dict[str, list[str]] = {}
    changes: list[str] = []
    if (folder / "study.json").exists():
        record = read_study_record(folder)
        name = record["study"].get("name")
        if name != study.name:
            raise InputError(
                f"{folder} holds the study {name!r}, not {study.name!r}. "
                f"Name another folder: --out results/{study.name}"
            )
        places = record["places"]
        if here not in places:
            known = places[-1] if places else here
            differs = [f"{key} was {known.get(key)!r}, is {here[key]!r}" for key in here if here[key] != known.get(key)]
            if differs and not mixed:
                raise InputError(
                    f"{folder} was begun elsewhere: {'; '.join(differs)}. Its rows would not be comparable. "
                    "Name another folder with --out, or type --mixed to put both into one"
                )
            places = [*places, here]
        changes = differences(record["study"], study.model_dump(mode="json"))
        known = record.get("code", {}) if rows_stay else {}
        if (files := changed(known, code)) and not mixed:
            verb = "has" if len(files) == 1 else "have"
            raise InputError(
                f"{', '.join(files)} {verb} changed since {folder} was begun: its rows are of the old code, and would "
                "not be comparable. Name another folder with --out, or type --mixed to put both into one"
            )
    record = {
        "schema_version": SCHEMA_VERSION,
        "study": study.model_dump(mode="json"),
        "places": places,
        "num_trials": len(trials),
        "code": {
            **known,
            **{name: list(dict.fromkeys([*known.get(name, []), now["sha256"]])) for name, now in code.items()},
        },
    }
    return record, changes


# ------------------------------------------------------------------------------------------------------------- devices


@dataclass(kw_only=True, eq=False)
class Claim:
    """What one running trial holds: cores of its own, or a GPU; `shared` once another trial has had a part of it."""

    cores: tuple[int, ...] = ()
    gpu: str | None = None
    shared: bool = False


class _Devices:
    """The cores and GPUs of this machine, and which of them are free.

    A trial is timed alone: on a CPU it is pinned to as many cores as it has threads, on a GPU it has the GPU. More jobs
    than that can be had only by asking (--jobs), and then the rows of trials that shared are marked `packed`.
    """

    def __init__(self, trials: list[Trial], jobs: int | None):
        self._cores = sorted(os.sched_getaffinity(0))
        self._gpus = [gpu["id"] for gpu in nvml.visible_gpus()]
        for trial in trials:
            if trial.device.startswith("cuda"):
                self._find_gpus(trial.device)
        threads = max((trial.num_threads for trial in trials), default=1)
        if threads > len(self._cores):
            raise InputError(
                f"num_threads = {threads} is more than the {len(self._cores)} cores that this process may use"
            )
        on_gpu = all(trial.device.startswith("cuda") for trial in trials)
        self.capacity = max(1, len(self._gpus) if on_gpu and trials else len(self._cores) // threads)
        self.jobs = jobs or self.capacity
        self.packed = self.jobs > self.capacity
        self._claims: list[Claim] = []

    def at_most(self, num_trials: int) -> None:
        """Make no more jobs than there are trials to run."""
        self.jobs = min(self.jobs, max(1, num_trials))
        self.packed = self.jobs > self.capacity

    def _find_gpus(self, device: str) -> list[str]:
        if not self._gpus:
            raise InputError(f"device = {device!r}: this machine has no NVIDIA GPU that can be used. Type --device cpu")
        if device == "cuda":
            return self._gpus
        index = int(device.split(":")[1])
        if index >= len(self._gpus):
            known = ", ".join(f"cuda:{i}" for i in range(len(self._gpus)))
            raise InputError(f"device = {device!r} is not here; allowed: cuda, {known}")
        return [self._gpus[index]]

    def claim(self, trial: Trial) -> Claim | None:
        """Return what the trial may use now, or None while it has to wait."""
        if len(self._claims) >= self.jobs:
            return None
        if trial.device.startswith("cuda"):
            load = Counter(claim.gpu for claim in self._claims)
            gpu = min(self._find_gpus(trial.device), key=lambda gpu: load[gpu])
            if load[gpu] and not self.packed:
                return None
            claim = Claim(gpu=gpu)
        else:
            load = Counter(core for claim in self._claims for core in claim.cores)
            cores = sorted(self._cores, key=lambda core: (load[core], core))[: trial.num_threads]
            if any(load[core] for core in cores) and not self.packed:
                return None
            claim = Claim(cores=tuple(sorted(cores)))
        for other in self._claims:
            if (claim.gpu is not None and other.gpu == claim.gpu) or set(other.cores) & set(claim.cores):
                claim.shared = other.shared = True
        self._claims.append(claim)
        return claim

    def release(self, claim: Claim) -> None:
        self._claims.remove(claim)


# ----------------------------------------------------------------------------------------------------------- the loop


def _run(todo, out, opening, devices, time_limit_seconds, data_root, record, every, watch, reporter) -> None:
    (executor_name,) = opening.args
    reporter.preparing(executor_name)
    trials = [trial for *_, trial in todo]
    with closing(opening(trials, data_root)) as executor, Writer(out) as writer:
        # While the executor loads torch: what the first fold wants (pyarrow imports pandas), and what git has to say.
        import pandas  # noqa: F401
        import pyarrow.parquet  # noqa: F401

        where = {**common_columns(os.getcwd()), "study": record["study"]["name"]}
        where |= {"packed": False, "executor": executor_name}
        if problems := executor.check(trials, data_root):
            raise InputError(*problems)
        write_study_record(out, record)  # not before: a run that is refused leaves no folder behind
        queue = deque(todo)
        running: dict[int, tuple[Running, Claim]] = {}
        reporter.running()
        while queue or running:
            while queue and (claim := devices.claim(queue[0][3])):
                block, position, attempt, trial = queue.popleft()
                columns = {**where, "block": block, "position": position, "attempt": attempt}
                job = Job(
                    trial=trial,
                    cores=claim.cores,
                    gpu=claim.gpu,
                    data_root=data_root,
                    columns=columns,
                    checkpoint=checkpoint_of(out, trial.trial_id, every),
                    watch=watch,
                )
                started = executor.start(job)
                running[id(started)] = (started, claim)
                reporter.started(started)
            for ended in executor.wait(_patience(running, time_limit_seconds)):
                _, claim = running.pop(id(ended))
                devices.release(claim)
                row = {**_row_of(ended, time_limit_seconds), "packed": claim.shared}
                writer.commit(row)
                if row["status"] in ("completed", "diverged"):  # any other may go on, with --retry
                    forget(out, row["trial_id"])
                reporter.finished(row)
                if executor_name == "inline" and row["status"] != "completed":  # somebody is looking for a fault
                    reporter.note(row["error"])
            for late, _ in running.values():
                if time_limit_seconds is not None and time.monotonic() - late.started > time_limit_seconds:
                    executor.kill(late)
            reporter.tick([r for r, _ in running.values()])


def _patience(running: dict, time_limit_seconds: float | None) -> float:
    if time_limit_seconds is None or not running:
        return POLL_SECONDS
    first = min(r.started for r, _ in running.values()) + time_limit_seconds - time.monotonic()
    return min(POLL_SECONDS, max(0.01, first))


def _row_of(ended: Running, time_limit_seconds: float | None) -> dict:
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
