"""The runner against its peers: `python -m benchmarks.peers` measures all of it, interleaved, and prints a table.

Every arm trains the same trials of `digits-cnn` (one thread and one core each, two at a time, on the CPU) and has to
reach the same accuracies:

    runner       the command `lrbench run`, from its start to its end: a fresh process for each trial, rows written
    subprocess   a shell loop: `python -m benchmarks.bare once` for each trial, which imports torch every time
    floor        bare training on two warm processes, their start and a first trial left out: nothing can be faster
    loop         what lrbench's loop adds to a step of the bare loop, on the same tensors in one process

Ratios of one run on one machine mean something; seconds do not travel. What this does *not* do: judge. A test that is
timed fails by chance; the table says what was wanted and what was seen.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from queue import SimpleQueue
from statistics import median

from lrbench.errors import InputError
from lrbench.factors import Trial
from lrbench.study import Study, parse_study, trials

NUM_WORKERS = 2
LONG_EPOCHS = 60  # seconds of training: long enough for the row to tell the memory
REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class Run:
    """One arm, once: seconds for all trials, start-up included where the arm has one; accuracies by seed."""

    seconds: float
    start_up_seconds: float
    accuracies: dict[int, float]
    private_memory_mib: float = float("nan")  # of the runner's largest worker, where a trial takes a second or longer

    @property
    def trials_per_minute(self) -> float:
        return 60 * len(self.accuracies) / self.seconds


def peer_study(num_trials: int, epochs: int = 5) -> Study:
    """Return the study of the comparison: one condition of `digits-cnn`, `num_trials` seeds."""
    document = {
        "question": "How fast is the runner beside its peers?",
        "fixed": {
            "workload": "digits-cnn",
            "epochs": epochs,
            "device": "cpu",
            "scheduler": {"name": "ConstantLR", "factor": 1.0},
        },
        "grid": {"seed": list(range(num_trials))},
    }
    return parse_study(document, "peers", source="benchmarks/peers.py")


def cores() -> list[int]:
    """Return the two cores that the arms use. Raises InputError on a machine that has one."""
    found = sorted(os.sched_getaffinity(0))
    if len(found) < NUM_WORKERS:
        raise InputError(f"the comparison runs {NUM_WORKERS} trials at a time, and this process may use 1 core")
    return found[:NUM_WORKERS]


# ----------------------------------------------------------------------------------------------------------- the arms


def with_runner(study: Study, folder: Path) -> Run:
    """Run the study through the command line, into an empty `folder`."""
    from lrbench.store import load

    file = folder.with_suffix(".toml")
    file.write_text(as_toml(study))
    command = [sys.executable, "-m", "lrbench", "run", str(file), "--out", str(folder), "--quiet"]
    command += ["--device", "cpu", "--jobs", str(NUM_WORKERS)]
    began_at, began = time.time(), time.perf_counter()
    subprocess.run(command, check=True, cwd=REPOSITORY)
    seconds = time.perf_counter() - began
    rows = load(folder, ["seed", "final_accuracy", "started_at", "private_memory_mib"])
    first = min(datetime.fromisoformat(text).timestamp() for text in rows["started_at"])
    return Run(
        seconds=seconds,
        start_up_seconds=first - began_at,
        accuracies=dict(zip(rows["seed"].tolist(), rows["final_accuracy"].tolist(), strict=True)),
        private_memory_mib=float(rows["private_memory_mib"].max()),
    )


def as_toml(study: Study) -> str:
    """Return a study of this module as a study file. Its levels are texts, numbers and one call, so JSON's words do."""
    fixed = {**study.fixed, "scheduler": "ConstantLR(factor=1.0)"}
    lines = [f"question = {json.dumps(study.question)}", "[fixed]"]
    lines += [f"{key} = {json.dumps(level)}" for key, level in fixed.items()]
    return "\n".join([*lines, "[grid]", *(f"{key} = {json.dumps(levels)}" for key, levels in study.grid.items())])


def with_subprocesses(study: Study) -> Run:
    """Run each trial in a Python of its own, two at a time, each on its core."""
    free = _queue(cores())

    def one(trial: Trial) -> tuple[int, float]:
        core = free.get()
        try:
            done = subprocess.run(_bare("once", core, trial), check=True, **_answering())
        finally:
            free.put(core)
        return trial.seed, float(done.stdout)

    began = time.perf_counter()
    accuracies = _each(one, trials(study))
    return Run(seconds=time.perf_counter() - began, start_up_seconds=0.0, accuracies=accuracies)


