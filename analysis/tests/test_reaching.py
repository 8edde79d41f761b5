"""What a missed target means for a difference in time, and what the target is called."""

import numpy as np
import pytest

from analysis.page.wording import displayed
from analysis.rows.reaching import races
from analysis.tests.test_time_to_target import STEP, raced
from analysis.time_to_target import answer


def test_the_same_time_is_said_of_seeds_that_got_there_alone():
    """Both there after 2 epochs on 5 of 6 seeds, and on seed 4 neither: so much is said, and "on every seed" is not."""
    when = [2, 2, 2, 2, 9, 2]
    found = answer(raced({"ConstantLR": when, "StepLR": when}, num_seeds=6), target=0.9)
    said = "StepLR took exactly as long as ConstantLR on the 5 of 6 seeds on which both got there, and on the rest "
    assert f"{said}neither did." in found.sentences
    assert not any("on every seed" in text for text in found.sentences)
    assert found.table.loc[found.table["scheduler"] == STEP, "to_baseline_time"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("constant", [[4, 4, 4, 4, 9, 9], [9] * 6], ids=["at the end", "never"])
def test_an_arm_that_never_arrives_took_no_time_that_could_be_equal(constant):
    """StepLR diverges on all 6 seeds, ConstantLR is there at the very end or never: cut at 4 epochs both have spent as
    much, which is no time to the target. Nothing is called the same, and the table has a dash."""
    rows = raced({"ConstantLR": constant, "StepLR": 4}, num_seeds=6).assign(train_seconds_curve=None)
    lost = rows["scheduler_name"] == "StepLR"
    rows["status"] = rows["status"].astype(object).mask(lost, "diverged")
    (race,) = races(rows, target=0.9)
    assert (race.gaps[STEP].tolist(), race.num_alike(STEP)) == ([0.0] * 6, 0)
    found = answer(rows, target=0.9)
    assert not any("exactly as long" in text for text in found.sentences)
    assert displayed(found.table).set_index("scheduler").loc[STEP, "to baseline"] == "–"
    assert "Diverged, and so never there: StepLR in 6 of 6." in found.sentences


def test_an_arm_that_never_arrives_is_never_quicker_in_seconds():
    """StepLR's trainings are a tenth shorter than ConstantLR's and miss the target, as do two of ConstantLR's: it is
    not ahead on any seed. ConstantLR's other four are there after 3 epochs of 4: a quarter of its training less."""
    rows = raced({"ConstantLR": [3, 3, 3, 3, 9, 9], "StepLR": 9}, num_seeds=6)
    fast = rows["scheduler_name"] == "StepLR"
    rows["train_seconds_curve"] = [
        np.array([1.0, 2.0, 3.0, 4.0]) * (0.9 if hit else 1.0) for hit in fast
    ]  # 3.6 s and 4 s in all
    _, race = races(rows, target=0.9)
    assert race.gaps[STEP].tolist() == [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]


def test_arms_that_arrive_oftener_did_not_take_as_long():
    """StepLR is there on all 6 seeds at the last epoch, ConstantLR on 5: the cut makes both 4 epochs, and they are not
    said to have taken as long."""
    rows = raced({"ConstantLR": [9, 4, 4, 4, 4, 4], "StepLR": 4}, num_seeds=6).assign(train_seconds_curve=None)
    text = " ".join(answer(rows, target=0.9).sentences)
    assert "exactly as long" not in text
    assert "Not there by the end of training: ConstantLR 1 of 6." in text


@pytest.mark.parametrize(
    ("finals", "whose"),
    [
        ([0.5, 0.6, 0.7, 0.8], "60.00% validation accuracy (the lower of the two middle final ones of ConstantLR)"),
        ([0.5, 0.7, 0.7, 0.8], "70.00% validation accuracy (the median final one of ConstantLR)"),
        ([0.5, 0.6, 0.7], "60.00% validation accuracy (the median final one of ConstantLR)"),
    ],
)
def test_the_target_is_called_what_it_is(finals, whose):
    """Of 50, 60, 70 and 80% the median is 65%, and 60% the lower middle one: it is not called the median."""
    rows = raced({"ConstantLR": 4, "StepLR": 4}, num_seeds=len(finals))
    last = {(name, seed): final for seed, final in enumerate(finals) for name in ("ConstantLR", "StepLR")}
    rows["final_val_accuracy"] = [last[r["scheduler_name"], r["seed"]] for r in rows.to_dict("records")]
    rows["val_accuracy_curve"] = [np.array([0.1, 0.1, 0.1, final]) for final in rows["final_val_accuracy"]]
    assert whose in " ".join(answer(rows).sentences)


def test_an_end_that_is_zero_but_for_rounding_is_zero():
    """One of 12 seeds an epoch sooner: by sign flips the interval ends at 0, printed without 1e-17 (0 of the rest)."""
    rows = raced({"ConstantLR": 4, "StepLR": [3, *[4] * 11]}, num_seeds=12).assign(train_seconds_curve=None)
    table = answer(rows, target=0.9).table.set_index("scheduler")
    assert "e-" not in displayed(answer(rows, target=0.9).table).set_index("scheduler").loc[STEP, "to baseline"]
    assert table.loc[STEP, "to_baseline_time"] == pytest.approx(-1 / 12)
    assert table.loc[STEP, "to_baseline_time_high"] == 0.0
