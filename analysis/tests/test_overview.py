"""The headline and the main table."""

import pytest

from analysis.conditions import levels, short_names, varied
from analysis.overview import headline, main_table
from analysis.tests.simulate import Truth, simulate, study_of
from analysis.throughput import INERT

CONSTANT = {"name": "ConstantLR", "factor": 1.0}
GRID = {"seed": "0-2", "cudnn_benchmark": [False, True], "scheduler": ["StepLR(step_size=2)", CONSTANT]}


def test_failures_lead_the_headline():
    """What failed stands before anything that was found."""
    rows = simulate(study_of(grid=GRID), Truth(failures={0: "diverged", 5: "crashed", 6: "crashed"}))
    assert headline(rows)[0] == "21 of 24 trials completed; 2 crashed and 1 diverged: these are in no comparison."


def test_flags_that_did_not_hold_lead_even_failures():
    """A flag that was not in force makes every comparison doubtful: it is said first, with its name and a trial."""
    rows = simulate(study_of(grid=GRID), Truth(failures={0: "diverged"}))
    rows.loc[3, "flags_held"] = False
    rows["effective_cudnn_benchmark"] = rows["cudnn_benchmark"]
    rows.loc[3, "effective_cudnn_benchmark"] = not rows.loc[3, "cudnn_benchmark"]
    first = headline(rows)[0]
    assert "a flag that was asked for was not in force (cudnn_benchmark" in first
    assert rows.loc[3, "trial_id"] in first


def test_inert_flags_are_in_the_first_lines_once():
    """On a CPU the second sentence says that the cuDNN flags are inert, and no other repeats it."""
    lines = headline(simulate(study_of(grid=GRID)))
    assert lines[1] == INERT
    assert lines.count(INERT) == 1
    assert 3 <= len(lines) <= 6


def test_a_gpu_study_leads_with_both_flags():
    """On a GPU the cost of both cuDNN flags stands in the headline."""
    grid = {**GRID, "cudnn_deterministic": [False, True]}
    lines = headline(simulate(study_of(grid=grid), Truth(inert=False, benchmark_ratio=1.1)))
    assert lines[1].startswith("cudnn_benchmark = True against False")
    assert lines[2].startswith("cudnn_deterministic = True against False")
    assert INERT not in lines


def test_an_unfinished_study_says_so():
    """A study with 30 planned trials and 24 rows is not finished: 6 are still to run."""
    assert headline(simulate(study_of(grid=GRID)), num_planned=30)[0] == (
        "The study is not finished: 6 trials of 30 still to run."
    )


def test_one_row_for_each_condition():
    """The main table has the varied factors and what was seen, one row a condition, the baseline first."""
    table = main_table(simulate(study_of(grid=GRID), Truth(failures={0: "timed_out"})))
    assert list(table.columns) == [
        "scheduler",
        "cudnn_benchmark",
        "num_trials",
        "num_timed_out",
        "samples_per_second",
        "final_accuracy",
        "accuracy_sd",
        "num_bit_identical",
    ]
    assert table["scheduler"].tolist() == ["ConstantLR", "ConstantLR", "StepLR", "StepLR"]
    assert table["cudnn_benchmark"].tolist() == ["False", "True", "False", "True"]
    assert table["num_trials"].tolist() == [6, 6, 6, 6]
    assert table["num_timed_out"].sum() == 1
    assert sorted(table["num_bit_identical"]) == ["2 of 2", "3 of 3", "3 of 3", "3 of 3"]


def test_the_main_table_by_hand():
    """Accuracies 0.90 and 0.94 are 0.92 with an SD of 0.0283; speeds 100 and 300 have the median 200."""
    rows = simulate(study_of(grid={"seed": "0-1"}, replicates=1))
    rows["final_accuracy"], rows["samples_per_second"] = [0.90, 0.94], [100.0, 300.0]
    (record,) = main_table(rows).to_dict("records")
    assert record["final_accuracy"] == pytest.approx(0.92)
    assert record["accuracy_sd"] == pytest.approx(0.0282843, abs=1e-6)
    assert record["samples_per_second"] == 200.0
    assert record["num_bit_identical"] == "–"


def test_followers_of_a_workload_are_no_factors():
    """Two workloads bring their own batch size and rate: only the workload varies; a rate varied by itself counts."""
    grid = {"seed": "0-1", "workload": ["digits-cnn", "alexnet"]}
    assert varied(simulate(study_of(grid=grid))) == ["workload"]
    both = simulate(study_of(grid={**grid, "base_lr": [0.1, 0.01]}))
    assert varied(both) == ["workload", "base_lr"]


def test_levels_stand_in_a_readers_order():
    """False before True, numbers by size, off last, the baseline before other schedulers."""
    rows = simulate(study_of(grid={"seed": [0], "clip_grad_norm": [5.0, "off", 1.0], "scheduler": GRID["scheduler"]}))
    assert levels(rows, "clip_grad_norm") == [1.0, 5.0, None]
    assert levels(rows, "scheduler") == ["ConstantLR(factor=1.0)", "StepLR(step_size=2)"]
    assert short_names(levels(rows, "scheduler")) == {
        "ConstantLR(factor=1.0)": "ConstantLR",
        "StepLR(step_size=2)": "StepLR",
    }
