"""The nightly job, on a CPU: everything is written whatever happens, and the verdict tells what did."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks import nightly
from lrbench.tests.helpers.commands import GIVE_UP_SECONDS, environment, marked, wait_until

REDUCED = ["--set", "workload=digits-cnn", "--set", "epochs=1", "--set", "seed=0", "--set", "warmup=off"]
REDUCED += [
    "--set",
    "cudnn_deterministic=false",
    "--set",
    'scheduler=["ConstantLR(factor=1.0)", "StepLR(step_size=1)"]',
    "--select",
    "StepLR",
]
GOOD_STUDY = {"num_trials": 8, "num_rows": 8, "num_completed": 8, "failed": {}, "num_flags_held": 8}
GOOD_BENCHMARKS = {"num_run": 2, "groups": {"digest": 2}}
GOOD_EXITS = {"run": 0, "benchmarks": 0, "report": 0}


@dataclass(frozen=True, kw_only=True)
class Night:
    """A night that is over: its folder, exit code, verdict, and the job summary that a service would show."""

    folder: Path
    code: int
    verdict: dict
    job_summary: str


def job(folder: Path, *arguments: str, **changes: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "benchmarks.nightly", *arguments, "--out", str(folder)]
    changes["GITHUB_STEP_SUMMARY"] = str(folder) + ".summary"
    return subprocess.Popen(
        command, cwd=nightly.REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment(**changes)
    )


def ended(folder: Path, process: subprocess.Popen) -> Night:
    process.communicate(timeout=3 * GIVE_UP_SECONDS)
    return Night(
        folder=folder,
        code=process.returncode,
        verdict=json.loads((folder / "verdict.json").read_text()),
        job_summary=Path(str(folder) + ".summary").read_text(),
    )


@pytest.fixture(scope="module")
def night(tmp_path_factory) -> Night:
    """A reduced night on which all is well: eight short trials and two benchmarks."""
    folder = tmp_path_factory.mktemp("good") / "nightly"
    return ended(folder, job(folder, "--device", "cpu", *REDUCED))


@pytest.fixture(scope="module")
def bad_night(tmp_path_factory) -> Night:
    """A night on which nothing works: no such study, no such benchmark, and so nothing to report."""
    folder = tmp_path_factory.mktemp("bad") / "nightly"
    return ended(folder, job(folder, "--study", "no-such-study", "--select", "no_such_benchmark"))


@pytest.mark.slow
def test_a_good_night_passes(night):
    """Every trial completes with its flags in force, benchmarks ran, the report is there: exit code 0."""
    assert night.verdict["problems"] == []
    assert night.verdict["passed"] is True
    assert night.code == night.verdict["exit_code"] == 0
    assert night.verdict["study"] == {"exit_code": 0} | GOOD_STUDY
    by_size = ("1 parameter group", "10 parameter groups", "100 parameter groups")
    assert night.verdict["benchmarks"]["groups"] == {f"scheduler step, {groups}": 2 for groups in by_size}
    assert (night.folder / night.verdict["report"]["html"]).stat().st_size > 10_000


@pytest.mark.slow
def test_the_verdict_keeps_a_place_for_history(night):
    """Nothing is said against earlier nights yet, and the place where it will be said is there."""
    assert night.verdict["history"] is None


@pytest.mark.slow
def test_the_summary_says_it_to_people(night):
    """The summary holds verdict, counts, benchmarks and the report's words; a service's job summary is the same."""
    text = (night.folder / "summary.md").read_text()
    assert text == night.job_summary
    assert text.startswith("# Nightly: passed\n")
    assert "- 8 of 8 trials completed\n" in text
    assert "test_scheduler_step[StepLR-1]" in text
    assert "the cuDNN flags are inert" in text
    assert "![" not in text


@pytest.mark.slow
def test_the_verdict_can_be_asked_for_again(night):
    """`verdict` reads the file, says the same and ends with the same code: the last step of the job."""
    command = [sys.executable, "-m", "benchmarks.nightly", "verdict", "--out", str(night.folder)]
    again = subprocess.run(command, cwd=nightly.REPOSITORY, capture_output=True, text=True)
    assert again.returncode == 0
    assert again.stdout.startswith("nightly: passed")


def test_a_bad_night_writes_everything_and_fails(bad_night):
    """Every step is tried and every file is there, though no step succeeded; the exit code says so at the end."""
    assert bad_night.code == bad_night.verdict["exit_code"] == 1
    assert bad_night.verdict["passed"] is False
    assert [bad_night.verdict[step]["exit_code"] for step in ("study", "benchmarks", "report")] == [2, 5, 2]
    written = {path.name for path in bad_night.folder.iterdir()}
    assert written >= {"run.log", "benchmarks.log", "report.log", "summary.md", "verdict.json"}
    assert bad_night.job_summary.startswith("# Nightly: not passed\n")


def test_a_bad_night_says_why(bad_night):
    """The verdict's problems are the words of the step that failed, and what did not run is a problem too."""
    problems = bad_night.verdict["problems"]
    assert problems[:2] == ["no trial ran", "no benchmark ran"]
    assert problems[2].startswith("run ended with exit code 2: error: no-such-study does not exist.")
    assert problems[3].startswith("benchmarks ended with exit code 5: ")
    assert problems[4].startswith("report ended with exit code 2: error: ")


