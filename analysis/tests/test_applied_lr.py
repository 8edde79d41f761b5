"""The applied rates: one sequence for each open-loop schedule, and what it means where there are several."""

import numpy as np
import pandas as pd
import pytest

from analysis.applied_lr import answer, schedules
from analysis.figures import style
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


def test_a_users_schedule_that_moves_is_not_cleared():
    """A schedule of the user's own code may itself give other rates for the same steps: it is not ruled out."""
    rows = rows_of([CONSTANT, "CosineAnnealingLR"])
    moved = changed(rows, (rows["scheduler_name"] == "CosineAnnealingLR") & (rows["seed"] == 1), 1 + 1e-12)
    moved["scheduler"] = moved["scheduler"].str.replace("CosineAnnealingLR", "mynet:draws")
    first = answer(moved).sentences[0]
    assert first.endswith("its own code, or something else, gave other rates for the same steps.")


def test_a_plateau_may_part_between_seeds_but_repeats_are_watched():
    """ReduceLROnPlateau taking another course on one seed is no fault; parted repeats are said to be noise."""
    rows = rows_of([CONSTANT, PLATEAU])
    plateau = rows["scheduler_name"] == "ReduceLROnPlateau"
    by_seed = answer(changed(rows, plateau & (rows["seed"] == 1), 0.3))
    assert any("took 2 courses in 6 trials; repeats at one seed always agreed" in s for s in by_seed.sentences)
    by_repeat = answer(changed(rows, plateau & (rows["seed"] == 1) & (rows["replicate"] == 1), 0.3))
    assert any("in 1 of 3 repeated trials the repeats themselves parted" in s for s in by_repeat.sentences)


def test_a_schedule_with_several_courses_is_shown_by_all_of_them():
    """Two of six trials at 0.3 in their second half: the mean is over trials, and the range and both ends are given."""
    rows = rows_of([CONSTANT, PLATEAU])
    plateau = rows["scheduler_name"] == "ReduceLROnPlateau"
    flat = rows["applied_lr"].iloc[int(np.flatnonzero(rows["scheduler_name"] == "ConstantLR")[0])]
    rows["applied_lr"] = [flat] * len(rows)
    found = answer(changed(rows, plateau & (rows["seed"] == 1), 0.3))
    record = found.table[found.table["num_courses"] == 2].iloc[0]
    assert record["mean_over_base_lr"] == pytest.approx((4 * 1 + 2 * 0.65) / 6)
    assert (record["mean_range"], record["last"], record["first"]) == ("0.65–1", "0.03–0.1", 0.1)
    assert found.sentences[-1] == (
        "Averaged over the run and over trials, the rate is from 0.883 (ReduceLROnPlateau, over 2 courses with 0.65 to "
        "1) to 1 (ConstantLR) times base_lr."
    )


def test_of_two_equal_means_the_open_loop_one_is_named():
    """Where ReduceLROnPlateau never acted it has the mean of ConstantLR, which is the one that is named."""
    rows = rows_of([PLATEAU, CONSTANT, "CosineAnnealingLR"])
    (flat, *_) = rows[rows["scheduler_name"] == "ConstantLR"]["applied_lr"]
    plateau = rows["scheduler_name"] == "ReduceLROnPlateau"
    rows["applied_lr"] = [flat if here else own for here, own in zip(plateau, rows["applied_lr"], strict=True)]
    assert "to 1 (ConstantLR) times base_lr" in answer(rows).sentences[-1]


def test_panels_of_one_class_are_told_apart_by_the_argument_that_differs():
    """Two StepLRs that share step_size are named by gamma, and no title runs into the next."""
    calls = [f"StepLR(step_size=1, gamma={gamma})" for gamma in (0.1, 0.2, 0.3, 0.4)]
    figure = answer(rows_of(calls, base_lr=[0.1, 0.05])).figure()
    titles = [axes.title if axes.get_title() else axes._left_title for axes in figure.axes if axes.lines]
    texts = [" ".join(title.get_text().split()) for title in titles]
    assert len(set(texts)) == 8
    assert texts[0] == "StepLR(gamma=0.1, …), base_lr=0.05"
    with style():
        figure.draw_without_rendering()
    boxes = [title.get_window_extent() for title in titles]
    assert not any(a.overlaps(b) for index, a in enumerate(boxes) for b in boxes[:index])
    assert all(box.x1 <= figure.bbox.x1 for box in boxes)


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


def test_one_scheduler_in_two_workloads_is_no_finding():
    """A scheduler takes its course in every workload; that StepLR takes ConstantLR's, in both, is told."""
    two = ["digits-cnn", "mnist5k-cnn"]
    texts = answer(rows_of([CONSTANT, "CosineAnnealingLR"], workload=two)).sentences
    assert not any("one schedule" in text for text in texts)
    rows = rows_of([CONSTANT, {"name": "StepLR", "step_size": 3}], workload=two)
    constant = rows[rows["scheduler_name"] == "ConstantLR"].iloc[0]
    rows["applied_lr"] = [constant["applied_lr"] for _ in rows.index]  # a step that never comes
    rows["applied_lr_sha256"] = constant["applied_lr_sha256"]
    (told,) = [text for text in answer(rows).sentences if "one schedule" in text]
    assert told.count("ConstantLR") == told.count("StepLR") == 2