@contextmanager
def warm_workers() -> Iterator["Floor"]:
    """Two processes with torch and the data loaded and one trial behind them, for as long as the block lasts."""
    (warm_up,) = trials(peer_study(1))
    processes = [
        subprocess.Popen(_bare("serve", core, warm_up), stdin=subprocess.PIPE, **_answering()) for core in cores()
    ]
    try:
        for process in processes:
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("a worker of the floor did not start")
        yield Floor(processes)
    finally:
        for process in processes:
            process.stdin.close()
            process.wait(timeout=60)
            process.stdout.close()


class Floor:
    """Bare training on processes that are warm already."""

    def __init__(self, processes: list[subprocess.Popen]):
        self._processes = processes

    def run(self, study: Study) -> Run:
        free = _queue(self._processes)

        def one(trial: Trial) -> tuple[int, float]:
            process = free.get()
            try:
                process.stdin.write(json.dumps(trial.content) + "\n")
                process.stdin.flush()
                return trial.seed, float(process.stdout.readline())
            finally:
                free.put(process)

        began = time.perf_counter()
        accuracies = _each(one, trials(study))
        return Run(seconds=time.perf_counter() - began, start_up_seconds=0.0, accuracies=accuracies)


@dataclass(frozen=True, kw_only=True)
class LoopCost:
    """Seconds that the measuring loop adds to a step, seconds of a bare step, and what a bare loop adds to itself.

    Each is of the fastest quarter's slowest round: other work on the machine only ever adds to a round.
    """

    added_seconds: float
    floor_seconds: float
    step_seconds: float
    num_rounds: int

    @property
    def share(self) -> float:
        return self.added_seconds / self.step_seconds


