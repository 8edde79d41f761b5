"""Whole studies through the command line, in real processes, that come to their end."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

import lrbench
from lrbench.study import blocks, read_study
from lrbench.tests.helpers.commands import Terminal, environment
from lrbench.tests.helpers.commands import lrbench as command
from lrbench.tests.helpers.studies import DIGITS, SMALL, USERS, linear, write_study

pytestmark = pytest.mark.slow

DIGESTS = ["weights_sha256", "logits_sha256", "predictions_sha256", "applied_lr_sha256"]


def rows_of(folder: Path, *columns: str):
    """The rows of a results folder by trial."""
    return lrbench.load(folder, ["trial_id", *columns]).set_index("trial_id")


# ----------------------------------------------------------------------------------------------------- a study that ran


def test_a_finished_study_ends_with_0_and_says_what_to_type_next(finished):
    """Exit code 0; plain lines where stderr is no terminal: the question, the plan, a line for each trial, the end."""
    _, _, ended = finished
    assert ended.code == 0, ended.err
    lines = ended.err.splitlines()
    assert lines[:2] == ["Does it run?", "6 trials (3 seeds × 2 replicates) → results/six"]
    assert [line.split()[0] for line in lines if "accuracy" in line] == [f"{n}/6" for n in range(1, 7)]
    assert lines[-1] == "6 of 6 trials have a row: 6 completed"
    assert "\x1b" not in ended.err + ended.out
    assert ended.out == "next: lrbench show results/six   or   lrbench report results/six\n"


def test_its_rows_are_the_plan(finished):
    """Every planned trial has one row that says its block and its place in the order, at the first attempt."""
    study, folder, _ = finished
    planned = [(t.trial_id, number) for number, block in blocks(read_study(study), "cpu") for t in block]
    rows = lrbench.load(folder)
    assert list(zip(rows["trial_id"], rows["block"], strict=True)) == planned
    assert rows["position"].tolist() == list(range(6))
    assert set(rows["attempt"]) == {0}
    assert set(rows["status"]) == {"completed"}
    assert set(rows["study"]) == {"six"}
    assert not rows["packed"].any()
    assert rows["flags_held"].all()


def test_it_is_one_parquet_file(finished):
    """A finished study rests in one file: no journal, no parts."""
    names = [path.name for path in (finished[1] / "trials").iterdir()]
    assert len(names) == 1
    assert names[0].endswith(".parquet")


def test_replicates_agree_and_seeds_differ(finished):
    """On a CPU with one thread both replicates of a seed have the same bits, and each seed has its own."""
    rows = rows_of(finished[1], "seed", *DIGESTS)
    assert (rows.groupby("seed")[DIGESTS].nunique() == 1).all(axis=None)
    assert rows["weights_sha256"].nunique() == 3


def test_trials_at_the_same_time_have_cores_of_their_own(finished):
    """Each trial is pinned to one core; with two cores or more, more than one of them was used."""
    cores = set(rows_of(finished[1], "cores")["cores"])
    assert all(core.isdigit() for core in cores)
    assert len(cores) >= min(2, len(os.sched_getaffinity(0)))


def test_the_resolved_study_is_stored_with_its_rows(finished):
    """study.json holds the study with its levels written out, and the place it was begun at."""
    record = json.loads((finished[1] / "study.json").read_text(encoding="utf-8"))
    assert record["study"]["grid"] == {"seed": [0, 1, 2]}
    assert record["study"]["replicates"] == 2
    assert record["num_trials"] == 6
    (place,) = record["places"]
    assert place["num_cores"] == os.cpu_count()


def test_the_same_command_again_does_nothing(finished):
    """A finished study is not run again: no trial, no torch, no byte changed, exit code 0."""
    study, folder, _ = finished
    before = {path: path.read_bytes() for path in (folder / "trials").iterdir()}
    began = time.monotonic()
    ended = command("run", study, folder=study.parent)
    assert ended.code == 0
    assert "6 have a row already" in ended.err
    assert "accuracy" not in ended.err
    assert time.monotonic() - began < 20
    assert {path: path.read_bytes() for path in (folder / "trials").iterdir()} == before


def test_inline_trains_the_same_bits(finished, tmp_path):
    """--executor inline gives the rows of --executor process, bit for bit; --limit stops after so many."""
    study, folder, _ = finished
    ended = command("run", study, "--executor", "inline", "--limit", "2", "--out", "inline", folder=tmp_path)
    assert ended.code == 0, ended.err
    assert "2 to run now (--limit); 4 stay for later" in ended.err
    assert ended.err.splitlines()[-2:] == [
        "2 of 6 trials have a row: 2 completed",
        "the same command without --limit runs the rest",
    ]
    inline = rows_of(tmp_path / "inline", *DIGESTS)
    assert len(inline) == 2
    assert rows_of(folder, *DIGESTS).loc[inline.index].equals(inline)


def test_schedules_that_are_one_are_told_before_they_train(tmp_path):
    """One epoch: StepLR(2) is the constant rate, which is a warning though only one trial is run now."""
    schedulers = ["ConstantLR(factor=1.0)", "StepLR(step_size=2)"]
    study = write_study(
        tmp_path / "two.toml", fixed={"workload": DIGITS}, grid={"scheduler": schedulers, "seed": "0-1"}
    )
    ended = command("run", study, "--executor", "inline", "--limit", "1", folder=tmp_path)
    assert ended.code == 0, ended.err
    assert (
        "warning: ConstantLR(factor=1.0) and StepLR(step_size=2) have the same rates at every step: they are one "
        "schedule here"
    ) in ended.err.splitlines()


def copy_of(finished, tmp_path) -> tuple[Path, Path]:
    """A copy of the finished study that a test may change."""
    study, folder, _ = finished
    shutil.copy(study, tmp_path / "six.toml")
    shutil.copytree(folder, tmp_path / "results" / "six")
    return tmp_path / "six.toml", tmp_path / "results" / "six"


def test_a_study_that_grew_runs_what_is_new(finished, tmp_path):
    """With a seed more in the file, the six finished trials stay and the two new ones run."""
    study, folder = copy_of(finished, tmp_path)
    before = rows_of(folder, "started_at")
    write_study(study, replicates=2, fixed={"workload": DIGITS}, grid={"seed": "0-3"})
    ended = command("run", study, folder=tmp_path)
    assert ended.code == 0, ended.err
    assert "6 have a row already" in ended.err
    after = rows_of(folder, "started_at", "seed", "position")
    assert len(after) == 8
    assert after.loc[before.index, "started_at"].equals(before["started_at"])
    assert after["seed"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_study_that_shrank_says_what_else_is_in_its_folder(finished, tmp_path):
    """With two seeds fewer nothing runs, and the four rows that no longer belong to the study are told of."""
    study, folder = copy_of(finished, tmp_path)
    ended = command("run", study, "--set", "seed=0", "--out", str(folder), folder=tmp_path)
    assert ended.code == 0, ended.err
    assert "2 have a row already" in ended.err
    assert "the study changed: seed was 0-2, is 0; 4 rows of the folder are not part of it" in ended.err
    assert len(rows_of(folder)) == 6


def test_a_folder_begun_elsewhere_is_not_continued_in_silence(finished, tmp_path):
    """On another machine or torch the folder is refused, with what differs; --mixed goes on, and remembers both."""
    study, folder = copy_of(finished, tmp_path)
    record = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    here = dict(record["places"][0])
    record["places"][0] |= {"hostname": "elsewhere", "torch_version": "2.11.0"}
    (folder / "study.json").write_text(json.dumps(record), encoding="utf-8")
    refused = command("run", study, folder=tmp_path)
    assert (refused.code, refused.out) == (2, "")
    assert f"hostname was 'elsewhere', is '{here['hostname']}'" in refused.err
    assert f"torch_version was '2.11.0', is '{here['torch_version']}'" in refused.err
    assert "--mixed" in refused.err
    assert len(refused.err.splitlines()) == 1
    assert command("run", study, "--mixed", folder=tmp_path).code == 0
    places = json.loads((folder / "study.json").read_text(encoding="utf-8"))["places"]
    assert [place["hostname"] for place in places] == ["elsewhere", here["hostname"]]
    assert command("run", study, folder=tmp_path).code == 0  # both are known now


# ----------------------------------------------------------------------------------------------------- trials that fail


@pytest.fixture(scope="module")
def failures(tmp_path_factory) -> tuple[Path, object]:
    """A study with every way to fail beside sound trials, under a time limit: (its folder, how the command ended)."""
    folder = tmp_path_factory.mktemp("failures")
    faults = ["none", "raise", "nan", "memory", "segfault", "exit", "kill", "sleep", "orphan", "print_and_exit"]
    faults += ["print_and_raise", "surrogate"]
    study = write_study(
        folder / "failures.toml",
        grid={"workload": [linear(fault=fault) for fault in faults], "seed": [0, 1]},
    )
    ended = command("run", study, "--time-limit", "3", folder=folder)
    return folder / "results" / "failures", ended


STATUSES = {
    "none": "completed",
    "raise": "crashed",
    "nan": "diverged",
    "memory": "out_of_memory",
    "segfault": "crashed",
    "exit": "crashed",
    "kill": "crashed",
    "sleep": "timed_out",
    "orphan": "crashed",
    "print_and_exit": "crashed",
    "print_and_raise": "crashed",
    "surrogate": "crashed",
}
ERRORS = {
    "raise": "ValueError: the user's own words",
    "nan": "the loss was no longer finite in epoch 1 of 1",
    "memory": "can't allocate memory",
    "segfault": "ended by SIGSEGV (signal 11) in 'train'",
    "exit": "left with exit code 7 in 'train'",
    "kill": "ended by SIGKILL (signal 9) in 'train'",
    "sleep": "still in 'train' after the time limit of 3 s",
    "orphan": "left with exit code 0 in 'train'",
    "print_and_exit": "the user printed this",
    "print_and_raise": "--- printed by the trial ---\nthe user printed this",
    "surrogate": "a file called \\udcff",
}


def test_some_failures_end_with_1(failures):
    """Exit code 1, counts by status, where they are listed, and how to run them again; no traceback of ours."""
    _, ended = failures
    assert ended.code == 1
    counts = Counter(STATUSES.values())
    told = ", ".join(f"{2 * count} {status}" for status, count in sorted(counts.items()))
    assert f"24 of 24 trials have a row: {told}" in ended.err
    assert "lists the failures (whole: column error of " in ended.err
    assert "--retry runs them again" in ended.err
    assert 'File "' not in ended.err


@pytest.mark.parametrize("fault", STATUSES)
def test_a_trial_that_fails_is_a_row_and_the_others_go_on(failures, fault):
    """Each failure has its status and an error that says what happened, at both seeds."""
    rows = rows_of(failures[0], "trial", "status", "error", "stage", "num_steps", "total_seconds", "weights_sha256")
    of_fault = rows[[json.loads(trial)["workload"]["model_args"]["fault"] == fault for trial in rows["trial"]]]
    assert set(of_fault["status"]) == {STATUSES[fault]}
    assert len(of_fault) == 2
    for error in of_fault["error"]:
        assert ERRORS[fault] in error if fault in ERRORS else pd.isna(error)
    assert set(of_fault["stage"]) == {"done" if fault == "none" else "train"}
    assert (of_fault["total_seconds"] < 10).all()


def test_a_failure_is_run_again_on_request_only(tmp_path):
    """Without --retry a failed trial keeps its row; with it the failed ones run again, and the last attempt counts."""
    mended = tmp_path / "mended"
    fixed_later = {"model": f"{USERS}:Repaired", "model_args": {"path": str(mended)}, **SMALL}
    study = write_study(tmp_path / "retry.toml", grid={"workload": [linear(), fixed_later]})
    first = command("run", study, folder=tmp_path)
    assert first.code == 1
    assert "mended is missing" in first.err
    before = rows_of(tmp_path / "results" / "retry", "status", "attempt", "started_at")
    again = command("run", study, folder=tmp_path)
    assert again.code == 1
    assert "2 have a row already, 1 of them failed; --retry runs that one again" in again.err
    assert rows_of(tmp_path / "results" / "retry", "status", "attempt", "started_at").equals(before)
    mended.write_text("")
    retried = command("run", study, "--retry", folder=tmp_path)
    assert retried.code == 0, retried.err
    after = rows_of(tmp_path / "results" / "retry", "status", "attempt", "started_at")
    assert sorted(zip(after["status"], after["attempt"], strict=True)) == [("completed", 0), ("completed", 1)]
    unchanged = before["status"] == "completed"
    assert after[unchanged].equals(before[unchanged])


# --------------------------------------------------------------------------------------------------- options, as a user


USERS_FILE = """
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, width=8):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, num_classes))
    def forward(self, x):
        return self.layers(x)

