"""On how many images two runs disagree: counted by hand, and drawn."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from analysis import reproducibility
from analysis.figures import churn_map
from analysis.rows.replicates import cells, digested, disagreement
from analysis.tests.simulate import Truth, simulate, simulate_stages, study_of

SCHEDULERS = ["StepLR(step_size=2)", {"name": "ConstantLR", "factor": 1.0}]


def rows_of(predictions: dict, **document):
    rows = simulate(study_of(**{"grid": {"seed": "0-1", "scheduler": SCHEDULERS}, "replicates": 1, **document}))
    pairs = zip(rows["scheduler_name"], rows["seed"], strict=True)
    return rows.assign(predictions=[np.array(predictions[pair]) for pair in pairs])


BY_HAND = {
    ("ConstantLR", 0): [0, 0, 0, 0],
    ("ConstantLR", 1): [0, 0, 0, 1],
    ("StepLR", 0): [0, 0, 1, 1],
    ("StepLR", 1): [1, 1, 1, 1],
}


def test_disagreement_by_hand():
    """Seeds of one scheduler differ on 1 and 2 of 4 images, schedulers at one seed on 2 and 3: 37.5% and 62.5%."""
    found = churn_map.churn(rows_of(BY_HAND))
    assert [arm.partition("(")[0] for arm in found.arms] == ["ConstantLR", "ConstantLR", "StepLR", "StepLR"]
    assert found.shares.tolist() == [[0, 0.25, 0.5, 1], [0.25, 0, 0.25, 0.75], [0.5, 0.25, 0, 0.5], [1, 0.75, 0.5, 0]]
    assert found.other_seed == pytest.approx(0.375)
    assert found.other_scheduler == pytest.approx(0.625)
    (figure,) = churn_map.drawn(rows_of(BY_HAND))
    assert " ".join(figure.get_suptitle().split()) == (
        "Another seed changes the answer on 37.5% of test images, another scheduler at one seed on 62.5%"
    )


def test_repeats_and_flags_are_not_counted_as_runs():
    """Two replicates under two flags are still two seeds of two schedulers: four runs."""
    grid = {"seed": "0-1", "scheduler": SCHEDULERS, "cudnn_benchmark": [False, True]}
    assert churn_map.churn(rows_of(BY_HAND, grid=grid, replicates=2)).num_runs == 4


def test_of_many_runs_a_part_is_drawn():
    """Of 120 runs of two schedulers 24 seeds of each are drawn, and the figure says so."""
    rows = simulate(study_of(grid={"seed": "0-59", "scheduler": SCHEDULERS}, replicates=1))
    found = churn_map.churn(rows)
    assert (found.num_runs, found.shares.shape) == (120, (48, 48))
    (figure,) = churn_map.drawn(rows)
    assert figure.axes[0].get_xlabel().startswith("48 of 120 runs")


@pytest.mark.parametrize("kind", ["no rows", "no predictions", "two runs", "two data sets"])
def test_nothing_is_drawn_of_nothing(kind):
    """Without predictions of the same images by three runs there is no figure, and no error."""
    rows = rows_of(BY_HAND)
    if kind == "no rows":
        rows = rows[:0]
    if kind == "no predictions":
        rows = rows.drop(columns="predictions")
    if kind == "two runs":
        rows = rows[:2]
    if kind == "two data sets":
        rows["predictions"] = [[0] * n for n in (3, 3, 4, 4)]
    assert churn_map.drawn(rows) == []


def test_the_figure_and_the_answer_above_it_count_the_same_pairs():
    """Both take every two seeds of all runs, also where a part is drawn: of 60 seeds the share is one number."""
    (figure,) = churn_map.drawn(rows_of(BY_HAND))
    assert figure.axes[0].get_xlabel().endswith("means are over all pairs of runs")
    rows = simulate(study_of(grid={"seed": "0-59", "scheduler": SCHEDULERS}, replicates=1))
    (cell,) = cells(digested(rows))
    assert churn_map.churn(rows).other_seed == pytest.approx(cell.seed_churn)
    classes = np.stack(rows[rows["scheduler_name"] == "StepLR"]["predictions"].to_list())
    one_arm = rows[rows["scheduler_name"] == "StepLR"]
    by_pairs = [float((a != b).mean()) for a, b in combinations(classes, 2)]
    assert disagreement(one_arm, one_arm["scheduler_name"]) == pytest.approx(np.mean(by_pairs))
    assert "every two seeds" in reproducibility.HOW


def test_the_baseline_is_in_however_it_is_stepped():
    """An arm that steps once an epoch among others that step each step is drawn, and counted in both means."""
    rows = rows_of(BY_HAND)
    rows["scheduler_interval"] = rows["scheduler_name"].map({"ConstantLR": "epoch", "StepLR": "step"})
    found = churn_map.churn(rows)
    assert found.other_seed == pytest.approx(0.375)
    assert found.other_scheduler == pytest.approx(0.625)
    assert [arm.partition("(")[0] for arm in found.arms] == ["ConstantLR", "ConstantLR", "StepLR", "StepLR"]


def test_of_a_tuned_study_the_chosen_rates_are_drawn():
    """Each scheduler is drawn at its own rate, and the title says so; the default rate's runs are in no mean."""
    tune = {"seeds": "100-101", "base_lr": [0.02, 0.05, 0.1]}
    three = [*SCHEDULERS, "CosineAnnealingLR"]
    study = study_of(grid={"seed": "0-3", "scheduler": three}, fixed={"base_lr": 0.1}, replicates=1, tune=tune)
    rows, _ = simulate_stages(study, Truth(best_lr={"StepLR": 0.02, "CosineAnnealingLR": 0.05}))
    of_part = {"tuned": [0, 0, 0, 1], "default and tuned": [0, 0, 0, 1]}
    rows = rows.assign(predictions=[np.array(of_part.get(part, [1, 1, 1, 0])) for part in rows["tuning"].astype(str)])
    found = churn_map.churn(rows)
    assert (found.num_runs, found.other_seed, found.other_scheduler) == (12, 0, 0)
    (figure,) = churn_map.drawn(rows)
    assert figure.get_suptitle().startswith("At each scheduler's chosen base_lr: another seed changes")


def test_schedulers_without_a_run_of_the_setting_are_named():
    """Of two rates the one with the most runs is drawn; a scheduler that ran at the other alone is said to be out."""
    rows = rows_of(BY_HAND)
    third = rows[rows["scheduler_name"] == "StepLR"].assign(
        scheduler_name="LambdaLR", scheduler="LambdaLR(lr_lambda=own:f)", base_lr=rows["base_lr"].iloc[0] * 2
    )
    second = rows[rows["scheduler_name"] == "StepLR"].assign(base_lr=rows["base_lr"].iloc[0] * 2)
    rows = pd.concat([rows, third, second[:1]], ignore_index=True)
    found = churn_map.churn(rows)
    assert (found.num_runs, found.setting, found.absent) == (4, "base_lr=0.1", ("LambdaLR",))
    (figure,) = churn_map.drawn(rows)
    assert " ".join(figure.get_suptitle().split()).startswith("base_lr=0.1 (no run of LambdaLR): another seed")
