"""Whole studies that tune and look, through the command line: run in parts, killed, tried again."""

import json
from pathlib import Path

import pytest

import lrbench
from analysis.advice import about_look
from analysis.rows.arms import Look
from lrbench.progress import SilentReporter
from lrbench.store import read_study_record
from lrbench.tests.helpers.commands import finish, start
from lrbench.tests.helpers.commands import lrbench as command
from lrbench.tests.helpers.studies import DIGITS, SMALL, USERS, write_study

pytestmark = pytest.mark.slow

SLOW = {"model": f"{USERS}:Slow", "model_args": {"seconds": 0.05}, **SMALL}
SCHEDULERS = ["ConstantLR(factor=1.0)", "ExponentialLR(gamma=0.5)"]
TUNE = """
[tune]
seeds = "10-11"
base_lr = [0.01, {rate}]
"""
UNTIL = """
[[compare]]
factor = "scheduler"
margin = 0.0001
[until]
looks = [2, 3]
"""


def write(path: Path, tables: str, workload=DIGITS) -> Path:
    fixed = {"workload": workload, "epochs": 2}
    write_study(path, fixed=fixed, grid={"seed": "0-2", "scheduler": SCHEDULERS})
    path.write_text(path.read_text() + tables)
    return path


def kill_after(num_results: int, study: Path, folder: Path) -> None:
    """Start a run and kill it with signal 9 once so many trials have finished."""
    process = start("run", study, folder=folder)
    for line in process.stderr:
        num_results -= "accuracy" in line
        if not num_results:
            break
    process.kill()
    finish(process)


def test_a_tuned_study_killed_in_each_stage_completes(tmp_path):
    """Killed by signal 9 while it selects, and again while it compares, the same command chooses from the rows it has.

    12 selection trials (2 schedulers, 3 rates, 2 seeds) and 6 to 12 of the comparison; each has one row in the end,
    the rows know their part, and what was chosen is what the selection rows choose.
    """
    study = write(tmp_path / "tuned.toml", TUNE.format(rate=0.5), SLOW)
    folder = tmp_path / "results" / "tuned"
    kill_after(4, study, tmp_path)
    first = lrbench.load(folder)
    assert set(first["tuning"]) == {"selection"}
    assert 4 <= len(first) < 12
    assert read_study_record(folder)["choices"] == []
    kill_after(14 - len(first), study, tmp_path)
    second = lrbench.load(folder)
    assert set(first["trial_id"]) < set(second["trial_id"])
    chosen = read_study_record(folder)["choices"]
    assert len(chosen) == 2
    ended = command("run", study, folder=tmp_path)
    assert ended.code == 0, ended.err
    assert "chosen by final_val_accuracy on 2 selection seeds, 6 trials for each scheduler:" in ended.err
    rows = lrbench.load(folder)
    record = read_study_record(folder)
    assert record["choices"] == chosen
    assert len(rows) == record["num_trials"] == rows["position"].max() + 1
    assert set(rows["attempt"]) == {0}
    assert (rows["tuning"] == "selection").sum() == 12
    assert set(rows.loc[rows["tuning"] == "selection", "seed"]) == {10, 11}
    tuned = rows[rows["tuning"].isin(["tuned", "default and tuned"])]
    assert set(tuned["seed"]) == {0, 1, 2}
    for choice in chosen:
        assert set(tuned.loc[tuned["scheduler"] == choice["scheduler"], "base_lr"]) == {choice["base_lr"]}


def test_a_rate_that_diverges_is_not_chosen_and_runs_again_on_request(tmp_path):
    """Failed selection trials are rows that count against their rate; --limit stops within a stage, --retry repeats."""
    study = write(tmp_path / "wild.toml", TUNE.format(rate=1e30))
    folder = tmp_path / "results" / "wild"
    part = command("run", study, "--limit", "11", folder=tmp_path)
    assert "11 to run now (--limit); 7 stay for later" in part.err
    assert len(lrbench.load(folder)) == 11
    ended = command("run", study, folder=tmp_path)
    assert ended.code == 1
    assert "2 of its 6 selection trials failed" in ended.err
    rows = lrbench.load(folder)
    assert set(rows.loc[rows["base_lr"] == 1e30, "status"]) == {"diverged"}
    assert set(rows.loc[rows["base_lr"] == 1e30, "tuning"]) == {"selection"}
    assert lrbench.run_study(lrbench.read_study(study), folder, retry=True, reporter=SilentReporter()).exit_code == 1
    again = lrbench.load(folder)
    assert set(again.loc[again["status"] == "diverged", "attempt"]) == {1}
    assert again["trial_id"].tolist() == rows["trial_id"].tolist()


def test_a_study_that_looks_says_what_it_found_and_goes_on_from_there(tmp_path):
    """Each look is told and stands in study.json; cut off within the second, the run decides the first anew."""
    study = write(tmp_path / "looks.toml", UNTIL)
    folder = tmp_path / "results" / "looks"
    part = command("run", study, "--limit", "5", folder=tmp_path)
    assert "look 1 of 2, 2 seeds: 4 trials; at most 2 more" in part.err
    assert "look 2 of 2, 3 seeds: 2 trials" in part.err
    looks = read_study_record(folder)["looks"]
    assert [(look["look"], look["ended"]) for look in looks] == [(1, "")]
    assert all(sentence in part.err for sentence in looks[0]["sentences"])
    summary = lrbench.run_study(lrbench.read_study(study), folder, reporter=SilentReporter())
    assert (summary.num_trials, summary.num_rows) == (6, 6)
    record = read_study_record(folder)
    assert record["looks"][0] == looks[0]
    assert record["looks"][1]["ended"] in ("settled", "last look")
    rows = lrbench.load(folder)
    assert dict(zip(rows["seed"], rows["look"], strict=True)) == {0: 1, 1: 1, 2: 2}
    assert rows["tuning"].isna().all()
    assert not any("were changed" in sentence for look in record["looks"] for sentence in look["sentences"])
    changed = folder / "study.json"
    record["looks"] = [{"look": 1, "ended": "settled"}]  # nobody trusts what stands there
    changed.write_text(json.dumps(record))
    lrbench.run_study(lrbench.read_study(study), folder, reporter=SilentReporter())
    assert len(read_study_record(folder)["looks"]) == 2


def test_looks_that_are_changed_late_are_told(tmp_path):
    """One look instead of two, once the rows are there: the first looks stay known until they are those again."""
    study = lrbench.read_study(write(tmp_path / "looks.toml", UNTIL))
    lrbench.run_study(study, tmp_path / "out", reporter=SilentReporter())
    late = study.model_copy(update={"until": study.until.model_copy(update={"looks": [3]})})
    for _ in range(2):
        lrbench.run_study(late, tmp_path / "out", reporter=SilentReporter())
        record = read_study_record(tmp_path / "out")
        assert record["first_until"]["looks"] == [2, 3]
        (look,) = record["looks"]
        assert look["sentences"][-1] == (
            "The looks were changed after the data were seen (2, 3 by obrien_fleming, now 3 by obrien_fleming): the "
            "error rate no longer holds."
        )
        assert about_look(record, Look(number=1, seeds=(3,), num_begun=3)) == (
            "This is look 1 of 1 (at 3 seeds).",
            look["sentences"][-1],
        )
    lrbench.run_study(study, tmp_path / "out", reporter=SilentReporter())
    assert "first_until" not in read_study_record(tmp_path / "out")