def workload():
    return {"model": Net, "model_args": {"width": 16}, "data": "digits", "train_limit": 72}

def slower(epoch):
    return 1 / (1 + epoch)
"""


def test_a_users_files_levels_and_options(tmp_path):
    """Code beside the study is found, --set changes levels, trials that share cores are marked, --quiet is silent."""
    (tmp_path / "mine.py").write_text(USERS_FILE)
    study = write_study(
        tmp_path / "study.toml",
        fixed={"workload": "mine:workload", "scheduler": "LambdaLR(lr_lambda='mine:slower')"},
    )
    jobs = str(len(os.sched_getaffinity(0)) + 1)
    options = ["--set", "epochs=2", "--set", f"seed=5-{4 + int(jobs)}", "--jobs", jobs, "--out", "deep/out", "--quiet"]
    ended = command("run", study, *options, folder=tmp_path)
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    rows = lrbench.load(tmp_path / "deep" / "out", ["epochs", "seed", "packed", "workload", "applied_lr", "git_commit"])
    assert rows["seed"].tolist() == [*range(5, 5 + int(jobs))]
    assert set(rows["epochs"]) == {2}
    assert rows["packed"].sum() >= 2
    assert set(rows["workload"]) == {"mine:workload"}
    assert [list(rates) for rates in rows["applied_lr"][0]] == [[0.1, 0.1, 0.05, 0.05]]


SCRIPT = """
import lrbench
study = lrbench.read_study("six.toml")
summary = lrbench.run_study(study, "out", device="cpu", limit=1, jobs=1)
rows = lrbench.load("out")
row = lrbench.run_trial(lrbench.trials(study, "cpu")[0])
assert (summary.exit_code, summary.num_rows, len(rows)) == (0, 1, 1), summary
assert row["trial_id"] == rows["trial_id"][0]
assert row["weights_sha256"] == rows["weights_sha256"][0]
print("the same bits")
"""


def test_the_same_is_there_from_python(finished, tmp_path):
    """A script without a __main__ guard reads, runs, loads, and runs one trial by itself to the same bits."""
    shutil.copy(finished[0], tmp_path / "six.toml")
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-W", "error", "script.py"], cwd=tmp_path, capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "the same bits\n"
    assert "1 of 6 trials have a row: 1 completed" in done.stderr


def test_a_terminal_shows_a_run_as_it_goes(tmp_path):
    """On a terminal there is a live view (how many are done, failed, running, what is left); failures stay above it."""
    workloads = [linear(fault="raise"), {"model": f"{USERS}:Slow", "model_args": {"seconds": 0.3}, **SMALL}]
    study = write_study(tmp_path / "live.toml", grid={"workload": workloads, "seed": "0-1"})
    with Terminal("run", study, folder=tmp_path) as terminal:
        assert terminal.finish() == 1, terminal.seen
    assert "Does it run?" in terminal.seen
    assert "0/4" in terminal.seen
    assert "running" in terminal.seen
    assert " left" in terminal.seen
    assert terminal.seen.count("CRASHED") >= 2
    assert "4 of 4 trials have a row: 2 completed, 2 crashed" in terminal.seen
    assert "\x1b[?25h" in terminal.seen[terminal.seen.rindex("\x1b[?25l") :]  # the cursor is shown again
