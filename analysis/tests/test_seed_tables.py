"""Which trials stand side by side: seeds, settings, stages of a tuned study."""

import numpy as np
import pytest

from analysis.rows.seed_tables import machine_note, parts
from analysis.tests.simulate import simulate, study_of

SCHEDULERS = ["StepLR(step_size=1, gamma=0.5)", "ConstantLR(factor=1.0)"]


def rows_of(**grid):
    return simulate(study_of(grid={"seed": "0-2", "scheduler": SCHEDULERS, **grid}))


def test_a_table_has_a_row_for_each_seed():
    """Replicates and flags are averaged within a seed; the baseline comes first, whatever its place in the study."""
    rows = rows_of(cudnn_benchmark=[False, True])
    (part,) = parts(rows, {})
    table = part.table("final_accuracy")
    assert table.shape == (3, 2)
    assert part.baseline == part.arms[0] == "ConstantLR(factor=1.0)"
    here = rows[(rows["seed"] == 1) & (rows["scheduler_name"] == "StepLR")]
    assert len(here) == 4
    seed = part.rows.loc[here.index, "unit"].unique()
    assert table.loc[seed, part.arms[1]].tolist() == [pytest.approx(here["final_accuracy"].mean())]


def test_settings_that_train_differently_are_parts_of_their_own():
    """Two base_lrs are two parts, in their order, named by what differs."""
    assert [part.label for part in parts(rows_of(base_lr=[0.1, 0.05]), {})] == ["base_lr=0.05", "base_lr=0.1"]


def test_failed_trials_are_in_the_rows_and_not_in_the_table():
    """A trial that diverged has no accuracy: its seed is nan for that arm, and it is still there to be counted."""
    rows = rows_of()
    lost = (rows["seed"] == 0) & (rows["scheduler_name"] == "StepLR")
    rows["status"] = rows["status"].astype(object).mask(lost, "diverged")
    (part,) = parts(rows, {})
    table = part.table("final_accuracy")
    assert table.isna().sum().sum() == 1
    assert (part.rows["status"] == "diverged").sum() == 2


def test_first_trials_are_one_a_seed_at_the_reference():
    """Of eight trials of a seed and arm the first replicate without flags is taken."""
    rows = rows_of(cudnn_benchmark=[True, False], cudnn_deterministic=[True, False])
    (part,) = parts(rows, {})
    first = part.first_trials()
    assert len(first) == 6
    assert (first["replicate"] == 0).all()
    assert not first[["cudnn_benchmark", "cudnn_deterministic"]].any().any()
    assert machine_note(rows) == "cudnn_benchmark=False, cudnn_deterministic=False"


def test_the_reference_is_one_level_of_each_flag():
    """At the reference are both replicates of each seed and arm without flags, failed ones too, whatever the order."""
    rows = rows_of(cudnn_benchmark=[True, False], cudnn_deterministic=[True, False])
    rows["status"] = rows["status"].astype(object).mask((rows["seed"] == 0) & (rows["replicate"] == 1), "diverged")
    (part,) = parts(rows[::-1], {})
    found = part.at_reference()
    assert len(found.rows) == 12
    assert not found.rows[["cudnn_benchmark", "cudnn_deterministic"]].any().any()
    assert {arm: (o.num_diverged_seeds, o.num_seeds) for arm, o in found.diverged.items()} == dict.fromkeys(
        part.arms, (1, 3)
    )


def test_a_tuned_study_has_two_stages_and_no_selection():
    """Trials that chose are in no part; what is both default and tuned is in both; a tuned rate is no setting."""
    rows = rows_of(base_lr=[0.1, 0.05])
    step = rows["scheduler_name"] == "StepLR"
    fast = rows["base_lr"] == 0.1
    rows["tuning"] = np.select([step & fast, step, fast], ["default", "tuned", "default and tuned"], "selection")
    tuned, default = parts(rows, {})
    assert (tuned.stage, default.stage) == ("tuned", "at default")
    assert tuned.table("final_accuracy").shape == default.table("final_accuracy").shape == (3, 2)
    assert set(tuned.rows.loc[tuned.rows["scheduler_name"] == "StepLR", "base_lr"]) == {0.05}
    assert not (tuned.rows["tuning"] == "selection").any()
