"""Rows of trials that the study no longer has: found by columns as they are by the names of all its trials."""

import time

import numpy as np
import pandas as pd
import pytest

from analysis.rows.planned import strays
from analysis.tests.simulate import simulate, simulate_stages, study_of
from lrbench.factors import SEEDS
from lrbench.stages import possible
from lrbench.study import Study

SCHEDULERS = [{"name": "ConstantLR", "factor": 1.0}, {"name": "StepLR", "step_size": 2, "gamma": 0.1}]
GRID = {"seed": "0-3", "scheduler": SCHEDULERS}
UNTIL = {"looks": [2, 4]}


def record_of(study: Study) -> dict:
    return {"study": study.model_dump(mode="json")}


def named(study: Study, rows: pd.DataFrame) -> list[bool]:
    """Return which rows are strays by the names of all trials that the study may come to have."""
    devices = rows["device"].astype(str).unique()
    known = {trial.trial_id for device in devices for trial in possible(study, device, rows)}
    return [name not in known for name in rows["trial_id"]]


STUDIES = {
    "grid": {"grid": GRID},
    "more replicates": {"grid": GRID, "replicates": 3},
    "streams": {"grid": {**GRID, "seed_init": [0, 7]}},
    "a stream alone": {"grid": {"seed_order": "0-3", "scheduler": SCHEDULERS}},
    "a fixed seed": {"fixed": {"seed": 2}, "grid": {"seed_dropout": "0-3", "scheduler": SCHEDULERS}},
    "a fixed stream": {"fixed": {"seed_init": 1}, "grid": GRID},
    "no seeds": {"grid": {"scheduler": SCHEDULERS}},
    "a fixed device": {"fixed": {"device": "cpu"}, "grid": GRID},
    "until": {"grid": GRID, "until": UNTIL},
}


@pytest.fixture(scope="module")
def everything() -> pd.DataFrame:
    """The rows of all these studies in one folder, `of` the study that they were run for."""
    return pd.concat([simulate(study_of(**STUDIES[name])).assign(of=name) for name in STUDIES], ignore_index=True)


@pytest.mark.parametrize("name", STUDIES)
def test_strays_are_those_that_the_names_tell(name, everything):
    """Of the rows of several studies those are strays that no trial of this study has the name of; none is its own."""
    study = study_of(**STUDIES[name])
    found = strays(everything, record_of(study))
    assert found.tolist() == named(study, everything)
    assert found.any()
    assert not found[everything["of"] == name].any()


@pytest.mark.parametrize(
    ("column", "planted"),
    [("seed", 99), ("seed_init", 99), ("replicate", 2), ("replicate", -1), ("condition_id", "0" * 16)],
)
@pytest.mark.parametrize("tables", [{}, {"until": UNTIL}], ids=["grid", "until"])
def test_a_planted_stray_is_found(column, planted, tables):
    """One row at another seed, stream, replicate or condition than the study has: it alone is a stray."""
    study = study_of(grid=GRID, **tables)
    rows = simulate(study).astype({"condition_id": object})
    assert not strays(rows, record_of(study)).any()
    rows.loc[5, column] = planted
    assert strays(rows, record_of(study)).tolist() == [index == 5 for index in range(len(rows))]


def test_a_row_older_than_a_stream_is_no_stray():
    """A stream that a row lacks followed its seed: the trial's name is the same, and it is the study's."""
    study = study_of(grid=GRID)
    rows = simulate(study)
    older = rows.assign(seed_dropout=rows["seed_dropout"].astype("Int64").where(rows.index > 3))
    assert older["seed_dropout"].isna().any()
    assert not strays(older, record_of(study)).any()


def test_a_tuned_study_has_the_trials_of_its_stages():
    """With [tune] the trials that chose and the tuned ones are the study's, and those of another seed are not."""
    tune = {"seeds": "1000-1001", "base_lr": [0.01, 0.2]}
    rows, record = simulate_stages(study_of(grid=GRID, replicates=1, tune=tune))
    assert set(rows["tuning"].astype(str)) >= {"selection", "default"}
    assert not strays(rows, record).any()
    fewer = study_of(grid={**GRID, "seed": "0-2"}, replicates=1, tune=tune)
    assert strays(rows, record_of(fewer)).tolist() == (rows["seed"] == 3).tolist()


def test_rows_of_two_devices_are_the_studys():
    """A study that leaves the device to the machine has its trials on each that rows ran on."""
    auto, fixed = study_of(grid=GRID), study_of(grid=GRID, fixed={"device": "cpu"})
    gpu = study_of(grid=GRID, fixed={"device": "cuda"})
    rows = pd.concat([simulate(auto), simulate(gpu)], ignore_index=True)
    assert not strays(rows, record_of(auto)).any()
    assert strays(rows, record_of(fixed)).tolist() == (rows["device"] == "cuda").tolist()


def test_no_rows_have_no_strays():
    """An empty folder: nothing to tell, and nothing breaks."""
    study = study_of(grid=GRID)
    assert strays(simulate(study)[:0], record_of(study)).empty


def test_very_many_rows_take_no_seconds():
    """100,000 rows: no trial of the study is named anew, which takes several seconds."""
    study = study_of(grid={**GRID, "seed": "0-24999"})
    few = simulate(study_of(grid={**GRID, "seed": [0]}))
    assert len(few) == 4
    seeds = np.repeat(np.arange(25_000), 4)
    rows = few.loc[np.tile(few.index, 25_000), ["condition_id", "replicate", "device"]].reset_index(drop=True)
    rows = rows.assign(**dict.fromkeys(SEEDS, seeds))
    begun = time.process_time()
    assert not strays(rows, record_of(study)).any()
    assert time.process_time() - begun < 1.5
