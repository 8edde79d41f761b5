"""How a trial gets a process of its own. No torch here.

    process   a fresh process for each trial, forked from one that has torch and the staged data loaded (the default)
    inline    this process, one after the other: for a debugger; flags and caches of one trial reach the next

An executor starts jobs and tells what became of them; `lrbench.runner` decides which and when, and writes the rows.
"""

import json
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lrbench.checkpoints import Checkpoint
from lrbench.errors import InputError, did_you_mean
from lrbench.factors import Trial
from lrbench.start import Zygote
from lrbench.watch import Watch


@dataclass(frozen=True, kw_only=True)
class Job:
    """One trial with the device that it has for itself (or shares, if packed) and the columns known beforehand."""

    trial: Trial
    cores: tuple[int, ...]  # to pin the process to; empty: leave it where it is
    gpu: str | None  # what CUDA_VISIBLE_DEVICES takes
    data_root: Path | None
    columns: dict
    checkpoint: Checkpoint | None = None
    watch: Watch = field(default_factory=Watch)


@dataclass(kw_only=True)
class Running:
    """A job that was started; `row` is there once it is known, `exit` once its process has gone."""

    job: Job
    started: float
    stage: str = "start"
    share: float = 0.0
    row: dict | None = None
    exit: int | None = None  # like subprocess's returncode: negative for a signal
    output: str = ""  # the end of what the process printed
    private: object = field(default=None, repr=False)  # the executor's own


EXECUTORS = ("process", "inline")
# What a check finds depends on these factors alone.
CHECKED = ("workload", "scheduler", "optimizer", "base_lr", "batch_size", "epochs", "warmup")


class Executor(Protocol):
    def check(self, trials: list[Trial], data_root: Path | None) -> list[str]:
        """Return what is wrong with these trials that only torch or the user's code can tell."""

    def start(self, job: Job) -> Running:
        """Start a job."""

    def wait(self, timeout_seconds: float) -> list[Running]:
        """Wait for something to happen; return the jobs that have ended."""

    def kill(self, running: Running) -> None:
        """End a job's process now. `wait` reports it."""

    def close(self) -> None:
        """End every process that was started."""


def one_of_each(trials: list[Trial]) -> list[Trial]:
    """Return the trials to check: the first of those that are the same in everything that a check depends on."""
    conditions: dict[tuple, Trial] = {}
    for trial in trials:  # by identity first, which is quick: trials of one condition share their levels (`Trial.at`)
        conditions.setdefault(tuple(id(getattr(trial, factor)) for factor in CHECKED), trial)
    kinds: dict[str, Trial] = {}
    for trial in conditions.values():
        kinds.setdefault(json.dumps([trial.content.get(factor) for factor in CHECKED], sort_keys=True), trial)
    return list(kinds.values())


def how_it_ended(exit_code: int) -> str:
    """Say how a process ended, from its exit code: negative for a signal.

    >>> how_it_ended(3), how_it_ended(-11)
    ('left with exit code 3', 'was ended by SIGSEGV (signal 11)')
    """
    if exit_code >= 0:
        return f"left with exit code {exit_code}"
    try:
        return f"was ended by {signal.Signals(-exit_code).name} (signal {-exit_code})"
    except ValueError:
        return f"was ended by signal {-exit_code}"


def open_executor(name: str, trials: list[Trial], data_root: Path | None, zygote: Zygote | None = None) -> Executor:
    """Return the executor called `name`, ready for these trials; "process" takes the `zygote` that was started."""
    if name not in EXECUTORS:
        raise InputError(f"no executor {name!r}; allowed: {', '.join(EXECUTORS)}.{did_you_mean(name, EXECUTORS)}")
    if name == "inline":
        from lrbench.executors.inline import InlineExecutor

        return InlineExecutor()
    from lrbench.executors.process import ProcessExecutor

    return ProcessExecutor(trials, data_root, zygote)
