"""Trials in this very process, one after the other: for a debugger and for tracebacks with everything in them.

Not for results that matter: cuDNN's plan cache and the allocator's state of one trial reach the next. There is no time
limit and little protection: what ends a trial's process, other than by sys.exit, ends the run.
"""

import os
import time
from dataclasses import replace
from pathlib import Path

from lrbench.executors import Job, Running, one_of_each
from lrbench.factors import Trial


class InlineExecutor:
    def __init__(self):
        self._ended: list[Running] = []

    def check(self, trials: list[Trial], data_root: Path | None) -> list[str]:
        from lrbench.trial.check import problems

        return problems(one_of_each(trials), data_root, show_tracebacks=True)

    def start(self, job: Job) -> Running:
        from lrbench.trial.flags import set_environment
        from lrbench.trial.loop import run_here

        set_environment()
        running = Running(job=job, started=time.monotonic())
        device = "cuda:0" if job.trial.device == "cuda" else job.trial.device  # torch.cuda.set_device wants a number
        cores = os.sched_getaffinity(0)
        if job.cores:
            os.sched_setaffinity(0, job.cores)
        try:
            running.row = run_here(
                job.trial,
                device=device,
                data_root=job.data_root,
                where=job.columns,
                checkpoint=job.checkpoint,
                watch=job.watch,
            )
        finally:
            os.sched_setaffinity(0, cores)
        self._ended.append(replace(running, exit=0))
        return self._ended[-1]

    def wait(self, timeout_seconds: float) -> list[Running]:
        ended, self._ended = self._ended, []
        return ended

    def kill(self, running: Running) -> None:
        pass

    def close(self) -> None:
        pass