def test_a_cancelled_night_has_not_passed(tmp_path):
    """SIGTERM, which a service sends, ends the step in hand and all its processes; the rest is left, and told."""
    folder = tmp_path / "nightly"
    process = job(folder, "--device", "cpu", *REDUCED, LRBENCH_TEST_MARK=str(tmp_path))
    wait_until("the study to start", lambda: "loading torch" in read(folder / "run.log"))
    first = json.loads((folder / "verdict.json").read_text())
    os.kill(process.pid, signal.SIGTERM)
    night = ended(folder, process)
    wait_until("its processes to go", lambda: not marked(str(tmp_path)))
    assert (first["passed"], first["problems"]) == (False, [nightly.NOT_ENDED])
    assert night.code == 1
    assert night.verdict["problems"][0] == "the job was interrupted"
    assert not (folder / "benchmarks.log").exists()


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_a_night_begins_with_an_empty_folder(tmp_path):
    """What an earlier night wrote is removed, or its rows would be taken for tonight's; what a user put there stays."""
    for name in nightly.FILES:
        (tmp_path / name).write_text("last night's")
    for name in (*nightly.FOLDERS, "mine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("last night's")
    nightly.clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_no_verdict_is_no_success(tmp_path):
    """Where no job has run, asking for the verdict is bad input that says what to type, exit code 2."""
    command = [sys.executable, "-m", "benchmarks.nightly", "verdict", "--out", str(tmp_path)]
    asked = subprocess.run(command, cwd=nightly.REPOSITORY, capture_output=True, text=True)
    assert asked.returncode == 2
    assert asked.stderr.endswith("no nightly job has run there. Type: make nightly\n")


@pytest.mark.parametrize(
    ("study", "benchmarks", "exits", "problems"),
    [
        ({}, {}, {}, []),
        (
            {"num_completed": 5, "failed": {"crashed": 1, "diverged": 2}, "num_flags_held": 5},
            {},
            {"run": 1},  # which says no more than the counts do
            ["1 of 8 trials: crashed", "2 of 8 trials: diverged"],
        ),
        (
            {"num_rows": 6, "num_completed": 6, "num_flags_held": 6},
            {},
            {"run": 130},
            ["2 of 8 trials have no row", "run ended with exit code 130: the last words"],
        ),
        (
            {"num_flags_held": 7},
            {},
            {},
            ["in 1 of 8 completed trials a flag that was asked for was not in force"],
        ),
        ({}, {"num_run": 0, "groups": {}}, {}, ["no benchmark ran"]),
        ({}, {}, {"benchmarks": 1}, ["benchmarks ended with exit code 1: the last words"]),
        ({}, {}, {"report": 1}, ["report ended with exit code 1: the last words"]),
    ],
)
def test_what_keeps_a_night_from_passing(study, benchmarks, exits, problems, tmp_path):
    """Failed, missing and uncontrolled trials, benchmarks that did not run and steps that failed are each a problem."""
    for name in GOOD_EXITS:
        (tmp_path / f"{name}.log").write_text("first words\nthe last words\n\n")
    assert nightly.wrong(tmp_path, GOOD_EXITS | exits, GOOD_STUDY | study, GOOD_BENCHMARKS | benchmarks) == problems


def test_the_counts_are_those_of_the_rows(finished):
    """Six trials planned, with a row, completed and with their flags held, counted from a study's folder."""
    _, folder, _ = finished
    assert nightly.study_counts(folder) == {
        "num_trials": 6,
        "num_rows": 6,
        "num_completed": 6,
        "failed": {},
        "num_flags_held": 6,
    }


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("starting\nerror: no such study\nType: that\n", "error: no such study"),
        ("starting\n=== 1 failed in 2 s ===\n\n", "=== 1 failed in 2 s ==="),
        ("", "it printed nothing"),
    ],
)
def test_the_words_that_say_most(log, words, tmp_path):
    """A step's own error line tells more than whatever it printed last."""
    (tmp_path / "step.log").write_text(log)
    assert nightly.last_words(tmp_path / "step.log") == words
