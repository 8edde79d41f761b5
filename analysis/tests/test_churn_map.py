"""On how many images two runs disagree: counted by hand, and drawn."""

import numpy as np
import pytest

from analysis import reproducibility
from analysis.figures import churn_map
from analysis.tests.simulate import simulate, study_of

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


def test_the_figure_says_of_which_pairs_its_means_are():
    """The map takes every two seeds and the answer above it neighbours: each says so, since the shares may differ."""
    (figure,) = churn_map.drawn(rows_of(BY_HAND))
    assert figure.axes[0].get_xlabel().endswith("means are over all pairs drawn")
    assert "neighbouring seeds" in reproducibility.HOW
