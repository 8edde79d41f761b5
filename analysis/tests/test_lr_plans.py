"""A plan that was not held leads the report; one that was held is counted, and how exactly."""

import numpy as np
import pandas as pd

from analysis.answers import answer
from analysis.page.overview import problems
from analysis.rows.lr_plans import plan_sentences, plan_violations
from analysis.tests.simulate import Truth, simulate, simulate_stages, study_of

STEP = {"name": "StepLR", "step_size": 3}
CONSTANT = {"name": "ConstantLR", "factor": 1.0}


def rows_of(verdicts: list[str]) -> pd.DataFrame:
    """One trial of each verdict, the schedules in turn."""
    rows = simulate(study_of(grid={"seed": f"0-{len(verdicts) // 2 - 1}", "scheduler": [CONSTANT, STEP]}), Truth())
    rows = rows[rows["cudnn_benchmark"] == rows["cudnn_benchmark"].iloc[0]]
    return rows[: len(verdicts)].assign(
        lr_plan=verdicts,
        lr_plan_note=[f"note {number}" for number in range(len(verdicts))],
        lr_plan_bit_equal=[verdict == "as planned" for verdict in verdicts],
        lr_plan_max_relative_error=np.where(np.array(verdicts) == "as planned", 0.0, 0.5),
    )


def test_a_violated_plan_leads_the_report():
    """Which schedule, in how many trials, what happened, and the trial's own words; before everything else."""
    rows = rows_of(["as planned", "stepped too often", "as planned", "as planned"])
    bad = rows[rows["lr_plan"] == "stepped too often"].iloc[0]
    (sentence,) = plan_violations(rows)
    assert sentence.startswith(f"{bad['scheduler_name']} was not applied as planned in 1 of ")
    assert "(stepped too often): note 1." in sentence
    assert problems(rows)[0] == sentence


def test_plans_that_were_held_are_counted():
    """Every trial, to the bit; nothing leads."""
    rows = rows_of(["as planned"] * 4)
    assert plan_violations(rows) == []
    (sentence,) = plan_sentences(rows)
    assert "every trial applied the planned rate" in sentence
    assert "(4 of 4 to the bit)" in sentence


def test_rounding_is_told_as_rounding():
    """Within the tolerance but not to the bit: the count, and the largest relative difference."""
    rows = rows_of(["as planned"] * 4).assign(lr_plan_bit_equal=False, lr_plan_max_relative_error=2e-16)
    (sentence,) = plan_sentences(rows)
    assert "0 of 4 to the bit; the largest relative difference is 2e-16" in sentence


def test_what_has_no_closed_form_is_said_not_to_be_held_to_one():
    """A scheduler class of the user's own can be applied and recorded, and no more."""
    held, unknown = plan_sentences(rows_of(["as planned", "no closed form", "as planned", "as planned"]))
    assert "3 of 3 to the bit" in held
    assert unknown.startswith("1 trial used a scheduler class that has no closed form")


def test_every_trial_is_every_trial():
    """Of 12 trials that chose a rate and 12 others 2 diverged and 1 crashed: 23 are held to the plan, all is said."""
    tune = {"seeds": "100-101", "base_lr": [0.02, 0.05, 0.1]}
    study = study_of(grid={"seed": "0-2", "scheduler": [CONSTANT, STEP]}, replicates=1, tune=tune)
    rows, _ = simulate_stages(study, Truth(best_lr={"StepLR": 0.02, "ConstantLR": 0.05}))
    num_selection = int((rows["tuning"] == "selection").sum())
    assert (len(rows), num_selection) == (24, 12)
    status = rows["status"].astype(object)
    rows = rows.assign(status=status, lr_plan="as planned", lr_plan_bit_equal=True, lr_plan_max_relative_error=0.0)
    rows.loc[rows.index[[0, 20]], "status"] = "diverged"
    rows.loc[rows.index[22], ["status", "lr_plan", "lr_plan_bit_equal"]] = ["crashed", None, False]
    said = answer("applied_lr", rows).sentences
    assert any("every trial that was held to it" in s and "(23 of 23 to the bit)" in s for s in said)
    assert any(s.startswith("1 trial ended without") for s in said)


def test_rows_of_an_older_schema_say_nothing():
    """Without the columns there is no sentence."""
    rows = rows_of(["as planned"] * 4).drop(columns=["lr_plan", "lr_plan_note", "lr_plan_bit_equal"])
    assert plan_sentences(rows) == []
