"""Two interpreters side by side, A's and B's: each forks a fresh process for every run of its trial. No torch here.

Not one interpreter for both: the seed of Python's hashes, and whatever else an interpreter draws when it starts, must
differ between A and B as it does between two runs of a user's. What this does *not* do: compare, or write rows.
"""

import os
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from lrbench import nvml
from lrbench.errors import InputError, RunError, in_one_line
from lrbench.executors import Job, Running, how_it_ended, open_executor
from lrbench.factors import Trial
from lrbench.place import common_columns
from lrbench.watch import Watch

POLL_SECONDS = 0.2
TELL_AFTER_SECONDS, TELL_AGAIN_SECONDS = 2.0, 15.0
Say = Callable[[str], None]


class Sides:
    """Runs pairs of trials, at once where there are cores for both, else one after the other.

    `trials` are all that are going to run: their data is loaded before. Use it as a context; `say` is told of what
    takes longer than two seconds.
    """

    def __init__(self, trials: list[Trial], data_root: Path | None = None, say: Say = lambda text: None):
        self._trials, self._data_root, self._say = trials, data_root, say
        self._gpus = {trial.device: _gpu(trial.device) for trial in trials}
        self._cores = sorted(os.sched_getaffinity(0))

    def __enter__(self) -> "Sides":
        self._say("starting two interpreters, loading torch and the data …")
        with ExitStack() as stack:
            self._executors = [
                stack.enter_context(closing(open_executor("process", self._trials, self._data_root))) for _ in "AB"
            ]
            if problems := self._executors[0].check(self._trials, self._data_root):
                raise InputError(*problems)
            self._columns = {**common_columns(os.getcwd()), "packed": False, "executor": "process"}
            self._open = stack.pop_all()
        return self

    def __exit__(self, *error) -> None:
        self._open.close()

    def run(self, a: Trial, b: Trial, watches: tuple[Watch, Watch], doing: str) -> tuple[dict, dict]:
        """Return the rows of A and B. Raises RunError where one of them does not come to its end, with what it said."""
        self._tell_at = time.monotonic() + TELL_AFTER_SECONDS
        threads = a.num_threads + b.num_threads
        at_once = threads <= len(self._cores) and not any(self._gpus[trial.device] for trial in (a, b))
        cores = (tuple(self._cores[: a.num_threads]), tuple(self._cores[a.num_threads : threads]))
        if not at_once:
            cores = tuple(tuple(self._cores[: trial.num_threads]) for trial in (a, b))
        jobs = [
            Job(
                trial=trial,
                cores=cores[side],
                gpu=self._gpus[trial.device],
                data_root=self._data_root,
                columns=self._columns,
                watch=watches[side],
            )
            for side, trial in enumerate((a, b))
        ]
        rows = [None, None]
        for sides in [(0, 1)] if at_once else [(0,), (1,)]:
            started = [self._executors[side].start(jobs[side]) for side in sides]
            for side, running in zip(sides, started, strict=True):
                rows[side] = _row(self._ended(side, running, doing), "AB"[side])
        return tuple(rows)

    def _ended(self, side: int, running: Running, doing: str) -> Running:
        while not self._executors[side].wait(POLL_SECONDS):  # it has one job at a time
            if time.monotonic() > self._tell_at:
                self._tell_at = time.monotonic() + TELL_AGAIN_SECONDS
                self._say(f"{doing} … {'AB'[side]}: {running.share:.0%} of its epochs")
        return running


def _row(ended: Running, side: str) -> dict:
    row = ended.row
    if row is None:
        how = f"the process {how_it_ended(ended.exit)} in {ended.stage!r}"
        raise RunError(f"{side} did not come to its end: {how}\n{ended.output}".rstrip())
    if row["status"] not in ("completed", "diverged"):
        raise RunError(f"{side} did not come to its end ({row['status']}): {in_one_line(row['error'] or '')}")
    return row


def _gpu(device: str) -> str | None:
    """Return what CUDA_VISIBLE_DEVICES takes for "cuda" or "cuda:N"; None for "cpu"."""
    if not device.startswith("cuda"):
        return None
    gpus = [gpu["id"] for gpu in nvml.visible_gpus()]
    index = int(device.partition(":")[2] or 0)
    if index >= len(gpus):
        known = ", ".join(f"cuda:{i}" for i in range(len(gpus))) or "none"
        raise InputError(f"device = {device!r}: no such GPU here; there are: {known}. Type --set device=cpu")
    return gpus[index]
