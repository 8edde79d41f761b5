"""The benchmarks themselves: what they compare is the same training, and a session that measured nothing has failed."""

import json
import subprocess
import sys
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest
import torch

from benchmarks import bare, clocks, peers
from benchmarks.test_scheduler_step import ARGUMENTS
from lrbench.calls import class_names
from lrbench.store import load
from lrbench.study import read_study, trials
from lrbench.tests.helpers.commands import environment
from lrbench.trial.data import stage
from lrbench.trial.digest import digest_model
from lrbench.trial.workload import resolve


def session(*arguments: str | Path) -> subprocess.CompletedProcess:
    """Run pytest from the repository, in a process of its own."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=peers.REPOSITORY, capture_output=True, text=True, env=environment())


@pytest.fixture
def one_thread():
    """As many threads as a trial has: more of them sum in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_bare_training_is_the_training_of_a_trial(run, one_thread):
    """The bare loop of the comparison ends with the weights and the accuracy of lrbench's own, bit for bit."""
    (trial,) = trials(peers.peer_study(1, epochs=2))
    row = run(**trial.content)
    workload = resolve(trial.workload)
    found = bare.train(trial, workload, stage(workload, None))
    assert digest_model(found.model) == row["weights_sha256"]
    assert found.accuracy == row["final_accuracy"]


def test_every_scheduler_class_has_arguments():
    """Every scheduler class of the installed torch can be benchmarked; a new one shows here first."""
    assert sorted(ARGUMENTS) == class_names("scheduler")


def test_the_study_of_the_comparison_goes_through_a_file(tmp_path):
    """What the command line reads is the study that the other arms run: the same trials by their names."""
    study = peers.peer_study(3)
    file = tmp_path / "peers.toml"
    file.write_text(peers.as_toml(study))
    assert [t.trial_id for t in trials(read_study(file))] == [t.trial_id for t in trials(study)]


def arm(**accuracies: float) -> peers.Run:
    by_seed = {int(name[1:]): accuracy for name, accuracy in accuracies.items()}
    return peers.Run(seconds=2.0, start_up_seconds=0.5, accuracies=by_seed)


def test_arms_that_train_something_else_are_not_compared():
    """Arms agree on every seed that they share, or there is no comparison."""
    peers.require_same(arm(s0=0.9, s1=0.8), arm(s0=0.9), arm(s1=0.8, s2=0.7))
    with pytest.raises(RuntimeError, match="seed 1"):
        peers.require_same(arm(s0=0.9, s1=0.8), arm(s1=0.81))


def test_a_share_of_the_floor_is_taken_between_two_runs_of_it():
    """On a machine that grows slower, the floor beside a run is the mean of the one before and the one after."""
    floor = [replace(arm(s0=0.9), seconds=seconds) for seconds in (20.0, 22.0, 30.0)]
    assert peers.shares(floor, [28.0, 32.5]) == pytest.approx([0.75, 0.8])
    with pytest.raises(ValueError, match="shorter"):
        peers.shares(floor, [28.0])


def test_the_table_says_what_was_wanted_and_what_was_seen():
    """Each measure stands in a line with its figure and, where one was wanted, the bound."""
    found = {
        "times_subprocess": [7.0, 6.5, 5.0],
        "share_of_floor": [0.8],
        "share_of_floor_after_start_up": [0.9],
        "loop_share": 0.004,
        "loop_microseconds": 10.04,
        "loop_floor_microseconds": 0.51,
        "step_microseconds": 2510.2,
        "loop_rounds": 60,
        "private_memory_mib": 21.6,
        "trials_per_minute": {"runner": arm(s0=0.9, s1=0.8).trials_per_minute},
        "num_trials": 24,
        "num_long": 200,
    }
    lines = [line.split("  ") for line in peers.table(found).splitlines()]
    assert [[cell.strip() for cell in line if cell.strip()] for line in lines] == [
        ["runner against a subprocess per trial, 24 trials", "6.50 (5.00 to 7.00, n = 3)", "≥ 6"],
        ["share of the floor, 200 trials", "0.800 (0.800 to 0.800, n = 1)", "≥ 0.75"],
        ["… without the runner's start-up", "0.900 (0.900 to 0.900, n = 1)"],
        ["cost of the measuring loop, 60 rounds", "0.40%", "≤ 1 %"],
        ["… in microseconds a step", "10.0"],
        ["… of a bare loop against itself", "0.5"],
        ["… on a bare step of", "2510"],
        ["private memory of a worker, MiB", "22", "≤ 100 MB"],
        ["trials a minute, runner", "60"],
    ]