def loop_cost(num_rounds: int, epochs: int = 5) -> LoopCost:
    """Measure what lrbench's loop costs (`benchmarks.bare.against`), in a process of its own on one core."""
    (trial,) = trials(peer_study(1, epochs))
    command = [sys.executable, "-m", "benchmarks.bare", "against", str(num_rounds), str(cores()[-1])]
    done = subprocess.run([*command, json.dumps(trial.content)], check=True, **_answering())
    seconds = {arm: sorted(rounds)[len(rounds) // 4] for arm, rounds in json.loads(done.stdout).items()}
    return LoopCost(
        added_seconds=seconds["measured"] - seconds["bare"],
        floor_seconds=abs(seconds["again"] - seconds["bare"]),
        step_seconds=seconds["step"],
        num_rounds=num_rounds,
    )


def _answering() -> dict:
    """Return how a process of bare training is started: one thread, text on its standard output for us to read."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return {"stdout": subprocess.PIPE, "text": True, "cwd": REPOSITORY, "env": env}


def _bare(mode: str, core: int, trial: Trial) -> list[str]:
    return [sys.executable, "-m", "benchmarks.bare", mode, str(core), json.dumps(trial.content)]


def _queue(items: Sequence) -> SimpleQueue:
    queue = SimpleQueue()
    for item in items:
        queue.put(item)
    return queue


def _each(one, work: list[Trial]) -> dict[int, float]:
    with ThreadPoolExecutor(NUM_WORKERS) as pool:
        return dict(pool.map(one, work))


# -------------------------------------------------------------------------------------------------- the whole of it


def require_same(*runs: Run) -> None:
    """Raise RuntimeError unless the arms reached the same accuracy on every seed that they share: the same training."""
    for run in runs[1:]:
        for seed in run.accuracies.keys() & runs[0].accuracies.keys():
            if run.accuracies[seed] != runs[0].accuracies[seed]:
                raise RuntimeError(f"seed {seed}: {runs[0].accuracies[seed]} in one arm, {run.accuracies[seed]} in one")


def compare(short: Study, long: Study, num_rounds: int, repeats: int, folder: Path, say=print) -> dict:
    """Measure every arm `repeats` times, the arms in turn, and return what `table` shows: a ratio for each time."""
    runner, shell, runner_long, floor = [], [], [], []

    def keep(arm: str, runs: list[Run], run: Run) -> None:
        runs.append(run)
        start = f", {run.start_up_seconds:.2f} s of it to start" if run.start_up_seconds else ""
        say(f"{arm:10} {len(run.accuracies):4} trials {run.seconds:7.2f} s{start}")

    for repeat in range(repeats):
        keep("runner", runner, with_runner(short, folder / f"short-{repeat}"))
        keep("subprocess", shell, with_subprocesses(short))
        require_same(runner[-1], shell[-1])
    with warm_workers() as workers:
        keep("floor", floor, workers.run(long))
        for repeat in range(repeats):
            keep("runner", runner_long, with_runner(long, folder / f"long-{repeat}"))
            keep("floor", floor, workers.run(long))
            require_same(floor[-1], runner_long[-1])
    cost = loop_cost(num_rounds)
    memory = with_runner(peer_study(1, LONG_EPOCHS), folder / "memory").private_memory_mib
    return {
        "times_subprocess": [b.seconds / a.seconds for a, b in zip(runner, shell, strict=True)],
        "share_of_floor": shares(floor, [run.seconds for run in runner_long]),
        "share_of_floor_after_start_up": shares(floor, [run.seconds - run.start_up_seconds for run in runner_long]),
        "loop_share": cost.share,
        "loop_microseconds": 1e6 * cost.added_seconds,
        "loop_floor_microseconds": 1e6 * cost.floor_seconds,
        "step_microseconds": 1e6 * cost.step_seconds,
        "loop_rounds": cost.num_rounds,
        "private_memory_mib": memory,
        "trials_per_minute": {
            "runner": median(run.trials_per_minute for run in runner),
            "subprocess": median(run.trials_per_minute for run in shell),
            "runner, long": median(run.trials_per_minute for run in runner_long),
            "floor": median(run.trials_per_minute for run in floor),
        },
        "num_trials": len(trials(short)),
        "num_long": len(trials(long)),
        "epochs": short.fixed["epochs"],
        "repeats": repeats,
    }


def shares(floor: list[Run], seconds: list[float]) -> list[float]:
    """Return what share of the floor each time is, held against the mean of the floor's runs before and after it.

    `floor` has one run more than there are `seconds`. A machine that grows slower or faster meanwhile, half a minute a
    run, does so on both sides.
    """
    return [(a.seconds + b.seconds) / 2 / time for (a, b), time in zip(pairwise(floor), seconds, strict=True)]


def table(found: dict) -> str:
    """Return what was wanted and what was seen, a line each."""
    lines = [
        (f"runner against a subprocess per trial, {found['num_trials']} trials", "times_subprocess", "{:.2f}", "≥ 6"),
        (f"share of the floor, {found['num_long']} trials", "share_of_floor", "{:.3f}", "≥ 0.75"),
        ("… without the runner's start-up", "share_of_floor_after_start_up", "{:.3f}", ""),
        (f"cost of the measuring loop, {found['loop_rounds']} rounds", "loop_share", "{:.2%}", "≤ 1 %"),
        ("… in microseconds a step", "loop_microseconds", "{:.1f}", ""),
        ("… of a bare loop against itself", "loop_floor_microseconds", "{:.1f}", ""),
        ("… on a bare step of", "step_microseconds", "{:.0f}", ""),
        ("private memory of a worker, MiB", "private_memory_mib", "{:.0f}", "≤ 100 MB"),
    ]
    rows = [(text, _written(found[key], form), wanted) for text, key, form, wanted in lines]
    rows += [(f"trials a minute, {arm}", f"{rate:.0f}", "") for arm, rate in found["trials_per_minute"].items()]
    width = max(len(text) for text, *_ in rows)
    return "\n".join(f"{text:{width}}  {seen:>26}  {wanted}".rstrip() for text, seen, wanted in rows)


def _written(seen: float | list[float], form: str) -> str:
    """Write a figure, or the median of several and the range they fall in.

    >>> _written([5.0, 7.0, 6.0], "{:.1f}")
    '6.0 (5.0 to 7.0, n = 3)'
    """
    if isinstance(seen, float):
        return form.format(seen)
    return f"{form.format(median(seen))} ({form.format(min(seen))} to {form.format(max(seen))}, n = {len(seen)})"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__.split("\n\n")[0])
    parser.add_argument("--trials", type=int, default=24, help="trials of the short comparison [24]")
    parser.add_argument("--long", type=int, default=200, help="trials of the long comparison [200]")
    parser.add_argument("--epochs", type=int, default=5, help="of each trial, as in the recipe of digits-cnn [5]")
    parser.add_argument("--rounds", type=int, default=60, help="rounds of short trials for the loop's cost [60]")
    parser.add_argument("--repeats", type=int, default=3, help="times that every arm is run [3]")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lrbench-peers-") as folder:
        studies = [peer_study(number, options.epochs) for number in (options.trials, options.long)]
        found = compare(*studies, options.rounds, options.repeats, Path(folder))
    print(table(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
