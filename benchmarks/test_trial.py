"""A trial for each condition of the study `benchmarks`: its rows in parquet, its metrics in `extra_info`.

The whole study runs once, through `run_study`, in its random blocks; the rounds of a condition are its trials, and the
time of a round is the trial's own (`total_seconds`), replayed to pytest-benchmark. `lrbench report results/benchmarks`
reads the rows as any other.
"""

import math
import shutil

import pytest

from benchmarks import clocks
from lrbench.errors import InputError
from lrbench.progress import SilentReporter
from lrbench.runner import run_study
from lrbench.store import load, locked, read_study_record
from lrbench.study import read_study, trials

STUDY = read_study("benchmarks")
FACTORS = ("scheduler", "cudnn_benchmark", "cudnn_deterministic")
METRICS = (
    "samples_per_second",
    "step_seconds_median",
    "first_step_seconds",
    "train_seconds",
    "peak_memory_mib",
    "private_memory_mib",
    "energy_joules",
    "final_accuracy",
    "final_loss",
)


def levels(trial) -> dict:
    """Return the levels that make the trial's condition, as they stand in a row."""
    labels = trial.labels()
    return {factor: labels[factor] for factor in FACTORS}


def name(condition: dict) -> str:
    """Return a condition for people: a flag is named where it is on.

    >>> name({"scheduler": "StepLR(step_size=1)", "cudnn_benchmark": True, "cudnn_deterministic": False})
    'StepLR(step_size=1)-cudnn_benchmark'
    """
    return "-".join([condition["scheduler"], *(flag for flag in FACTORS[1:] if condition[flag])])


CONDITIONS = {name(levels(trial)): levels(trial) for trial in trials(STUDY)}


@pytest.fixture(scope="session")
def rows(request, device):
    """The rows of the study, measured now: what an earlier session left in the folder is replaced."""
    folder = request.config.option.rows
    if (folder / "study.json").exists() and read_study_record(folder)["study"]["name"] != STUDY.name:
        raise InputError(f"{folder} holds another study; name another folder: --rows DIR")
    with locked(folder):
        shutil.rmtree(folder / "trials")
        (folder / "study.json").unlink(missing_ok=True)
    run_study(STUDY, folder, device=device, reporter=SilentReporter())
    return load(folder)


@pytest.mark.benchmark(timer=clocks.replayed)
@pytest.mark.parametrize("condition", CONDITIONS)
def test_trial(benchmark, rows, condition):
    """Every trial of the condition completes with its flags in force."""
    asked = CONDITIONS[condition]
    mine = rows[(rows[list(asked)] == list(asked.values())).all(axis=1)]
    failed = mine[mine["status"] != "completed"]
    assert failed.empty, failed[["status", "error"]].to_dict("records")
    assert len(mine) == len(rows) // len(CONDITIONS)
    assert mine["flags_held"].all()
    durations = iter(mine["total_seconds"].tolist())
    benchmark.group = f"trial of {mine['workload'].iloc[0]}"
    benchmark.extra_info |= {**asked, **{metric: median(mine[metric]) for metric in METRICS}}
    benchmark.extra_info["weights_sha256"] = sorted(set(mine["weights_sha256"]))
    benchmark.pedantic(lambda: clocks.replay(next(durations)), rounds=len(mine))


def median(column) -> float | None:
    """Return the median of a metric; None (JSON has no NaN) where this machine cannot tell it."""
    value = float(column.median())
    return None if math.isnan(value) else value
