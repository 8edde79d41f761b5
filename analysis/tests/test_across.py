"""Schedulers over several workloads: rows with a planted order, gains, profiles, and one workload alone."""

import math

import numpy as np
import pandas as pd
import pytest

from analysis.across import answer, applies
from analysis.page.wording import displayed
from analysis.rows.fields import fields, profile, stratified_iqm
from analysis.tests.simulate import Truth, simulate, study_of

SCHEDULERS = ["ConstantLR(factor=1.0)", "StepLR(step_size=1, gamma=0.5)", "CosineAnnealingLR(T_max=4)"]
TRUTH = Truth(
    effects={"CosineAnnealingLR": 0.02, "StepLR": 0.008}, seed_sd=0.004, identical=False, run_sd=0.002, accuracy=0.9
)


def over(num_workloads: int, truth: Truth = TRUTH, num_seeds: int = 6) -> pd.DataFrame:
    """Return one study's rows in so many workloads, which differ in their draws."""
    study = study_of(replicates=1, grid={"seed": f"0-{num_seeds - 1}", "scheduler": SCHEDULERS})
    made = [simulate(study, truth, seed=index).assign(workload=f"w{index}") for index in range(num_workloads)]
    return pd.concat(made, ignore_index=True)


def test_the_iqm_over_workloads_by_hand():
    """Of eight runs the middle four are 2, 3, 4 and 5, whichever workload they are of: 3.5."""
    found = stratified_iqm([[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 90.0]])
    assert (found.value, found.low, found.high) == (3.5, -math.inf, math.inf)  # too few seeds for an interval


def test_the_interval_of_the_iqm_holds_the_truth():
    """In at least 92 % of 300 studies of three workloads with 8 seeds it holds the centre of normal gains."""
    rng, held = np.random.default_rng(1), 0
    for _ in range(300):
        found = stratified_iqm(rng.normal(1.0, 0.5, size=(3, 8)), num_resamples=400)
        held += found.low <= 1.0 <= found.high
    assert held / 300 >= 0.92


def test_the_profile_by_hand():
    """Half of the one workload's runs and all of the other's lie above 1: three quarters, however many each has."""
    shares, low, high = profile([[0.0, 2.0, 0.0, 2.0], [3.0]], [1.0, 5.0])
    assert shares.tolist() == [0.75, 0.0]
    assert low[0] <= 0.75 <= high[0]


def test_the_band_of_a_profile_holds_the_truth():
    """In at least 90 % of 200 studies of two workloads with 12 seeds the band at 0 holds a half."""
    rng, held = np.random.default_rng(2), 0
    for _ in range(200):
        _, low, high = profile(rng.normal(size=(2, 12)), [0.0], num_resamples=300)
        held += low[0] <= 0.5 <= high[0]
    assert held / 200 >= 0.9


def test_a_planted_order_is_found_over_workloads():
    """Over eight workloads the best scheduler has rank 1 in all, is told from the baseline, and gains two points."""
    rows = over(8)
    assert applies(rows)
    (field,) = fields(rows)
    names = [arm.partition("(")[0] for arm in field.arms]
    assert dict(zip(names, field.test.mean_ranks, strict=True))["CosineAnnealingLR"] == 1.0
    found = answer(rows)
    assert found.verdict == "better"
    assert found.sentences[0].startswith("Over 8 workloads CosineAnnealingLR has the best mean rank, 1 of 3")
    assert "CosineAnnealingLR is told from ConstantLR" in found.sentences[1]
    gain = found.table.set_index("scheduler").loc[field.arms[names.index("CosineAnnealingLR")], "gain_points"]
    assert gain == pytest.approx(0.02, abs=0.003)


def test_equal_schedulers_are_not_told_apart():
    """Of 60 studies of six workloads in which all accuracies are drawn alike at most 7 are said to have an order."""
    rows, rng = over(6, num_seeds=3), np.random.default_rng(3)
    drawn = [rows.assign(final_accuracy=rng.normal(0.9, 0.01, len(rows))) for _ in range(60)]
    assert sum(fields(each)[0].test.p < 0.05 for each in drawn) <= 7


def test_two_workloads_are_said_to_be_few():
    """Ranks over two workloads cannot be told apart: the answer says how many it takes, and gives no verdict."""
    found = answer(over(2))
    assert found.verdict == "not testable here"
    assert "it takes 3 workloads at least" in " ".join(found.sentences)
    assert found.caveats[0].startswith("2 workloads are a small sample")


def test_one_workload_is_not_looked_across():
    """A study of one workload has no such answer; asked for nevertheless, it is empty and says why."""
    rows = over(1)
    assert not applies(rows)
    assert not applies(rows[:0])
    found = answer(rows)
    assert len(found.table) == 0
    assert "Only one workload" in found.sentences[0]
    assert found.figure().get_axes()


def test_a_scheduler_that_is_missing_somewhere_is_left_out():
    """Ranks are of the schedulers that every workload has, on their complete seeds."""
    rows = over(3)
    rows = rows[~((rows["workload"] == "w1") & (rows["scheduler_name"] == "StepLR"))]
    (field,) = fields(rows)
    assert len(field.arms) == 2


def test_a_best_rank_that_diverged_is_no_better():
    """The best-ranked scheduler diverged on 2 of 6 seeds of one workload: the first sentence says so, the verdict is
    withheld, and the title claims nothing."""
    rows = over(8)
    lost = (rows["scheduler_name"] == "CosineAnnealingLR") & (rows["workload"] == "w3") & (rows["seed"] < 2)
    found = answer(rows.assign(status=rows["status"].astype(object).mask(lost, "diverged")))
    assert "it diverged on 2 of 6 seeds of w3" in found.sentences[0]
    assert found.verdict == "inconclusive"
    assert "it diverged elsewhere" in found.figure().get_suptitle() + found.figure().get_axes()[0].get_title(loc="left")


def test_the_places_that_are_left():
    """Over eight workloads in one order the first and the last may be second, but neither the other; where nothing is
    told apart every place is left."""
    places = answer(over(8)).table.set_index("mean_rank")[["place_low", "place_high"]]
    assert places.loc[1.0].tolist() == [1, 2]
    assert places.loc[places.index.max()].tolist()[1] == 3
    equal = over(6, num_seeds=3)
    equal = equal.assign(final_accuracy=np.random.default_rng(3).normal(0.9, 0.01, len(equal)))
    assert answer(equal).table[["place_low", "place_high"]].to_numpy().tolist() == [[1, 3]] * 3


@pytest.mark.parametrize(("num_workloads", "num_seeds"), [(2, 1), (2, 6), (7, 3)])
def test_every_size_can_be_read_and_drawn(num_workloads, num_seeds):
    """No text holds nan, and the diagram is drawn with its profiles."""
    found = answer(over(num_workloads, num_seeds=num_seeds))
    texts = " ".join([*found.sentences, *displayed(found.table).astype(str).to_numpy().ravel()])
    assert "nan" not in texts.lower().split()
    assert len(found.figure().get_axes()) == 2