def test_the_replayed_clock_moves_only_by_what_is_replayed():
    """A round lasts as long as its trial did, however long the replay takes."""
    before = clocks.replayed()
    assert clocks.replayed() == before
    clocks.replay(0.25)
    assert clocks.replayed() == before + 0.25


def test_the_synchronised_clock_leaves_cuda_alone_where_nothing_uses_it():
    """On a machine without a GPU, and before the first use of one, it is a clock and nothing more."""
    initialized = torch.cuda.is_initialized()
    assert clocks.synchronised() < clocks.synchronised() < inf
    assert torch.cuda.is_initialized() == initialized


@pytest.mark.gpu
def test_the_synchronised_clock_waits_for_the_gpu():
    """What was queued before the clock is read is done when it answers."""
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    a = torch.rand(4096, 4096, device="cuda")
    a @ a  # the first product also loads the library
    torch.cuda.synchronize()
    for _ in range(50):
        a @ a
    done = torch.cuda.Event()
    done.record()
    assert not done.query()
    clocks.synchronised()
    assert done.query()


@pytest.mark.parametrize(
    ("mark", "code"),
    [("", 0), ("@pytest.mark.skip(reason='not today')", 1)],
    ids=["one that runs", "one that is skipped"],
)
def test_a_session_that_measured_nothing_has_failed(mark, code, tmp_path):
    """All benchmarks skipped is a success to pytest, and a failure here, with a JSON asked for or not."""
    file = tmp_path / "test_one.py"
    file.write_text(f"import pytest\n\n{mark}\ndef test_one(benchmark):\n    benchmark.pedantic(int)\n")
    ended = session(file, "-p", "benchmarks.conftest", "--benchmark-only", f"--benchmark-json={tmp_path / 'one.json'}")
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert ("no benchmark ran: nothing was measured" in ended.stdout) == bool(code)
    assert (tmp_path / "one.json").exists() != bool(code)


@pytest.fixture(scope="module")
def trial_group(tmp_path_factory) -> tuple[Path, dict]:
    """The trial group of the benchmarks, run on the CPU: (folder of its rows, pytest-benchmark's JSON)."""
    folder = tmp_path_factory.mktemp("benchmarks")
    json_file = folder / "benchmarks.json"
    arguments = ["benchmarks/test_trial.py", "--benchmark-only", "--device", "cpu", "--rows", folder / "rows"]
    ended = session(*arguments, f"--benchmark-json={json_file}")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder / "rows", json.loads(json_file.read_text())


@pytest.mark.slow
def test_each_condition_is_a_benchmark_and_each_trial_a_row(trial_group):
    """Eight conditions of four trials each: the rounds are the trials, and their seconds those of the rows."""
    folder, found = trial_group
    rows = load(folder)
    assert (rows["status"] == "completed").all()
    assert len(rows) == 32
    rounds = {b["name"]: b["stats"]["rounds"] for b in found["benchmarks"]}
    assert set(rounds.values()) == {4}
    assert len(rounds) == 8
    assert "test_trial[ConstantLR(factor=1.0)-cudnn_benchmark-cudnn_deterministic]" in rounds
    seconds = sum(sum(b["stats"]["data"]) for b in found["benchmarks"])
    assert seconds == pytest.approx(rows["total_seconds"].sum())


@pytest.mark.slow
def test_the_metrics_of_a_condition_stand_beside_its_times(trial_group):
    """`extra_info` holds the medians of the rows, and null, never NaN, for what this machine cannot tell."""
    folder, found = trial_group
    rows = load(folder)
    for benchmark in found["benchmarks"]:
        info = benchmark["extra_info"]
        mine = rows[(rows["scheduler"] == info["scheduler"]) & (rows["cudnn_benchmark"] == info["cudnn_benchmark"])]
        mine = mine[mine["cudnn_deterministic"] == info["cudnn_deterministic"]]
        assert info["samples_per_second"] == mine["samples_per_second"].median()
        assert info["energy_joules"] is None
        assert sorted(set(mine["weights_sha256"])) == info["weights_sha256"]


@pytest.mark.slow
def test_the_machine_is_described_for_comparisons(trial_group):
    """The JSON names what two runs must share to be compared: GPUs, driver, CUDA, cuDNN, torch."""
    machine = trial_group[1]["machine_info"]["lrbench"]
    assert set(machine) >= {"gpus", "driver_version", "cuda_version", "cudnn_version", "torch_version"}
    assert machine["torch_version"] == torch.__version__
