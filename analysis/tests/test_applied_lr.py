"""The applied rates: one sequence for each open-loop schedule, and what it means where there are several."""

import numpy as np
import pandas as pd
import pytest

from analysis.applied_lr import answer, schedules
from analysis.tests.simulate import STEPS_PER_EPOCH, Truth, simulate, study_of

CONSTANT = {"name": "ConstantLR", "factor": 1.0}
PLATEAU = {"name": "ReduceLROnPlateau", "patience": 1, "factor": 0.3}


def rows_of(scheduler: list, truth: Truth = Truth(), **grid) -> pd.DataFrame:
    return simulate(study_of(grid={"seed": "0-2", "scheduler": scheduler, **grid}), truth)


def changed(rows: pd.DataFrame, where, factor: float) -> pd.DataFrame:
    """Multiply the second half of the rates of the rows at `where`."""
    rows = rows.copy()
    half = 2 * STEPS_PER_EPOCH
    for index in rows.index[where]:
        (rates,) = rows.at[index, "applied_lr"]
        rows.at[index, "applied_lr"] = [np.r_[rates[:half], rates[half:] * factor]]
    return rows


def test_rates_are_read_off_at_the_quarters():
    """StepLR that cuts to a tenth after 34 % of 80 steps: 0.1, then 0.01 from step 40, then 0.001 from step 60."""
    record = answer(rows_of([{"name": "StepLR", "step_size": "34%"}])).table.iloc[0]
    assert [record[n] for n in ("first", "at 25%", "at 50%", "at 75%", "last")] == pytest.approx(
        [0.1, 0.1, 0.01, 0.001, 0.001]
    )
    assert record["mean_over_base_lr"] == pytest.approx((40 * 1 + 20 * 0.1 + 20 * 0.01) / 80)
    assert (record["num_trials"], record["num_courses"]) == (6, 1)


def test_open_loop_schedules_hold_over_seeds_and_flags():
    """Every open-loop schedule has one sequence of rates in all of its trials, and the answer counts them."""
    found = answer(rows_of([CONSTANT, "CosineAnnealingLR"], cudnn_benchmark=[False, True]))
    assert found.sentences[0] == (
        "Each of 2 open-loop schedules applied the same sequence of rates in all of its trials, "
        "bit for bit (24 in all)."
    )


def test_a_moved_rate_is_found():
    """One trial of an open-loop schedule with other rates leads the answer."""
    rows = rows_of([CONSTANT, "CosineAnnealingLR"])
    moved = changed(rows, (rows["scheduler_name"] == "CosineAnnealingLR") & (rows["seed"] == 1), 1 + 1e-12)
    found = answer(moved)
    assert found.sentences[0] == (
        "CosineAnnealingLR applied 2 different sequences of rates in 6 trials: "
        "something other than the schedule moved the rate."
    )
    assert found.figure().get_suptitle().startswith("CosineAnnealingLR took 2 courses")


def test_a_plateau_may_part_between_seeds_but_repeats_are_watched():
    """ReduceLROnPlateau taking another course on one seed is no fault; parted repeats are said to be noise."""
    rows = rows_of([CONSTANT, PLATEAU])
    plateau = rows["scheduler_name"] == "ReduceLROnPlateau"
    by_seed = answer(changed(rows, plateau & (rows["seed"] == 1), 0.3))
    assert any("took 2 courses in 6 trials; repeats at one seed always agreed" in s for s in by_seed.sentences)
    by_repeat = answer(changed(rows, plateau & (rows["seed"] == 1) & (rows["replicate"] == 1), 0.3))
    assert any("in 1 of 3 repeated trials the repeats themselves parted" in s for s in by_repeat.sentences)


def test_parameter_groups_have_a_line_each_where_they_differ():
    """Two groups with their own rates are two rows; two groups with the same rates are one, called all."""
    rows = rows_of([CONSTANT])
    rows["applied_lr"] = [[np.asarray(lr[0]), np.asarray(lr[0]) / 2] for lr in rows["applied_lr"]]
    assert answer(rows).table["group"].tolist() == ["0", "1"]
    assert answer(rows).table["first"].tolist() == [0.1, 0.05]
    rows["applied_lr"] = [[lr[0], lr[0]] for lr in rows["applied_lr"]]
    assert answer(rows).table["group"].tolist() == ["all"]


def test_schedules_at_two_rates_are_two_schedules():
    """A base_lr of 0.1 and of 0.01 give two schedules of the same class, drawn over base_lr."""
    found = answer(rows_of([CONSTANT], base_lr=[0.1, 0.01]))
    assert found.table["base_lr"].tolist() == ["0.01", "0.1"]
    assert found.figure().get_supylabel() == "rate / base_lr"


def test_the_baseline_comes_first():
    """Schedules stand in the order of the alphabet, after the baseline."""
    found = schedules(rows_of(["CosineAnnealingLR", CONSTANT, "ExponentialLR(gamma=0.5)"]))
    assert [s.scheduler.partition("(")[0] for s in found] == ["ConstantLR", "CosineAnnealingLR", "ExponentialLR"]


def test_skipped_steps_are_noted():
    """A GradScaler that skipped steps shortens the sequence: the number of such trials is noted."""
    rows = rows_of([CONSTANT])
    rows.loc[rows["seed"] == 0, "num_optimizer_steps"] -= 1
    assert answer(rows).notes[0].startswith("In 2 trials the GradScaler skipped steps")
