"""Rows of trials that the study no longer has: they are in no table and no look, one line tells of them."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import lrbench
from analysis.folders import match
from analysis.page import notebook_cells, pages
from analysis.page.show import print_study
from analysis.rows.staged import of_study, own_rows, restaged
from analysis.tests.simulate import simulate, simulate_stages, study_of, write_study
from lrbench.factors import SEEDS
from lrbench.store import read_study_record, write_study_record
from lrbench.study import Study

SCHEDULERS = [{"name": "ConstantLR", "factor": 1.0}, {"name": "StepLR", "step_size": 2, "gamma": 0.1}]
GRID = {"seed": "0-3", "scheduler": SCHEDULERS}
SAID = (
    "16 rows are of trials that the study no longer has (epochs = 10): they are in nothing that is said here, and stay "
    "in the folder, where lrbench.load shows them."
)


def both(tmp_path: Path, now: Study, *earlier: Study) -> Path:
    """A folder with the rows of studies as they were before, and of the one that its study.json has now."""
    folder = write_study(tmp_path / "s", now)
    own = {path.name for path in (folder / "trials").iterdir()}
    others = [write_study(tmp_path / f"earlier-{number}", study) for number, study in enumerate(earlier)]
    for number, other in enumerate(others, 100):
        for path in (other / "trials").glob("part-*"):
            path.rename(folder / "trials" / f"part-{number:06d}-{number:06d}.parquet")
    assert own < {path.name for path in (folder / "trials").iterdir()}
    return folder


@pytest.fixture
def folder(tmp_path) -> Path:
    """16 rows of 10 epochs, as the study was, and 16 of 5 epochs, as it is: 2 schedulers, 4 seeds, twice."""
    return both(tmp_path, study_of(fixed={"epochs": 5}, grid=GRID), study_of(fixed={"epochs": 10}, grid=GRID))


def test_a_page_is_about_the_study_as_it_stands(folder):
    """16 of 32 rows are in it; the first page says what is not; each line gives as many rows as it says."""
    page = pages.read_study(str(folder), str(folder / "report"))
    assert {*page.rows["epochs"]} == {5}
    assert len(page.rows) == 16
    assert page.strays == SAID
    names = {"own_rows": own_rows, "lrbench": lrbench, "DIR": str(folder)}
    for name in ("conditions", "schedulers", "learning_curves", "failures"):
        back = pages._way_back(page, name)
        exec(back.line, names)
        assert len(names["rows"]) == back.num_rows
    assert pages._way_back(page, "schedulers").num_rows == 16


def test_a_folder_without_strays_has_the_plain_line(tmp_path):
    """Nothing is said, and the way back is lrbench.load as ever."""
    page = pages.read_study(str(write_study(tmp_path / "s", study_of(grid=GRID))), str(tmp_path))
    assert page.strays == ""
    assert pages._way_back(page, "conditions").line == "rows = lrbench.load(DIR)  # 16 rows"


def test_show_notebooks_compare_and_commands_say_so(folder, tmp_path):
    """Each has the study's 16 rows alone, and the one line."""
    rows, record = notebook_cells.read(folder)
    assert (len(rows), record["strays"]) == (16, SAID)
    console = Console(width=400, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        print_study(lrbench.load(folder), read_study_record(folder), folder, console)
    text = console.export_text()
    assert SAID in text
    assert "16 of 16 trials have a row: 16 completed" in text
    matched = match(folder, write_study(tmp_path / "other", study_of(fixed={"epochs": 5}, grid=GRID)))
    assert f"{matched.a.name}: {SAID}" in matched.a.left_out
    command = [sys.executable, "-m", "analysis.schedulers", str(folder)]
    printed = " ".join(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert SAID in printed


def test_one_stray_does_not_turn_looks_off(tmp_path):
    """A study with [until], finished, and one trial of other epochs beside: what the looks find is the same."""
    study = study_of(grid={**GRID, "seed": "0-5"}, until={"looks": [3, 6]}, replicates=1)
    record = {"study": study.model_dump(mode="json"), "num_trials": 12}
    rows = simulate(study)
    stray = simulate(study_of(fixed={"epochs": 3}, grid=GRID))[:1]
    found, said = of_study(pd.concat([rows, stray], ignore_index=True), record)
    pd.testing.assert_frame_equal(found, rows, check_categorical=False, check_dtype=False)
    assert said.startswith("1 row is of a trial that the study no longer has (epochs = 3): it is in nothing")


def test_what_a_running_study_has_still_to_choose_is_no_stray():
    """With [tune] all that its stages ran is its own, at every moment that a run may be cut off."""
    tune = {"seeds": "1000-1001", "base_lr": [0.01, 0.2]}
    rows, record = simulate_stages(study_of(grid=GRID, replicates=1, tune=tune))
    for number in (1, 5, len(rows) - 1, len(rows)):
        found, said = of_study(rows[:number].reset_index(drop=True), record)
        assert (len(found), said) == (number, "")


def test_a_record_of_an_older_form_keeps_all_rows(folder):
    """Where study.json lacks what tells of its trials, nothing is left out."""
    record, rows = read_study_record(folder), lrbench.load(folder)
    for broken in ({}, {"study": {"name": "s"}}, {"study": {**record["study"], "grid": 7}}):
        assert restaged(rows, broken) is rows
        assert of_study(rows, broken)[1] == ""
    write_study_record(folder, {**record, "study": {"name": "s", "question": "?"}})
    assert len(own_rows(rows, folder)) == 32


def test_very_many_rows_take_no_seconds():
    """100,000 rows, 4 of each 8 of them strays: found and told of in less than 1.5 s."""
    few = pd.concat([simulate(study_of(fixed={"epochs": n}, grid={**GRID, "seed": [0]})) for n in (5, 10)])
    seeds = np.repeat(np.arange(12_500), 8)
    rows = few.iloc[np.tile(np.arange(8), 12_500)].reset_index(drop=True).assign(**dict.fromkeys(SEEDS, seeds))
    study = study_of(fixed={"epochs": 5}, grid={**GRID, "seed": "0-12499"})
    begun = time.process_time()
    found, said = of_study(rows, {"study": study.model_dump(mode="json")})
    assert time.process_time() - begun < 1.5
    assert len(found) == 50_000
    assert said.startswith("50,000 rows are of trials that the study no longer has (epochs = 10)")
